"""Large changes: the risky files first, as many as the budget holds, and every other one named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workflows.review.anchors import LineMap
from workflows.review.diff import Diff, FileDiff, parse_lines
from workflows.review.pieces import shown_size, split_file
from workflows.review.risk import partition, rank_files

HUNK = b"@@ -0,0 +1 @@\n+"


def file(path: str, size: int = 100, **changes: object) -> FileDiff:
    """A file of which a reviewer is shown so many characters."""
    raw = HUNK + b"x" * (size - shown_size(HUNK))
    told: dict[str, object] = {"status": "modified", "raw": raw, "added": size // 10, "removed": 1}
    return FileDiff(path, path, **(told | changes))  # type: ignore[arg-type]


def test_what_can_go_wrong_is_read_first() -> None:
    """Delicate and building code comes before other code, that before tests, and prose last; more lines weigh more."""
    paths = ["README.md", "tests/test_auth.py", "src/format.py", "src/auth/login.py", "Dockerfile", "data.json"]
    ranked = rank_files([file(path) for path in paths])
    assert [one.file.path for one in ranked[:3]] == ["Dockerfile", "src/auth/login.py", "src/format.py"]
    assert ranked[-1].file.path == "README.md"
    assert ranked[1].because == ("delicate", "changes what was there")
    big, small = rank_files([file("a.py", 100), file("b.py", 10_000)])
    assert (big.file.path, small.file.path) == ("b.py", "a.py")
    run = rank_files([file("a.sh"), file("b.sh", old_mode="100644", new_mode="100755")])[0]
    assert (run.file.path, "became executable" in run.because) == ("b.sh", True)


def test_folders_stay_together() -> None:
    """Files of one folder are read by the same reviewer where there is room."""
    files = tuple(file(f"{folder}/{number}.py", 40) for folder in ("a", "b") for number in range(2))
    parts = partition(Diff(files), characters=100, parts=2).parts
    assert [sorted(one.path for one in part) for part in parts] == [["a/0.py", "a/1.py"], ["b/0.py", "b/1.py"]]


def test_a_small_change_has_one_reader() -> None:
    """What one reviewer can read is not torn apart: the code and its tests in another folder are read together."""
    files = (file("src/a.py"), file("tests/test_a.py"), file("docs/a.md"))
    assert len(partition(Diff(files), characters=300, parts=3).parts) == 1
    assert len(partition(Diff(files), characters=299, parts=3).parts) == 2


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(40, 400), st.sampled_from(["", "generated", "too large"]))),
    st.integers(0, 500),
    st.integers(0, 4),
)
def test_each_file_is_read_once_or_named(given_files: list[tuple[str, int, str]], characters: int, parts: int) -> None:
    """Every file with lines is in one part or among the unread, with a reason, and no part is over the budget."""
    files = tuple(
        file(f"{folder}/{number}.py", size, left_out=left_out)
        for number, (folder, size, left_out) in enumerate(given_files)
    )
    divided = partition(Diff(files), characters=characters, parts=parts)
    read = [one.path for part in divided.parts for one in part]
    assert sorted([*read, *(path for path, _ in divided.unread)]) == sorted(one.path for one in files)
    assert all(reason for _, reason in divided.unread)
    assert len(divided.parts) <= parts
    assert all(sum(shown_size(one.raw) for one in part) <= characters for part in divided.parts)


def test_only_what_was_asked_for() -> None:
    """Asked for some paths, the others are neither read nor named; a cut diff says that there is more."""
    files = (file("a.py"), file("b.py"), file("c.lock", left_out="generated"))
    divided = partition(Diff(files, cut=True), characters=1_000, only={"a.py", "c.lock"})
    assert [one.path for one in divided.parts[0]] == ["a.py"]
    assert divided.unread == (
        ("c.lock", "generated"),
        ("the rest of the change", "it is larger than can be read"),
    )


def long_file(lines: int) -> FileDiff:
    """A new file with a hunk of so many lines, the last without an end, after one that changes a single line."""
    text = "".join(f"+value = {number}\n" for number in range(lines))
    raw = f"@@ -1 +1 @@\n-a\n+b\n@@ -10,0 +10,{lines} @@\n{text}\\ No newline at end of file\n"
    return file("auth.py", raw=raw.encode())


@given(st.integers(1, 200), st.integers(200, 3_000))
def test_a_long_file_is_read_in_pieces(lines: int, room: int) -> None:
    """Cut between hunks or within a long one, each piece has room, and together they are the file's lines, in order."""
    whole = long_file(lines)
    pieces, rest = [], whole
    while rest is not None:
        piece, rest = split_file(rest, room)  # type: ignore[assignment]
        assert piece is not None
        pieces.append(piece)
    assert all(shown_size(piece.raw) <= room for piece in pieces)
    told = [(one.kind, one.text, one.old, one.new, one.ends_bare) for one in parse_lines(whole)]
    said = [(one.kind, one.text, one.old, one.new, one.ends_bare) for piece in pieces for one in parse_lines(piece)]
    assert said == told
    assert all(piece.in_part for piece in pieces) is (len(pieces) > 1)


def test_what_is_left_of_a_long_file_is_named_by_its_line() -> None:
    """Longer than all parts together, it is read as far as they go; what another review has room for is postponed."""
    long = partition(Diff((long_file(200),)), characters=1_000, parts=3)
    assert [one.path for part in long.parts for one in part] == ["auth.py"] * 3
    [(path, reason)] = long.unread
    assert (path, reason) == ("auth.py", "from line 115 on, longer than one review reads")
    assert long.postponed == ()
    beside = partition(Diff((file("auth.py", 900), file("b.py", 200))), characters=1_000, parts=1)
    assert beside.unread == (("b.py", "the budget was used up by riskier files"),)
    assert beside.postponed == ("b.py",)


def test_which_part_holds_a_place() -> None:
    """The piece with the line, of either side; without one the first part with the file, else the first of all."""
    whole = long_file(100)
    divided = partition(Diff((whole, file("b.py", 400))), characters=1_500, parts=3)
    lines = LineMap(whole)
    assert divided.part_of("auth.py", lines.anchor(12)) == 0
    assert divided.part_of("auth.py", lines.anchor(109)) == 1
    assert divided.part_of("auth.py", lines.anchor(1, side="LEFT")) == 0
    assert divided.part_of("auth.py", None) == 0
    assert divided.part_of("b.py", None) == 2
    assert divided.part_of("elsewhere.py", lines.anchor(109)) == 0
    assert partition(Diff(()), characters=1_500).part_of("b.py", None) == 0


def test_hunks_that_cannot_be_read_are_named() -> None:
    """A file whose hunks are malformed is unread, and not read as an empty one."""
    divided = partition(Diff((file("a.py", raw=b"@@ -1 +1 @@\nwhat\n"), file("b.py"))), characters=1_000)
    assert [one.path for part in divided.parts for one in part] == ["b.py"]
    assert divided.unread == (("a.py", "unreadable"),)
