"""Changelog entries in the way each repository keeps them."""

from __future__ import annotations

import json

import pytest

from workflows.agent.describe import Category, ChangelogText
from workflows.repository.policy import ChangelogStyle
from workflows.texts.changelog import ChangelogEntry, plan_changelog

TEXT = "Dates before 1970 are parsed."


def plan(
    files: dict[str, str],
    *,
    category: Category = "Fixed",
    text: str = TEXT,
    style: ChangelogStyle = "auto",
    patched: tuple[str, ...] = (),
    issue: int = 123,
) -> ChangelogEntry:
    """Plan an entry, and check that planning it again on the result changes nothing."""
    wanted = ChangelogText(category=category, text=text)

    def once(tree: dict[str, bytes]) -> ChangelogEntry:
        made = plan_changelog(wanted, issue=issue, style=style, names=list(tree), read=tree.get, patched=patched)
        assert made is not None
        return made

    tree = {path: content.encode() for path, content in files.items()}
    entry = once(tree)
    assert entry == once(tree)
    if entry.file is not None:
        assert entry.path == entry.file.path
        again = once({**tree, entry.file.path: entry.file.content or b""})
        assert (again.path, again.file) == (entry.path, None), "planning twice added twice"
    return entry


def content(entry: ChangelogEntry) -> str:
    assert entry.file is not None
    assert entry.file.mode == "100644"
    assert entry.file.content is not None
    return entry.file.content.decode()


def test_without_a_changelog_the_entry_has_no_place() -> None:
    """No sign of a changelog: the entry goes to the pull request's text."""
    entry = plan({"README.md": "x", "src/changes/x.py": "y"})
    assert (entry.style, entry.path, entry.file, entry.text) == ("body", None, None, TEXT)


def test_nothing_to_say() -> None:
    """No entry from the model, an empty one, or a policy of none: no entry."""
    wanted = ChangelogText(category="Fixed", text=TEXT)
    assert plan_changelog(None, issue=1, style="auto", names=[], read=lambda path: None) is None
    assert plan_changelog(wanted, issue=1, style="none", names=[], read=lambda path: None) is None
    empty = ChangelogText(category="Fixed", text=" \n")
    assert plan_changelog(empty, issue=1, style="auto", names=[], read=lambda path: None) is None
    assert plan({"CHANGELOG.md": "## [Unreleased]\n"}, style="body").file is None


# --- towncrier ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "category", "path"),
    [
        ({"pyproject.toml": "[tool.towncrier]\n"}, "Fixed", "newsfragments/123.bugfix.rst"),
        ({"pyproject.toml": '[tool.towncrier]\npackage = "p"\n'}, "Added", "p/newsfragments/123.feature.rst"),
        (
            {"pyproject.toml": '[tool.towncrier]\npackage = "p"\npackage_dir = "src"\nfilename = "NEWS.md"\n'},
            "Removed",
            "src/p/newsfragments/123.removal.md",
        ),
        ({"towncrier.toml": '[tool.towncrier]\ndirectory = "news"\n'}, "Fixed", "news/123.bugfix.rst"),
        (
            {
                "towncrier.toml": '[tool.towncrier]\ndirectory = "news"\n',
                "news/9.bugfix.md": "x",
                "news/README.rst": "",
            },
            "Fixed",
            "news/123.bugfix.md",
        ),
        (
            {"towncrier.toml": '[tool.towncrier]\ndirectory = "news"\n', "news/9.bugfix": "x"},
            "Fixed",
            "news/123.bugfix",
        ),
        (
            {"pyproject.toml": '[tool.towncrier]\n[[tool.towncrier.type]]\ndirectory = "fix"\nname = "Bugs"\n'},
            "Fixed",
            "newsfragments/123.fix.rst",
        ),
        ({"pyproject.toml": "[tool.towncrier.fragment.Security]\n"}, "Security", "newsfragments/123.security.rst"),
        (
            {"pyproject.toml": '[[tool.towncrier.section]]\npath = "core"\n[[tool.towncrier.section]]\npath = ""\n'},
            "Changed",
            "newsfragments/123.misc.rst",
        ),
        (
            {"pyproject.toml": "[tool.towncrier]\n", "CHANGELOG.md": "## [Unreleased]\n"},
            "Fixed",
            "newsfragments/123.bugfix.rst",
        ),
    ],
)
def test_towncrier(files: dict[str, str], category: Category, path: str) -> None:
    """The folder, type and suffix that towncrier would look for; the text alone in the file."""
    entry = plan(files, category=category)
    assert (entry.style, entry.path) == ("towncrier", path)
    assert content(entry) == f"{TEXT}\n"


