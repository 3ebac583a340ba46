"""A unified diff made to fit a prompt: whole files where they fit, the longest cut, and what is missing named. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_SHARE = 600
"""Less than this of a file tells nothing: then fewer files are shown."""
_FILE = re.compile(r"(?m)^(?=diff --git )")
_MADE_BY_TOOLS = re.compile(
    r"(?:^|/)(?:[\w.-]*\.lock|package-lock\.json|npm-shrinkwrap\.json|pnpm-lock\.yaml|go\.sum|[\w.-]*\.min\.(?:js|css)|"
    r"[\w.-]*\.(?:map|snap))$"
)


@dataclass(frozen=True)
class FittedDiff:
    """What is shown. ``cut`` are the paths of which only the beginning is, ``left_out`` those of which nothing is."""

    text: str
    cut: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def fit_diff(diff: str, *, paths: Sequence[str], most: int) -> FittedDiff:
    """``diff`` in at most ``most`` characters; ``paths`` are all that it should tell of, in git's order.

    Short files are shown whole, long ones to a like length. What tools make, such as lock files, comes last.
    """
    parts = [(path_of(part), part) for part in _FILE.split(diff) if part.startswith("diff --git ")]
    parts.sort(key=lambda part: bool(_MADE_BY_TOOLS.search(part[0])))
    shown = parts[: max(1, most // LEAST_SHARE)]
    share = _share([len(text) for _, text in shown], most)
    texts = [_cut(text, share) for _, text in shown]
    told = {path for path, _ in shown}
    return FittedDiff(
        text="".join(texts),
        cut=tuple(path for path, text in shown if len(text) > share),
        left_out=tuple(path for path in paths if path not in told),
    )


def path_of(part: str) -> str:
    """The path that one file's part of a diff is about: the new one, of a deleted file the old one."""
    lines = part.split("\n", 12)[:12]
    for mark in ("+++ b/", '+++ "b/', 'rename to "', "rename to ", "--- a/", '--- "a/'):
        found = next((line for line in lines if line.startswith(mark)), None)
        if found is not None:
            return plain_name(found[len(mark) :], quoted='"' in mark)
    # Without content, as with a changed mode or a binary file, both names are the same.
    names = lines[0].removeprefix("diff --git ")
    half = names[: (len(names) - 1) // 2]
    return plain_name(half.removeprefix('"').removeprefix("a/"), quoted=half.startswith('"'))


def list_left_out(fitted: FittedDiff, *, most: int = 10) -> str:
    """What is not shown, or not whole, in a sentence for people and models; empty when all is."""
    named = []
    for words, paths in (("left out", fitted.left_out), ("shown in part", fitted.cut)):
        if paths:
            more = f" and {len(paths) - most} more" if len(paths) > most else ""
            named.append(f"{words}: {', '.join(paths[:most])}{more}")
    return f"The diff was cut for length; {'; '.join(named)}." if named else ""


def _share(sizes: Sequence[int], most: int) -> int:
    """The length to which each is cut, so that all have ``most`` together: what the short ones leave, the long get."""
    left, waiting = most, sorted(sizes)
    for at, size in enumerate(waiting):
        share = left // (len(waiting) - at)
        if size > share:
            return share
        left -= size
    return max(sizes, default=0)


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    note = "[… {} more lines of this file …]\n"
    kept = text[: max(0, most - len(note) - 10)].rpartition("\n")[0]
    return f"{kept}\n{note.format(text.count(chr(10)) - kept.count(chr(10)) - 1)}"


def plain_name(name: str, *, quoted: bool) -> str:
    """A path as git writes it: https://git-scm.com/docs/git-config#Documentation/git-config.txt-corequotePath."""
    name = name.rstrip("\t")
    if not quoted:
        return posixpath.normpath(name) if name else name
    escaped = name.removesuffix('"')
    raw = re.sub(
        rb"\\([0-7]{3}|.)",
        lambda found: bytes([int(found[1], 8) & 255]) if len(found[1]) == 3 else _LETTERS.get(found[1], found[1]),
        escaped.encode("utf-8", "surrogateescape"),
    )
    return raw.decode("utf-8", "replace")


_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
