"""How a job ends, and how long each of its stages took."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from pydantic import Field

from workflows.types import Noun

T = TypeVar("T")

Status = Literal[
    "pull_request",  # a draft was opened
    "pushed",  # a commit was pushed to the branch of a pull request
    "answered",  # said what was asked for, and nothing else
    "planned",  # waits for an approval
    "reviewed",  # said what was found
    "clean",  # reviewed, and found nothing that matters
    "joined",  # another job does it
    "no_change",
    "asked",  # waits for an answer
    "worse",
    "rejected",
    "refused",
    "ignored",
    "failed",
    "cancelled",
]


FollowUp = Literal["rerun", "update", "repair"]


class Timed(Noun, Generic[T]):
    """A stage's result and the wall seconds it took, measured where it ran and kept over replays."""

    value: T
    seconds: float


def timed(function: Callable[[], T]) -> Timed[T]:
    """Run ``function`` and say how long it took."""
    started = time.monotonic()
    value = function()
    return Timed(value=value, seconds=time.monotonic() - started)


class Outcome(Noun):
    """The end of a job. ``reason`` is one sentence for people; ``seconds`` maps a stage's name to its wall time.

    Of a round of feedback, ``heard`` names the reviews and comments that it dealt with, and ``growth`` is by how many
    lines it made the change longer (or, below zero, shorter). ``follow_up`` is what was done about failed checks:
    run again, the base merged in first, or a repair; of checks that were run again ``heard`` holds ``check:`` and name.
    ``unresolved`` are the commits of branch and base whose conflicts a session could not resolve.
    """

    status: Status
    reason: str
    pull_request: int | None = None
    url: str | None = None
    branch: str | None = None
    commit: str | None = None
    heard: tuple[str, ...] = ()
    growth: int = 0
    follow_up: FollowUp | None = None
    unresolved: tuple[str, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)
