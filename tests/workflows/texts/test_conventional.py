"""Conventional Commits, read as the specification has them and as people write them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.agent.describe import CATEGORIES, Category
from workflows.texts.conventional import (
    TYPE_OF,
    TYPES,
    ConventionalCommit,
    category_of,
    parse_breaking_notes,
    parse_conventional,
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("feat: add a", ConventionalCommit(type="feat", description="add a")),
        ("fix(parser): b (#12)", ConventionalCommit(type="fix", scope="parser", description="b (#12)")),
        ("FEAT: shout", ConventionalCommit(type="feat", description="shout")),
        ("fix:  two spaces", ConventionalCommit(type="fix", description="two spaces")),
        ("docs!: c", ConventionalCommit(type="docs", description="c", breaking=True)),
        ("chore(deps-dev)!: d", ConventionalCommit(type="chore", scope="deps-dev", description="d", breaking=True)),
        ("fix(a/b, c): e\r\n\r\nbody", ConventionalCommit(type="fix", scope="a/b, c", description="e")),
        ('Revert "feat: x"', ConventionalCommit(type="revert", description='Revert "feat: x"')),
    ],
)
def test_conventional_messages(message: str, expected: ConventionalCommit) -> None:
    """Type, scope, mark and description are read, whatever the type's case."""
    assert parse_conventional(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Add a",
        "feat add a",
        "feat:add a",
        "feat: ",
        "feat(): a",
        "feat(a: b",
        "feat !: a",
        "Note: the parser is slow",
        "Windows: paths with spaces",
        "fixup! feat: a",
        "Merge pull request #1 from a/fix: b",
        'Revert "Add a"',
        "body first\nfeat: a",
    ],
)
def test_other_messages(message: str) -> None:
    """What does not follow the convention is not forced into it."""
    assert parse_conventional(message) is None


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        ("BREAKING CHANGE: a", ("a",)),
        ("BREAKING-CHANGE: a", ("a",)),
        ("words\n\nBREAKING CHANGE: a\n  goes on\nReviewed-by: Z\n", ("a goes on",)),
        ("Refs: #1\nBREAKING CHANGE: a\nBREAKING CHANGE: b", ("a", "b")),
        ("BREAKING CHANGE: a\nRefs #12", ("a",)),
        ("* feat: x\n\nBREAKING CHANGE: a\n\n* fix: y", ("a",)),
        ("breaking change: a", ()),
        ("This has no BREAKING CHANGE: at all", ()),
        ("BREAKING CHANGE: none", ()),
        ("BREAKING CHANGE: N/A.", ()),
        ("BREAKING CHANGE: no more Python 3.8", ("no more Python 3.8",)),
        ("BREAKING CHANGE:a", ()),
    ],
)
def test_breaking_footers(body: str, notes: tuple[str, ...]) -> None:
    """BREAKING CHANGE is found as a footer in capitals, ends with the next footer, and makes any type breaking."""
    assert parse_breaking_notes(body) == notes
    commit = parse_conventional(f"chore: x\n\n{body}")
    assert commit is not None
    assert (commit.breaking, commit.breaking_notes) == (bool(notes), notes)


@pytest.mark.parametrize(
    ("message", "category"),
    [
        ("feat: a", "Added"),
        ("fix: a", "Fixed"),
        ("perf: a", "Changed"),
        ('Revert "feat: a"', "Changed"),
        ("security: a", "Security"),
        ("fix(security): a", "Security"),
        ("docs(security): a", None),
        ("chore: a", None),
        ("chore!: a", "Changed"),
        ("refactor!: drop Python 3.8", "Removed"),
        ("feat: remove the old page", "Removed"),
        ("fix: remove a stray newline", "Fixed"),
        ("feat: deprecate --old", "Deprecated"),
        ("ci: a", None),
    ],
)
def test_categories(message: str, category: Category | None) -> None:
    """Each type stands for a category of Keep a Changelog, or for nothing that users notice unless it breaks them."""
    commit = parse_conventional(message)
    assert commit is not None
    assert category_of(commit) == category


def test_every_category_has_a_type() -> None:
    """A title that we write with a type is read again as one."""
    assert set(TYPE_OF) == set(CATEGORIES)
    assert set(TYPE_OF.values()) <= set(TYPES)


@given(
    kind=st.sampled_from(sorted(TYPES)),
    scope=st.from_regex(r"[a-z][a-z0-9/-]{0,9}", fullmatch=True),
    breaking=st.booleans(),
    description=st.text(alphabet="abc :()!#\"'é", min_size=1, max_size=30).filter(lambda text: text.strip() != ""),
)
def test_written_and_read(*, kind: str, scope: str, breaking: bool, description: str) -> None:
    """What is put together by the convention is taken apart into the same parts."""
    found = parse_conventional(f"{kind}({scope}){'!' if breaking else ''}: {description}")
    assert found == ConventionalCommit(type=kind, scope=scope, breaking=breaking, description=description.strip())


@given(st.text())
def test_any_text(message: str) -> None:
    """No message makes the reader fail."""
    parse_conventional(message)


@pytest.mark.parametrize("piece", ["feat(", "feat: ", "BREAKING CHANGE: x\n", 'Revert "', "a:\n", " \n", "BREAKING "])
def test_hostile_size(piece: str) -> None:
    """A message of 65,536 characters is read in under half a second, on a busy machine too."""
    for head in ("", "feat: x\n\n"):
        message = head + piece * (65_536 // len(piece))
        start = time.thread_time()
        parse_conventional(message)
        assert time.thread_time() - start < 0.5
