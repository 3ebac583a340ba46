"""The edit matcher against what other agents' editors were tested with, and against anything at all."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.toolbox.edits import replace_text
from tests.vectors.edits import apply

CASES = json.loads((Path(__file__).parent / "cases" / "edits.json").read_text())
FOLD = str.maketrans({"\u2013": "-", "\u2019": "'", "\u201c": '"', "\u00a0": " "})
# Few different lines, so that they repeat, in all the shapes that the passes forgive.
LINES = st.sampled_from(
    [
        "a",
        "b",
        "  a",
        "    a",
        "\ta",
        "a ",
        "a\t",
        "",
        "  ",
        "x = 'q'",
        "x = \u2019q\u2019",
        "a-b",
        "a\u2013b",
        "aa",
        "...",
    ]
)
TEXTS = st.builds(
    lambda lines, sep, end, mark: mark + sep.join(lines) + end,
    st.lists(LINES, max_size=7),
    st.sampled_from(["\n", "\n", "\r\n"]),
    st.sampled_from(["", "\n"]),
    st.sampled_from(["", "", "\ufeff"]),
)
ANYTHING = st.text(st.sampled_from("ab \t\n\r\u2013\ufeff\udce9\x0c\u2028"), max_size=12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_vectors_in_their_own_words(case: dict[str, object]) -> None:
    """The module that outside vectors are run through says what the vectors' policy says."""
    done = apply(case["content"], case["old"], case["new"], case["replace_all"])  # type: ignore[arg-type]
    policy = case["policy"]
    assert isinstance(policy, dict)
    if policy["ok"] is None:
        assert not done["ok"] or done["content"] in policy["either"]
    else:
        assert done == policy


@pytest.mark.parametrize(
    ("content", "old", "new", "expected"),
    [
        # A line that matches but for trailing blanks takes its own newline along and none of the next line's.
        ("top\ngone \n\nend\n", "gone\n", "", "top\n\nend\n"),
        ("top\ngone \n\nend\n", "gone\n", "here\n", "top\nhere\n\nend\n"),
        ("top\ngone \n \nend\n", "gone\n", "", "top\n \nend\n"),
        ("top\ngone \n\n\nend\n", "gone\n\n", "", "top\n\nend\n"),
        ("top\ngone \n\nend\n", "gone  ", "", "top\n\nend\n"),
        ("top\nlet s = `one \ntwo`;\n\nend\n", "let s = `one\ntwo`;\n", "let s = 1;\n", "top\nlet s = 1;\n\nend\n"),
        ("top\ngone ", "gone\n", "here\n", "top\nhere"),
        ("k \n\nk \nm\n", "k\n", "n\n", None),
        # What is written is written as it was given, blanks and quotes included.
        ("v = 1;\n", "v = 1;   \n", "v = 2;   \n", "v = 2;   \n"),
        ("v = 1;   \n", "v = 1;\n", "v = 2;\n", "v = 2;\n"),
        ("s = 'Don't'\n", "s = \u2018Don\u2019t\u2019", 's = "\u2013"  ', 's = "\u2013"  \n'),
        # A deletion takes a newline only with a whole line.
        ("one two\nthree\n", " two", "", "one\nthree\n"),
        ("one", "one", "", ""),
        # The end of the file and its first mark stay.
        ("a\nb\n", "b\n", "c", "a\nc\n"),
        ("a\nb", "b\n", "c", "a\nc"),
        ("\ufeffa\nb\n", "\ufeffa\n", "c\n", "\ufeffc\nb\n"),
        ("def f():\n\treturn 1", "def f():\n\treturn 1", "def f():\n\treturn 2", "def f():\n\treturn 2"),
        # Tabs are no spaces: no uniform shift turns one into the other.
        ("\ta\n\t\tb\n", "    a\n        b\n", "c\n", None),
    ],
)
def test_habits_of_models(content: str, old: str, new: str, expected: str | None) -> None:
    """What models get wrong and other editors were mended for ends well here, or is refused."""
    assert replace_text(content, old, new).content == expected


