"""Which changed files are read first when a change is large: by what can go wrong in them, within a budget. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from workflows.evidence.testfiles import is_test_path
from workflows.git.protected import protecting_pattern
from workflows.repository.sensitive import is_sensitive
from workflows.review.diff import Diff, FileDiff

# Names of code where a slip costs most, as parts of a path.
_DELICATE = re.compile(
    r"(?:auth|login|session|passw|secret|token|crypt|permission|access|acl|role|payment|billing|invoice|price|money"
    r"|migrat|schema|query|sql|upload|deserial|serial|pickle|exec|shell|sandbox|proxy|webhook|lock|concurr|thread|cache"
    r"|admin|security|sanitiz|escape|validat)",
    re.IGNORECASE,
)
_PROSE = re.compile(r"\.(?:md|rst|txt|adoc|html?|css|scss|less|svg|po|pot)$|(?:^|/)(?:docs?|examples?)/", re.IGNORECASE)
_DATA = re.compile(r"\.(?:json|ya?ml|toml|ini|csv|xml|lock)$", re.IGNORECASE)


@dataclass(frozen=True)
class Ranked:
    """A file with its risk, 0 and up, and what speaks for it, a word each."""

    file: FileDiff
    risk: float
    because: tuple[str, ...] = ()


@dataclass(frozen=True)
class Partition:
    """What is read, in parts for reviewers side by side, each in order of risk.

    ``unread`` are the paths whose lines nobody reads, with the reason: generated, vendored and huge files too.
    """

    parts: tuple[tuple[FileDiff, ...], ...] = ()
    unread: tuple[tuple[str, str], ...] = ()


def rank_files(files: Sequence[FileDiff]) -> list[Ranked]:
    """The files, the riskiest first; the same order every time."""
    return sorted((_ranked(file) for file in files), key=lambda one: (-one.risk, one.file.path))


def partition(diff: Diff, *, characters: int, parts: int = 1, only: Collection[str] | None = None) -> Partition:
    """The files to read, at most ``characters`` of diff in each of at most ``parts`` parts.

    ``only`` are the paths that were asked for; others are left aside without being counted as unread. Files of one
    folder go to the same part where there is room, because they are understood together; a further part is begun only
    when those before it are full.
    """
    wanted = [file for file in diff.files if only is None or file.path in only]
    unread: list[tuple[str, str]] = [(file.path, file.left_out) for file in wanted if file.left_out]
    rooms = [characters] * max(0, parts)
    placed: list[list[FileDiff]] = [[] for _ in rooms]
    homes: dict[str, int] = {}
    for ranked in rank_files([file for file in wanted if file.raw and not file.left_out]):
        size = len(ranked.file.raw)
        part = _room_for(ranked.file, size, rooms, homes)
        if part is None:
            reason = (
                "longer than one reviewer reads" if size > characters else "the budget was used up by riskier files"
            )
            unread.append((ranked.file.path, reason))
            continue
        rooms[part] -= size
        placed[part].append(ranked.file)
        homes[_folder(ranked.file.path)] = part
    if diff.cut:
        unread.append(("the rest of the change", "it is larger than can be read"))
    return Partition(tuple(tuple(part) for part in placed if part), tuple(unread))


def _ranked(file: FileDiff) -> Ranked:
    risk = 1.0
    because: list[str] = []
    if protecting_pattern(file.path) or is_sensitive(file.path):
        risk, because = risk + 3, [*because, "decides what is built or run"]
    if is_test_path(file.path):
        risk, because = risk * 0.4, [*because, "test"]
    elif _DELICATE.search(file.path):
        risk, because = risk + 2, [*because, "delicate"]
    if _PROSE.search(file.path):
        risk, because = risk * 0.2, [*because, "prose"]
    elif _DATA.search(file.path) and "decides what is built or run" not in because:
        risk, because = risk * 0.5, [*because, "data"]
    if file.status in ("modified", "renamed", "type_changed") and file.removed:
        # What others rely on was changed, and not only added to.
        risk, because = risk * 1.5, [*because, "changes what was there"]
    if file.status == "deleted":
        risk, because = risk * 0.6, [*because, "deleted"]
    if file.old_mode and file.new_mode.endswith("755") and not file.old_mode.endswith("755"):
        risk, because = risk + 1, [*because, "became executable"]
    return Ranked(file, round(risk * (1 + math.log1p(file.lines_changed)), 3), tuple(because))


def _room_for(file: FileDiff, size: int, rooms: Sequence[int], homes: dict[str, int]) -> int | None:
    home = homes.get(_folder(file.path))
    if home is not None and rooms[home] >= size:
        return home
    # The first part with room: a change that one reviewer can read is not torn apart between several.
    return next((part for part, room in enumerate(rooms) if room >= size), None)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
