"""Taking the change out: what differs from the base commit, told as what is new since the last time it was told.

git is asked only when the tree shows more than known files changed in place; what it would say of those is known.
"""

from __future__ import annotations

import os
import stat
import threading

from .gitchanges import NESTED, check_bytes, check_count
from .tree import GIT_READS, look_at

try:
    # hashlib would load OpenSSL: 4 MiB in each of two hundred containers.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:  # a Python built without it
    from hashlib import sha1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from .gitchanges import GitChanges, Record
    from .tree import Look

    Entry = dict[str, Any]

# A larger tree is left to git, which looks at it in C.
_MOST_PATHS = 50_000
_DELETED: Record = (None, "", 0)


class _Unclear(Exception):
    """Only git can say what this file's content would be in a commit."""


class Changes:
    """The change of one tree. One caller at a time takes it; the others wait."""

    def __init__(self, folder: str, git: GitChanges) -> None:
        self._root = os.fsencode(folder)
        self._git = git
        self._taking = threading.Lock()
        # The last look, and what differed from the base then. None: the next change is for git to tell.
        self._look: Look | None = None
        self._records: dict[bytes, Record] = {}
        self._tracked: dict[bytes, tuple[str, str]] = {}
        self._untracked: frozenset[bytes] = frozenset()
        self._ignored: frozenset[bytes] = frozenset()
        self._converts = False
        self._number = 0

    def take(self, since: int, max_files: int, max_bytes: int) -> tuple[dict[str, Any], bytes]:
        """The change: its ``number``; ``entries`` {path, mode, size} and their contents in one; the paths ``gone``.

        ``since`` is the number of the last change that the caller has got: ``whole`` says that this one does not
        build on it. Raises TooLarge.
        """
        with self._taking:
            if since != self._number:
                self._look = None
            before = self._records if self._look is not None else {}
            contents: dict[bytes, bytes] = {}
            look = look_at(self._root, self._ignored, most=_MOST_PATHS)
            records = None if look is None else self._quickly(look, contents, max_files, max_bytes)
            whole = False
            if records is None:
                look, records = self._by_git(look, contents, max_files, max_bytes)
                whole = not before or look is None
                before = {} if whole else before
            check_count(len(records), max_files)
            check_bytes(sum(size for _, _, size in records.values()), max_bytes)
            number = self._number + 1
            self._look, self._records, self._number = look, records, number
        fresh = [path for path, record in records.items() if before.get(path) != record]
        answer = {
            "number": number,
            "whole": whole,
            "entries": [make_entry(path, records[path][0], records[path][2]) for path in fresh],
            "gone": [path.decode("utf-8") for path in before if path not in records],
        }
        return answer, b"".join(contents.get(path, b"") for path in fresh)

    def _quickly(
        self, look: Look, contents: dict[bytes, bytes], max_files: int, max_bytes: int
    ) -> dict[bytes, Record] | None:
        """The change without git, where since the last look nothing but known files changed; else None.

        The contents of the files that were read are put into ``contents``.
        """
        changed = None if self._look is None else look.differing(self._look)
        if changed is None or len(changed) > max_files:
            return None
        size = 0
        for path in changed:
            if (path not in self._tracked and path not in self._untracked) or path.rpartition(b"/")[2] in GIT_READS:
                return None
            found = look.status(path)
            if found is not None and stat.S_ISREG(found[0]):
                size += found[2]
        if size > max_bytes:
            return None
        records = dict(self._records)
        try:
            self._judge_all(changed, records, contents)
        except _Unclear:
            return None
        return records

    def _by_git(
        self, look: Look | None, contents: dict[bytes, bytes], max_files: int, max_bytes: int
    ) -> tuple[Look | None, dict[bytes, Record]]:
        """The change as git tells it, and the look where the next one may be taken quickly."""
        contents.clear()
        with self._git.scratch() as git:
            names, ignored = self._git.status(git)
            self._git.check_sizes(names, max_files, max_bytes)
            self._tracked = self._tracked or self._git.tracked(git)
            self._untracked = frozenset(path for path in names if path not in self._tracked)
            nested = any(path.endswith(b"/") for path in names)
            if look is not None and ignored is not None:
                self._ignored = ignored
                look = look.without(ignored)
            if look is None or ignored is None or nested or not self._is_plain(look) or not all(map(_is_utf8, names)):
                look = None
            else:
                records: dict[bytes, Record] = {path: _DELETED for path, letters in names.items() if b"D" in letters}
                try:
                    self._judge_all(names.keys() - records.keys(), records, contents)
                except _Unclear:
                    contents.clear()
                else:
                    return look, records
            records, found = self._git.everything(git, names, max_files, max_bytes)
            contents.update(found)
            return look, records

    def _is_plain(self, look: Look) -> bool:
        """Whether a file without a carriage return and an identity keyword goes into a commit as it is."""
        tracked = [path for path in self._tracked if path.rpartition(b"/")[2] == b".gitattributes"]
        found = look.named(b".gitattributes")
        self._converts = bool(tracked or found)
        if any(mode == NESTED for mode, _ in self._tracked.values()) or not set(tracked) <= set(found):
            return False
        rules = [look.status(path) for name in GIT_READS for path in look.named(name)]
        if not all(status is not None and stat.S_ISREG(status[0]) for status in rules):
            return False
        try:
            return not any(b"working-tree-encoding" in self._read(path) for path in found)
        except _Unclear:
            return False

    def _judge_all(self, paths: Collection[bytes], records: dict[bytes, Record], contents: dict[bytes, bytes]) -> None:
        """Correct the records of these paths by what stands there now. Raises _Unclear."""
        for path in paths:
            record, content = self._judge(path)
            if record is None or self._tracked.get(path) == record[:2]:
                records.pop(path, None)
            else:
                records[path] = record
                contents[path] = content

    def _judge(self, path: bytes) -> tuple[Record | None, bytes]:
        full = os.path.join(self._root, path)
        try:
            status = os.lstat(full)
            if stat.S_ISLNK(status.st_mode):
                content, mode = os.readlink(full), "120000"
            elif stat.S_ISREG(status.st_mode):
                if not status.st_mode & stat.S_IRUSR:
                    os.chmod(full, stat.S_IMODE(status.st_mode) | stat.S_IRUSR)
                content = self._read(path)
                mode = "100755" if status.st_mode & stat.S_IXUSR else "100644"
                if self._converts and (b"\r" in content or b"$Id" in content):
                    raise _Unclear
            else:
                raise _Unclear
        except (FileNotFoundError, NotADirectoryError):
            return (_DELETED if path in self._tracked else None), b""
        except OSError:
            raise _Unclear from None
        return (mode, self._identify(content), len(content)), content

    def _read(self, path: bytes) -> bytes:
        """A regular file's content. Raises _Unclear for anything else, and OSError."""
        descriptor = os.open(os.path.join(self._root, path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb", closefd=True) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _Unclear
            return file.read()

    def _identify(self, content: bytes) -> str:
        """The id that git gives to a file's content."""
        header = b"blob %d\0" % len(content)
        if self._git.sha256:
            from hashlib import sha256  # few repositories have such ids

            return sha256(header + content).hexdigest()
        digest: str = sha1(header + content).hexdigest()  # noqa: S324 - git's ids
        return digest


def make_entry(path: bytes, mode: str | None, size: int) -> Entry:
    """One path of a change, as it is sent."""
    if not _is_utf8(path):
        # No mode of git's: whoever validates the change refuses it, and can still name it.
        return {"path": path.decode("utf-8", "backslashreplace"), "mode": "000000", "size": size}
    return {"path": path.decode("utf-8"), "mode": mode, "size": size}


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
