"""What reviewers hand over in their own way is heard: paths, lines and runs as models write them."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from app.localhub.records import CheckRun
from tests.stories.conftest import Ground, open_ground
from tests.stories.reviewing import CHANGED, FINDING, RUN, ended, line_comments, propose, report, stands, told_to_model


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("heard") / "world", engine, review_unasked=True) as ground:
        yield ground


def check(ground: Ground, repository: str) -> CheckRun:
    """The newest check of a review."""
    return [one for one in ground.world.hub.check_runs(repository) if one.name == "Forgehand review"][-1]


def test_a_finding_of_a_file_that_is_not_there_is_asked_for_again(ground: Ground) -> None:
    """The reviewer is told which file is not in the repository, and what it then says stands on its line."""
    lost = {**FINDING, "path": "core/calculator.py"}
    ground.script[:] = [stands(ground), RUN, report(lost), report({**FINDING, "path": "/workspace/calc.py"})]
    repository, number = propose(ground, "named-again")
    ended(ground, repository, number, jobs=1)
    [comment] = line_comments(ground, repository, number)
    assert (comment.path, comment.line) == ("calc.py", 6)
    assert any("there is no file core/calculator.py in the repository" in one for one in told_to_model(ground))
    assert "perhaps not complete" not in check(ground, repository).summary


def test_a_finding_of_a_file_that_is_never_found_is_no_clean_review(ground: Ground) -> None:
    """What matters and has no file is not dropped in silence: the check says so, and is not green."""
    lost = report({**FINDING, "severity": "critical", "path": "core/calculator.py"})
    ground.script[:] = [stands(ground), RUN, lost, lost, lost]
    repository, number = propose(ground, "never-named")
    ended(ground, repository, number, jobs=1)
    assert line_comments(ground, repository, number) == []
    assert (check(ground, repository).conclusion, check(ground, repository).title) == ("neutral", "Not read to its end")
    assert "1 finding names no file of the repository" in check(ground, repository).summary


def test_a_suggestion_is_not_called_tested_where_no_test_passes(ground: Ground) -> None:
    """The repository's tests cannot even be loaded: its suggestion says so instead of that it was tested."""
    broken = {"calc.py": CHANGED, "test_calc.py": "import nosuch\n\n\ndef test_add():\n    assert True\n"}
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "none-passes", changed=broken)
    ended(ground, repository, number, jobs=1)
    [comment] = line_comments(ground, repository, number)
    assert "```suggestion\n" in comment.body
    assert "Not tested: no test passes here." in comment.body


def test_a_suggestion_that_breaks_a_language_of_the_grammars_is_not_shown(ground: Ground) -> None:
    """No parser of Go is in the sandbox: what its grammar cannot read any more is no suggestion; the finding stays."""
    loose = {**FINDING, "path": "mean.go", "line": 4, "code": "\treturn total / count", "command": ""}
    told = [
        {**loose, "suggestion": "\treturn (total / count"},
        {**loose, "line": 8, "code": "\treturn -x", "title": "Minus is no absolute value", "suggestion": "\treturn +x"},
    ]
    code = "package mean\n\nfunc mean(total, count int) int {\n\treturn total / count\n}\n\n"
    ground.script[:] = [stands(ground), report(*told)]
    repository, number = propose(ground, "go", changed={"mean.go": f"{code}func abs(x int) int {{\n\treturn -x\n}}\n"})
    ended(ground, repository, number, jobs=1)
    shown = {one.line: "```suggestion\n" in one.body for one in line_comments(ground, repository, number)}
    assert shown == {4: False, 8: True}
