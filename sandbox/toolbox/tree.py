"""What stands in a tree at one moment, and in which paths two such looks differ: no content is read, no git is run."""

from __future__ import annotations

import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    # Mode, inode, size, and the time of the last change in nanoseconds, which no program can set.
    Status = tuple[int, int, int, int]

_COARSE = 5  # CLOCK_REALTIME_COARSE, by which the kernel stamps files; time has no name for it
# Two ticks of the slowest kernel. What was changed this shortly before a look may change again under the same stamp.
_YOUNG_NS = 20_000_000
_FOLDER = (stat.S_IFDIR, 0, 0, 0)
GIT_READS = (b".gitignore", b".gitattributes", b".gitmodules")


class Look:
    """A tree's folders with what is in each. ``young``: the paths whose stamp cannot be trusted yet."""

    def __init__(self, folders: dict[bytes, dict[bytes, Status]], young: frozenset[bytes]) -> None:
        self.folders = folders
        self.young = young

    def status(self, path: bytes) -> Status | None:
        """What stands at a path; None for nothing."""
        folder, _, name = path.rpartition(b"/")
        return self.folders.get(folder, {}).get(name)

    def named(self, name: bytes) -> list[bytes]:
        """The paths that end in a name."""
        return [join(folder, name) for folder, found in self.folders.items() if name in found]

    def without(self, ignored: Collection[bytes]) -> Look:
        """As if these paths had been left out when it was taken."""
        folders: dict[bytes, dict[bytes, Status]] = {}
        for folder, names in self.folders.items():  # a folder stands before those in it
            above = folder.rpartition(b"/")[0]
            if folder and (folder + b"/" in ignored or above not in folders):
                continue
            folders[folder] = {
                name: status
                for name, status in names.items()
                if name in GIT_READS or join(folder, name) + (b"/" if status is _FOLDER else b"") not in ignored
            }
        return Look(folders, frozenset(path for path in self.young if path not in ignored and _within(path, folders)))

    def differing(self, before: Look) -> set[bytes] | None:
        """The paths that may have another content or mode than at the look ``before``; None when folders came or went.

        Those that were young then are among them: their stamps tell nothing.
        """
        if self.folders.keys() != before.folders.keys():
            return None
        found = set(before.young)
        for folder, names in self.folders.items():
            earlier = before.folders[folder]
            if names != earlier:
                found.update(
                    join(folder, name) for name in names.keys() | earlier.keys() if names.get(name) != earlier.get(name)
                )
        return found


def look_at(root: bytes, ignored: Collection[bytes], *, most: int) -> Look | None:
    """The tree below ``root`` without its ``.git``; None when it cannot be told, or holds more than ``most`` paths.

    ``ignored`` paths are left out, a folder's end in "/"; what git reads its rules from never is.
    """
    settled = time.clock_gettime_ns(_COARSE) - _YOUNG_NS
    folders: dict[bytes, dict[bytes, Status]] = {}
    young = []
    left, pending = most, [b""]
    try:
        while pending:
            folder = pending.pop()
            found = folders[folder] = {}
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    name = entry.name
                    path = join(folder, name)
                    if entry.is_dir(follow_symlinks=False):
                        if path + b"/" not in ignored and path != b".git":
                            found[name] = _FOLDER
                            pending.append(path)
                    elif path not in ignored or name in GIT_READS:
                        status = entry.stat(follow_symlinks=False)
                        found[name] = (status.st_mode, status.st_ino, status.st_size, status.st_ctime_ns)
                        if status.st_ctime_ns >= settled:
                            young.append(path)
            left -= len(found)
            if left < 0:
                return None
    except OSError:  # a folder that may not be read, or one that was removed at this moment
        return None
    return Look(folders, frozenset(young))


def join(folder: bytes, name: bytes) -> bytes:
    """The path of a name in a folder, which is empty for the tree's own."""
    return folder + b"/" + name if folder else name


def _within(path: bytes, folders: Collection[bytes]) -> bool:
    return path.rpartition(b"/")[0] in folders
