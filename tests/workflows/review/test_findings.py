"""A reviewer's reply: what of it is a finding, where it stands, and what is not worth anybody's time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workflows.review.lines import changed_file
from workflows.review.anchors import LineMap, map_files
from workflows.review.finding_reply import FINDINGS_FORMAT, ParsedFindings, parse_findings
from workflows.review.findings import Finding, RecordedRun, count_severities, matters, pick_inline, rank
from workflows.review.sameness import is_same_point

SHOWN = changed_file(
    "src/price.py",
    " import decimal",
    "-def total(items):",
    "+def total(items, rate):",
    "+    if not items:",
    "+        return None",
    "+    return sum(items) / len(items) * rate",
    " ",
    " def other():",
    "     return 1",
)
MAPS = {"src/price.py": SHOWN}
HEAD = {
    "src/price.py": b"import decimal\n" + b"\n" * 78 + b"print(total([]))\n",
    "README.md": b"# Prices\n\nNone of them.\n",
}
PYTEST = RecordedRun(command="pytest -q tests", exit_code=1, sha256="ab" * 32, excerpt="1 failed")


def item(**changes: Any) -> dict[str, Any]:
    told = {
        "severity": "important",
        "category": "bug",
        "confidence": 0.8,
        "path": "src/price.py",
        "line": 5,
        "title": "An empty list gives None instead of zero",
        "body": "Callers add the result to a number.",
    }
    return told | changes


def parse(*items: dict[str, Any], maps: dict[str, LineMap] | None = None) -> ParsedFindings:
    text = f"Here is my review.\n```json\n{json.dumps({'findings': list(items)})}\n```\nDone."
    files = map_files(HEAD, HEAD.get)
    return parse_findings(text, MAPS if maps is None else maps, runs=[PYTEST], files=files)


def only(**changes: Any) -> Finding:
    parsed = parse(item(**changes))
    assert not parsed.refused
    return parsed.findings[0]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"line": 5}, (None, 5)),
        ({"start_line": 3, "line": 5}, (3, 5)),
        ({"line": "L3-L5"}, (3, 5)),
        ({"lines": [3, 4], "line": None}, (3, 4)),
        ({"line": 4, "start_line": 4}, (None, 4)),
        ({"line": 40, "start_line": 4}, (4, 8)),
        ({"line": 90, "code": "return sum(items) / len(items) * rate"}, (None, 5)),
        ({"line": None, "code": "+    if not items:\n+        return None"}, (None, 3)),
        ({"path": "b/src/price.py"}, (None, 5)),
        ({"path": "./src/price.py"}, (None, 5)),
    ],
)
def test_places_in_many_forms(changes: dict[str, Any], place: tuple[int | None, int]) -> None:
    """Numbers, words and ranges are read, cut to what GitHub takes, and the quoted code decides where they disagree."""
    anchor = only(**changes).anchor
    assert anchor is not None
    assert (anchor.start_line, anchor.line, anchor.path) == (*place, "src/price.py")


def test_values_in_many_forms() -> None:
    """Severities, categories and confidences in a model's words become ours; an unknown severity hides nothing."""
    words = {"blocker": "critical", "High": "important", "nit": "minor", "whatever": "important", "": "important"}
    words |= {"🔴 critical": "critical", "High severity": "important", "blocker!": "critical", "sev1": "critical"}
    words |= {"P2 (low)": "minor", "non-blocking": "minor", "Low | nit": "minor"}
    assert {word: only(severity=word).severity for word in words} == words
    assert [only(confidence=value).confidence for value in (0.3, "80%", 90, "high", None, True, "x", -1)] == [
        *(0.3, 0.8, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5)
    ]
    assert [only(category=word).category for word in ("Correctness", "data_loss", "vibes")] == [
        "bug",
        "data loss",
        "other",
    ]
    assert only(title="", body="It breaks. Then more.").title == "It breaks."


def test_evidence_is_what_was_recorded() -> None:
    """A command counts when the harness ran it; one that a model made up leaves only its reasoning."""
    assert only(command="pytest  -q tests").evidence.run == PYTEST
    made_up = only(command="pytest -q other", reasoning="len(items) is 0").evidence
    assert (made_up.run, made_up.reasoning) == (None, "len(items) is 0")
    for quoted in ("$ pytest -q tests", "`pytest -q tests`", "```\n$ pytest -q tests\n```"):
        assert only(command=quoted).evidence.run == PYTEST


