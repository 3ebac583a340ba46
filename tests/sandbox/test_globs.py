"""Globs as the file tools take them."""

from __future__ import annotations

import re
import time

import pytest

from sandbox.toolbox.globs import compile_glob


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("*.py", ["a.py", "b/c/a.py"], ["a.pyc"]),
        ("./src/**/*.py", ["src/a.py", "src/b/c/a.py"], ["a.py", "lib/src/a.py"]),
        ("src/**", ["src/a", "src/b/c"], ["src"]),
        ("**/**/**/a", ["a", "x/y/a"], ["b"]),
        ("a***b", ["ab", "a/x/b"], ["a"]),
        ("x.{c,h}", ["x.c", "d/x.h"], ["x.cc"]),
        ("[!a]?", ["bc", "d/bc"], ["ab"]),
        ("a[b", ["a[b"], ["ab"]),
    ],
)
def test_what_a_pattern_matches(pattern: str, names: list[str], others: list[str]) -> None:
    """Stars stay in a folder, two of them cross folders, and more than that are no more than that."""
    matches = compile_glob(pattern)
    assert [name for name in names if not matches(name)] == []
    assert [name for name in others if matches(name)] == []


@pytest.mark.parametrize("pattern", ["{" * 2_000, "{a," * 21, "[z-a]", "{a"])
def test_a_pattern_that_is_none_is_an_error_of_its_own(pattern: str) -> None:
    """Not one of the interpreter's, which would end the toolbox."""
    with pytest.raises(re.error):
        compile_glob(pattern)


@pytest.mark.parametrize("pattern", ["**/" * 500 + "b", "*" * 5_000 + "b", "**" * 500 + "/b"])
def test_stars_beside_stars_cost_no_more_than_one(pattern: str) -> None:
    """They could be matched in countless ways otherwise."""
    started = time.thread_time()
    assert not compile_glob(pattern)("a/" * 100 + "a" * 200)
    assert time.thread_time() - started < 1.0
