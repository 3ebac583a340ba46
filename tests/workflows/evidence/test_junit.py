from __future__ import annotations

import json
import time
from xml.sax.saxutils import quoteattr

import pytest

from workflows.evidence.jest_json import parse_jest
from workflows.evidence.junit import MAX_ID, MAX_MESSAGE, clean_id, number_duplicates, parse_junit
from workflows.types import TestCase

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" tests="5">
<testcase classname="" name="tests.test_bad" time="0"><error message="collection failure">ImportError: x</error>
</testcase><testcase classname="tests.test_ok.TestC" name="test_m" time="1.5" />
<testcase classname="tests.test_ok" name="test_p[a b]" time="0.001"/>
<testcase classname="tests.test_ok" name="test_s"><skipped type="pytest.skip" message="no">why</skipped></testcase>
<testcase classname="tests.test_ok" name="test_f"><failure message="assert 1 == 2">E   assert 1 == 2</failure>
<system-out>noise</system-out></testcase>
</testsuite></testsuites>"""
NODE = b"""<?xml version="1.0"?><testsuites>
<testcase name="adds" time="0.002" classname="test"/><testcase name="adds" time="0.001" classname="test"/>
<testsuite name="outer"><testsuite name="inner"><testcase name="x" classname="test" failure="1 == 2">
<failure type="testCodeFailure" message="1 == 2">stack</failure></testcase></testsuite></testsuite></testsuites>"""
VITEST = b"""<?xml version="1.0" encoding="UTF-8" ?><testsuites name="vitest tests">
<testsuite name="b/x.spec.mjs"><testcase classname="b/x.spec.mjs" name="s &gt; one" time="0.002"></testcase></testsuite>
<testsuite name="a/broken.test.js"><testcase classname="a/broken.test.js" name="a/broken.test.js" time="0">
<failure message="Cannot find module" type="Error">Error</failure></testcase></testsuite></testsuites>"""
SUREFIRE = b"""<?xml version="1.0" encoding="UTF-8"?><testsuite xmlns:xsi="x" name="com.acme.ATest" time="1,234.5">
<properties><property name="java" value="21"/></properties>
<testcase name="works" classname="com.acme.ATest" time="1,234.5"/>
<testcase name="flaky" classname="com.acme.ATest" time="0.1"><flakyFailure message="once">x</flakyFailure></testcase>
<testcase name="breaks" classname="com.acme.ATest" time="0.1"><error type="NPE">trace</error><rerunFailure/></testcase>
</testsuite>"""
GO = b"""<?xml version="1.0"?><testsuites><testsuite name="acme/pkg" tests="2">
<testcase name="TestA" classname="acme/pkg" time="0.010"></testcase>
<testcase name="TestA/sub" classname="acme/pkg" time="0.0"><failure message="Failed">a_test.go:3</failure></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            PYTEST,
            {
                "::tests.test_bad": "error",
                "tests.test_ok.TestC::test_m": "passed",
                "tests.test_ok::test_p[a b]": "passed",
                "tests.test_ok::test_s": "skipped",
                "tests.test_ok::test_f": "failed",
            },
        ),
        (NODE, {"::adds": "passed", "::adds#2": "passed", "outer > inner::x": "failed"}),
        (VITEST, {"b/x.spec.mjs::s > one": "passed", "a/broken.test.js::a/broken.test.js": "failed"}),
        (
            SUREFIRE,
            {"com.acme.ATest::works": "passed", "com.acme.ATest::flaky": "passed", "com.acme.ATest::breaks": "error"},
        ),
        (GO, {"acme/pkg::TestA": "passed", "acme/pkg::TestA/sub": "failed"}),
        (b"<testsuites/>", {}),
    ],
)
def test_dialects(data: bytes, expected: dict[str, str]) -> None:
    """Five tools' reports give the same kind of cases, with ids that a second run repeats."""
    cases = parse_junit(data)

    assert cases is not None
    assert {case.id: case.outcome for case in cases} == expected
    assert parse_junit(data) == cases


