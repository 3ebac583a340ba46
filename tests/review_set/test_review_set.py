"""The seeded-bug set is what it says: the defects are there, the clean changes hold, and the score counts right."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import tree_sitter_go
import tree_sitter_javascript
import tree_sitter_python
from tree_sitter import Language, Parser

from tests.review_set.cases import LANGUAGES, Case, commit_case, load_cases
from tests.review_set.score import Said, render_score, score
from workflows.git.mirrors import Mirrors
from workflows.review.anchors import map_lines
from workflows.review.reading import read_diff

CASES = load_cases()
GRAMMARS = {
    "python": Language(tree_sitter_python.language()),
    "javascript": Language(tree_sitter_javascript.language()),
    "go": Language(tree_sitter_go.language()),
}


def names(case: Case) -> str:
    return case.id


def test_there_are_enough_of_each() -> None:
    """Thirty changes with a defect and thirty clean ones, ten of each in each language, each under its own name."""
    counts = Counter((case.language, case.defect is not None) for case in CASES)
    assert counts == {(language, bad): 10 for language in LANGUAGES for bad in (True, False)}
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=names)
def test_every_file_can_be_read(case: Case) -> None:
    """Both sides of each change are valid code of their language."""
    for text in [*case.base.values(), *case.changed.values()]:
        tree = Parser(GRAMMARS[case.language]).parse(text.encode())
        assert not tree.root_node.has_error, text


@pytest.mark.parametrize("case", [case for case in CASES if case.language == "python"], ids=names)
def test_the_defect_is_real(case: Case, tmp_path: Path) -> None:
    """Run, a change with a defect fails its check, and a clean one passes it."""
    for path, text in case.changed.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "run_check.py").write_text(case.check)
    run = subprocess.run([sys.executable, "run_check.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode == 0) == (case.defect is None), run.stderr
    assert "ModuleNotFoundError" not in run.stderr


def test_a_defect_can_be_commented_on(tmp_path: Path) -> None:
    """Every defect is on a line that its change added, so that a comment can stand on it."""
    for case in CASES:
        if case.defect is None:
            continue
        folder = tmp_path / case.id
        folder.mkdir()
        base, head = commit_case(case, folder)
        mirror = Mirrors(tmp_path / "mirrors", local_checkouts=True).at(case.id)
        mirror.fetch(str(folder))
        lines = map_lines(read_diff(mirror, base, head))[case.defect.path]
        assert lines.is_changed(case.defect.line), case.id


def test_the_score_counts() -> None:
    """Exact and near comments are hits once; all others cost precision, and silence costs recall."""
    first, second, third = [case for case in CASES if case.defect is not None][:3]
    clean = next(case for case in CASES if case.defect is None)
    assert first.defect
    assert second.defect
    near = Said(second.defect.path, second.defect.line + 3)
    said = {
        first.id: [Said(first.defect.path, first.defect.line), Said(first.defect.path, first.defect.line)],
        second.id: [near, Said("elsewhere.py", second.defect.line)],
        clean.id: [Said("a.py", 1)],
    }
    result = score([first, second, third, clean], said)
    assert (result.hits, result.comments, result.clean_comments, result.quiet) == (2, 5, 1, 0)
    assert (result.precision, result.recall, result.comments_per_pull) == (0.4, 2 / 3, 1.25)
    assert result.missed == (third.id,)
    far = Said(first.defect.path, first.defect.line + 40, start_line=first.defect.line + 4)
    assert score([first], {first.id: [far]}).hits == 0
    assert (score([clean], {}).precision, score([clean], {}).recall, score([clean], {}).quiet) == (1.0, 1.0, 1)
    assert "recorded" in render_score(result, model="script", recorded=True)
    assert "recorded" not in render_score(result, model="qwen3-coder", recorded=False)
