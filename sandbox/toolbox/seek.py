"""The part of ripgrep that the search tools need, for images without it: a program of its own, for it may take long.

A regular expression in Python cannot be interrupted; in a process of its own it can be killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
import sys

from .globs import compile_glob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LARGEST = 50_000_000


def main(argv: list[str]) -> int:
    """``names FOLDER`` writes the paths of its files, NUL after each; ``lines PATTERN GLOB PATH`` path:line:text.

    As ripgrep does it: sorted, no ignored files, no links, nothing in .git, no binary files. 2 is a bad pattern.
    """
    output = sys.stdout.buffer
    if argv[0] == "names":
        for name in _files(argv[1]):
            output.write(os.fsencode(name) + b"\0")
        return 0
    pattern, glob, path = argv[1:]
    try:
        search = re.compile(pattern).search
        wanted = _chooser(glob)
    except (re.error, OverflowError) as error:
        output.write(f"regex or glob error: {error}\n".encode("utf-8", "replace"))
        return 2
    for name in [path] if os.path.isfile(path) else _files(path):
        if wanted(os.path.normpath(name)):
            for number, line in _matches(name, search):
                output.write(b"%b:%d:%b\n" % (os.fsencode(name), number, line.encode("utf-8")))
    return 0


def _chooser(glob: str) -> Callable[[str], bool]:
    if not glob:
        return lambda name: True
    matches = compile_glob(glob[1:] if glob.startswith("!") else glob)
    return lambda name: matches(name) != glob.startswith("!")


def _matches(name: str, search: Callable[[str], object]) -> Iterator[tuple[int, str]]:
    with contextlib.suppress(OSError), open(name, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            return
        content = file.read()
        if b"\0" in content:
            return
        lines = content.decode("utf-8", "replace").split("\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines, 1):
            if search(line[:-1] if line.endswith("\r") else line):
                yield number, line


def _files(folder: str) -> Iterator[str]:
    """The files below a folder in ripgrep's order: by name, folder by folder."""
    kept = _not_ignored(folder)
    for name in sorted(_walk(folder) if kept is None else kept, key=lambda name: os.fsencode(name).split(b"/")):
        full = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            if stat.S_ISREG(os.lstat(full).st_mode):
                yield full


def _walk(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            yield os.path.relpath(os.path.join(parent, name), folder)


def _not_ignored(folder: str) -> list[str] | None:
    """What git does not ignore below the folder, tracked or not; None where there is no repository."""
    listed = []
    for wanted in (["--cached", "--others"], ["--cached", "--ignored"]):
        argv = ["git", "ls-files", "-z", "--exclude-standard", *wanted]
        try:
            done = subprocess.run(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        except OSError:
            return None
        if done.returncode != 0:
            return None
        listed.append({os.fsdecode(name) for name in done.stdout.split(b"\0") if name})
    return [name for name in listed[0] - listed[1] if not name.endswith("/")]
