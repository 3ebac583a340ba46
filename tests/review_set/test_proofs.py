"""The set is what it says: run in the sandbox, every defect is real, and what is called clean is right."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import docker
import pytest

from sandbox.container import SandboxSpec
from sandbox.docker import DockerSandboxes
from tests.review_set import run_folders
from tests.review_set.cases import Case, load_cases, write_files
from tests.review_set.image import ensure_set_image
from tests.workflows.git.test_mirrors import git

CASES = load_cases()
Results = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def results(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What all tests and proofs say, run in one container of the sandbox with the whole set in its workspace."""
    image = ensure_set_image(engine)
    tree = tmp_path_factory.mktemp("set") / "tree"
    tree.mkdir()
    lay_out(tree)
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "all of the set")
    git(tree, "clone", "-q", "--bare", ".", "../bare.git")
    spec = SandboxSpec(image, "review-set", tree.parent / "bare.git", git(tree, "rev-parse", "HEAD"))
    with DockerSandboxes(engine, "review-set").open(spec) as sandbox:
        ran = sandbox.execute("python run_folders.py 2>&1", timeout=400, output_limit=2_000_000)
    assert ran.ok, ran.output[-3_000:]
    found: Results = json.loads(ran.output.splitlines()[-1])
    return found


def lay_out(tree: Path) -> None:
    """All sides of all pairs as folders, and the script that runs them."""
    for case in CASES:
        folder, base = tree / case.id, (tree / case.id).with_name("base")
        write_files({**case.changed, **case.proof}, folder)
        write_files(case.base, base)
        for one in (folder, base):
            (one / "go.mod").unlink(missing_ok=True)  # in one module all of them are built at once
    shutil.copy(str(run_folders.__file__), tree)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_proof_tells_the_defect_from_the_clean_change(case: Case, results: Results) -> None:
    """The repository's own tests pass before and after, and the proof fails on the defect alone, for having run."""
    base = results[case.id.rpartition("/")[0] + "/base"]
    assert base["tests"]["passed"], base["tests"]["output"]
    head = results[case.id]
    assert head["tests"]["passed"], head["tests"]["output"]
    assert head["proof"]["could_run"], head["proof"]["output"]
    assert head["proof"]["passed"] == (case.defect is None), head["proof"]["output"]
