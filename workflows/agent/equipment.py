"""What a session works with beside its model and its budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workflows.agent.tools import RunTests
from workflows.agent.workspace import Workspace
from workflows.types import Patch, TestRun

DrawMap = Callable[[str, Sequence[str], int], str]
"""A map of the repository: what is looked for, the paths that matter now, and how many tokens it may have."""


def _none(_: object) -> None:
    return None


def _nothing(_: object) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Reading:
    """What makes a session one that only reads: no tool of it changes a file, and ``finish`` hands a text over.

    ``handover`` tells the model what that text is; ``objection`` says what is wrong with one, or nothing.
    """

    handover: str
    objection: Callable[[str], str] = lambda text: ""


@dataclass(frozen=True)
class Equipment:
    """The tree at the commit ``base``, the tests, and what is known of the repository.

    ``run_tests`` None: no test command is known; ``baseline`` is its run before any change. ``guidance`` gives path and
    text of the guidance nearest to a path, where that is not among what the task already holds. ``weakened`` names what
    a change took away from the tests. ``may_ask``: people can answer a question. ``cap``: the conversation is shrunk at
    this many tokens; None takes the default for the model's window. ``reading``: nothing is to be changed.
    """

    workspace: Workspace
    base: str
    run_tests: RunTests | None
    baseline: TestRun | None = None
    draw_map: DrawMap | None = None
    guidance: Callable[[str], tuple[str, str] | None] = _none
    weakened: Callable[[Patch], tuple[str, ...]] = _nothing
    may_ask: bool = False
    cap: int | None = None
    reading: Reading | None = None
