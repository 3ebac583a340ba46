"""The last good change of a session that was stopped: when it is judged instead of what the session left."""

from __future__ import annotations

from dataclasses import replace

from workflows.agent.loop import AgentResult
from workflows.progress.stops import say_stop
from workflows.types import Verdict


def stepped_back(result: AgentResult, verdict: Verdict) -> AgentResult | None:
    """The session with its best change, by its own test runs, in the place of its last one.

    None: the last change is verified, or what the model meant to hand over, or there is no better one.
    """
    if result.stop in ("finished", "asked") or verdict.status == "verified":
        return None
    if result.best is None or result.best == result.patch:
        return None
    # What the model said last is said of its last change.
    return replace(result, patch=result.best, finish=None)


def say_step_back(result: AgentResult, flaw: str) -> str:
    """A sentence for the people on what is delivered; ``flaw`` is the one of the session's last change."""
    why = say_stop(result.stop, result.detail).rstrip(".")
    return f"The session was stopped ({why}) with a change that is left out for an earlier, better one: {flaw}"
