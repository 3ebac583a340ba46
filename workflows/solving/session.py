"""The agent's workspace over restarts: a container is a cache of image, base commit and last patch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sandbox.container import Sandbox, Sandboxes, SandboxSpec, SandboxUnavailable
from workflows.git.patch import changes_of, patch_of
from workflows.services import BrokenWorld
from workflows.types import Patch

MAX_FILES = 300
MAX_BYTES = 4_000_000


class Session:
    """Opens the agent's container on first use, so that a replay of finished turns opens none.

    ``sandboxes`` and ``spec`` are called each time a container is opened: the image is made first when it is gone.
    ``notes`` are what the last container says of itself.
    """

    def __init__(self, sandboxes: Callable[[], Sandboxes], spec: Callable[[], SandboxSpec], base: str) -> None:
        self._sandboxes = sandboxes
        self._spec = spec
        self._base = base
        self._open: Sandbox | None = None
        self._patch: Patch | None = None
        self._seen_files: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()

    def sandbox(self) -> Sandbox:
        """The running container with the last patch applied; raises SandboxUnavailable."""
        if self._open is None:
            self._open = self._sandboxes().open(self._spec())
            self.notes = tuple(self._open.notes)
            if self._patch is not None:
                self._open.apply_changes(changes_of(self._patch))
            for path in self._seen_files:
                self._open.tool("read_file", {"path": path, "limit": 1})
        return self._open

    def export(self) -> Patch:
        """The whole change so far; raises SandboxUnavailable, and ChangeTooLarge beyond any sensible size."""
        changes = self.sandbox().export_changes(max_files=MAX_FILES, max_bytes=MAX_BYTES)
        self._patch = patch_of(self._base, changes, before=self._patch)
        return self._patch

    def restore(self, patch: Patch | None, seen_files: Sequence[str] = ()) -> None:
        """Forget the container; the next one starts from the base with ``patch``, and knows ``seen_files`` as read."""
        self.close()
        self._patch = patch
        self._seen_files = tuple(seen_files)

    def close(self) -> None:
        """Remove the container, if there is one."""
        if self._open is not None:
            self._open.close()
            self._open = None


@contextmanager
def fresh_sandbox(sandboxes: Sandboxes, spec: SandboxSpec, patch: Patch | None = None) -> Iterator[Sandbox]:
    """A container of its own with only ``patch`` applied, gone afterwards. Raises BrokenWorld("sandbox")."""
    try:
        sandbox = sandboxes.open(spec)
        try:
            if patch is not None:
                sandbox.apply_changes(changes_of(patch))
            yield sandbox
        finally:
            sandbox.close()
    except SandboxUnavailable as error:
        raise BrokenWorld("sandbox", str(error)) from error
