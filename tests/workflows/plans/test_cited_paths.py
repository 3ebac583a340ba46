"""What an answer cites is held against the tree: a wrong path or line is marked, and nothing else is touched."""

from __future__ import annotations

import time

import pytest

from workflows.plans.cited_paths import check_citations, say_missing

TREE = {"app/cli.py": 40, "Makefile": 3, "docs/page.md": 10, "src/[id]/page.tsx": 5}


def check(text: str) -> tuple[str, tuple[str, ...]]:
    done = check_citations(text, names=TREE, lines_of=TREE.get)
    return done.text, done.missing


@pytest.mark.parametrize(
    "text",
    [
        "It is in `app/cli.py:12`.",
        "See app/cli.py:12-40, and `./app/cli.py`.",
        "See `app/cli.py#L3-L9` and `app`, `app/` and `Makefile:3`.",
        "It listens on localhost:8080, example.org:443 and http://example.org:80/a/b.py:3.",
        "`os.path`, `a.b`, `x/y`, 12:30 and `1.5` are no files.",
        "```python\n# nowhere.py:3\n```\nand\n~~~\n`nowhere.py:3`\n~~~",
        "A [link](nowhere.py:3) is not marked inside its target.",
        "`src/[id]/page.tsx:5`",
    ],
)
def test_what_stands_is_left_alone(text: str) -> None:
    """Paths that are there, and words that only look like paths, keep every character."""
    assert check(text) == (text, ())


@pytest.mark.parametrize(
    ("text", "marked", "missing"),
    [
        ("In `app/gone.py:3`.", "In `app/gone.py:3` (no such file here).", "app/gone.py:3"),
        ("In app/gone.py:3, too.", "In app/gone.py:3 (no such file here), too.", "app/gone.py:3"),
        ("In `gone.py`.", "In `gone.py` (no such file here).", "gone.py"),
        ("In `app/cli.py:41`.", "In `app/cli.py:41` (this file has 40 lines).", "app/cli.py:41"),
        ("In `app/new`.", "In `app/new` (no such file here).", "app/new"),
    ],
)
def test_what_is_not_there_is_marked(text: str, marked: str, missing: str) -> None:
    """The mark stands behind the citation, outside of its code span."""
    assert check(text) == (marked, (missing,))


def test_each_is_named_once() -> None:
    """The sentence for the model names every one, ten at most, and says what to do."""
    _, missing = check("`a.py` `a.py` `b.py:1`")
    assert missing == ("a.py", "b.py:1")
    assert say_missing(missing).startswith("this is cited and is not in the repository: `a.py`, `b.py:1`. Look again")
    assert " and 2 more." in say_missing([f"{n}.py" for n in range(12)])
    assert say_missing(()) == ""


@pytest.mark.parametrize("piece", ["a/", "a.", "`a/", "a:1", "a-", "`", "a.b/c.", "a/b.py:1-", "a/(", "./a/("])
def test_hostile_answers_take_linear_time(piece: str) -> None:
    """65,536 characters of anything that the pattern could stumble over are checked in well under a second."""
    started = time.thread_time()
    check(piece * (65_536 // len(piece)))
    assert time.thread_time() - started < 1.0