def bare(text: str) -> str:
    """A text without anything that a pass forgives."""
    lines = text.replace("\r\n", "\n").replace("\ufeff", "").translate(FOLD).strip().split("\n")
    return "\n".join(line.strip() for line in lines)


@settings(max_examples=400, deadline=None)
@given(content=TEXTS, old=TEXTS, new=TEXTS | ANYTHING, replace_all=st.booleans())
def test_nothing_outside_the_match_is_touched(content: str, old: str, new: str, replace_all: bool) -> None:
    """Every span that was replaced reads like old_string, and all around the spans is as it was."""
    done = replace_text(content, old, new, replace_all=replace_all)
    if done.content is None:
        assert done.error in {"not_found", "not_unique", "no_change", "empty_old", "already_applied"}
        assert done.explanation
        return
    assert replace_all or len(done.spans) == 1
    at, left = 0, done.content
    for number, (start, end) in enumerate(done.spans):
        assert bare(content[start:end]) == bare(old)
        assert content[start:end].count("\n") <= old.count("\n") + (bare(new) == ""), (
            "a deletion alone takes a newline along"
        )
        kept = content[at:start]
        assert left.startswith(kept) if number == 0 else kept in left
        left = left[left.index(kept) + len(kept) :]
        at = end
    assert left.endswith(content[at:])
    assert done.content.startswith("\ufeff") == content.startswith("\ufeff") or not content.startswith("\ufeff")


@settings(max_examples=300, deadline=None)
@given(content=TEXTS, old=TEXTS.filter(lambda text: bare(text) != ""), new=st.just("something new\n"))
def test_two_candidates_are_never_chosen_between(content: str, old: str, new: str) -> None:
    """When the text is there twice, exactly or but for trailing blanks, the edit is refused, unless all are meant."""
    text, sought = (each.replace("\r\n", "\n").removeprefix("\ufeff") for each in (content, old))
    exact = sum(text.startswith(sought, at) for at in range(len(text)))
    lines, wanted = ([line.rstrip() for line in each.removesuffix("\n").split("\n")] for each in (text, sought))
    trimmed = sum(lines[at : at + len(wanted)] == wanted for at in range(len(lines)))
    done = replace_text(content, old, new)
    if exact > 1 or (exact == 0 and trimmed > 1 and text.translate(FOLD).count(sought.translate(FOLD)) != 1):
        assert (done.content, done.error) == (None, "not_unique")
    elif exact == 1:
        assert done.content is not None


@settings(max_examples=300, deadline=None)
@given(content=ANYTHING, old=ANYTHING, new=ANYTHING, replace_all=st.booleans())
def test_anything_is_answered(content: str, old: str, new: str, replace_all: bool) -> None:
    """Whatever the three texts hold, there is an edit or a reason, and the same one again."""
    done = replace_text(content, old, new, replace_all=replace_all)
    assert (done.content is None) == bool(done.error)
    assert vars(replace_text(content, old, new, replace_all=replace_all)) == vars(done)


@pytest.mark.parametrize(
    ("content", "old"),
    [
        ("}\n" * 100_000, "}\n" * 2_000 + "x\n"),
        ("  }\n" * 100_000, "}\n" * 2_000),
        ("} \n" * 100_000, "}\n" * 2_000),
        (("\t}\n" * 1_999 + " }\n") * 50, "  }\n" * 2_000),
        ("}\n" * 100_000, "  }\n" * 2_000),
    ],
    ids=["not there", "shifted", "trimmed", "other indents", "no room for the shift"],
)
def test_equal_lines_cost_linear_time(content: str, old: str) -> None:
    """A generated file of a hundred thousand equal lines is searched for two thousand of them at once."""
    started = time.thread_time()
    assert replace_text(content, old, "y\n").content is None
    assert time.thread_time() - started < 4.0
