"""Globs as policies and options take them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workflows.git.globs import matches_pattern


@pytest.mark.parametrize(
    ("glob", "names", "others"),
    [
        ("docs/", ["docs", "DOCS/a/b.md"], ["docs.md", "a/docs"]),
        ("/db/**", ["db", "db/a/b"], ["dbs", "a/db/b"]),
        ("**/CODEOWNERS", ["CODEOWNERS", "a/b/CodeOwners", "CODEOWNERS/x"], ["a/CODEOWNERS.md"]),
        ("src/**/*.py", ["src/a.py", "src/b/c/a.py", "src/a.py/b"], ["a.py", "lib/src/a.py", "src/a.pyc"]),
        ("action.y*ml", ["action.yml", "action.yaml"], ["action.y/ml", "a/action.yml"]),
        ("a?c", ["abc", "aßc"], ["a/c", "ac"]),
    ],
)
def test_what_a_glob_names(glob: str, names: list[str], others: list[str]) -> None:
    """Stars stay in a folder, two of them cross folders, and a folder's name is what is in it."""
    assert [name for name in names if not matches_pattern(name, glob)] == []
    assert [name for name in others if matches_pattern(name, glob)] == []


def test_letter_case_counts_where_it_is_asked_for() -> None:
    """An option names files as they are spelled; protection holds in every spelling, of any language."""
    assert matches_pattern("SRC/Straße", "src/STRAẞE")
    assert matches_pattern("\u212aey", "key")
    assert not matches_pattern("SRC/a", "src/a", any_case=False)


def translated(glob: str, *, any_case: bool) -> re.Pattern[str]:
    """The glob as a regular expression, which says the same, but may take its time."""
    words = {"**/": "(?:.*/)?", "/**": "(?:/.*)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|/\*\*|\*\*|\*|\?)", glob.removeprefix("/"))
    body = "".join(words.get(part, re.escape(part)) for part in parts).removesuffix("/")
    return re.compile(f"(?s:{body}(?:/.*)?)", re.IGNORECASE if any_case else 0)


PARTS = ["a", "b", "K", "ı", "/", ".", "*", "**", "**/", "/**", "?"]


@settings(max_examples=1_000, derandomize=True, deadline=None)
@given(
    parts=st.lists(st.sampled_from(PARTS), max_size=8),
    paths=st.lists(st.text("ab/.kiİ\u212a\n", max_size=8), min_size=1, max_size=8),
    any_case=st.booleans(),
)
@example(parts=["a", "*", "**/", "b"], paths=["axb", "ax/b"], any_case=True)
@example(parts=["**/", "/**", "b"], paths=["b", "a/b", "a//b"], any_case=True)
def test_a_glob_names_what_its_regular_expression_does(parts: list[str], paths: list[str], any_case: bool) -> None:
    """Whatever is beside each other."""
    glob = "".join(parts)
    expected = translated(glob, any_case=any_case)
    named = [path for path in paths if matches_pattern(path, glob, any_case=any_case)]
    assert named == [path for path in paths if expected.fullmatch(path)]


@pytest.mark.parametrize(
    "glob", ["*a" * 100 + "b", "**/*a/" * 33 + "b", "**a" * 66 + "b", "**//**" * 33 + "b", "?*" * 99 + "b"]
)
@pytest.mark.parametrize("path", ["a" * 4_000, "a/" * 2_000])
def test_many_stars_cost_little(glob: str, path: str) -> None:
    """They could be matched in countless ways otherwise, and nothing else would run meanwhile."""
    started = time.thread_time()
    assert not matches_pattern(f"{path}bc", glob)
    assert time.thread_time() - started < 1.0
