"""Why an agent's session ended, in words for people."""

from __future__ import annotations

from workflows.types import StopReason

_WORDS: dict[StopReason, str] = {
    "turns": "the budget of turns was used up",
    "tokens": "the budget of tokens was used up",
    "seconds": "the time was used up",
    "money": "the budget of money was used up",
    "no_tool_calls": "the model stopped working with its tools",
    "stuck": "the model went round in circles",
    "asked": "the model asked a question",
    "malformed": "the model kept sending calls that could not be read",
    "model_unavailable": "the model could not be reached any more",
    "cancelled": "the job was cancelled",
    "finished": "the model said that it was done",
    "unproven": "the model said that it was done, with neither proof nor a reason why there is none",
}


def say_stop(stop: StopReason, detail: str = "") -> str:
    """Half a sentence, without a full stop unless ``detail`` has one."""
    return _WORDS[stop] + (f": {detail}" if detail else "")
