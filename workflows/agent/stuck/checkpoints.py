"""The best change of a session so far: the one with the fewest failing tests."""

from __future__ import annotations

import math

from workflows.agent.stuck.steps import WRITING
from workflows.types import Patch, TestTally, Turn


class Checkpoints:
    """Fed every turn in order, it holds the best change and the newest one, no others.

    ``known_failing``: tests that failed before any change; they speak against no change.
    """

    def __init__(self, known_failing: frozenset[str] = frozenset()) -> None:
        self._known = known_failing
        self._newest: Patch | None = None
        self._best: Patch | None = None
        self._fewest = math.inf
        self._shown: dict[str, float] = {}
        self._tested = False

    @property
    def best(self) -> Patch | None:
        """The change with the fewest failing tests, the later of equals; the newest while no test was run.

        None: the untouched tree.
        """
        return self._best if self._tested else self._newest

    def add(self, turn: Turn) -> None:
        """Take note of a finished turn, with its patch still in it."""
        writes = [index for index, result in enumerate(turn.results) if result.name in WRITING and not result.failed]
        first, last = (writes[0], writes[-1]) if writes else (len(turn.results), -1)
        runs = [(index, result) for index, result in enumerate(turn.results) if result.tests is not None]
        if writes:
            # A run before the first edit still speaks of the change before; one between two edits of neither.
            for index, result in runs:
                if index < first and result.tests is not None:
                    self._judge(_command(result.content), result.tests)
        if turn.patch is not None:
            self._newest = None if turn.patch.empty else turn.patch
            self._shown = {}
        for index, result in runs:
            if index > last and result.tests is not None:
                self._judge(_command(result.content), result.tests)

    def _judge(self, command: str, tests: TestTally) -> None:
        """Weigh the newest change by one more run: of several commands the worst counts, of one the latest."""
        self._shown[command] = self._count(tests)
        worth = max(self._shown.values())
        if self._newest is self._best or worth <= self._fewest:
            self._best, self._fewest = self._newest, worth
        self._tested = True

    def _count(self, tests: TestTally) -> float:
        if tests.exit_code == 0:
            return 0
        if tests.exit_code is None or not tests.counted or not tests.failed:
            return math.inf  # it did not end, or did not even load: worse than any number of failing tests
        return tests.failed - sum(name in self._known for name in tests.failing)


def _command(content: str) -> str:
    return content.partition("\n")[0]
