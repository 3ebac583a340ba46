"""The score counts right, by the rule that it states, and its report says what the figures are worth."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.review_set.cases import Case, load_cases
from tests.review_set.report import STAGES, Report, Reviewed, Unscored, as_json, render_report
from tests.review_set.score import NEAR, Said, Share, by_severity_said, chance, finds_defect, score
from tests.review_set.scripted import NAME
from workflows.types import Usage

CASES = load_cases("python")
DEFECTS = [case for case in CASES if case.defect is not None]
CLEAN = [case for case in CASES if case.defect is None]


def on(case: Case, off: int = 0, *, severity: str = "important") -> Said:
    """A point on a case's defect, so many lines below it."""
    assert case.defect is not None
    path, line = case.defect.places[0]
    return Said(path, line + off, words=case.defect.why, severity=severity)


def test_the_score_counts() -> None:
    """A find is a hit once; a second point on it and every other one cost precision, and silence costs recall."""
    first, second, third = DEFECTS[:3]
    said = {
        first.id: [on(first), on(first)],
        second.id: [on(second, NEAR), replace(on(second), path="elsewhere.py")],
        CLEAN[0].id: [Said("a.py", 1)],
    }
    result = score([first, second, third, *CLEAN[:2]], said)
    assert (result.precision, result.recall) == (Share(2, 5), Share(2, 3))
    assert (result.silent, result.comments_per_pull, result.missed) == (Share(1, 2), 1.0, (third.id,))
    assert result.named == Share(2, 3)
    lucky = score([first], {first.id: [replace(on(first), words="nice")]})
    assert (lucky.recall, lucky.named) == (Share(1, 1), Share(0, 1)), "what it says is told beside where it stands"
    astray = score([first], {first.id: [on(first, 40)]})
    assert (astray.recall, astray.named, astray.worded) == (Share(0, 1), Share(0, 1), Share(1, 1))


def test_two_lines_away_is_near_and_three_is_not() -> None:
    """A range finds what it holds or ends two lines from, whichever way round its ends are given."""
    [case] = [one for one in DEFECTS if one.id == "python/host_names/defect"]
    assert case.defect is not None
    [(path, line)] = case.defect.places
    for first, last, finds in ((line - 9, line - 2, True), (line - 9, line - 3, False), (line + 2, line + 9, True)):
        assert finds_defect(Said(path, last, first), case.defect) == finds
        assert finds_defect(Said(path, first, last), case.defect) == finds


@pytest.mark.parametrize(
    ("share", "low", "high"),
    [
        (Share(0, 10), 0.0, 0.2775),
        (Share(10, 10), 0.7225, 1.0),
        (Share(5, 10), 0.2366, 0.7634),
        (Share(1, 1), 0.2065, 1),
    ],
)
def test_the_interval_is_wilsons(share: Share, low: float, high: float) -> None:
    """At 95 %, as in the tables for the score interval; few trials say little, also when all of them went well."""
    assert share.interval == pytest.approx((low, high), abs=5e-4)
    assert Share(0, 0).interval is None


def test_chance_is_told() -> None:
    """How much of the rule is luck: of a change all of whose lines are near, any comment would be a find."""
    [small] = [case for case in DEFECTS if case.id == "python/flaky_discount/defect"]
    assert chance([small]) == 1.0
    assert 0.1 < chance(DEFECTS) < 0.8
    assert chance(CLEAN) == 0.0


def test_severities_are_counted_as_they_were_said() -> None:
    """Of two points on one defect the first is right, whatever the second is called."""
    case = DEFECTS[0]
    said = {case.id: [on(case, severity="critical"), on(case)], CLEAN[0].id: [Said("a.py", 1, severity="critical")]}
    assert by_severity_said([case, CLEAN[0]], said) == {"critical": Share(1, 2), "important": Share(0, 1)}


def reviewed(case: Case, *posted: Said) -> Reviewed:
    """A review that handed over one wrong point more than it posted."""
    said = {stage: list(posted) for stage in STAGES} | {"handed": [*posted, Said("a.py", 1)]}
    return Reviewed(case, said, usage=Usage(input_tokens=1_000, output_tokens=10), requests=2)


def test_a_report_names_what_it_measures() -> None:
    """The rule, the stages, what is missed and what could not be scored; a script's figures carry their label."""
    results = (reviewed(DEFECTS[0], on(DEFECTS[0])), reviewed(DEFECTS[1]), reviewed(CLEAN[0]))
    broken = Unscored(CLEAN[1], "the endpoint is gone")
    report = Report("qwen3-coder", recorded=False, reviewed=results, unscored=(broken,), seconds=9)
    text = render_report(report)
    assert "script" not in text
    assert f"missed: {DEFECTS[1].id}" in text
    assert f"{CLEAN[1].id}: the endpoint is gone" in text
    assert "3,000 in (0 cached), 30 out; a review 1,000 in, 10 out" in text
    assert "precision 0.25" in text.partition(STAGES["read"])[0], "as handed over: one of four"
    assert "precision 1.00" in text.partition(STAGES["posted"])[2]
    recorded = render_report(Report(NAME, recorded=True, reviewed=results))
    assert recorded.startswith("reviewer: recorded replies written by a script, measures the scaffolding, no model")


def test_the_report_for_programs_is_whole() -> None:
    """Every share with its interval, every case with what was said of it, and it is JSON."""
    report = Report("m", recorded=False, reviewed=(reviewed(DEFECTS[0], on(DEFECTS[0])),))
    told = json.loads(json.dumps(as_json(report)))
    assert told["stages"]["posted"]["recall"] == {
        "part": 1,
        "whole": 1,
        "rate": 1.0,
        "low": pytest.approx(0.2065, abs=1e-3),
        "high": 1.0,
    }
    assert told["cases"][DEFECTS[0].id]["said"]["posted"][0]["severity"] == "important"
    assert told["groups"]["python"]["silent"]["rate"] is None


def test_nothing_scored_is_no_score() -> None:
    """When no review could be made there are no figures, only the reasons."""
    text = render_report(Report("m", recorded=False, reviewed=(), unscored=(Unscored(CLEAN[0], "gone"),)))
    assert "precision" not in text
    assert "NOT SCORED" in text
