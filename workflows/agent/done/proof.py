"""What the test runs of a session prove of the change as it stands now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from workflows.agent.commands import classify_command, may_write
from workflows.agent.done.tally import MOST_FAILING
from workflows.agent.stuck.steps import WRITING, string_argument
from workflows.types import TestTally, ToolResult, Turn


@dataclass(frozen=True)
class Proof:
    """``ran``: tests were run at all; ``current``: after the last change too. ``failing`` were last seen failing and
    passed before the change or are new, ``old`` failed before it too. ``red`` names runs that did not pass without
    saying which tests failed. ``mended``: a test that failed before the change passes now.
    """

    ran: bool = False
    current: bool = False
    failing: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    red: tuple[str, ...] = ()
    mended: bool = False

    @property
    def passed(self) -> bool:
        """Whether nothing that was run is left failing that did not fail before."""
        return not self.failing and not self.red


def weigh_runs(turns: Sequence[Turn], *, known_failing: frozenset[str] = frozenset()) -> Proof:
    """The proof so far. ``known_failing`` failed before any change.

    A failure of the whole suite stands until the whole suite is run again, one of chosen tests until the next change.
    """
    scale = _Scale()
    for turn in turns:
        changed_at = _last_write(turn)
        for index, result in enumerate(turn.results):
            scale.put(result, changed=index == changed_at)
    return scale.read(known_failing)


def _last_write(turn: Turn) -> int | None:
    """The index of the result after which the turn's tree stood still, None when the turn did not change it."""
    writes = [at for at, result in enumerate(turn.results) if result.name in WRITING and not result.failed]
    if turn.changed:
        named = {call.id: string_argument(call, "command") for call in turn.reply.tool_calls if call.name == "bash"}
        ran = {at: named[result.call_id] for at, result in enumerate(turn.results) if result.call_id in named}
        writes += [at for at, command in ran.items() if may_write(command)]
        # What a test run leaves behind, such as a cache, is no change that asks for another run.
        tested = any(result.name == "run_tests" for result in turn.results)
        tested = tested or any(classify_command(command) == "test" for command in ran.values())
        if not writes and not tested:
            writes += ran  # something changed the tree, and it can only be a command that does not look like it
    return max(writes, default=None)


@dataclass
class _Scale:
    """The failures that are still open, by the command that showed them."""

    ran: bool = False
    current: bool = False
    open: dict[str, TestTally] = field(default_factory=dict)
    whole: TestTally | None = None

    def put(self, result: ToolResult, *, changed: bool) -> None:
        if changed:
            self.current = False
            self.open = {command: seen for command, seen in self.open.items() if not seen.targeted}
        if result.name != "run_tests":
            return
        seen = result.tests
        if seen is None and result.failed:
            return  # the call was refused: nothing ran
        self.ran = self.current = True
        if seen is None:
            self.open.clear()
            return
        if not seen.targeted and seen.exit_code is not None:
            self.open.clear()
            self.whole = seen if seen.counted else None
        else:
            # What could not name a failing test, mistyped targets perhaps, or did not end, is settled by another run.
            self.open = {command: one for command, one in self.open.items() if _names_failures(one)}
        command = result.content.partition("\n")[0]
        self.open.pop(command, None)
        if seen.exit_code != 0:
            self.open[command] = seen

    def read(self, known_failing: frozenset[str]) -> Proof:
        failing: dict[str, None] = {}
        old: dict[str, None] = {}
        red = []
        for command, seen in self.open.items():
            names = [name for name in seen.failing if name not in known_failing]
            failing |= dict.fromkeys(names)
            old |= dict.fromkeys(name for name in seen.failing if name in known_failing)
            if not names and (not _names_failures(seen) or len(seen.failing) >= MOST_FAILING):
                red.append(command)
        whole = self.whole
        return Proof(
            ran=self.ran,
            current=self.current,
            failing=tuple(failing),
            old=tuple(old),
            red=tuple(red),
            mended=whole is not None and bool(known_failing - set(whole.failing)) and whole.passed > 0,
        )


def _names_failures(seen: TestTally) -> bool:
    return seen.counted and bool(seen.failing) and seen.exit_code is not None
