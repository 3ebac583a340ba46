"""A reply's calls, batch by batch: announced in the log, run, answered, and the change that they made stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from sandbox.container import ChangeTooLarge, SandboxUnavailable, ToolAnswer
from workflows.agent import notices
from workflows.agent.calls.toolcalls import Schema, Value
from workflows.agent.equipment import DrawMap, Equipment
from workflows.agent.plans import answer_plan
from workflows.agent.recorder import Recorder
from workflows.agent.tools import (
    CUT_OFF,
    LARGEST_MAP,
    LATE,
    MAP_TOKENS,
    MOST_CALLS,
    READ_ONLY,
    Batch,
    may_have_changed,
    not_run,
    run_batch,
    sandbox_tools,
    split_batches,
)
from workflows.services import BrokenWorld
from workflows.types import Patch, ToolCall, ToolResult

log = structlog.get_logger()


class Acting:
    """One reply's calls on the tree. ``patch`` is the change so far; ``changed``: it is another than before them."""

    def __init__(
        self,
        *,
        equipment: Equipment,
        schemas: Sequence[Schema],
        recorder: Recorder,
        last: Patch | None,
        seen: Sequence[str],
        seconds_left: float,
    ) -> None:
        self.patch = last
        self.changed = False
        self._workspace = equipment.workspace
        self._schemas = schemas
        self._recorder = recorder
        self._seen = seen
        self._tools = sandbox_tools(
            equipment.workspace.sandbox,
            equipment.run_tests,
            seconds_left=seconds_left,
            baseline=equipment.baseline,
        )
        self._tools["update_plan"] = answer_plan
        if equipment.draw_map is not None:
            self._tools["repo_map"] = partial(_map, equipment.draw_map, seen)

    def carry_out(self, turn: int, calls: Sequence[ToolCall], *, whole: int) -> list[ToolResult]:
        """One result a call, in their order. Raises BrokenWorld("sandbox", …) when two containers broke in a row.

        Only the first ``whole`` calls are run, for the reply was cut off in the others, or after them.
        What an earlier process ran is not run again. A call that it was in the middle of is told to the model as such:
        a command is left at that, anything else is done once more on the tree as it was before.
        """
        ready = calls[: min(whole, MOST_CALLS)]
        results, note = self._recovered(turn, ready)
        for batch in split_batches(ready[len(results) :], self._schemas):
            results += self._run(turn, batch, note)
            note = ""
        return results + self._refused(turn, calls[len(results) :], CUT_OFF if whole < len(calls) else LATE)

    def _recovered(self, turn: int, calls: Sequence[ToolCall]) -> tuple[list[ToolResult], str]:
        """The results that an earlier process's part of this turn leaves, and a note for the next one."""
        begun = self._recorder.begun(turn)
        if begun is None:
            return [], ""
        if begun.patch is not None:
            self.patch, self.changed = begun.patch, True
        results = list(begun.results)
        interrupted = begun.interrupted_call
        if interrupted is None:
            return results, ""
        if interrupted.name != "bash":
            return results, "" if interrupted.name in READ_ONLY else f"({notices.RUN_AGAIN})"
        answers = [not_run(interrupted, notices.INTERRUPTED)]
        answers += [not_run(call, notices.AFTER_INTERRUPTED) for call in calls[len(results) + 1 :]]
        self._recorder.done(turn, answers, None)
        return results + answers, ""

    def _refused(self, turn: int, calls: Sequence[ToolCall], words: str) -> list[ToolResult]:
        answers = [not_run(call, words) for call in calls]
        self._recorder.done(turn, answers, None)
        return answers

    def _run(self, turn: int, batch: Batch, note: str) -> list[ToolResult]:
        self._recorder.intend(turn, [call.call for call in batch])
        failure = ""
        for _ in range(2):
            try:
                results = run_batch(batch, self._tools)
                if note:
                    results[0] = _annotated(results[0], note)
                return self._stored(turn, results)
            except SandboxUnavailable as error:
                failure = str(error)
                log.warning("sandbox replaced", reason=failure)
                self._workspace.restore(self.patch, self._seen)
                note = f"({notices.SANDBOX_REPLACED})"
        raise BrokenWorld(
            "sandbox",
            f"The sandbox broke twice in a row: {failure} Check that the Docker engine runs (`docker info`) and that "
            "its disk is not full, then start the job again.",
        )

    def _stored(self, turn: int, results: list[ToolResult]) -> list[ToolResult]:
        """The results, and with them the change where they made one."""
        patch = None
        if may_have_changed(results):
            try:
                patch = self._workspace.export()
            except ChangeTooLarge as error:
                results = [*results[:-1], _annotated(results[-1], notices.change_too_large(str(error)))]
        if patch is not None and patch.files == (self.patch.files if self.patch else ()):
            patch = None
        self._recorder.done(turn, results, patch)
        if patch is not None:
            self.patch, self.changed = patch, True
        return results


def _map(draw: DrawMap, seen: Sequence[str], arguments: Mapping[str, Value]) -> ToolAnswer:
    most = min(LARGEST_MAP, max(200, int(arguments.get("max_tokens", MAP_TOKENS))))
    return ToolAnswer(ok=True, text=draw(str(arguments.get("query", "")), seen, most))


def _annotated(result: ToolResult, note: str) -> ToolResult:
    return result.model_copy(update={"content": f"{result.content}\n{note}"})
