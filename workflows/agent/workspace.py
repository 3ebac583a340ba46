"""The tree that the agent works in, over the lives of several containers, and what a reply's calls did to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from sandbox.container import ChangeTooLarge, Sandbox, SandboxUnavailable
from workflows.agent import notices
from workflows.agent.history import History
from workflows.agent.tools import may_have_changed
from workflows.services import BrokenWorld
from workflows.types import Patch, ToolResult

log = structlog.get_logger()


class Workspace(Protocol):
    """What a session needs of its tree."""

    def sandbox(self) -> Sandbox:
        """The running container, opened on first use; raises SandboxUnavailable."""

    def export(self) -> Patch:
        """The whole change so far; raises SandboxUnavailable or ChangeTooLarge."""

    def restore(self, patch: Patch | None, seen_files: Sequence[str] = ()) -> None:
        """Give up the container, if there is one; the next one starts from the base with ``patch``.

        There, ``seen_files`` count as read, so that the model may edit what it read in an earlier container.
        """


def use_workspace(
    workspace: Workspace, history: History, *, work: Callable[[], list[ToolResult]]
) -> tuple[list[ToolResult], Patch | None]:
    """The results of ``work``, and the change so far where it differs from the last stored one.

    A container that breaks is replaced once and the work done again from there; then BrokenWorld("sandbox", …).
    """
    note, failure = "", ""
    last = history.patch
    for _ in range(2):
        try:
            results = work()
            if note and results:
                results[0] = _annotated(results[0], note)
            return _checkpoint(workspace, results, last)
        except SandboxUnavailable as error:
            failure = str(error)
            log.warning("sandbox replaced", reason=failure)
            workspace.restore(last, history.seen_files)
            note = f"({notices.SANDBOX_REPLACED})"
    raise BrokenWorld(
        "sandbox",
        f"The sandbox broke twice in a row: {failure} Check that the Docker engine runs (`docker info`) and that its "
        "disk is not full, then start the job again.",
    )


def _checkpoint(
    workspace: Workspace, results: list[ToolResult], last: Patch | None
) -> tuple[list[ToolResult], Patch | None]:
    if not may_have_changed(results):
        return results, None
    try:
        patch = workspace.export()
    except ChangeTooLarge as error:
        return [*results[:-1], _annotated(results[-1], notices.change_too_large(str(error)))], None
    same = patch.files == (last.files if last else ())
    return results, None if same else patch


def _annotated(result: ToolResult, note: str) -> ToolResult:
    return result.model_copy(update={"content": f"{result.content}\n{note}"})
