"""Which paths the file tools may name: inside the workspace or /tmp, links followed and checked."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class BadPath(Exception):
    """The path may not be used; the message says why and what may."""


class Paths:
    """Resolves the paths a caller gives. ``roots[0]`` is the workspace, where relative paths start."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = tuple(roots)
        self._prefix = self.follow_links(roots[0]) + "/"

    @property
    def workspace(self) -> str:
        """The folder relative paths start from."""
        return self._roots[0]

    def resolve(self, path: str) -> str:
        """The real absolute path, symbolic links followed; it need not exist. Raises BadPath."""
        allowed = "Use a path relative to {}, or an absolute one below {}.".format(
            self.workspace, " or ".join(self._roots)
        )
        if not path:
            raise BadPath(f"The path is empty. {allowed}")
        if "\0" in path:
            raise BadPath(f"The path holds a NUL character. {allowed}")
        if ".." in path.split("/"):
            raise BadPath(f"The path {path!r} holds '..', which is not allowed. {allowed}")
        full = os.path.normpath(os.path.join(self.workspace, path))
        if not self._inside(full):
            raise BadPath(f"The path {path!r} is outside the workspace. {allowed}")
        real = self.follow_links(full)
        if not self._inside(real):
            raise BadPath(
                f"The path {path!r} leads through a symbolic link to {real}, outside the workspace. {allowed}"
            )
        return real

    def follow_links(self, path: str) -> str:
        """The path behind all symbolic links."""
        return os.path.realpath(path)

    def show(self, real: str) -> str:
        """A resolved path as a caller would write it: relative when it is in the workspace, "" for the workspace."""
        prefix = self._prefix
        if real + "/" == prefix:
            return ""
        return real[len(prefix) :] if real.startswith(prefix) else real

    def _inside(self, path: str) -> bool:
        return any(path == root or path.startswith(root.rstrip("/") + "/") for root in self._roots)
