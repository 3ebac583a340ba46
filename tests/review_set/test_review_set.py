"""The seeded-bug set as text: enough of each, fit to be reviewed, and giving nothing away."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.review_set.cases import KINDS, LANGUAGES, BadCase, Case, commit_cases, load_cases, names_defect, parse_pair
from tests.review_set.scripted import ScriptedReviewer
from workflows.git.mirrors import Mirrors
from workflows.review.anchors import map_lines
from workflows.review.diff import render_file
from workflows.review.reading import read_diff

CASES = load_cases()
GIVE_AWAYS = re.compile(
    r"\b(?:bug|defect|wrong|broken on purpose|todo|fixme|xxx|hack|oops|vulnerab\w+|leak\w*)\b", re.I
)


def test_there_are_enough_of_each() -> None:
    """Twelve changes with a defect and as many clean ones, or more, in each language; every kind and severity."""
    counts = Counter((case.language, case.defect is not None) for case in CASES)
    assert all(counts[language, bad] >= 12 for language in LANGUAGES for bad in (True, False)), counts
    assert {case.defect.kind for case in CASES if case.defect} == set(KINDS)
    assert {case.defect.severity for case in CASES if case.defect} == {"critical", "important"}
    assert len({case.id for case in CASES}) == len({case.repository for case in CASES}) == len(CASES)


def test_a_change_gives_nothing_away() -> None:
    """No name, comment or description of what a reviewer sees says that there is a defect, or which of a pair it is."""
    for case in CASES:
        seen = [case.title, case.body, case.repository, *case.changed, *case.changed.values()]
        assert not [text for text in seen if GIVE_AWAYS.search(text) or "proof" in text.lower()], case.id
    by_title: dict[str, set[str]] = {}
    for case in CASES:
        by_title.setdefault(case.title, set()).add(case.body)
    assert all(len(bodies) == 1 for bodies in by_title.values()), "the two of a pair are asked for in the same words"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each change as a reviewer is shown it, by case; what is commented on stands where GitHub takes a comment."""
    folder, found = tmp_path_factory.mktemp("cases"), {}
    (folder / "checkout").mkdir()
    commits = commit_cases(CASES, folder / "checkout")
    mirror = Mirrors(folder / "mirrors", local_checkouts=True).at("cases")
    mirror.fetch(str(folder / "checkout"))
    for case in CASES:
        diff = read_diff(mirror, *commits[case.id])
        maps = map_lines(diff)
        for path, line in _places(case):
            assert maps[path].accepts(line), (case.id, line)
        if case.defect is not None:
            assert any(maps[path].is_changed(line) for path, line in case.defect.places), case.id
        found[case.id] = "\n".join(render_file(file) for file in diff.files)
    return found


def _places(case: Case) -> list[tuple[str, int]]:
    doubts = [(case.doubt.path, case.doubt.line)] if case.doubt else []
    return [*(case.defect.places if case.defect else ()), *doubts]


def test_a_defect_can_be_commented_on(told: dict[str, str]) -> None:
    """Every defect shows on a line that its change added, and no change is longer than a small pull request's."""
    sizes = [text.count("\n") for text in told.values()]
    assert max(sizes) < 120, max(sizes)


def test_the_script_knows_the_cases_apart(told: dict[str, str]) -> None:
    """The script answers about the change that it is shown: the two of a pair differ in few lines."""
    model = ScriptedReviewer(CASES)
    for case in CASES:
        shown = f"{case.title}\n{told[case.id]}"
        handed = model.complete([{"role": "user", "content": shown}, {"role": "tool", "content": ""}])
        says = handed.tool_calls[0].arguments
        other = next((one for one in CASES if one.title == case.title and one.id != case.id), None)
        if other is not None and other.defect is not None:
            assert other.defect.why[:40] not in says, case.id
        if other is not None and other.doubt is not None:
            assert other.doubt.says[:40] not in says, case.id


def test_an_answer_is_about_its_own_defect_alone() -> None:
    """The words that name a defect are in its own answer, and most other answers do not have them."""
    defects = [case.defect for case in CASES if case.defect]
    for defect in defects:
        assert names_defect(defect.why, defect), defect
        others = [other for other in defects if other is not defect and names_defect(other.why, defect)]
        assert len(others) <= len(defects) // 3, (defect.terms, [one.why for one in others])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title x\n@@@ a.py\n", "no `name: value`"),
        ("title: x\nbody: y\nat: |b\n@@@ a.py\na\n", "stands 0 times"),
        ("title: x\nbody: y\ndoubt: d\nholds: h\ndoubt at: |a\n@@@ a.py\na\na\n", "stands 2 times"),
        ("title: x\nbody: y\n@@@ a.py\n<<<< base\na\n@@@ b.py\n", "within a section"),
    ],
)
def test_a_text_that_is_not_right_is_refused(text: str, reason: str) -> None:
    """A slip in a text of the set is said, with its name, and never guessed at."""
    with pytest.raises(BadCase, match=f"(?s)mine.*{reason}"):
        list(parse_pair(text, "mine", "python"))
