"""A patch as lines with their numbers: which lines a review may comment on, and how the page colours them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from app.localhub.records import Side

HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True)
class PatchLine:
    """One line of a patch. ``position`` counts lines below the first ``@@``; numbers are None on the side it lacks."""

    kind: Literal["hunk", "context", "added", "removed", "note"]
    text: str
    position: int
    old: int | None = None
    new: int | None = None

    def on(self, side: Side) -> int | None:
        """The line number on a side: removed and context lines are LEFT, added and context lines are RIGHT."""
        return self.old if side == "LEFT" else self.new


def parse_patch(patch: str) -> list[PatchLine]:
    """The lines of a patch that begins with ``@@``."""
    lines: list[PatchLine] = []
    old = new = 0
    for position, text in enumerate(patch.split("\n")):
        if match := HUNK.match(text):
            old, new = int(match[1]), int(match[2])
            lines.append(PatchLine("hunk", text, position))
        elif text.startswith("+"):
            lines.append(PatchLine("added", text, position, new=new))
            new += 1
        elif text.startswith("-"):
            lines.append(PatchLine("removed", text, position, old=old))
            old += 1
        elif text.startswith("\\"):
            lines.append(PatchLine("note", text, position))
        else:
            lines.append(PatchLine("context", text, position, old, new))
            old, new = old + 1, new + 1
    return lines


def find_line(lines: list[PatchLine], number: int, side: Side) -> PatchLine | None:
    """The patch line with this number on this side, when it is part of the diff."""
    return next((line for line in lines if line.on(side) == number), None)


def hunk_of(lines: list[PatchLine], line: PatchLine) -> PatchLine:
    """The header above a line."""
    return [one for one in lines[: line.position + 1] if one.kind == "hunk"][-1]


def hunk_text(lines: list[PatchLine], line: PatchLine) -> str:
    """The text from the hunk's header down to a line: GitHub's ``diff_hunk``."""
    start = hunk_of(lines, line)
    return "\n".join(one.text for one in lines[start.position : line.position + 1])