def test_towncrier_keeps_other_fragments_of_the_issue() -> None:
    """An issue's second fragment gets a number and overwrites nothing; without an issue the name is an orphan's."""
    files = {"pyproject.toml": "[tool.towncrier]\n", "newsfragments/123.bugfix.rst": "Other.\n"}
    assert plan(files).path == "newsfragments/123.bugfix.1.rst"
    assert plan({"pyproject.toml": "[tool.towncrier]\n"}, issue=0).path == (
        "newsfragments/+dates-before-1970-are-parsed.bugfix.rst"
    )


def test_hostile_settings_lead_nowhere() -> None:
    """Settings that leave the repository or cannot be read are no settings."""
    for bad in (
        '[tool.towncrier]\ndirectory = "../x"\n',
        '[tool.towncrier]\ndirectory = "/etc"\n',
        "[tool.towncrier\n",
    ):
        assert plan({"pyproject.toml": bad}).style == "body"


# --- changesets ---------------------------------------------------------------------------------------------------


def test_changesets() -> None:
    """Front matter with the package and its bump."""
    files = {".changeset/config.json": "{}", "package.json": json.dumps({"name": "@scope/pkg"})}
    entry = plan(files)
    assert entry.path == ".changeset/issue-123-dates-before-1970-are-parsed.md"
    assert content(entry) == f'---\n"@scope/pkg": patch\n---\n\n{TEXT}\n'
    assert '"@scope/pkg": minor' in content(plan(files, category="Added"))


def test_changesets_in_a_workspace() -> None:
    """Of several packages none is guessed; the only one is taken."""
    root = {".changeset/config.json": "{}", "package.json": '{"name": "root", "workspaces": ["packages/*"]}'}
    assert '"a": patch' in content(plan({**root, "packages/a/package.json": '{"name": "a"}'}))
    two = {**root, "packages/a/package.json": '{"name": "a"}', "packages/b/package.json": '{"name": "b"}'}
    assert plan(two).style == "body"


def test_changesets_names_the_package_that_was_changed() -> None:
    """Among several packages the one whose files the change touches is named."""
    root = {".changeset/config.json": "{}", "package.json": '{"name": "root", "workspaces": ["packages/*"]}'}
    two = {**root, "packages/a/package.json": '{"name": "a"}', "packages/b/package.json": '{"name": "b"}'}
    assert '"b": patch' in content(plan(two, patched=("packages/b/src/x.ts", "packages/b/test/x.ts")))
    assert plan(two, patched=("packages/a/x.ts", "packages/b/x.ts")).style == "changesets"


# --- scriv and plain fragments ------------------------------------------------------------------------------------


def test_scriv() -> None:
    """The folder, format and categories of scriv's settings, wherever they stand."""
    entry = plan({"setup.cfg": "[tool.scriv]\nformat = md\nfragment_directory = changes.d\n"})
    assert entry.path == "changes.d/issue-123-dates-before-1970-are-parsed.md"
    assert content(entry) == f"### Fixed\n\n- {TEXT}\n"
    rst = plan({"pyproject.toml": '[tool.scriv]\ncategories = ["New", "Fixed"]\n'})
    assert rst.path == "changelog.d/issue-123-dates-before-1970-are-parsed.rst"
    assert content(rst) == f"Fixed\n-----\n\n- {TEXT}\n"
    ini = plan({"changelog.d/scriv.ini": "[scriv]\nformat = md\ncategories = \n"})
    assert content(ini) == f"- {TEXT}\n"


