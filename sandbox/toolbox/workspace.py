"""The tree under work: filled from the mirror, and changed by a patch. What differs from its commit: changes.py."""

from __future__ import annotations

import os

from .changes import Changes
from .gitchanges import GitChanges, Start
from .gitfolder import WorkspaceError, make_git_folder, remove_tree, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Entry = dict[str, Any]

_SNAPSHOT = "/opt/snapshot"
_REGULAR = {"100644": 0o644, "100755": 0o755}
_ESCAPED = str.maketrans({char: "\\" + char for char in "\\*?[!# "})


class Workspace:
    """One working tree and its base commit."""

    def __init__(self, folder: str, mirror: str, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._mirror = mirror
        self._environment = dict(environment)
        self._changes: Changes | None = None

    def fill(self, commit: str | None) -> None:
        """Copy the snapshot's products, then check ``commit`` out of the mirror: history at hand, no remotes."""
        if not os.access(self._folder, os.W_OK):
            raise WorkspaceError(f"{self._folder} is not writable for user {os.getuid()} in this image.")
        # Before the checkout, which then has the last word on every tracked path.
        for name, target in (("workspace", self._folder), ("home", os.environ.get("HOME", "/home/agent"))):
            source = os.path.join(_SNAPSHOT, name)
            if os.path.isdir(source):
                run(["cp", "-a", source + "/.", target], self._environment)
        if commit is not None:
            base, index = self._check_out(commit)
            excludes = self._exclude_untracked() if os.path.isdir(os.path.join(_SNAPSHOT, "workspace")) else b""
            start = Start(base, index, excludes)
            self._changes = Changes(self._folder, GitChanges(self._folder, self._mirror, self._environment, start))

    def export_changes(self, since: int, max_files: int, max_bytes: int) -> tuple[dict[str, Any], bytes]:
        """See changes.Changes.take. Raises TooLarge."""
        if self._changes is None:
            raise WorkspaceError("This container was opened without a commit, so it has no changes to take out.")
        return self._changes.take(since, max_files, max_bytes)

    def apply_changes(self, entries: Sequence[Entry], contents: bytes) -> None:
        """Write a patch: deletions first, so that a file may become a folder. Raises WorkspaceError."""
        root = os.path.realpath(self._folder)
        for entry in entries:
            if entry["mode"] is None:
                _remove(root, os.path.join(root, *split_path(entry["path"])))
        at = 0
        for entry in entries:
            content, at = contents[at : at + entry["size"]], at + entry["size"]
            if entry["mode"] is not None:
                _write(root, os.path.join(root, *split_path(entry["path"])), entry["mode"], content)

    def _check_out(self, commit: str) -> tuple[str, tuple[bytes, int]]:
        """The commit's own id, and the index as content and time."""
        git = os.path.join(self._folder, ".git")
        if not all(os.access(os.path.join(self._mirror, name), os.R_OK) for name in ("config", "objects")):
            raise WorkspaceError(
                "The mirror is not readable in the container: give others read access to it (chmod -R o+rX)."
            )
        if os.path.isdir(git):
            remove_tree(git)
        make_git_folder(git, self._mirror)
        here = {**self._environment, "GIT_DIR": git, "GIT_WORK_TREE": self._folder}
        try:
            run(["git", "reset", "--quiet", "--hard", commit + "^{commit}"], here, self._folder)
        except WorkspaceError:
            if self._has(commit, here):
                raise
            raise WorkspaceError(self._missing(commit)) from None
        with open(os.path.join(git, "refs/heads/work"), encoding="ascii") as reference:
            base = reference.read().strip()
        remove_tree(os.path.join(git, "logs"))
        index = os.path.join(git, "index")
        with open(index, "rb") as file:
            return base, (file.read(), os.stat(index).st_mtime_ns)

    def _has(self, commit: str, here: Mapping[str, str]) -> bool:
        try:
            run(["git", "rev-parse", "--verify", "--quiet", commit + "^{commit}"], here, self._folder)
        except WorkspaceError:
            return False
        return True

    def _missing(self, commit: str) -> str:
        objects = os.path.join(self._mirror, "objects")
        packs = os.path.join(objects, "pack")
        empty = not any(len(name) == 2 for name in os.listdir(objects)) and not (
            os.path.isdir(packs) and os.listdir(packs)
        )
        if empty:
            return "The repository is empty: it has no commit to work on. Push a first commit, then try again."
        return f"The commit {commit} is not in the mirror. Fetch the mirror again; was the branch rewritten?"

    def _exclude_untracked(self) -> bytes:
        """What the set-up left untracked is no change of the agent's: git must not see it, here nor in the export."""
        git = os.path.join(self._folder, ".git")
        here = {**self._environment, "GIT_DIR": git, "GIT_WORK_TREE": self._folder}
        raw = run(["git", "ls-files", "-z", "--others", "--exclude-standard", "--directory"], here, self._folder)
        lines = [b"/" + os.fsencode(os.fsdecode(path).translate(_ESCAPED)) for path in raw.split(b"\0") if path]
        excludes = b"".join(line + b"\n" for line in lines if b"\n" not in line)
        os.makedirs(os.path.join(git, "info"), exist_ok=True)
        with open(os.path.join(git, "info/exclude"), "wb") as exclude:
            exclude.write(excludes)
        return excludes


def split_path(path: str) -> list[str]:
    """The parts of a path in a repository. Raises WorkspaceError for one that no repository can hold."""
    parts = path.split("/")
    if "\0" in path or {"", ".", "..", ".git"} & {part.lower() for part in parts}:
        raise WorkspaceError(f"The patch names the path {path!r}, which cannot be in a repository.")
    return parts


def _remove(root: str, path: str) -> None:
    if not os.path.lexists(path):
        return
    if os.path.isdir(path) and not os.path.islink(path):
        remove_tree(path)
    else:
        os.unlink(path)
    parent = os.path.dirname(path)
    while parent != root and not os.listdir(parent):
        os.rmdir(parent)
        parent = os.path.dirname(parent)


def _write(root: str, path: str, mode: str, content: bytes) -> None:
    parent = os.path.dirname(path)
    above = parent
    while above != root:
        if os.path.lexists(above) and (os.path.islink(above) or not os.path.isdir(above)):
            os.unlink(above)
        above = os.path.dirname(above)
    os.makedirs(parent, exist_ok=True)
    if os.path.lexists(path):
        if os.path.isdir(path) and not os.path.islink(path):
            remove_tree(path)
        else:
            os.unlink(path)
    if mode == "120000":
        os.symlink(content, os.fsencode(path))
    elif mode in _REGULAR:
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, _REGULAR[mode])
    else:
        raise WorkspaceError(f"The patch gives {path} the mode {mode}, which cannot be written.")
