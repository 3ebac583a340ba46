"""A stage: one durable step that people can see, with the wall time it took."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from workflows.outcome import Timed, timed
from workflows.progress.tracking import Progress, StageName
from workflows.services import Run

T = TypeVar("T")


class Stages:
    """The stages of one attempt of one job.

    ``seconds`` maps finished stages to their wall time, replayed and repeated ones too.
    """

    def __init__(self, run: Run, progress: Progress) -> None:
        self._run = run
        self._progress = progress
        self.seconds: dict[str, float] = {}

    def step(self, name: StageName, function: Callable[[], T], returns: Any, detail: Callable[[T], str]) -> T:
        """The stage's result, of type ``returns``; ``detail`` says it in a few words for people."""

        def work() -> Timed[T]:
            self._progress.begin(name)
            return timed(function)

        staged: Timed[T] = self._run.step(name, work, Timed[returns])
        self.note(name, staged.seconds, detail(staged.value))
        return staged.value

    def note(self, name: StageName, seconds: float, detail: str) -> None:
        """Note a stage that is made of several steps."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self._progress.done(name, detail)