@pytest.mark.parametrize(
    ("command", "counts"),
    [
        ("ls", False),
        ("cd src && cat price.py | head -40", False),
        ("grep -rn 'total(' . 2>/dev/null; git log -3", False),
        ("cd src && python -c 'import price; price.total([])'", True),
        ("cat > try.py <<'EOF'\nimport price\nEOF\npython try.py", True),
        ("echo $(python -m price)", True),
        ("find . -name '*_test.py' -exec python {} +", True),
        ("ruff check src", True),
    ],
)
def test_a_look_at_files_is_no_evidence(command: str, counts: bool) -> None:
    """What only lists and reads files shows nothing that the code does, so it lifts no doubt."""
    run = PYTEST.model_copy(update={"command": command})
    told = json.dumps({"findings": [item(command=command, confidence=0.1)]})
    [finding] = parse_findings(told, MAPS, runs=[run]).findings
    assert (finding.evidence.run is not None, matters([finding])) == (counts, counts)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"title": "Please verify that the rate is right"}, "verify"),
        ({"title": "Ensure that callers pass a rate"}, "verify"),
        ({"title": "Consider checking whether items can be empty"}, "verify"),
        ({"title": "Good use of sum"}, "praise"),
        ({"title": "LGTM!"}, "praise"),
        ({"severity": "critical", "title": "Nice work"}, "praise"),
        ({"severity": "minor", "title": "The copyright header is missing"}, "licence"),
        ({"severity": "minor", "title": "The date is in the future"}, "licence"),
        ({"severity": "minor", "line": 8}, "not changed"),
        ({"severity": "minor", "line": 80}, "not in the change"),
        ({"severity": "minor", "path": "README.md"}, "not in the change"),
        ({"path": "nowhere.py"}, "no file nowhere.py"),
        ({"path": ""}, "names no file"),
        ({"title": "", "body": " "}, "says nothing"),
    ],
)
def test_what_is_not_worth_saying(changes: dict[str, Any], reason: str) -> None:
    """Advice to verify, paperwork, praise and remarks on other code are refused, each with its reason."""
    parsed = parse(item(**changes))
    assert not parsed.findings
    assert reason in parsed.refused[0].reason


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Good inputs are rejected when the list is empty"},
        {"title": "Great circle distance is wrong near the poles"},
        {"title": "Verify signature step is skipped when the header is empty"},
        {"title": "Confirming an order twice charges twice"},
        {"title": "Confirm dialog deletes without asking"},
        {"title": "Ensure that the lock is released: an exception leaves it held"},
        {"severity": "critical", "title": "Ensure that the token is checked"},
        {"severity": "minor", "title": "License check returns True for expired license keys", "line": 4},
        {"severity": "minor", "title": "A date in the past is accepted", "line": 4},
        {"severity": "minor", "title": "Good inputs are rejected", "body": "Beside the licence.", "line": 4},
    ],
    ids=str,
)
def test_the_first_word_of_a_title_hides_no_defect(changes: dict[str, Any]) -> None:
    """Praise, advice and paperwork are whole titles; a defect that only begins like one is a finding."""
    assert only(**changes).title == changes["title"]


def test_important_points_outside_the_lines_are_kept() -> None:
    """What matters is told even where GitHub takes no comment, with its line in the head where it has one; advice that
    a run bears out is a finding.
    """
    unplaced = only(path="README.md", line=None, suggestion="x")
    assert (unplaced.anchor, unplaced.suggestion) == (None, None)
    places = ({"path": "README.md", "line": 9, "code": "None of them."}, {"line": 80, "suggestion": "x"}, {"line": 8})
    anchors = [only(**place).anchor for place in places]
    assert [(one.path, one.line, one.outside) for one in anchors if one] == [
        ("README.md", 3, True),
        ("src/price.py", 80, True),
        ("src/price.py", 8, False),
    ]
    assert only(line=80, suggestion="x").suggestion is None
    assert only(title="Ensure that items is not empty", command="pytest -q tests").evidence.run
    assert only(severity="important", title="GPL code was copied without its licence")


def test_nothing_is_said_twice() -> None:
    """The same point in other words is one; another point on the same line is another."""
    again = item(title="Returns None instead of zero for an empty list", line=4, start_line=3, body="Same.")
    other = item(title="The rate is applied to the mean", category="requirement")
    parsed = parse(item(line=4), again, other)
    assert ([one.title for one in parsed.findings], len(parsed.refused)) == (
        ["An empty list gives None instead of zero", "The rate is applied to the mean"],
        1,
    )
    twice = changed_file("src/price.py", "+def one():", "+    return 0", "+", "+", "+def other():", "+    return 0")
    assert len(parse(item(line=2), item(line=6), maps={"src/price.py": twice}).findings) == 2, "of two functions"


def test_an_id_survives_a_push() -> None:
    """Moved code and words in another order keep the id; other code does not."""
    moved = changed_file("src/price.py", "+import os", "+", "+    return sum(items) / len(items) * rate")
    elsewhere = parse(item(line=3), maps={"src/price.py": moved}).findings[0]
    assert elsewhere.id == only().id
    assert only(line=4).id != only().id
    assert is_same_point(only(), only(title="For an empty list, None is given instead of zero"))


