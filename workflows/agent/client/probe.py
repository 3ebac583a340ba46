"""A live look at a model endpoint: what it lists, whether it calls a tool, what it tells of usage and cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflows.agent.client.listing import ListedModel, parse_model_list
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.client.presets import find_preset_by_owner
from workflows.agent.client.refusals import Refused, Transient
from workflows.services import BrokenWorld
from workflows.types import Reply, ToolCall

LIST_SECONDS = 10.0
CALL_SECONDS = 180.0
TRIES = 2
EXPECTED: Mapping[str, Any] = {"state": "ready", "count": 3}

TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "report_state",
        "description": "Report the state of the connection.",
        "parameters": {
            "type": "object",
            "properties": {
                "state": {"type": "string", "description": "One word."},
                "count": {"type": "integer", "description": "A whole number."},
            },
            "required": ["state", "count"],
        },
    },
}
# Long enough for a cache to hold it: Model Studio wants 1,024 tokens, vLLM and SGLang whole blocks of 16 to 64.
_RULES = "\n".join(
    f"Rule {number}: when you are asked for state number {number}, answer with that state and with nothing else."
    for number in range(1, 121)
)
_OPENING: tuple[Mapping[str, Any], ...] = (
    {"role": "system", "content": f"You test a connection. You act by calling tools.\n{_RULES}"},
    {"role": "user", "content": 'Call the tool report_state now, with state "ready" and count 3. Write nothing else.'},
)


@dataclass(frozen=True)
class Probe:
    """What was found. ``failure`` is why nothing more could be found out; empty when all was asked.

    ``listed`` None: the endpoint gives no list. ``window`` is what the server tells of the model's context in tokens,
    0 when it does not. ``call`` is the model's first tool call, ``called`` the reply that held it, ``after`` the reply
    to the next request, which begins with the same words.
    """

    failure: str = ""
    listed: tuple[ListedModel, ...] | None = None
    window: int = 0
    owner: str = ""
    called: Reply | None = None
    after: Reply | None = None

    @property
    def call(self) -> ToolCall | None:
        """The tool call, None when the model made none."""
        return self.called.tool_calls[0] if self.called and self.called.tool_calls else None

    @property
    def called_rightly(self) -> bool:
        """Whether the tool was called with the arguments that were asked for, each in its type."""
        try:
            return self.call is not None and self.call.name == _NAME and json.loads(self.call.arguments) == EXPECTED
        except ValueError:
            return False


_NAME: str = TOOL["function"]["name"]


def probe_model(model: OpenAIModel) -> Probe:
    """Ask the endpoint for its models and for two replies: a few thousand tokens. Raises nothing for what is broken."""
    try:
        listed = _fetch_list(model)
    except Transient as error:
        return _unanswered(model, str(error))
    except Refused as error:
        if error.refusal.transient:
            return _unanswered(model, error.refusal.message)
        return Probe(failure=model.scrub(error.refusal.message))
    except BrokenWorld as error:
        return Probe(failure=error.message)
    entry = next((entry for entry in listed or () if entry.id == model.name), ListedModel(id=model.name))
    owner = entry.owner or next((other.owner for other in listed or ()), "")
    found: dict[str, Any] = {"listed": listed, "owner": owner}
    try:
        called = _call_tool(model)
        after = _go_on(model, called)
    except BrokenWorld as error:
        return Probe(failure=error.message, window=entry.window, **found)
    window = _native_window(model, owner) or entry.window
    return Probe(window=window, called=called, after=after, **found)


def _unanswered(model: OpenAIModel, reason: str) -> Probe:
    words = f"{model.endpoint.where} does not answer: {reason}. Check OPENAI_BASE_URL and the server."
    return Probe(failure=model.scrub(words))


def _fetch_list(model: OpenAIModel) -> tuple[ListedModel, ...] | None:
    try:
        return parse_model_list(model.endpoint.fetch("models", seconds=LIST_SECONDS))
    except ValueError:
        return None
    except Refused as error:
        if error.refusal.status in {404, 405, 501}:
            return None
        raise


def _call_tool(model: OpenAIModel) -> Reply:
    """The reply to a plain request for a call; asked twice, for a warm model may well talk instead once."""
    reply = model.complete(_OPENING, tools=[TOOL], deadline=CALL_SECONDS)
    for _ in range(TRIES - 1):
        if reply.tool_calls:
            break
        reply = model.complete(_OPENING, tools=[TOOL], deadline=CALL_SECONDS)
    return reply


def _go_on(model: OpenAIModel, called: Reply) -> Reply:
    """The next reply of the same conversation, as a session would ask for it."""
    if called.tool_calls and called.tool_calls[0].name:
        call = {"name": called.tool_calls[0].name, "arguments": json.dumps(EXPECTED)}
        messages = [
            *_OPENING,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call00001", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "call00001", "content": "Noted. Now say: done"},
        ]
    else:
        said = called.content if called.content.strip() else "(empty reply)"
        messages = [*_OPENING, {"role": "assistant", "content": said}, {"role": "user", "content": "Now say: done"}]
    return model.complete(messages, tools=[TOOL], deadline=CALL_SECONDS)


def _native_window(model: OpenAIModel, owner: str) -> int:
    """What the server's own lists tell, read after a call so that the model is loaded; 0 when they tell nothing."""
    preset = find_preset_by_owner(owner) or model.preset
    for path in preset.model_lists:
        try:
            listed = parse_model_list(model.endpoint.fetch(path, seconds=LIST_SECONDS))
        except (Transient, Refused, BrokenWorld, ValueError):
            continue
        for entry in listed:
            if entry.id.removesuffix(":latest") == model.name.removesuffix(":latest") and entry.window:
                return entry.window
    return 0
