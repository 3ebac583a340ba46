"""Where a point of a reply stands: the file and the lines that a model means, however it writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workflows.review.lines import changed_file
from tests.workflows.review.test_findings import item
from workflows.review.anchors import map_files
from workflows.review.finding_reply import parse_findings

CALC = changed_file(
    "src/calc.py",
    " import math",
    "-    if a is None: raise ValueError",
    "+",
    "+def mean(numbers):  # of none",
    "+    return sum(numbers) / len(numbers)",
    " def twice(a):",
    "+    return a * 2",
)
ROOT = changed_file("a.py", "+x = 1", "+y = 2")
GONE = changed_file("gone.py", "-x = 1", "-y = 2")
MAPS = {one.path: one for one in (CALC, ROOT, GONE)}
HEAD = map_files(
    ["src/calc.py", "a.py", "b/a/deep.py", "lib/util.py", "app/util.py", "docs/guide.md"], lambda path: b""
)


def place(**changes: Any) -> tuple[str, str, int | None, int | None] | str:
    """The path, side and lines of the one finding, or why there is none."""
    parsed = parse_findings(
        json.dumps({"findings": [item(**changes)]}),
        MAPS,
        files=HEAD,
        moved={"old/name.py": "src/calc.py"},
    )
    if parsed.refused:
        return parsed.refused[0].reason
    anchor = parsed.findings[0].anchor
    path = parsed.findings[0].path
    return (path, anchor.side, anchor.first, anchor.line) if anchor else (path, "", None, None)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("a.py", "a.py"),
        ("/workspace/src/calc.py", "src/calc.py"),
        ("workspace/a.py", "a.py"),
        ("b/a.py", "a.py"),
        ("a/src/calc.py", "src/calc.py"),
        ("b/a/deep.py", "b/a/deep.py"),
        ("./a.py", "a.py"),
        ("`a.py`", "a.py"),
        ("a.py:2", "a.py"),
        ("`src/calc.py:3-5`", "src/calc.py"),
        ("a.py#L2", "a.py"),
        ("src\\calc.py", "src/calc.py"),
        ("old/name.py", "src/calc.py"),
        ("calc.py", "src/calc.py"),
        ("guide.md", "docs/guide.md"),
        ("util.py", "there is no file util.py in the repository"),
        ("nowhere.py", "there is no file nowhere.py in the repository"),
    ],
)
def test_a_file_is_found_by_the_name_that_models_give_it(written: str, path: str) -> None:
    """Folders of containers and diffs, marks, lines and old names are understood; what may be two files is none."""
    found = place(path=written, line=2, code="")
    assert (found if isinstance(found, str) else found[0]) == path


def test_only_what_matters_is_called_misplaced() -> None:
    """Of a point that matters the model hears that its file is wrong; of a small one it does not."""
    lost = item(path="nowhere.py")
    parsed = parse_findings(json.dumps({"findings": [lost, lost | {"severity": "minor"}]}), MAPS)
    assert [one.misplaced for one in parsed.refused] == [True, False]
    assert [one.what for one in parsed.misplaced] == [lost["title"]]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"line": 4, "code": "    return sum(numbers) / len(numbers)"}, ("RIGHT", 4)),
        ({"line": 2, "code": "    if a is None: raise ValueError"}, ("LEFT", 2)),
        ({"line": 2, "code": "-    if a is None: raise ValueError", "side": "RIGHT"}, ("LEFT", 2)),
        ({"line": 4, "code": "return sum(numbers) / len(numbers)", "side": "LEFT"}, ("RIGHT", 4)),
        ({"line": 1, "code": "+    return a * 2"}, ("RIGHT", 6)),
        ({"line": 1, "code": "            6 +    return a * 2"}, ("RIGHT", 6)),
        ({"line": 3, "code": "def mean(numbers):"}, ("RIGHT", 3)),
        ({"line": 4, "code": "    return sum(numbers) / ..."}, ("RIGHT", 4)),
        ({"line": 2, "code": "    raise KeyError(name)"}, ("", None)),
        ({"line": 2, "code": "def mean(numbers):"}, ("", None)),
        ({"path": "gone.py", "line": 2, "code": ""}, ("LEFT", 2)),
    ],
)
def test_the_quoted_code_decides(changes: dict[str, Any], where: tuple[str, int | None]) -> None:
    """It is looked for on both sides, and as a piece of the named lines; where it is nowhere, no line is meant."""
    found = place(path="src/calc.py", **changes) if "path" not in changes else place(**changes)
    assert (found[1], found[3]) == where


def test_nothing_is_suggested_for_code_that_is_not_there() -> None:
    """What would replace other code than the quoted is no suggestion."""
    told = item(path="a.py", line=2, suggestion="y = 3")
    replies = [json.dumps({"findings": [told | {"code": code}]}) for code in ("y = 2", "z = 2")]
    found = [parse_findings(reply, MAPS).findings[0].suggestion for reply in replies]
    assert [one is not None for one in found] == [True, False]


@pytest.mark.parametrize(
    "lines",
    [
        {"line": 2.0},
        {"line": "2.0"},
        {"line": None, "line_number": 2},
        {"line": None, "lineNumber": "L2"},
        {"line": None, "startLine": 1, "endLine": 2},
        {"line": None, "line_start": 1, "line_end": 2},
    ],
    ids=str,
)
def test_lines_under_other_names(lines: dict[str, Any]) -> None:
    """A number is a number in whatever field and form; its range too."""
    found = place(path="a.py", code="", **lines)
    assert found == ("a.py", "RIGHT", 1 if len(lines) > 2 else 2, 2)