def test_a_suggestion_is_for_all_the_lines_that_it_was_written_for() -> None:
    """Where the range was cut, or is of removed lines, there is no suggestion: it would replace something else."""
    told = only(start_line=4, line=5, suggestion="    return 0\n").suggestion
    assert told is not None
    assert told.lines == ("    return 0",)
    assert only(start_line=4, line=90, suggestion="x").suggestion is None
    assert only(line=2, side="LEFT", suggestion="x").suggestion is None
    assert only(line=4, suggestion="```\nx = '\u202e'\n```").suggestion is None


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("+    return 0", ("    return 0",)),
        ("+    if items:\n+\n+        return 0", ("    if items:", "", "        return 0")),
        ("-        return None\n+        return 0", ("        return 0",)),
        ("+x\ny", ("+x", "y")),
        ("- a\n- b", ("- a", "- b")),
        ("```suggestion\n```", ()),
        ("```\n\n```", ("",)),
        ("", None),
        ("  ", None),
    ],
)
def test_lines_to_put_in_place(written: str, lines: tuple[str, ...] | None) -> None:
    """The marks of a diff on all lines are no code; an empty fence deletes the lines, and an empty text is none."""
    suggestion = only(line=4, suggestion=written).suggestion
    assert (suggestion.lines if suggestion else None) == lines


def test_lines_that_begin_like_a_diff_stay_as_they_are() -> None:
    """Where what is replaced begins with a sign of its own, a suggestion's signs are its text."""
    listed = changed_file("list.md", "++ one", "++ two")
    told = json.dumps({"findings": [item(path="list.md", line=2, suggestion="+ 2")]})
    [finding] = parse_findings(told, {"list.md": listed}).findings
    assert finding.suggestion is not None
    assert finding.suggestion.lines == ("+ 2",)


def test_few_are_said_on_their_lines() -> None:
    """The worst come first, five at most on lines, and minor ones never; all others are kept for the summary."""
    numbered = [only(title=f"Thing {name} breaks {name * 3}", confidence=0.6) for name in "bcdfghjk"]
    shown = only(title="Shown by a run", command="pytest -q tests", confidence=0.05)
    minor = only(title="A small slip", severity="minor")
    critical = only(title="All is lost", severity="critical")
    inline, folded = pick_inline([minor, *numbered, shown, critical])
    assert [one.title for one in inline[:2]] == ["All is lost", "Shown by a run"]
    assert (len(inline), len(inline) + len(folded), folded[-1]) == (5, 11, minor)
    assert count_severities([minor, critical, minor]) == {"critical": 1, "minor": 2}
    assert (matters([minor]), matters([shown])) == (False, True)
    assert not pick_inline([only(path="README.md", line=None), only(path="README.md", line=1)])[0]


def test_a_mere_suspicion_is_no_comment() -> None:
    """What its reviewer hardly believes, and nothing shows, disturbs nobody, unless all would be lost."""
    doubted = only(title="It may break", confidence=0.2)
    assert (pick_inline([doubted]), matters([doubted])) == (((), (doubted,)), False)
    shown = only(title="It breaks", confidence=0.2, command="pytest -q tests")
    critical = only(title="All is lost", confidence=0.2, severity="critical")
    assert matters([shown])
    assert matters([critical])
    assert len(pick_inline([shown, critical])[0]) == 2


def test_replies_in_many_forms() -> None:
    """A bare object, a list of them, an empty list and plain prose are told apart; the form itself is readable."""
    assert len(parse_findings(json.dumps(item()), MAPS).findings) == 1
    assert len(parse_findings(json.dumps([item(), item(title="Other thing entirely", line=4)]), MAPS).findings) == 2
    assert parse_findings('{"findings": []}', MAPS) == ParsedFindings()
    assert "`findings`" in parse_findings("All fine.", MAPS).mistake
    assert parse_findings('{"findings": ["line 4 divides by zero"]}', MAPS).mistake
    assert not parse_findings('{"findings": []}', MAPS).mistake
    assert '"severity"' in FINDINGS_FORMAT
    assert (
        len(parse_findings(json.dumps({"findings": [item(title=f"t{n} {n}x{n}y") for n in range(300)]}), MAPS).refused)
        >= 1
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
KEYS = st.sampled_from(["path", "line", "start_line", "title", "severity", "suggestion", "code", "side", "confidence"])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.dictionaries(KEYS, VALUES | st.just("src/price.py") | st.just(5), max_size=9), max_size=4))
def test_whatever_a_model_writes_raises_nothing(items: list[dict[str, Any]]) -> None:
    """Any JSON gives findings at lines that GitHub takes, or reasons; and the findings survive a checkpoint."""
    parsed = parse(*items)
    for finding in parsed.findings:
        assert Finding.model_validate_json(finding.model_dump_json()) == finding
        if finding.anchor is not None:
            assert SHOWN.accepts(finding.anchor.line, side=finding.anchor.side, start_line=finding.anchor.start_line)
    assert rank(parsed.findings) == list(parsed.findings)


def test_hostile_replies_take_little_time() -> None:
    """A reply as long as a model can write is read in little time."""
    began = time.thread_time()
    parse(*[item(title="ensure " * 5_000, body="the date " * 5_000, line="1" * 5_000) for _ in range(100)])
    twins = changed_file("src/price.py", *["+x = 1"] * 15_000)
    near = [item(title=f"{name} fails", code="x = 1", line=20_000, start_line=1) for name in "abcdefgh" * 12]
    parse(*near, maps={"src/price.py": twins})
    assert time.thread_time() - began < 5