@pytest.mark.parametrize(
    ("files", "path", "text"),
    [
        ({"changelog.d/README.md": "x"}, "changelog.d/123.md", f"{TEXT}\n"),
        ({"changelog.d/1.bugfix": "Old.\n", "changelog.d/2.feature": "O"}, "changelog.d/123.bugfix", f"{TEXT}\n"),
        ({"changes/1.fix.md": "* Old.\n", "changes/22.fix.md": "* O"}, "changes/123.fix.md", f"* {TEXT}\n"),
        ({"changes/pr-1.txt": "- Old.\n", "changes/2.txt": "- O"}, "changes/123.txt", f"- {TEXT}\n"),
        ({"newsfragments/41.misc.rst": "Old."}, "newsfragments/123.bugfix.rst", f"{TEXT}\n"),
    ],
)
def test_fragment_folders(files: dict[str, str], path: str, text: str) -> None:
    """A folder of fragments without a tool: named and written like those that are there."""
    entry = plan(files)
    assert (entry.style, entry.path) == ("fragments", path)
    assert content(entry) == text


@pytest.mark.parametrize(
    "files",
    [
        {"changes/1.2.0.md": "x", "changes/1.3.0.md": "y"},
        {"changes/v2.0.md": "x", "changes/7.md": "x"},
        {"changes/overview.md": "x", "changes/guide.md": "y"},
        {"changes/apply.py": "x"},
    ],
)
def test_other_folders_are_no_fragment_folders(files: dict[str, str]) -> None:
    """Release pages, documents and code in a folder called `changes` are left alone."""
    assert plan(files).style == "body"


# --- Keep a Changelog ---------------------------------------------------------------------------------------------

PAGE = """\
# Changelog

All notable changes. https://keepachangelog.com

## [Unreleased]

### Added

- Something new.

### Fixed

- Something old.

## [1.0.0] - 2026-01-01

### Fixed

- First.

[Unreleased]: https://example.com/compare/v1.0.0...HEAD
[1.0.0]: https://example.com/v1.0.0
"""


def added(page: str, **how: object) -> str:
    return content(plan({"CHANGELOG.md": page}, **how))  # type: ignore[arg-type]


def test_an_entry_joins_its_category() -> None:
    """The entry stands last under its category in Unreleased, and nothing else changes."""
    assert added(PAGE) == PAGE.replace("- Something old.\n", f"- Something old.\n- {TEXT}\n")


@pytest.mark.parametrize(
    ("category", "before"),
    [
        ("Changed", "### Fixed\n\n- Something old"),
        ("Removed", "### Fixed\n\n- Something old"),
        ("Security", "## [1.0.0]"),
    ],
)
def test_a_missing_category_is_made_in_the_usual_order(category: Category, before: str) -> None:
    """Added, Changed, Deprecated, Removed, Fixed, Security."""
    assert added(PAGE, category=category) == PAGE.replace(before, f"### {category}\n\n- {TEXT}\n\n{before}", 1)


def test_an_empty_section() -> None:
    """The first entry of a section, before the next release, links, or the file's end."""
    assert added("## [Unreleased]\n\n## [1.0]\n") == f"## [Unreleased]\n\n### Fixed\n\n- {TEXT}\n\n## [1.0]\n"
    assert added("## Unreleased\n") == f"## Unreleased\n\n### Fixed\n\n- {TEXT}\n"
    assert added("## Unreleased") == f"## Unreleased\n\n### Fixed\n\n- {TEXT}\n"
    assert added("## [Unreleased]\n[Unreleased]: x\n") == (
        f"## [Unreleased]\n\n### Fixed\n\n- {TEXT}\n\n[Unreleased]: x\n"
    )
    assert added("## [Unreleased]\n### Fixed\n## [1.0]\n") == (f"## [Unreleased]\n### Fixed\n\n- {TEXT}\n\n## [1.0]\n")


def test_a_list_without_categories() -> None:
    """Where the section is a plain list, the entry joins it, with its mark."""
    page = "# Changes\n\n## Unreleased\n\n* One.\n* Two.\n\n## 1.0\n\n* Zero.\n"
    assert added(page) == page.replace("* Two.\n", f"* Two.\n* {TEXT}\n")


def test_tight_sections_stay_tight() -> None:
    """Where headings have no empty line after them, a new one has none either."""
    page = "## [Unreleased]\n### Added\n- One.\n\n## [1.0]\n"
    assert added(page) == f"## [Unreleased]\n### Added\n- One.\n\n### Fixed\n- {TEXT}\n\n## [1.0]\n"


