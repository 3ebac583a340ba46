"""The files of a unified diff of git's: their names, kinds and hunks, and the reason why one is not read. Pure.

A diff is cut into files in one pass over its bytes: in a hunk every line begins with a space, ``+``, ``-`` or ``\\``,
so no content can pass for a header. The lines of one file are then unidiff's to read (docs/decisions/0015).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from typing import Literal

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from workflows.review.attributes import Attributes
from workflows.review.made_by_tools import made_by
from workflows.texts.diff_cut import plain_name

# Beyond these GitHub shows nothing of a file's diff, and takes no comment on its lines:
# https://docs.github.com/en/repositories/creating-and-managing-repositories/repository-limits#diff-limits
MOST_FILE_BYTES = 500_000
MOST_FILE_LINES = 20_000
MOST_FILES = 3_000  # https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files
MOST_PARSED = 50_000
"""Files beyond these are not taken: each costs memory, however little of it changed."""

NUMBERS = 14
"""Characters that :func:`render_file` puts before each line."""

Status = Literal["added", "deleted", "modified", "renamed", "copied", "type_changed"]
Reason = Literal["binary", "generated", "vendored", "too large", "not shown by GitHub", "unreadable"]

_FILE = re.compile(rb"(?m)^diff --git ")
_HUNK = re.compile(rb"(?m)^@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_LINE = re.compile(
    r"(?P<word>old mode|new mode|new file mode|deleted file mode|rename from|rename to|copy from|copy to|index"
    r"|---|\+\+\+|Binary files) (?P<rest>.*)"
)


@dataclass(frozen=True)
class Hunk:
    """The lines that one hunk shows on each side: its first number and how many; numbers are 1-based."""

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int


@dataclass(frozen=True)
class DiffLine:
    """One line of a hunk, without its line end. ``old`` and ``new`` are its numbers, None on the side that lacks it.

    ``hunk`` counts from 0. ``ends_bare``: the file ends with this line, and without a newline. ``text`` keeps a
    carriage return; bytes that are not UTF-8 are replaced.
    """

    kind: Literal["context", "added", "removed"]
    text: str
    old: int | None
    new: int | None
    hunk: int
    ends_bare: bool = False


@dataclass(frozen=True)
class FileDiff:
    """One changed file. ``old_path`` is where it was before, None when it was not there; ``path`` is its name now.

    ``raw`` is its hunks as git wrote them, empty without changed lines (a mode, a pure rename, a binary file).
    ``left_out`` is why its lines are not read, empty when they are; a generated file has lines to comment on all the
    same. ``old_mode`` and ``new_mode`` are git's octal strings, where the diff says them. ``in_part``: ``raw`` holds
    only some of its changed lines. ``beyond``: GitHub lists so many files before it that it takes no comment on it.
    """

    path: str
    old_path: str | None
    status: Status
    raw: bytes = b""
    added: int = 0
    removed: int = 0
    old_mode: str = ""
    new_mode: str = ""
    left_out: Reason | Literal[""] = ""
    in_part: bool = False
    beyond: bool = False

    @property
    def lines_changed(self) -> int:
        """Added and removed lines together."""
        return self.added + self.removed

    @property
    def takes_line_comments(self) -> bool:
        """Whether GitHub shows lines of it, so that a comment can stand on one."""
        return self.has_lines and not self.beyond

    @property
    def has_lines(self) -> bool:
        """Whether the diff has lines of it."""
        return bool(self.raw) and self.left_out not in ("binary", "too large", "not shown by GitHub", "unreadable")


@dataclass(frozen=True)
class Diff:
    """All files of a diff, in git's order. ``cut``: the text ended early, and the files that it lacks are not here."""

    files: tuple[FileDiff, ...] = ()
    cut: bool = False

    def file(self, path: str) -> FileDiff | None:
        """The file that has this name now (a deleted one: had)."""
        return next((file for file in self.files if file.path == path), None)

    @property
    def readable(self) -> tuple[FileDiff, ...]:
        """The files whose lines are read."""
        return tuple(file for file in self.files if file.raw and not file.left_out)

    @property
    def left_out(self) -> tuple[tuple[str, Reason], ...]:
        """The paths whose lines are not read, with the reason."""
        return tuple((file.path, file.left_out) for file in self.files if file.left_out)


def parse_diff(raw: bytes, *, attributes: Attributes | None = None, cut: bool = False) -> Diff:
    """The files of what ``git diff`` wrote, with ``a/`` and ``b/`` before the names. Linear in time and memory.

    ``cut``: ``raw`` is only the beginning, so that its last file, which may be half there, is not taken.
    """
    starts = [match.start() for match in _FILE.finditer(raw)]
    if cut and starts:
        starts, raw = starts[:-1], raw[: starts[-1]]
    files: dict[str, FileDiff] = {}
    for start, end in zip(starts, [*starts, len(raw)][1:], strict=True):
        if len(files) >= MOST_PARSED:
            return Diff(tuple(files.values()), cut=True)
        file = replace(_parse_file(raw[start:end], attributes or Attributes()), beyond=len(files) >= MOST_FILES)
        first = files.get(file.path)
        files[file.path] = _joined(first, file) if first is not None else file
    return Diff(tuple(files.values()), cut=cut)


def parse_hunks(file: FileDiff) -> Iterator[Hunk]:
    """What each hunk of a file shows, from top to bottom."""
    for match in _HUNK.finditer(file.raw):
        old_start, old_lines, new_start, new_lines = (1 if part is None else int(part) for part in match.groups())
        yield Hunk(old_start, old_lines, new_start, new_lines)


