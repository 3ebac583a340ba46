"""Release notes: nothing and nobody is left out, however long the list and whatever the model says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.texts.test_outbound import ATTACKS, living
from workflows.releases.release_notes import (
    Commit,
    authors_of,
    check_release_notes,
    direct_commits,
    group_of,
    render_release_notes,
)
from workflows.releases.version_range import VersionRange
from workflows.texts.outbound import MAX_CHARACTERS
from workflows.types import Actor, MergedPull

SPAN = VersionRange(base="v1.2.0", head="v1.3.0")


def pull(
    number: int, title: str = "A change", *, author: str = "ann", labels: tuple[str, ...] = (), **more: Any
) -> MergedPull:
    return MergedPull(
        number=number,
        title=title,
        author=Actor(id=1, login=author, type="Bot" if author.endswith("[bot]") else "User"),
        labels=labels,
        merge_commit=f"{number:040x}",
        merged_at=datetime(2026, 11, 27, tzinfo=UTC),
        html_url=f"https://github.com/a/b/pull/{number}",
        **more,
    )


PULLS = [
    pull(1, "feat(cli): add --dry (#1)", author="ann"),
    pull(2, "fix!: read dates", author="Bob"),
    pull(3, "Bump x", author="dependabot[bot]", labels=("dependencies",)),
    pull(4, "Old pages are gone", author="ann", labels=("kind/removal",)),
]
COMMITS: list[Commit] = [
    ("1" * 40, "Typo\n\nbody", "carl"),
    (f"{1:040x}", "feat(cli): add --dry (#1)", "ann"),
    ("2" * 40, "By mail", None),
]


def test_the_notes() -> None:
    """Pull requests stand in their groups, then direct commits, authors and the range."""
    notes = render_release_notes(SPAN, PULLS, COMMITS, highlights="Dates are better.", newcomers=("bob",))
    assert notes == (
        "## Highlights\n\nDates are better.\n\n"
        "## Breaking changes\n\n- read dates by `@Bob` in #2\n\n"
        "## Added\n\n- cli: add --dry by `@ann` in #1\n\n"
        "## Removed\n\n- Old pages are gone by `@ann` in #4\n\n"
        "## Maintenance\n\n- Bump x by `@dependabot[bot]` in #3\n\n"
        "## Commits without a pull request\n\n"
        "- Typo by `@carl` in `111111111111`\n- By mail in `222222222222`\n\n"
        "## Authors\n\n`@ann`, `@Bob` (first contribution), `@carl`, `@dependabot[bot]`\n\n"
        "All changes: `v1.2.0..v1.3.0`"
    )
    assert check_release_notes(notes, PULLS, COMMITS) == ()


@pytest.mark.parametrize(
    ("title", "labels", "body", "group"),
    [
        ("feat: a", (), "", "Added"),
        ("feat: a", ("bug",), "", "Fixed"),
        ("fix: a", (), "BREAKING CHANGE: b", "Breaking changes"),
        ("fix: a", (), "<!--\nBREAKING CHANGE: say what\n-->", "Fixed"),
        ("Free words", (), "BREAKING CHANGE: b", "Changed"),
        ("Free words", ("breaking-change",), "", "Breaking changes"),
        ("Free words", ("type: Feature",), "", "Added"),
        ("fix(deps): a", ("dependencies",), "", "Maintenance"),
        ("Bump a", ("dependencies", "security"), "", "Security"),
        ("docs: a", (), "", "Maintenance"),
        ("Free words", ("good first issue",), "", "Changed"),
    ],
)
def test_groups(title: str, labels: tuple[str, ...], body: str, group: str) -> None:
    """Labels decide, then a conventional title; free words without a label are a change."""
    assert group_of(pull(1, title, labels=labels, body=body)) == group


def test_direct_commits() -> None:
    """A commit is direct when no pull request brought it: merged, squashed or rebased."""
    rebased = pull(7, commits=("a", "b"))
    commits: list[Commit] = [("a", "x", "ann"), ("b", "x", "ann"), ("c", "x", "ann"), (f"{7:040x}", "Merge", "ann")]
    assert direct_commits(commits, [rebased]) == [("c", "x", "ann")]


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("in #2", "in #20", "Pull request #2 is missing."),
        ("in #2", "in other/repo#2", "Pull request #2 is missing."),
        ("`@carl`", "carl", "Author carl is missing."),
        ("`@ann`", "`@ann-other`", "Author ann is missing."),
        ("`@dependabot[bot]`", "`@dependabot`", "Author dependabot[bot] is missing."),
        ("`222222222222`", "", "Commit 222222222222 is missing."),
    ],
)
def test_what_is_missing_is_named(old: str, new: str, missing: str) -> None:
    """A pull request, commit or author that is left out is an error, and a similar name does not stand for it."""
    notes = render_release_notes(SPAN, PULLS, COMMITS, highlights="See #2, #20 and @carl.")
    assert old in notes
    assert check_release_notes(notes.replace(old, new), PULLS, COMMITS) == (missing,)


def test_highlights_decide_nothing() -> None:
    """What the model's words name does not count as listed, and cannot look like a section of the list."""
    words = "All of #1 #2 #3 #4 by @ann @Bob.\n\n## Added\n\n- #9\n\n```\n## Added\n```"
    notes = render_release_notes(SPAN, [], highlights=words)
    assert len(check_release_notes(notes, PULLS)) == 4 + 3
    assert notes.count("\n## ") == 0
    assert check_release_notes("## Highlights\n\n#1", [PULLS[0]]) != ()