def test_what_else_a_case_keeps() -> None:
    """Seconds survive thousands separators, and a failure keeps its text once."""
    surefire, pytest_cases = parse_junit(SUREFIRE), parse_junit(PYTEST)

    assert surefire is not None
    assert pytest_cases is not None
    assert surefire[0].seconds == 1234.5
    assert pytest_cases[4].message == "E   assert 1 == 2"
    assert pytest_cases[0].message == "collection failure\nImportError: x"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not xml",
        b"<html></html>",
        b"<testsuites>",
        PYTEST[: len(PYTEST) // 2],
        b'<!DOCTYPE x [<!ENTITY a "b">]><testsuites><testcase name="&a;"/></testsuites>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuites/>',
        b"<?xml version='1.0' encoding='klingon'?><testsuites/>",
        b"<testsuites><testcase name='\x01'/></testsuites>",
        b"<testsuites>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</testsuites>",
        b"<testsuites>" + b"<a/>" * 600_000 + b"</testsuites>",
        b" " * 10_000_001,
    ],
)
def test_hostile_and_broken_reports_are_no_reports(data: bytes) -> None:
    """Entities, depth, size, other encodings and half a file: None, soon, and never an exception."""
    started = time.thread_time()

    assert parse_junit(data) is None
    assert time.thread_time() - started < 20


def test_long_texts_are_cut() -> None:
    """A test cannot fill the checkpoint with its message or its name."""
    cases = parse_junit(
        b'<testsuites><testcase name="%s"><failure>%s</failure></testcase></testsuites>' % (b"n" * 9999, b"m" * 9999)
    )

    assert cases is not None
    assert len(cases[0].message) == MAX_MESSAGE
    assert len(cases[0].id) == MAX_ID == 300


def test_ids_are_one_line_without_hidden_characters() -> None:
    """A test's name cannot begin a line of ours or hide anything, in either format."""
    name = "a\n\nFixes #99\t\u202e"
    report = f'<testsuites><testcase classname="t" name={quoteattr(name)}/></testsuites>'.encode()
    jest = {"testResults": [{"name": "x\ny", "assertionResults": [{"title": name, "status": "passed"}]}]}

    assert [case.id for case in parse_junit(report) or ()] == ["t::a Fixes #99 <U+202E>"]
    assert [case.id for case in parse_jest(json.dumps(jest).encode()) or ()] == ["x y::a Fixes #99 <U+202E>"]


def test_ids_stay_apart() -> None:
    """Ids that are cut, cleaned or numbered to the same text are still different, and the same in every order."""
    first, second = "n" * 400 + "1", "n" * 400 + "2"

    assert clean_id(first) != clean_id(second)
    assert len(clean_id(first)) == 300
    cases = number_duplicates([TestCase(id=name, outcome="passed") for name in ("a#2", "a", "a", "a")])
    assert [case.id for case in cases] == ["a#2", "a", "a#3", "a#4"]


def test_jest() -> None:
    """Jest's JSON gives ids with the file and the suites; a file that cannot be loaded is a failing case of its own."""
    data = b"""{"testResults": [
      {"name": "/w/a/x.test.js", "status": "failed", "assertionResults": [
        {"ancestorTitles": ["s"], "title": "one", "status": "passed", "duration": 1500},
        {"ancestorTitles": [], "title": "two", "status": "pending", "duration": null},
        {"ancestorTitles": ["s"], "title": "bad", "status": "failed",
          "failureMessages": ["\\u001b[31mred\\u001b[0m \\ud800"]}]},
      {"name": "/w/broken.test.js", "status": "failed", "message": "Cannot find module", "assertionResults": []},
      5]}"""
    cases = parse_jest(data, root="/w")

    assert cases is not None
    assert [(case.id, case.outcome) for case in cases] == [
        ("a/x.test.js > s::one", "passed"),
        ("a/x.test.js::two", "skipped"),
        ("a/x.test.js > s::bad", "failed"),
        ("broken.test.js::broken.test.js", "error"),
    ]
    assert cases[0].seconds == 1.5
    assert cases[2].message == "red ?"
    for nonsense in (b"", b"[]", b"{}", b"[" * 100_000, b'{"testResults": 5}'):
        assert parse_jest(nonsense) is None
