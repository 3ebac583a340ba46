"""A long diff is cut by files: short ones stay whole, and every path that is not shown whole is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.git.test_mirrors import git, make_source
from workflows.texts.diff_cut import LEAST_SHARE, FittedDiff, fit_diff, list_left_out, path_of


def part(path: str, lines: int) -> str:
    added = "".join(f"+line {n}\n" for n in range(lines))
    return (
        f"diff --git a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n@@ -0,0 +1,{lines} @@\n{added}"
    )


def test_what_fits_is_whole() -> None:
    """Nothing is cut, and nothing is said."""
    diff = part("a.py", 3) + part("b.py", 3)
    fitted = fit_diff(diff, paths=["a.py", "b.py"], most=10_000)
    assert fitted == FittedDiff(diff)
    assert list_left_out(fitted) == ""


def test_short_files_stay_whole_beside_a_long_one() -> None:
    """The long one gets what they leave; its cut is marked with the number of lines, and the whole fits."""
    diff = part("big.py", 5_000) + part("small.py", 20)
    fitted = fit_diff(diff, paths=["big.py", "small.py"], most=4_000)
    assert len(fitted.text) <= 4_000
    assert part("small.py", 20) in fitted.text
    assert fitted.cut == ("big.py",)
    kept = fitted.text.count("\n+line") - 20
    assert f"[… {5_000 - kept} more lines of this file …]" in fitted.text
    assert kept > 100
    assert list_left_out(fitted) == "The diff was cut for length; shown in part: big.py."


def test_too_many_files_are_left_out_by_name() -> None:
    """What tools make goes first; so does what git itself did not show any more."""
    names = ["package-lock.json", *(f"f{n}.py" for n in range(30))]
    diff = "".join(part(name, 200) for name in names)
    fitted = fit_diff(diff, paths=[*names, "beyond.py"], most=10 * LEAST_SHARE)
    assert len(fitted.text) <= 10 * LEAST_SHARE
    assert set(fitted.left_out) == {"package-lock.json", "beyond.py", *(f"f{n}.py" for n in range(10, 30))}
    assert "left out: package-lock.json, f10.py" in list_left_out(fitted)
    assert " and 12 more" in list_left_out(fitted)


@pytest.mark.parametrize("name", ["plain.py", "with space.py", "ä.py", 'quo"te.py', "tab\there.py", "b/b b/b.py"])
@pytest.mark.parametrize("kind", ["added", "changed", "deleted", "mode", "renamed", "binary"])
def test_paths_as_git_writes_them(tmp_path: Path, name: str, kind: str) -> None:
    """Whatever is in a name, and whatever happened to the file, its path is read."""
    source = make_source(tmp_path / "source", {"other": "x\n" * 50, **({name: "y\n" * 50} if kind != "added" else {})})
    file = source / name
    if kind == "deleted":
        git(source, "rm", "-q", "--", name)
    elif kind == "mode":
        file.chmod(0o755)
    elif kind == "renamed":
        git(source, "mv", "--", name, f"new-{name}" if "/" not in name else "new.py")
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\0binary" if kind == "binary" else b"z\n" * 50)
    git(source, "add", "-A")
    wanted = {"renamed": f"new-{name}" if "/" not in name else "new.py"}.get(kind, name)
    assert path_of(git(source, "diff", "--cached", "-M") + "\n") == wanted
