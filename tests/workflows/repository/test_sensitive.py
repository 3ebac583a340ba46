"""Which changed files a reviewer is pointed to."""

from __future__ import annotations

import pytest

from tests.workflows.progress.test_closing import solution
from workflows.git.patch import patch_file
from workflows.publishing.change_texts import compose_texts
from workflows.repository.sensitive import sensitive_paths
from workflows.repository.survey import Survey
from workflows.types import Actor, Issue, Job, Patch, Verdict


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("package.json", True),
        ("web/package-lock.json", True),
        ("pyproject.toml", True),
        ("requirements-dev.txt", True),
        ("requirements.lock", True),
        ("Dockerfile.prod", True),
        ("deploy/dockerfile", True),
        ("Makefile", True),
        ("sub/CMakeLists.txt", True),
        ("build.gradle.kts", True),
        ("go.sum", True),
        ("AGENTS.md", True),
        ("src/app.py", False),
        ("docs/Makefiles.md", False),
        ("src/lock.py", False),
        ("tests/test_package.py", False),
    ],
)
def test_what_decides_what_runs_is_named(path: str, expected: bool) -> None:
    """Manifests, lock files and build files are named, also deleted ones; ordinary code is not."""
    for content in (b"x", None):
        patch = Patch(base="0" * 40, files=(patch_file(path, "100644" if content else None, content),))
        assert sensitive_paths(patch) == ((path,) if expected else ())


def test_the_pull_request_names_them_first() -> None:
    """The warnings at the top of the body list them."""
    patch = Patch(base="0" * 40, files=(patch_file("a.py", "100644", b"x"), patch_file("Makefile", "100644", b"x")))
    solved = solution(patch)
    texts = compose_texts(
        solved.model_copy(update={"verdict": Verdict(status="verified", reasons=("All tests pass.",))}),
        job=Job.model_construct(id="job-1", actor=Actor(id=1, login="octocat")),
        issue=Issue.model_construct(number=12, title="T", body=""),
        survey=Survey.model_construct(subjects=(), notes=(), template=None),
        model="m",
        seconds=1,
    )
    assert texts.body.startswith("> [!WARNING]")
    assert "decide what is installed, built or run: `Makefile`." in texts.body.split("\n\n")[0]