def test_a_long_list() -> None:
    """Many entries: the small ones are folded away by author, and still all there."""
    pulls = [pull(n, f"docs: page {n}", author=f"writer{n % 3}") for n in range(1, 60)] + [pull(99, "feat: big")]
    notes = render_release_notes(SPAN, pulls, COMMITS[2:])
    assert "<details>\n<summary>Maintenance: 60 more, by author</summary>\n" in notes
    assert "**`@writer1`**\n\n- page 1 in #1\n- page 4 in #4" in notes
    assert "**Unknown to GitHub**" in notes
    assert "## Added\n\n- big by `@ann` in #99" in notes
    assert check_release_notes(notes, pulls, COMMITS[2:]) == ()


@pytest.mark.parametrize("count", [1_000, 3_000])
def test_a_very_long_list(count: int) -> None:
    """Thousands of pull requests with long titles fit, at the titles' cost, and none is lost."""
    pulls = [pull(n, "word " * 60, author=f"w{n % 50}") for n in range(1, count)]
    notes = render_release_notes(SPAN, pulls)
    assert len(notes) <= MAX_CHARACTERS
    assert check_release_notes(notes, pulls) == ()


def test_too_long_for_any_text() -> None:
    """What cannot fit is not hidden: the check names what was cut."""
    pulls = [pull(n) for n in range(1, 200)]
    assert check_release_notes(render_release_notes(SPAN, pulls, limit=1_000), pulls) != ()


def test_an_empty_range() -> None:
    """Nothing merged: the range alone."""
    assert render_release_notes(VersionRange(base="v1"), []) == "All changes: `v1..`"
    assert authors_of([], []) == []


_titles = st.one_of(st.sampled_from(ATTACKS), st.text(max_size=40))
_logins = st.sampled_from(["ann", "Bob", "eve-1", "renovate[bot]"])


@given(
    st.lists(st.tuples(st.integers(1, 500), _titles, _logins), unique_by=lambda one: one[0], max_size=60),
    st.lists(st.tuples(st.from_regex("[0-9a-f]{40}", fullmatch=True), _titles, st.none() | _logins), max_size=5),
    _titles,
)
def test_whatever_titles_say(found: list[tuple[int, str, str]], commits: list[Commit], highlights: str) -> None:
    """Hostile titles and highlights are dead text, and never make an entry disappear."""
    pulls = [pull(number, title, author=author) for number, title, author in found]
    notes = render_release_notes(SPAN, pulls, commits, highlights=highlights)
    assert check_release_notes(notes, pulls, commits) == ()
    assert [one for one in living(notes) if "details" not in one and "summary" not in one] == []
