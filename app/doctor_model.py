"""The doctor's look at the model: what the endpoint can do, what Forgehand makes of it, and what to mend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich.console import Console

from app.composition import Composition
from app.models import connect_models
from app.settings import Settings, SettingsError
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.client.presets import GENERIC, find_preset_by_owner
from workflows.agent.client.probe import Probe, probe_model
from workflows.agent.context.shrink import working_cap

MARKS = {"ok": "green", "MEND": "bold red", "note": "yellow"}
SMALL_WINDOW = 32_000
ATTEMPTS = 3
"""Of one reply: somebody waits, and an endpoint that is wrong every time is found out by then."""
DIALECTS = {
    "native": "in the protocol's own field (tool_calls)",
    "content": "in the text, where Forgehand reads it",
    "reasoning": "in the reasoning, where Forgehand reads it",
}


@dataclass(frozen=True)
class Line:
    """One finding about ``topic``: "ok", "MEND" (the exit code becomes 1) or "note"."""

    mark: Literal["ok", "MEND", "note"]
    topic: str
    words: str


def examine_model(settings: Settings) -> int:
    """Probe each endpoint live and print what was found; 0 when all can work, else 1. Costs a few thousand tokens."""
    console = Console(soft_wrap=True)
    redact = Composition(settings, say=console.print).redactor.redact
    try:
        models = connect_models(settings, attempts=ATTEMPTS)
    except SettingsError as error:
        console.print(f"MEND {error}", style="bold red", markup=False, highlight=False)
        return 1
    well = True
    for model in models:
        heading = f"{model.name} at {model.endpoint.where}, asked as {model.preset.title}"
        console.print(heading, style="bold", markup=False, highlight=False)
        for line in judge(model, probe_model(model), cap=settings.context_cap):
            well = well and line.mark != "MEND"
            console.print(f"[{MARKS[line.mark]}]{line.mark:<4}[/] {line.topic:<10}", end="")
            console.print(redact(line.words), markup=False, highlight=False)
    return 0 if well else 1


def judge(model: OpenAIModel, probe: Probe, *, cap: int | None = None) -> Iterator[Line]:
    """What the probe means, line by line. ``cap`` is the operator's bound for a conversation, in tokens."""
    if probe.failure and probe.listed is None:
        yield Line("MEND", "reachable", probe.failure)
        return
    yield Line("ok", "reachable", f"{model.endpoint.where} answers")
    yield _judge_offer(model, probe)
    if probe.failure or probe.called is None:
        yield Line("MEND", "answers", probe.failure)
        return
    yield _judge_streaming(model)
    yield _judge_calling(probe)
    yield _judge_window(model, probe)
    yield from _judge_figures(model, probe)
    yield from _judge_preset(model, probe)
    yield Line("ok", "will do", _plan(model, cap))


def _judge_offer(model: OpenAIModel, probe: Probe) -> Line:
    if not probe.listed:
        return Line("note", "model", f"the endpoint lists no models; {model.name} was asked all the same")
    if any(entry.id == model.name for entry in probe.listed):
        return Line("ok", "model", f"{model.name} is offered")
    names = ", ".join(entry.id for entry in probe.listed[:8])
    more = f" and {len(probe.listed) - 8} more" if len(probe.listed) > 8 else ""
    mark: Literal["note", "MEND"] = "MEND" if probe.failure else "note"
    return Line(mark, "model", f"{model.name} is not in the endpoint's list: {names}{more}. Set FORGEHAND_MODEL.")


def _judge_streaming(model: OpenAIModel) -> Line:
    if model.concessions.streams:
        return Line("ok", "streaming", "works; a silent endpoint is noticed early")
    return Line(
        "note",
        "streaming",
        "does not work here or is switched off, so answers are taken whole: a hanging endpoint is noticed late",
    )


def _judge_calling(probe: Probe) -> Line:
    if probe.called_rightly and probe.called is not None:
        return Line("ok", "tools", f"the model called the tool it was given; the call came {_dialect(probe)}")
    if probe.call is not None:
        return Line(
            "MEND",
            "tools",
            f"the model called {probe.call.name or 'a tool without a name'} with {probe.call.arguments[:120]!r}, which "
            "is not what it was asked for. Take a larger model, or less quantised weights.",
        )
    return Line(
        "MEND",
        "tools",
        "the model was asked to call a tool and did not. Take a model that can (Qwen3-Coder), and start its server "
        "with tool calls: vLLM --enable-auto-tool-choice --tool-call-parser qwen3_coder, SGLang --tool-call-parser "
        "qwen3_coder, llama-server --jinja.",
    )


def _judge_window(model: OpenAIModel, probe: Probe) -> Line:
    preset = find_preset_by_owner(probe.owner) or model.preset
    assumed, told = model.context_window, probe.window
    if not told:
        words = f"the endpoint does not tell; {assumed:,} tokens are assumed. Correct it by FORGEHAND_CONTEXT_WINDOW. "
        return Line("note", "window", (words + preset.window_advice).strip())
    if told < assumed:
        words = f"the server has {told:,} tokens, but {assumed:,} are assumed: set FORGEHAND_CONTEXT_WINDOW={told}. "
        return Line("MEND", "window", (words + preset.window_advice).strip())
    if told < SMALL_WINDOW:
        words = f"{told:,} tokens are few for work on a repository. "
        return Line("note", "window", (words + preset.window_advice).strip())
    more = f"; {assumed:,} are used. Set FORGEHAND_CONTEXT_WINDOW={told} to use them all" if told > assumed else ""
    return Line("ok", "window", f"{told:,} tokens{more}")


def _judge_figures(model: OpenAIModel, probe: Probe) -> Iterator[Line]:
    assert probe.called is not None
    usage = probe.called.usage
    if usage.estimated:
        yield Line("note", "usage", "is not told, so Forgehand estimates it by four characters a token")
    else:
        yield Line("ok", "usage", f"is told: {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out")
    if not usage.usd:
        yield Line("note", "money", "is not counted: set FORGEHAND_PRICE_INPUT and FORGEHAND_PRICE_OUTPUT to count it")
    after = probe.after.usage if probe.after else usage
    if after.cached_tokens:
        share = 100 * after.cached_tokens // max(1, after.input_tokens)
        yield Line("ok", "cache", f"{share} % of the second prompt came from the prompt cache")
    else:
        preset = find_preset_by_owner(probe.owner) or model.preset
        yield Line("note", "cache", f"no hit was told for a repeated prompt. {preset.cache_advice}")


def _judge_preset(model: OpenAIModel, probe: Probe) -> Iterator[Line]:
    if model.concessions.dropped:
        fields = ", ".join(model.concessions.dropped)
        yield Line("note", "fields", f"the endpoint refuses {fields}; they are left out after one attempt each")
    found = find_preset_by_owner(probe.owner)
    if found is not None and found != model.preset and model.preset == GENERIC:
        words = f"this is {found.title}: set FORGEHAND_MODEL_PRESET={found.name} to ask it in its own way"
        yield Line("note", "preset", words)


def _dialect(probe: Probe) -> str:
    assert probe.called is not None
    return DIALECTS[probe.called.calls_from]


def _plan(model: OpenAIModel, cap: int | None) -> str:
    sampling = ", ".join(f"{name} {value}" for name, value in model.sampling.items()) or "the endpoint's own sampling"
    ways = "stream" if model.concessions.streams else "take answers whole"
    bound = working_cap(model.context_window, cap)
    return (
        f"{ways}; offer tools natively and read calls from the text when there are none; "
        f"shrink a conversation at {bound:,} of {model.context_window:,} tokens; sample with {sampling}"
    )
