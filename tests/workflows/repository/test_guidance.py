"""Guidance files: which count, from which commit, and which one is the nearest."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.git.mirrors import Mirror, Mirrors
from workflows.repository.guidance import MOST_NESTED, nearest_guidance, nested_guidance, read_guidance, root_guidance
from workflows.repository.policy import Policy
from workflows.repository.survey import Survey, survey_repository

PATHS = ("AGENTS.md", "lib/AGENTS.md", "lib/CLAUDE.md", "lib/deep/er/QWEN.md", "docs/CLAUDE.md")


@pytest.mark.parametrize(
    ("touched", "nearest"),
    [
        ("setup.py", "AGENTS.md"),
        ("src/a.py", "AGENTS.md"),
        ("lib/a.py", "lib/AGENTS.md"),
        ("lib/deep/a.py", "lib/AGENTS.md"),
        ("lib/deep/er/a.py", "lib/deep/er/QWEN.md"),
        ("lib/deep/er/new/folder/a.py", "lib/deep/er/QWEN.md"),
        ("library/a.py", "AGENTS.md"),
        ("docs", "docs/CLAUDE.md"),
        ("docs/AGENTS.md", "docs/CLAUDE.md"),
        ("./lib//deep/../a.py", "lib/AGENTS.md"),
        ("/workspace/lib/a.py", "lib/AGENTS.md"),
        ("/workspace", "AGENTS.md"),
        ("", "AGENTS.md"),
        ("../lib/a.py", None),
        ("/etc/lib/a.py", None),
        ("/workspaces/lib/a.py", None),
    ],
)
def test_the_nearest_folder_wins(touched: str, nearest: str | None) -> None:
    """From the touched path upwards, AGENTS.md first in each folder; nothing outside the repository has guidance."""
    assert nearest_guidance(PATHS, touched) == nearest


@settings(max_examples=100, deadline=None)
@given(
    folders=st.lists(st.lists(st.sampled_from("ab"), max_size=4), max_size=6),
    touched=st.lists(st.sampled_from(["a", "b", "..", "."]), min_size=1, max_size=6),
)
def test_the_nearest_is_the_longest_folder_that_holds_the_path(folders: list[list[str]], touched: list[str]) -> None:
    """Compared with a search over all of them."""
    paths = ["/".join([*parts, "AGENTS.md"]) for parts in folders]
    inside: list[str] | None = []
    for part in touched:
        if inside is not None and part != ".":
            inside = (inside[:-1] if inside else None) if part == ".." else [*inside, part]
    holding = [parts for parts in folders if inside is not None and inside[: len(parts)] == parts]
    expected = "/".join([*max(holding, key=len), "AGENTS.md"]) if holding else None
    # A path that leaves the repository and comes back in would need the name of our own folder.
    assert nearest_guidance(paths, "/".join(touched)) == expected


def test_which_files_count() -> None:
    """For the whole: each agent's file and one CONTRIBUTING; for a folder: the agents' files, not too many of them."""
    names = {"CLAUDE.md", "AGENTS.md", "docs/CONTRIBUTING.md", "CONTRIBUTING", ".github/copilot-instructions.md", "x"}
    assert root_guidance(names) == ("AGENTS.md", "CLAUDE.md", ".github/copilot-instructions.md", "CONTRIBUTING")
    assert root_guidance(["docs/CONTRIBUTING.md"]) == ("docs/CONTRIBUTING.md",)
    many = [f"a/{number}/AGENTS.md" for number in range(1_000)]
    found = nested_guidance(
        [*many, "b/QWEN.md", "AGENTS.md", "b/README.md", "b/CONTRIBUTING.md", "c/" * 200 + "CLAUDE.md"]
    )
    assert len(found) == MOST_NESTED
    assert found[0] == "b/QWEN.md"
    assert set(found) <= {*many, "b/QWEN.md"}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with guidance of every kind, and a branch that rewrites it."""
    folder = tmp_path / "source"
    files = {
        "AGENTS.md": "Use tabs.\n",
        "QWEN.md": "Be brief.\n",
        "CONTRIBUTING": "Sign off.\n",
        ".github/copilot-instructions.md": "Use tabs.\n",
        "lib/AGENTS.md": "Use spaces here.\n",
        "lib/empty/AGENTS.md": " \n",
        "lib/a.py": "a = 1\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "CLAUDE.md").symlink_to("AGENTS.md")
    (folder / "docs").mkdir()
    (folder / "docs" / "CLAUDE.md").symlink_to("/etc/passwd")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "checkout", "-q", "-b", "change")
    (folder / "AGENTS.md").write_text("Obey the change.\n")
    (folder / "lib" / "AGENTS.md").write_text("Obey the change here too.\n")
    git(folder, "commit", "-q", "-a", "-m", "rewrite the guidance")
    return folder


@pytest.fixture
def mirror(tmp_path: Path, source: Path) -> Mirror:
    mirror = Mirrors(tmp_path / "mirrors", local_checkouts=True).at(7)
    mirror.fetch(str(source))
    return mirror


def survey(mirror: Mirror) -> Survey:
    base = mirror.resolve("main")
    assert base is not None
    return survey_repository(mirror, base=base, branch="main", policy=Policy())


def test_the_survey_finds_them(mirror: Mirror) -> None:
    """Each text once, links and copies left out; folders by path alone."""
    found = survey(mirror)
    assert found.guidance == {"AGENTS.md": "Use tabs.\n", "QWEN.md": "Be brief.\n", "CONTRIBUTING": "Sign off.\n"}
    assert found.nested_guidance == ("lib/AGENTS.md", "lib/empty/AGENTS.md")
    assert Survey.model_validate_json(found.model_dump_json()) == found


def test_only_the_base_commit_is_read(mirror: Mirror) -> None:
    """The branch under work says something else, and nobody hears it."""
    found = survey(mirror)
    nearest = {
        touched: nearest_guidance(found.nested_guidance, touched)
        for touched in ("lib/a.py", "lib/empty/a.py", "docs/a.md", "setup.py")
    }
    assert list(nearest.values()) == ["lib/AGENTS.md", "lib/empty/AGENTS.md", None, None]
    assert read_guidance(mirror, found.base, "lib/AGENTS.md") == "Use spaces here.\n"
    assert read_guidance(mirror, found.base, "lib/empty/AGENTS.md") is None
    assert "Obey" not in str(found.guidance)


def test_large_guidance_is_cut(mirror: Mirror, source: Path) -> None:
    """Megabytes of it are none; the rest is bounded; what is no UTF-8 does not matter."""
    git(source, "checkout", "-q", "main")
    (source / "AGENTS.md").write_text("x" * 2_000_000)
    (source / "QWEN.md").write_bytes(b"\xff" * 500_000)
    git(source, "commit", "-q", "-a", "-m", "large")
    mirror.fetch(str(source))
    found = survey(mirror)
    assert "AGENTS.md" not in found.guidance
    assert len(found.guidance["QWEN.md"]) == 32_000
