"""`forgehand fix` on a local checkout: a branch and the pull request's text, and the checkout as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import docker

from app.demo.scripted_model import ScriptedModel
from app.settings import variable_names
from tests.stories.scripts import DESCRIBED, FIX, WRONG
from tests.stories.world import ROOT


def git(folder: Path, *arguments: str) -> str:
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    done = subprocess.run(["git", *person, "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def forgehand(*arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    known = {name for names in variable_names().values() for name in names}
    environment = {name: value for name, value in os.environ.items() if name not in known}
    own = {"PYTHONPATH": str(ROOT), "COLUMNS": "300", **settings}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**environment, **own},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_checkout_keeps_what_is_not_committed(tmp_path: Path, engine: docker.DockerClient) -> None:
    """From a folder inside it, shallow and dirty as it is: a new branch holds the fix, and nothing else has changed.

    The session is replayed by the beginning of its job's id, with the same change after every turn.
    """
    origin, checkout = tmp_path / "origin", tmp_path / "checkout"
    (origin / "docs").mkdir(parents=True)
    for name, text in {**WRONG, "docs/a.md": "one\n"}.items():
        (origin / name).write_text(text)
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "one")
    git(origin, "commit", "-qm", "two", "--allow-empty")
    git(origin, "clone", "-q", "--depth", "1", f"file://{origin}", str(checkout))
    (checkout / "docs" / "a.md").write_text("two\n")
    git(checkout, "add", ".")
    (checkout / "docs" / "a.md").write_text("three\n")
    (checkout / "calc.py").write_text("half done\n")
    (checkout / "notes.txt").write_text("mine\n")
    before = (git(checkout, "status", "--porcelain"), git(checkout, "diff"), git(checkout, "rev-parse", "HEAD"))
    (tmp_path / "issue.md").write_text("\ufeff# add is wrong\n\n`add(1, 1)` gives 0.\n", encoding="utf-8")

    settings = {"FORGEHAND_DATA_DIR": str(tmp_path / "data"), "FORGEHAND_MODEL": "scripted-session"}
    with ScriptedModel([*FIX, DESCRIBED]) as model:
        arguments = ("fix", ".", "--issue-file", str(tmp_path / "issue.md"))
        done = forgehand(*arguments, folder=checkout / "docs", OPENAI_BASE_URL=model.url, **settings)
    assert done.returncode == 0, done.stderr
    assert "return a + b" in git(checkout, "show", "qwen/add-is-wrong:calc.py")
    assert done.stdout.startswith("# Add instead of subtract")
    assert "git -C" in done.stderr
    assert before == (git(checkout, "status", "--porcelain"), git(checkout, "diff"), git(checkout, "rev-parse", "HEAD"))

    again = forgehand("replay", "cli-", folder=tmp_path, **settings)
    assert (again.returncode, again.stdout) == (0, "identical\n"), again.stderr
    unknown = forgehand("replay", "nosuch", folder=tmp_path, **settings)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("No job 'nosuch' is stored.")
