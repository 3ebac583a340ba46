"""What a session is worth to a trainer: its verdict as a number, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from workflows.trajectory.events import Event, of_kind
from workflows.types import Noun, StopReason, Verdict

Label = Literal["scored", "unscored", "infrastructure", "unfinished"]


class Ending(Noun):
    """How a session ended and what it is worth.

    ``label``: "scored" has a reward; "unscored" was judged by nothing that can be counted; "infrastructure": the world
    around the agent broke; "unfinished": there is no end. Only the first has a reward.
    """

    label: Label
    reward: float | None = None
    verdict: Verdict | None = None
    stop: StopReason | None = None
    detail: str = ""
    infrastructure: bool = False


def reward(verdict: Verdict | None) -> float | None:
    """1.0 for a proven change, 0.0 for any other that was measured, None where nothing could be measured.

    Proven: the verdict is "verified", at least one test turned from failing to passing, none broke, and no test was
    weakened. Nothing measured: no verdict, or "no_tests". There is nothing in between.
    """
    if verdict is None or verdict.status == "no_tests":
        return None
    proven = verdict.status == "verified" and verdict.fail_to_pass and not verdict.broken and not verdict.weakened
    return 1.0 if proven else 0.0


def ending_of(events: Sequence[Event]) -> Ending:
    """How the session ended; a failure of the infrastructure, or no end at all, is labelled and never scored."""
    ends, verdicts = of_kind(events, "end"), of_kind(events, "verdict")
    known = (
        {key: value for key, value in verdicts[-1].payload.items() if key in Verdict.model_fields} if verdicts else {}
    )
    verdict = Verdict.model_validate(known) if known else None
    if not ends:
        return Ending(label="unfinished", verdict=verdict)
    end = ends[-1].payload
    broken = bool(end.get("infrastructure", False))
    value = None if broken else reward(verdict)
    return Ending(
        label="infrastructure" if broken else "unscored" if value is None else "scored",
        reward=value,
        verdict=verdict,
        stop=end.get("stop"),
        detail=end.get("detail", ""),
        infrastructure=broken,
    )


def _verdict(event: Event) -> Verdict:
    return Verdict.model_validate({key: value for key, value in event.payload.items() if key in Verdict.model_fields})
