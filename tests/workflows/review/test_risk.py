"""Large changes: the risky files first, as many as the budget holds, and every other one named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workflows.review.diff import Diff, FileDiff
from workflows.review.risk import partition, rank_files


def file(path: str, size: int = 100, **changes: object) -> FileDiff:
    told: dict[str, object] = {"status": "modified", "raw": b"x" * size, "added": size // 10, "removed": 1}
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
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 400), st.sampled_from(["", "generated", "too large"]))),
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
    assert all(sum(len(one.raw) for one in part) <= characters for part in divided.parts)


def test_only_what_was_asked_for() -> None:
    """Asked for some paths, the others are neither read nor named; a cut diff says that there is more."""
    files = (file("a.py"), file("b.py"), file("c.lock", left_out="generated"))
    divided = partition(Diff(files, cut=True), characters=1_000, only={"a.py", "c.lock"})
    assert [one.path for one in divided.parts[0]] == ["a.py"]
    assert divided.unread == (
        ("c.lock", "generated"),
        ("the rest of the change", "it is larger than can be read"),
    )