def parse_lines(file: FileDiff) -> tuple[DiffLine, ...]:
    """The lines of a file's hunks; none when there are none to read (``has_lines``), or they are malformed."""
    if not file.has_lines:
        return ()
    text = file.raw.decode("utf-8", "replace")
    try:
        # Neutral names: unidiff fails on some that git allows, such as `x b/y`.
        [patched] = PatchSet(StringIO(f"--- a/file\n+++ b/file\n{text}", newline="\n"))
    except (UnidiffParseError, ValueError):
        return ()
    found: list[DiffLine] = []
    for number, hunk in enumerate(patched):
        for line in hunk:
            if line.line_type == "\\":
                found[-1] = replace(found[-1], ends_bare=True)
                continue
            kind: Literal["context", "added", "removed"] = (
                "added" if line.is_added else "removed" if line.is_removed else "context"
            )
            value = line.value.removesuffix("\n")
            found.append(DiffLine(kind, value, line.source_line_no, line.target_line_no, number))
    return tuple(found)


def render_file(file: FileDiff, lines: tuple[DiffLine, ...] | None = None) -> str:
    """A file's lines as a reviewer reads them, each with the numbers by which it can be named."""
    sign = {"context": " ", "added": "+", "removed": "-"}
    shown: list[str] = []
    hunk = -1
    for line in parse_lines(file) if lines is None else lines:
        if line.hunk != hunk:
            hunk = line.hunk
            shown.append(f"@@ hunk {hunk + 1} @@")
        numbers = f"{line.old if line.old is not None else '':>6} {line.new if line.new is not None else '':>6}"
        shown.append(f"{numbers} {sign[line.kind]}{line.text}")
    return "\n".join(shown)


def _parse_file(raw: bytes, attributes: Attributes) -> FileDiff:
    at = raw.find(b"\n@@ ")
    head = raw if at < 0 else raw[: at + 1]
    facts = _facts(head)
    hunks = b"" if at < 0 else raw[at + 1 :]
    old, new = _names(facts, head.split(b"\n", 1)[0].decode("utf-8", "replace"))
    status: Status = "modified"
    if "new file mode" in facts:
        status = "added"
    elif "deleted file mode" in facts:
        status = "deleted"
    elif "rename to" in facts or "copy to" in facts:
        status = "renamed" if "rename to" in facts else "copied"
    mode = facts.get("index", "").partition(" ")[2]
    file = FileDiff(
        path=old if status == "deleted" else new,
        old_path=None if status == "added" else old,
        status=status,
        raw=hunks,
        added=hunks.count(b"\n+"),
        removed=hunks.count(b"\n-"),
        old_mode=facts.get("old mode") or facts.get("deleted file mode") or mode,
        new_mode=facts.get("new mode") or facts.get("new file mode") or mode,
    )
    return replace(file, left_out=_reason(file, attributes, binary="Binary files" in facts))


def _facts(head: bytes) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\n"):
        match = _LINE.match(line)
        if match:
            found.setdefault(match["word"], match["rest"])
    return found


def _names(facts: Mapping[str, str], first: str) -> tuple[str, str]:
    """The names before and after; the first line tells them only where both are the same."""
    old, new = facts.get("---", "/dev/null"), facts.get("+++", "/dev/null")
    pair = [facts.get(f"{word} from") or facts.get(f"{word} to") for word in ("rename", "copy")]
    if any(pair):
        word = "rename" if pair[0] else "copy"
        return _name(facts.get(f"{word} from", ""), ""), _name(facts.get(f"{word} to", ""), "")
    if old == new == "/dev/null":
        names = first.removeprefix("diff --git ")
        same = names[: (len(names) - 1) // 2]
        return _name(same, "a/"), _name(same, "a/")
    before = None if old == "/dev/null" else _name(old, "a/")
    after = None if new == "/dev/null" else _name(new, "b/")
    return before or after or "", after or before or ""


def _name(written: str, prefix: str) -> str:
    quoted = written.startswith('"')
    return plain_name(written.removeprefix('"').removeprefix(prefix), quoted=quoted)


def _reason(file: FileDiff, attributes: Attributes, *, binary: bool) -> Reason | Literal[""]:
    said = attributes.of(file.path)
    if binary:
        return "binary"
    if said.get("diff") is False:
        return "not shown by GitHub"
    if len(file.raw) > MOST_FILE_BYTES or file.raw.count(b"\n") > MOST_FILE_LINES:
        return "too large"
    made = [made_by(file.path, beginning, said=said) for beginning in _beginnings(file)]
    return made[0] if made[0] and all(made) else ""


def _beginnings(file: FileDiff) -> list[str]:
    """The file's first lines now and before, when the first hunk shows them: of one that was there both must say what
    made it, or a comment would keep a change from being read.
    """
    match = _HUNK.match(file.raw)
    if match is None or int(match[3]) > 1:
        return [""]
    lines = file.raw[match.end() : match.end() + 2_000].decode("utf-8", "replace").split("\n")
    without = {"added": "-", "deleted": "+"}.get(file.status, "-+")
    return ["\n".join(line for line in lines if not line.startswith(sign)) for sign in without]


def _joined(first: FileDiff, second: FileDiff) -> FileDiff:
    """git writes a change of type, such as a file that became a link, as a removal and an addition of one name."""
    reason = first.left_out or second.left_out
    return FileDiff(
        path=second.path,
        old_path=first.old_path or second.old_path,
        status="type_changed",
        raw=first.raw + second.raw,
        added=first.added + second.added,
        removed=first.removed + second.removed,
        old_mode=first.old_mode or second.old_mode,
        new_mode=second.new_mode or first.new_mode,
        left_out=reason,
        beyond=first.beyond,
    )
