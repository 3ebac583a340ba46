"""Globs as the file tools take them."""

from __future__ import annotations

import random
import re
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        ("[[&&~~\\]", ["[", "&", "~", "\\"], ["a", "^"]),
        ("[!]a]", ["b"], ["]", "a"]),
        ("{a,b{c,}}/{*,**}.{x,y}", ["a/b.x", "bc/d/e.y", "b/.x"], ["c/b.x", "a/b.z"]),
    ],
)
def test_what_a_pattern_matches(pattern: str, names: list[str], others: list[str]) -> None:
    """Stars stay in a folder, two of them cross folders, and more than that are no more than that."""
    matches = compile_glob(pattern)
    assert [name for name in names if not matches(name)] == []
    assert [name for name in others if matches(name)] == []


@pytest.mark.parametrize("pattern", ["{" * 2_000, "{a," * 21, "[z-a]", "[!z-a]", "{a"])
def test_a_pattern_that_is_none_is_an_error_of_its_own(pattern: str) -> None:
    """Not one of the interpreter's, which would end the toolbox."""
    with pytest.raises(re.error):
        compile_glob(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "**/" * 500 + "b",
        "*" * 5_000 + "b",
        "**" * 500 + "/b",
        "*a*a*a*a*b",
        "*a" * 100 + "b",
        "**/*a/" * 20 + "b",
        "**a" * 20 + "b",
        "{a,aa,*}" * 20 + "b",
        "?*" * 20 + "[!a]",
    ],
)
@pytest.mark.parametrize("path", ["a" * 200, "a/" * 100 + "a" * 200])
def test_many_stars_cost_little(pattern: str, path: str) -> None:
    """They could be matched in countless ways otherwise, and nothing else would run meanwhile."""
    started = time.thread_time()
    assert not compile_glob(pattern)(path)
    assert time.thread_time() - started < 1.0


def test_what_is_remembered_has_a_bound() -> None:
    """After so many steps and states the matcher begins anew: between two paths, and within one."""
    matches = compile_glob("*x" + "?" * 500 + "*z")
    order = random.Random(1)
    names = ["".join(order.choice("xy") for _ in range(2_000)) for _ in range(2)]
    tracemalloc.start()
    try:
        assert [matches(f"{name}z") for name in names] == [True] * 2
        assert [matches(f"{name}za") for name in names] == [False] * 2
        assert tracemalloc.get_traced_memory()[1] < 25_000_000
    finally:
        tracemalloc.stop()


def translated(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression, which says the same, but may take its time."""
    pattern = pattern.removeprefix("./")
    words = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}
    expression, depth = "", 0
    for part in re.findall(r"\*\*/|\*\*|\[.*?\]|.", pattern if "/" in pattern else "**/" + pattern):
        if part.startswith("[") and len(part) > 1:
            expression += "[" + part[1:].replace("!", "^", part[1] == "!").replace("[", r"\[")
        elif part in ",}" and not depth:
            expression += re.escape(part)
        else:
            depth += {"{": 1, "}": -1}.get(part, 0)
            expression += words.get(part) or re.escape(part)
    return re.compile(f"(?s:{expression})")


PARTS = ["a", "b", "/", ".", "*", "**", "**/", "?", "{", "}", ",", "[ab]", "[!a]", "[^/]", "[b-]", "[", "./"]


@settings(max_examples=500, derandomize=True, deadline=None)
@given(
    parts=st.lists(st.sampled_from(PARTS), max_size=8),
    paths=st.lists(st.text("ab/.[", max_size=8), min_size=1, max_size=8),
)
def test_a_pattern_matches_what_its_regular_expression_does(parts: list[str], paths: list[str]) -> None:
    """Whatever is beside or within each other."""
    pattern = "".join(parts)
    try:
        expected = translated(pattern)
    except re.error:
        with pytest.raises(re.error):
            compile_glob(pattern)
        return
    matches = compile_glob(pattern)
    assert [path for path in paths if matches(path)] == [path for path in paths if expected.fullmatch(path)]
