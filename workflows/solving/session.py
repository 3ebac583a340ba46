"""The agent's workspace over restarts: a container is a cache of image, base commit and last patch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager

from sandbox.container import Sandbox, Sandboxes, SandboxSpec, SandboxUnavailable
from workflows.beside import begin_beside
from workflows.git.patch import changes_of, patch_of
from workflows.services import BrokenWorld
from workflows.types import Patch

MAX_FILES = 300
MAX_BYTES = 4_000_000


class Session:
    """Opens the agent's container on first use or when told to, so that a replay of finished turns opens none.

    ``sandboxes`` and ``spec`` are called each time a container is opened: the image is made first when it is gone.
    ``notes`` are what the last container says of itself.
    """

    def __init__(self, sandboxes: Callable[[], Sandboxes], spec: Callable[[], SandboxSpec], base: str) -> None:
        self._sandboxes = sandboxes
        self._spec = spec
        self._base = base
        self._open: Sandbox | None = None
        self._ahead: Future[Sandbox] | None = None
        self._patch: Patch | None = None
        self._seen_files: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()

    def open_ahead(self) -> None:
        """Begin to open the container beside what comes now; who needs it before it is there waits for it."""
        if self._open is None and self._ahead is None:
            self._ahead = begin_beside(self._opened, name="sandbox-ahead")

    def sandbox(self) -> Sandbox:
        """The running container with the last patch applied; raises SandboxUnavailable."""
        if self._open is None:
            # What failed when nobody needed it is nobody's failure: it is tried again.
            self._open = self._taken_from_ahead() or self._opened()
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
        for sandbox in (self._taken_from_ahead(), self._open):
            if sandbox is not None:
                sandbox.close()
        self._open = None

    def _taken_from_ahead(self) -> Sandbox | None:
        ahead, self._ahead = self._ahead, None
        return None if ahead is None or ahead.exception() is not None else ahead.result()

    def _opened(self) -> Sandbox:
        with ExitStack() as undo:
            sandbox = self._sandboxes().open(self._spec())
            undo.callback(sandbox.close)
            self.notes = tuple(sandbox.notes)
            if self._patch is not None:
                sandbox.apply_changes(changes_of(self._patch))
            for path in self._seen_files:
                sandbox.tool("read_file", {"path": path, "limit": 1})
            undo.pop_all()
        return sandbox


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
