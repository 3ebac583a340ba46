"""Line maps of made-up files, for the tests of what builds on them."""

from __future__ import annotations

from workflows.review.anchors import LineMap
from workflows.review.diff import FileDiff


def added_file(path: str, content: bytes) -> LineMap:
    """The map of a file that is all new."""
    lines = content.split(b"\n")
    ends = lines[-1] == b""
    if ends:
        lines.pop()
    body = b"".join(b"+" + line + b"\n" for line in lines) + (b"" if ends else b"\\ No newline at end of file\n")
    return LineMap(FileDiff(path, None, "added", b"@@ -0,0 +1,%d @@\n" % len(lines) + body))


def changed_file(path: str, *lines: str) -> LineMap:
    """The map of a file with one hunk from line 1: lines that begin with a space, ``+`` or ``-``."""
    old = sum(line[0] != "+" for line in lines)
    new = sum(line[0] != "-" for line in lines)
    body = "".join(f"{line}\n" for line in lines)
    return LineMap(FileDiff(path, path, "modified", f"@@ -1,{old} +1,{new} @@\n{body}".encode()))
