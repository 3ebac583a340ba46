"""The tree that the agent works in, over the lives of several containers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog

from sandbox.container import Sandbox
from workflows.types import Patch

log = structlog.get_logger()


class Workspace(Protocol):
    """What a session needs of its tree."""

    def open_ahead(self) -> None:
        """Begin to open the container, where there is none, beside what comes now; raises nothing."""

    def sandbox(self) -> Sandbox:
        """The running container, opened on first use; raises SandboxUnavailable."""

    def export(self) -> Patch:
        """The whole change so far; raises SandboxUnavailable or ChangeTooLarge."""

    def restore(self, patch: Patch | None, seen_files: Sequence[str] = ()) -> None:
        """Give up the container, if there is one; the next one starts from the base with ``patch``.

        There, ``seen_files`` count as read, so that the model may edit what it read in an earlier container.
        """
