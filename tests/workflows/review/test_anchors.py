"""Where findings stand, and where they are after a push: held against the local GitHub's own rules."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.localhub import bare
from app.localhub.reviews import OutsideDiff, Wanted, place_in
from tests.workflows.git.test_mirrors import git
from workflows.review.anchors import MOST_HEAD_LINES, Anchor, LineMap, Outcome, draft_comment, map_files, map_lines
from workflows.review.diff import Diff, FileDiff, parse_diff
from workflows.types import Side

BASE = [f"value_{number} = read({number})" for number in range(40)]


def lines_of(*texts: str) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def open_folder(folder: Path) -> Path:
    git(folder, "init", "-q", "-b", "main")
    return folder


def commit(folder: Path, files: Mapping[str, bytes | None]) -> str:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            (folder / path).unlink()
        else:
            (folder / path).write_bytes(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


def diff_between(folder: Path, base: str, head: str) -> Diff:
    command = ["git", "-C", str(folder), "diff", "-M", "--full-index", "--no-ext-diff", "--no-textconv", base, head]
    return parse_diff(subprocess.run(command, check=True, capture_output=True).stdout)


def map_of(folder: Path, before: bytes, after: bytes, path: str = "a.py") -> LineMap:
    """The map of one file that changed in a new repository."""
    base = commit(folder, {path: before})
    return map_lines(diff_between(folder, base, commit(folder, {path: after})))[path]


# --- GitHub's rules ---------------------------------------------------------------------------------------------

LINE = st.sampled_from(["a", "b", "", " ", "}", "-- x", "++ y", "@@ -1 +1 @@", "\\ No newline", "é\r", "x\x0by"])
TEXT = st.lists(LINE, max_size=40) | st.integers(20, 60).map(lambda count: [f"line {n}" for n in range(count)])


@st.composite
def edited(draw: st.DrawFn) -> tuple[bytes | None, bytes | None]:
    """A file before and after: edited here and there, new, deleted, or with another end."""
    before = draw(TEXT)
    after = list(before)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(after)))
        after[at : at + draw(st.integers(0, 3))] = draw(st.lists(LINE, max_size=3))
    kind = draw(st.sampled_from(["both", "both", "both", "new", "gone"]))
    old = ("\n".join(before) + draw(st.sampled_from(["", "\n"]))).encode()
    new = ("\n".join(after) + draw(st.sampled_from(["", "\n"]))).encode()
    return (None if kind == "new" else old, None if kind == "gone" else new)


class Judge:
    """The local GitHub's own validator over a real repository: it reads the patch in its own way, not in ours."""

    def __init__(self, folder: Path, base: str, head: str) -> None:
        self._files = bare.diff_files(folder / ".git", base, head)

    def accepts(self, path: str, line: int, *, side: Side = "RIGHT", start_line: int | None = None) -> bool:
        wanted = Wanted(path, "words", line=line, side=side, start_line=start_line, start_side=side)
        try:
            place_in(self._files, wanted)
        except OutsideDiff:
            return False
        return True


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(files=st.lists(edited(), min_size=1, max_size=3), data=st.data())
def test_every_accepted_anchor_is_accepted_by_github(
    files: list[tuple[bytes | None, bytes | None]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For random edits under real git, the map takes exactly the lines and ranges that GitHub's rules take."""
    folder = open_folder(tmp_path_factory.mktemp("edits"))
    names = [f"file {number} b/x.py" for number in range(len(files))]
    before = {name: old for name, (old, _) in zip(names, files, strict=True) if old is not None}
    base = commit(folder, before)
    after = {name: new for name, (old, new) in zip(names, files, strict=True) if new is not None or old is not None}
    head = commit(folder, after)
    judge, maps = Judge(folder, base, head), map_lines(diff_between(folder, base, head))
    sides: tuple[Side, ...] = ("LEFT", "RIGHT")
    for name in names:
        shown = maps.get(name)
        for side in sides:
            for line in range(-1, 60):
                assert judge.accepts(name, line, side=side) == (shown is not None and shown.accepts(line, side=side))
            # Among lines that are shown, or hardly any range would be one.
            line_number = st.integers(0, 60) | st.sampled_from((shown.numbers(side) if shown else ()) or (1,))
            for _ in range(20):
                first, last = data.draw(line_number), data.draw(line_number)
                ours = shown is not None and shown.accepts(last, side=side, start_line=first)
                assert judge.accepts(name, last, side=side, start_line=first) == ours
                anchor = shown.fit(last, side=side, start_line=first) if shown is not None else None
                if anchor is not None:
                    assert judge.accepts(name, anchor.line, side=side, start_line=anchor.start_line)
                    assert min(first, last) <= anchor.first <= anchor.line <= max(first, last)


def test_ranges_end_with_their_hunk(tmp_path: Path) -> None:
    """Of a file with three hunks, the map takes exactly those of all ranges that GitHub takes: within one hunk."""
    folder = open_folder(tmp_path)
    base = commit(folder, {"a.py": lines_of(*BASE)})
    head = commit(folder, {"a.py": lines_of(*BASE[:5], "x", *BASE[6:20], "y", "z", *BASE[20:34], *BASE[36:])})
    judge, shown = Judge(folder, base, head), map_lines(diff_between(folder, base, head))["a.py"]
    sides: tuple[Side, ...] = ("LEFT", "RIGHT")
    pairs = [(side, first, last) for side in sides for first in range(42) for last in range(42)]
    ours = {pair for pair in pairs if shown.accepts(pair[2], side=pair[0], start_line=pair[1])}
    assert ours == {pair for pair in pairs if judge.accepts("a.py", pair[2], side=pair[0], start_line=pair[1])}
    assert {("RIGHT", 3, 9), ("LEFT", 32, 39), ("RIGHT", 18, 25)} <= ours
    assert ("RIGHT", 8, 19) not in ours


def test_what_github_does_not_show_takes_no_comment(tmp_path: Path) -> None:
    """A file whose diff is beyond GitHub's limits takes no comment on a line, there and here."""
    folder = open_folder(tmp_path)
    base = commit(folder, {"a.sql": b"x\n", "b.sql": b"x\n"})
    head = commit(folder, {"a.sql": b"y\n" * 20_100, "b.sql": b"y" * 500_100})
    judge, diff = Judge(folder, base, head), diff_between(folder, base, head)
    assert not any(judge.accepts(path, 1) for path in ("a.sql", "b.sql"))
    assert map_lines(diff) == {}
    assert diff.left_out == (("a.sql", "too large"), ("b.sql", "too large"))


# --- after a push -----------------------------------------------------------------------------------------------

HEAD = [*BASE[:20], "total = value_1 / count", "return total", *BASE[20:]]


def pushed(folder: Path, texts: list[str]) -> tuple[LineMap, LineMap]:
    """The map of a change that adds two lines at 21, and the map after a push that makes the file ``texts``."""
    base = commit(folder, {"a.py": lines_of(*BASE)})
    first = commit(folder, {"a.py": lines_of(*HEAD)})
    second = commit(folder, {"a.py": lines_of(*texts)})
    after = map_lines(diff_between(folder, base, second))
    unchanged = LineMap(FileDiff("a.py", "a.py", "modified"))
    return map_lines(diff_between(folder, base, first))["a.py"], after.get("a.py") or unchanged


@pytest.mark.parametrize(
    ("texts", "outcome", "line"),
    [
        (HEAD, "exact", 21),
        (["import os", "import re", *HEAD], "moved", 23),
        ([*HEAD[:20], "if count:", "    total = value_1 / count", *HEAD[21:]], "moved", 22),
        ([*HEAD[:20], "total = value_1 / max(count, 1)", *HEAD[21:]], "gone", None),
        (BASE, "gone", None),
        ([*HEAD[:10], *HEAD[20:22], *HEAD[10:20], *HEAD[22:]], "moved", 11),
        ([*HEAD[:22], "", *HEAD[18:22], *HEAD[22:]], "exact", 21),
        (["first", *HEAD[16:26], "x = 1", *HEAD[16:26]], "ambiguous", None),
    ],
)
def test_an_anchor_survives_a_push(tmp_path: Path, texts: list[str], outcome: Outcome, line: int | None) -> None:
    """Code that stays, moves or is indented anew is found; what was changed or taken back is gone; twins are not."""
    before, after = pushed(open_folder(tmp_path), texts)
    anchor = before.anchor(21)
    assert anchor is not None
    placed = after.place(Anchor.model_validate(anchor.model_dump(mode="json")))
    assert (placed.outcome, placed.anchor.line if placed.anchor else None) == (outcome, line)
    if placed.anchor is not None:
        assert after.place(placed.anchor).outcome == "exact"


def test_what_the_diff_does_not_show_is_in_the_head() -> None:
    """Unchanged code is found in the whole file, by half of what stood around it; what is no text has no lines."""
    files = {"a.py": lines_of(*BASE, "}", "return None"), "b.bin": b"\0total\n", "c.py": lines_of("return None")}
    maps = map_files([*files, "d.py"], files.get)
    anchor = maps["a.py"].anchor(42)
    assert anchor is not None
    assert (anchor.outside, anchor.path, maps["a.py"].numbers("LEFT")) == (True, "a.py", ())
    longer = {"a.py": lines_of("import os", *BASE[:39], "x = 1", "}", "return None")}
    assert map_files(longer, longer.get)["a.py"].place(anchor).outcome == "moved"
    like = {"a.py": lines_of("import os", *BASE[:37], "x = 1", "y = 2", BASE[39], "}", "return None")}
    assert map_files(like, like.get)["a.py"].place(anchor).outcome == "gone"
    assert [maps[path].numbers("RIGHT") for path in ("b.bin", "c.py", "d.py")] == [(), (1,), ()]
    assert "e.py" not in maps


def test_a_range_keeps_its_length(tmp_path: Path) -> None:
    """A range moves as a whole, and is one comment on the same side of one hunk."""
    before, after = pushed(open_folder(tmp_path), ["import os", *HEAD])
    anchor = before.anchor(22, start_line=20)
    assert anchor is not None
    moved = after.place(anchor)
    assert moved.outcome == "moved"
    assert moved.anchor is not None
    comment = draft_comment(moved.anchor, "why?")
    assert (comment.start_line, comment.line, comment.side, comment.path) == (21, 23, "RIGHT", "a.py")


def test_a_bracket_needs_its_surroundings(tmp_path: Path) -> None:
    """A line without words is found again only with the lines around it: brackets stand everywhere."""
    folder = open_folder(tmp_path)
    shown = map_of(folder, lines_of(*BASE), lines_of(*BASE[:5], "call(", "    one,", ")", *BASE[5:]))
    anchor = shown.anchor(8)
    assert anchor is not None
    other = map_of(folder, lines_of(*BASE), lines_of(*BASE[:30], "send(", "    two,", ")", *BASE[30:]))
    assert other.place(anchor).outcome == "gone"


def test_removed_lines_are_on_the_left(tmp_path: Path) -> None:
    """A removed line is commented on the left, and changed lines are told from those that are only shown."""
    shown = map_of(open_folder(tmp_path), lines_of(*BASE), lines_of(*BASE[:9], *BASE[10:]))
    assert (shown.accepts(10, side="LEFT"), shown.text(10, side="LEFT")) == (True, BASE[9])
    assert shown.is_changed(10, side="LEFT")
    assert not shown.is_changed(10)
    assert shown.is_changed(12, side="LEFT", start_line=8)
    assert shown.numbers("RIGHT") == (7, 8, 9, 10, 11, 12)
    assert shown.anchor(30) is None


def test_a_head_of_endless_lines_is_cut() -> None:
    """Half a million lines in one megabyte cost no more than the lines that are looked through."""
    shown = map_files(["f"], lambda _: b"x\n" * 500_000)["f"]
    assert shown.numbers("RIGHT")[-1] == MOST_HEAD_LINES


def test_twins_by_the_thousand_take_little_time() -> None:
    """Twenty thousand equal lines are no way to stop us."""
    raw = b"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -0,0 +1,19000 @@\n" + b"+x = 1\n" * 19_000
    shown = LineMap(parse_diff(raw).files[0])
    anchor = shown.anchor(9_500, start_line=100)
    assert anchor is not None
    began = time.thread_time()
    assert shown.place(anchor).outcome == "exact"
    assert time.thread_time() - began < 2