def test_line_endings_and_marks_stay() -> None:
    """CRLF and a byte order mark stay as they were."""
    page = "\ufeff" + PAGE.replace("\n", "\r\n")
    result = added(page)
    assert result == page.replace("- Something old.\r\n", f"- Something old.\r\n- {TEXT}\r\n")


def test_issue_numbers_are_added_where_others_have_them() -> None:
    """An entry gets ``(#123)`` when the file's entries have such."""
    page = PAGE.replace("- First.", "- First. (#7)")
    assert f"- {TEXT} (#123)\n" in added(page)
    assert "(#123) (#123)" not in added(page, text="Fixed it (#123)")


def test_an_entry_that_stands_there_is_not_added_again() -> None:
    """The same words, by whoever, are one entry."""
    entry = plan({"CHANGELOG.md": PAGE.replace("- Something old.", f"- {TEXT.lower()} (#123)")})
    assert (entry.path, entry.file) == ("CHANGELOG.md", None)


def test_headings_in_code_are_no_headings() -> None:
    """An example in a code block is not the section."""
    page = "```\n## [Unreleased]\n### Fixed\n- x\n```\n\n## [Unreleased]\n\n### Fixed\n\n- y\n"
    assert added(page).endswith(f"### Fixed\n\n- y\n- {TEXT}\n")


def test_a_section_is_opened_where_the_format_is_kept() -> None:
    """A file that says it keeps the format gets an Unreleased section; another file does not."""
    page = "# Changelog\n\nhttps://keepachangelog.com/en/1.1.0/\n\n## [1.0.0]\n\n### Fixed\n\n- x\n"
    assert "1.1.0/\n\n## [Unreleased]\n\n### Fixed\n\n- Dates" in added(page)
    assert plan({"CHANGELOG.md": page.replace("keepachangelog", "example")}).style == "body"
    assert "## Unreleased\n" in added(page.replace("[1.0.0]", "1.0.0"))


@pytest.mark.parametrize("name", ["CHANGELOG.md", "changelog.md", "CHANGES.md", "History.md", "docs/CHANGELOG.md"])
def test_the_file_is_found(name: str) -> None:
    """Under its usual names."""
    assert plan({name: PAGE}).path == name


# --- policy and the agent's own entry -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "path"),
    [
        ("towncrier", "newsfragments/123.bugfix.rst"),
        ("scriv", "changelog.d/issue-123-dates-before-1970-are-parsed.md"),
        ("fragments", "changelog.d/123.md"),
        ("keepachangelog", "CHANGELOG.md"),
    ],
)
def test_the_policy_decides(style: ChangelogStyle, path: str) -> None:
    """A style named by the policy is used with its defaults where there is no sign of it."""
    entry = plan({"README.md": ""}, style=style)
    assert (entry.style, entry.path) == (style, path)
    assert TEXT in content(entry)


def test_an_entry_of_the_agent_s_own_stands() -> None:
    """Where the change already brings an entry, none is added."""
    entry = plan({"CHANGELOG.md": PAGE}, patched=("CHANGELOG.md",))
    assert (entry.path, entry.file) == ("CHANGELOG.md", None)
    files = {"pyproject.toml": "[tool.towncrier]\n", "newsfragments/123.feature.rst": "Own.\n"}
    entry = plan(files, patched=("newsfragments/123.feature.rst",))
    assert (entry.path, entry.file) == ("newsfragments/123.feature.rst", None)
    assert plan(files, patched=("newsfragments/README.md",)).file is not None


def test_the_text_is_one_plain_line() -> None:
    """Line breaks, list marks and excess are taken out of the model's words."""
    assert plan({}, text="- Fix:\n\n  a  b").text == "Fix: a b"
    assert len(plan({}, text="x " * 1000).text) <= 500


def test_binary_and_broken_files_do_no_harm() -> None:
    """A changelog that is not text, or settings that are not what they seem, end in the pull request's text."""
    assert plan_changelog(
        ChangelogText(category="Fixed", text=TEXT),
        issue=1,
        style="auto",
        names=["CHANGELOG.md", "package.json", ".changeset/config.json", "setup.cfg"],
        read={"CHANGELOG.md": b"\xff## [Unreleased]\n", "package.json": b"[" * 100_000, "setup.cfg": b"[["}.get,
    ) == ChangelogEntry(style="body", category="Fixed", text=TEXT)
