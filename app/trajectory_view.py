"""A recorded session for a person's eyes: shortened or whole, and nothing of it is obeyed by the terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from workflows.texts.untrusted import show_hidden
from workflows.trajectory.conversation import Opening, opening_of
from workflows.trajectory.events import Event, of_kind
from workflows.trajectory.reward import Ending, ending_of
from workflows.trajectory.store import SessionHead
from workflows.trajectory.turns import Unfinished, turns_of, unfinished_turn
from workflows.types import Compaction, Reply, ToolCall, ToolResult, Turn, Usage

SAID = 600
ARGUMENT = 100
RESULT = 300
RESULT_LINES = 4

# What a terminal would obey and not show. An unending sequence is not taken for one: it could hide all that follows.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]{0,256}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,8}[0-Z\\`-~]"
)


def show_list(heads: Sequence[SessionHead], console: Console) -> None:
    """Print one line a stored session."""
    if not heads:
        console.print("No session is stored yet: one is recorded whenever a job's agent starts.")
        return
    rows: list[tuple[str, ...]] = [("job", "session", "issue", "started", "turns", "stop")]
    for head in heads:
        issue = f"{head.repository}#{head.number}"
        cells = (head.job_id, head.session, issue, _moment(head), str(head.turns), head.stop or "(no end)")
        rows.append(tuple(map(one_line, cells)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        # No table: that cuts at the terminal's width, and a job's id has to come out whole.
        console.print(line, style="" if row is not rows[0] else "bold", markup=False, highlight=False, soft_wrap=True)


def show_session(head: SessionHead, events: Sequence[Event], console: Console) -> None:
    """Print the header and one block a turn, each text shortened. Raises BrokenChain."""
    page = _Page(console, whole=False)
    turns = turns_of(events)
    page.header(head, opening_of(events), ending_of(events), turns=len(turns), spent=spent(events))
    for turn in turns:
        page.turn(turn)
    page.unfinished(unfinished_turn(events))
    page.end(ending_of(events))


def show_turn(events: Sequence[Event], number: int, console: Console) -> bool:
    """Print one turn with all its words; False when there is no such turn. Raises BrokenChain."""
    page = _Page(console, whole=True)
    unfinished = unfinished_turn(events)
    for turn in turns_of(events):
        if turn.number == number:
            page.turn(turn)
            return True
    if unfinished is not None and unfinished.number == number:
        page.unfinished(unfinished)
        return True
    return False


def spent(events: Sequence[Event]) -> Usage:
    """All that the session used: every reply, one that was not taken too, and the summaries."""
    total = Usage()
    for event in of_kind(events, "llm_response"):
        total += Reply.model_validate(event.payload).usage
    for event in of_kind(events, "compaction"):
        total += Compaction.model_validate(event.payload).usage
    return total


def plain(text: str) -> str:
    """Text without escape sequences, and with every other hidden character spelled out as ``<U+001B>``."""
    return show_hidden(_ESCAPES.sub("", text))


def one_line(text: str, limit: int = 200) -> str:
    """The same in one line, at most ``limit`` characters."""
    line = " ".join(plain(text[: 4 * limit]).split())
    return line if len(line) <= limit and len(text) <= 4 * limit else line[: limit - 1] + "…"


class _Page:
    """Prints; ``whole`` leaves nothing out."""

    def __init__(self, console: Console, *, whole: bool) -> None:
        self._console = console
        self._whole = whole

    def header(self, head: SessionHead, opening: Opening, ending: Ending, *, turns: int, spent: Usage) -> None:
        facts = {
            "job": f"{head.job_id}  session {head.session}, attempt {opening.attempt}",
            "issue": f"{head.repository}#{head.number}",
            "model": opening.model,
            "base": opening.base,
            "started": f"{_moment(head)}, {_count(turns, 'turn')}",
            "stop": " – ".join(part for part in (ending.stop or "(no end)", ending.detail) if part),
            "verdict": _verdict(ending),
            "tokens": _tokens(spent),
            "cost": f"{spent.usd:.4f} USD" + (" (estimated)" if spent.estimated else ""),
        }
        for name, fact in facts.items():
            self._line(f"{name:<8}", fact, style="bold")

    def turn(self, turn: Turn) -> None:
        for compaction in turn.compactions:
            self._compaction(compaction)
        if turn.intervention is not None:
            self._rule(f"{turn.intervention.kind}: {turn.intervention.pattern}", "yellow")
        usage = turn.reply.usage
        heading = f"turn {turn.number} · {turn.stage} · {turn.seconds:.1f} s · {_tokens(usage)}"
        self._line("\n" + heading, style="bold cyan")
        self._reply(turn.notices, turn.reply, turn.results)
        if turn.patch is not None:
            self._line("  changed: ", ", ".join(file.path for file in turn.patch.files) or "nothing any more")
        if turn.finish is not None and self._whole:
            self._text("  ", f"{turn.finish.summary}\n{turn.finish.verification}")
        if turn.question:
            self._line("  asked: ", turn.question, style="yellow")
        if turn.stop is not None:
            self._line("  stop: ", turn.stop)

    def unfinished(self, turn: Unfinished | None) -> None:
        if turn is None:
            return
        for compaction in turn.compactions:
            self._compaction(compaction)
        self._line(f"\nturn {turn.number} · not finished · {_tokens(turn.reply.usage)}", style="bold cyan")
        self._reply(turn.notices, turn.reply, turn.results, frozenset(call.id for call in turn.interrupted))

    def end(self, ending: Ending) -> None:
        if ending.label == "infrastructure":
            self._rule(f"infrastructure failure, not scored: {ending.detail or ending.stop or 'unknown'}", "red")

    def _reply(
        self,
        notices: Sequence[str],
        reply: Reply,
        results: Sequence[ToolResult],
        interrupted: frozenset[str] = frozenset(),
    ) -> None:
        for notice in notices:
            self._text("  ! ", notice, style="yellow")
        if self._whole and reply.reasoning:
            self._text("  ~ ", reply.reasoning, style="dim")
        if reply.content.strip() or not reply.tool_calls:
            self._text("  ", reply.content.strip() or "(empty reply)")
        if reply.tool_calls and reply.calls_from != "native":
            self._line("  ", f"(calls read from the {reply.calls_from})", style="dim")
        answers = {result.call_id: result for result in results}
        for call in reply.tool_calls:
            self._call(call, answers.pop(call.id, None), interrupted=call.id in interrupted)
        for stray in answers.values():
            self._result(stray)

    def _call(self, call: ToolCall, result: ToolResult | None, *, interrupted: bool) -> None:
        arguments = _arguments(call)
        if self._whole:
            self._line("  → ", call.name, style="green")
            for key, value in arguments.items():
                self._text(f"    {one_line(key, 60)}: ", value)
        else:
            shown = " ".join(f"{one_line(key, 60)}={one_line(value, ARGUMENT)}" for key, value in arguments.items())
            self._line("  → ", f"{one_line(call.name, 80)} {shown}", style="green", limit=1000)
        if result is not None:
            self._result(result)
        else:
            self._line("    ", "interrupted, state unknown" if interrupted else "(no result)", style="red")

    def _result(self, result: ToolResult) -> None:
        mark = "✗ failed" if result.failed else "←"
        time = f" {result.seconds:.1f} s" if result.seconds >= 0.1 else ""
        tally = result.tests
        counts = f" {tally.passed} passed, {tally.failed} failed" if tally is not None and tally.counted else ""
        style = "red" if result.failed else "dim"
        self._text(f"    {mark}{time}{counts} ", result.content, style=style, limit=RESULT)

    def _compaction(self, compaction: Compaction) -> None:
        sizes = f"{compaction.tokens_before:,} → {compaction.tokens_after:,} tokens"
        what = f", {len(compaction.masked)} results masked" if compaction.kind == "mask" else ""
        self._rule(f"compaction: {compaction.kind}{what}, {sizes}", "magenta")
        if self._whole and compaction.words:
            self._text("  ", compaction.words)

    def _text(self, lead: str, text: str, *, style: str = "", limit: int = SAID) -> None:
        """A text of any length, indented under its lead."""
        shown = text if self._whole else _shortened(text.rstrip(), limit)
        lines = plain(shown).split("\n")
        indent = "\n" + " " * min(len(lead), 4)
        self._print(Text.assemble((lead, style), (indent.join(lines), style)))

    def _line(self, lead: str, text: str = "", *, style: str = "", limit: int = 400) -> None:
        self._print(Text.assemble((lead, style), one_line(text, limit)))

    def _rule(self, text: str, style: str) -> None:
        self._console.rule(Text(one_line(text), style=style), style=style, align="left")

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


def _shortened(text: str, limit: int) -> str:
    lines = text.split("\n", RESULT_LINES)
    kept = "\n".join(lines[:RESULT_LINES])[:limit]
    left = len(text) - len(kept)
    return f"{kept} … ({left:,} more characters)" if left > 1 else kept


def _arguments(call: ToolCall) -> Mapping[str, str]:
    try:
        values = json.loads(call.arguments)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return {"(no JSON object)": call.arguments}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _verdict(ending: Ending) -> str:
    verdict = ending.verdict
    worth = f"reward {ending.reward}" if ending.reward is not None else f"no reward: {ending.label}"
    if verdict is None:
        return f"none ({worth})"
    counts = f"{len(verdict.fail_to_pass)} fail-to-pass, {verdict.pass_to_pass} pass-to-pass"
    broken = f", {len(verdict.broken)} broken" if verdict.broken else ""
    return f"{verdict.status} ({counts}{broken}; {worth})"


def _tokens(usage: Usage) -> str:
    share = f", {100 * usage.cached_tokens // usage.input_tokens} %" if usage.input_tokens else ""
    return f"{usage.input_tokens:,} in ({usage.cached_tokens:,} cached{share}), {usage.output_tokens:,} out"


def _moment(head: SessionHead) -> str:
    return head.started.strftime("%Y-%m-%d %H:%M:%S %Z").strip()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
