"""What differs from the base commit as git tells it, whatever a command did to the tree and to /workspace/.git."""

from __future__ import annotations

import contextlib
import os
import stat

from .gitfolder import STATUS, WorkspaceError, make_git_folder, parse_raw, remove_tree, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    # Mode (None: deleted), git's id of the content, size.
    Record = tuple[str | None, str, int]

_SCRATCH_ROOTS = ("/tmp", "/home/agent", "/workspace/.git")
_WITH_CONTENT = ("100644", "100755", "120000")
_IGNORED = b"!!"
NESTED = "160000"


class TooLarge(Exception):
    """The change is over the caps; the message gives the numbers."""


class Start:
    """What a tree was filled with: the commit, the index as (content, time), and lines for git's info/exclude."""

    def __init__(self, base: str, index: tuple[bytes, int], excludes: bytes) -> None:
        self.base = base
        self.index = index
        self.excludes = excludes


class GitChanges:
    """Asks git about one tree, each time in a folder of our own making."""

    def __init__(self, folder: str, mirror: str, environment: Mapping[str, str], start: Start) -> None:
        self._folder = folder
        self._mirror = mirror
        self._environment = dict(environment)
        self._start = start
        self._index = start.index
        self._tells_ignored = True
        self.sha256 = len(start.base) == 64

    @contextlib.contextmanager
    def scratch(self) -> Iterator[dict[str, str]]:
        """The environment of git with a folder, an index and a configuration nobody else has touched."""
        roots = [root for root in _SCRATCH_ROOTS if os.access(root, os.W_OK)]
        root = max(roots, key=lambda path: os.statvfs(path).f_bavail * os.statvfs(path).f_frsize)
        folder = os.path.join(root, ".forgehand-" + os.urandom(8).hex())
        try:
            make_git_folder(folder, self._mirror, head=self._start.base)
            with open(os.path.join(folder, "info/exclude"), "wb") as exclude:
                exclude.write(self._start.excludes)
            index = os.path.join(folder, "index")
            with open(index, "wb") as file:
                file.write(self._index[0])
            os.utime(index, ns=(self._index[1], self._index[1]))
            yield {**self._environment, "GIT_DIR": folder, "GIT_WORK_TREE": self._folder, "GIT_INDEX_FILE": index}
        finally:
            remove_tree(folder)

    def tracked(self, git: Mapping[str, str]) -> dict[bytes, tuple[str, str]]:
        """Mode and content's id of every path of the base commit."""
        found = {}
        for line in self._git(git, "ls-files", "--stage", "-z").split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            mode, blob, _ = facts.decode("ascii").split(" ")
            found[path] = (mode, blob)
        return found

    def status(self, git: Mapping[str, str]) -> tuple[dict[bytes, bytes], frozenset[bytes] | None]:
        """The changed paths with git's two letters each, and the ignored ones where this git tells them.

        Folders, which are nested repositories among the changed, end in "/".
        """
        try:
            raw = self._git(git, *STATUS, *(["--ignored=matching"] if self._tells_ignored else []))
        except WorkspaceError:
            if not self._tells_ignored:
                raise
            self._tells_ignored = False  # a git before 2.16
            return self.status(git)
        self._keep_index(git["GIT_INDEX_FILE"])
        changed: dict[bytes, bytes] = {}
        ignored = []
        for entry in raw.split(b"\0"):
            if entry[:2] == _IGNORED:
                ignored.append(entry[3:])
            elif entry:
                changed[entry[3:]] = entry[:2]
        return changed, frozenset(ignored) if self._tells_ignored else None

    def check_sizes(self, names: Mapping[bytes, object], max_files: int, max_bytes: int) -> None:
        """Refuse by count and size what would otherwise be read whole. Raises TooLarge."""
        check_count(len(names), max_files)
        size = 0
        for name in names:
            full = os.path.join(os.fsencode(self._folder), name)
            with contextlib.suppress(OSError):
                status = os.lstat(full)
                size += status.st_size if stat.S_ISREG(status.st_mode) else 0
                if stat.S_ISREG(status.st_mode) and not status.st_mode & stat.S_IRUSR:
                    os.chmod(full, stat.S_IMODE(status.st_mode) | stat.S_IRUSR)
        check_bytes(size, max_bytes)

    def everything(
        self, git: Mapping[str, str], names: Iterable[bytes], max_files: int, max_bytes: int
    ) -> tuple[dict[bytes, Record], dict[bytes, bytes]]:
        """The whole change and its contents, as git would commit it; ``names`` are those of its status.

        Raises TooLarge before any content is read.
        """
        nested = sorted(path[:-1] for path in names if path.endswith(b"/"))
        # A pipe or a socket in a file's place: git would refuse to go on, and a commit holds neither.
        odd = [path for path in names if self._is_odd(path)]
        if odd:
            self._git(git, "update-index", "--force-remove", "-z", "--stdin", stdin=b"\0".join(odd) + b"\0")
        excluded = [":(top,exclude,literal)" + os.fsdecode(path) for path in nested]
        self._git(git, "add", "--all", "--ignore-errors", "--", ".", *excluded)
        raw = self._git(git, "diff-index", "--cached", "--raw", "-z", "--no-renames", "--full-index", self._start.base)
        changes = parse_raw(raw)
        check_count(len(changes) + len(nested), max_files)
        records: dict[bytes, Record] = dict.fromkeys(nested, (NESTED, "", 0))
        contents: dict[bytes, bytes] = {}
        wanted = [blob for _, mode, blob in changes if mode in _WITH_CONTENT]
        stream = "".join(blob + "\n" for blob in wanted).encode("ascii")
        checked = self._git(git, "cat-file", "--batch-check", stdin=stream) if wanted else b""
        sizes = [int(line.split()[2]) for line in checked.splitlines()]
        check_bytes(sum(sizes), max_bytes)
        batch = self._git(git, "cat-file", "--batch", stdin=stream) if wanted else b""
        at, taken = 0, 0
        for path, mode, blob in changes:
            size = 0
            if mode in _WITH_CONTENT:
                start = batch.index(b"\n", at) + 1
                size = sizes[taken]
                contents[path] = batch[start : start + size]
                at, taken = start + size + 1, taken + 1
            records[path] = (None if mode == "000000" else mode, blob, size)
        return records, contents

    def _is_odd(self, path: bytes) -> bool:
        try:
            mode = os.lstat(os.path.join(os.fsencode(self._folder), path)).st_mode
        except OSError:
            return False
        return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode))

    def _keep_index(self, path: str) -> None:
        """Take over the index git has just compared with the files: the next time compares the changed ones alone.

        The time belongs to it: git trusts a file's stat only when the file is older than the index that says so.
        """
        time = os.stat(path).st_mtime_ns
        if time != self._index[1]:
            with open(path, "rb") as file:
                self._index = (file.read(), time)

    def _git(self, git: Mapping[str, str], *arguments: str, stdin: bytes = b"") -> bytes:
        return run(["git", *arguments], git, self._folder, stdin)


def check_count(count: int, most: int) -> None:
    """Raise TooLarge when there are more changed files."""
    if count > most:
        raise TooLarge(f"{count} files are changed, more than the limit of {most}")


def check_bytes(size: int, most: int) -> None:
    """Raise TooLarge when the changed files hold more bytes."""
    if size > most:
        raise TooLarge(f"the changed files hold {size} bytes, more than the limit of {most}")
