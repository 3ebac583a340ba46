"""What a stranger's repository can hold at the sizes that are let through: each is read in little time and memory."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes import FolderSandbox
from workflows.evidence.comparison import executed_count
from workflows.evidence.junit import parse_junit
from workflows.evidence.reports import PREFIX
from workflows.evidence.testcode import parse_suite_marks, parse_tests
from workflows.evidence.verify import run_tests
from workflows.evidence.weakened import find_weakened
from workflows.git.plain_text import LONGEST_LINE, MAX_BYTES, fit_to_parse, parse_ini, parse_toml
from workflows.repository.detect import detect
from workflows.repository.runners import runner_of
from workflows.repository.setup_steps import MAX_CHARACTERS, parse_devcontainer
from workflows.requests.asked import _told_before
from workflows.texts.changelog_files import add_unreleased_entry, scriv_settings, towncrier_settings
from workflows.types import Actor, Comment, Patch, PatchFile, TestRun

SECONDS = 2.0
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def filled(line: str, *, before: str = "", after: str = "") -> str:
    """The line repeated to the limit of a line, and lines to the limit of a file."""
    whole = before + (line * LONGEST_LINE)[: LONGEST_LINE - len(before) - len(after)] + after + "\n"
    return whole * (MAX_BYTES // len(whole))


def measured(work: Callable[..., object], *given: object) -> float:
    started = time.thread_time()
    work(*given)
    return time.thread_time() - started


def add_unreleased_entry_to(text: str) -> bytes | None:
    return add_unreleased_entry(text.encode(), "Fixed", "y", issue=7)


def patch(files: Mapping[str, str]) -> Patch:
    return Patch(
        base="0" * 40,
        files=tuple(
            PatchFile(path=path, mode="100644", content=base64.b64encode(text.encode())) for path, text in files.items()
        ),
    )


def test_only_plain_files_are_parsed() -> None:
    """200 kB and lines of 2,000 characters are read; a byte or a character more is not."""
    line = b"x" * LONGEST_LINE
    assert fit_to_parse(b"") == b""
    assert fit_to_parse(line + b"\n" + line) is not None
    assert fit_to_parse(line + b"x") is None
    assert fit_to_parse("é".encode() * LONGEST_LINE) is not None
    assert fit_to_parse(b"x\n" * (MAX_BYTES // 2)) is not None
    assert fit_to_parse(b"x\n" * (MAX_BYTES // 2) + b"\n") is None
    assert fit_to_parse(None) is None


HOSTILE_INI = [
    filled(" ", before="[a]\nb", after="c"),
    "[a]\nb" + " " * 20_000 + "c",
    filled("a ", before="[a]\nb"),
    filled("=", before="[a]\nb"),
]
PARTS = ("a.", '"=".', r'"\"".a."x".', "'\"'.", "a .  ")
HOSTILE_TOML = [
    "a." * 50_000 + "b=1",
    *("".join(f"{(part * 2000)[: 1990 - 1990 % len(part)]}b{number}=1\n" for number in range(100)) for part in PARTS),
    filled("a .  ", before="[", after="a]"),
    filled("a.", before="x = {", after="a=1}"),
    "".join(f"[{'.'.join(['a'] * 15)}.b{number}]\n" for number in range(MAX_BYTES // 40)),
    filled("["),
    filled("a\t"),
]


@pytest.mark.parametrize("text", HOSTILE_INI)
def test_ini_files_are_read_in_linear_time(text: str) -> None:
    """Spaces in a line of setup.cfg, tox.ini or scriv's settings cost no more than letters."""
    files = {"setup.cfg": text, "tox.ini": text, "a.py": "", "setup.py": ""}
    assert measured(lambda: detect(list(files), files.get)) < SECONDS
    assert measured(lambda: scriv_settings({"setup.cfg": text}, forced=False)) < SECONDS


def test_squeezed_ini_files_mean_the_same() -> None:
    """Indented lines go on with the option before them."""
    parser = parse_ini("[a  b]\nc  =  d   e\n  f:  g\n\n[x]\ny = 1\n")
    assert parser is not None
    assert parser["a b"]["c"].split() == ["d", "e", "f:", "g"]
    assert parse_ini("no section") is None


@pytest.mark.parametrize("text", HOSTILE_TOML)
def test_toml_files_are_read_in_linear_time(text: str) -> None:
    """No depth of keys makes pyproject.toml slow."""
    files = {"pyproject.toml": text, "a.py": ""}
    assert measured(lambda: detect(list(files), files.get)) < SECONDS
    assert measured(lambda: towncrier_settings(None, text, forced=False)) < SECONDS


def test_long_texts_in_toml_are_not_deep_keys() -> None:
    """Dots in values, and keys of a sensible depth, are read."""
    dots = "a." * 50
    assert parse_toml(f"x.y.z.w = '{dots}'\nn = [{'1.5, ' * 40}]\n# it's {dots}\n")["x"]["y"]["z"]["w"] == dots


@pytest.mark.parametrize(
    "line",
    [" ", "- a" + " " * 500, "(#1", "- (#1 ", "(#", "[a", "\n", "# ", "```", "* (#1)", "- a\t(#1)\t"],
)
def test_changelogs_are_changed_in_linear_time(line: str) -> None:
    """Whatever stands in the Unreleased section, the entry is put there quickly."""
    for before in ("", "- x", "## "):
        text = "# Changelog\nkeepachangelog.com\n## [Unreleased]\n### Fixed\n" + filled(line, before=before, after="x")
        blank = "# Changelog\n## [Unreleased]\n" + "\n" * (MAX_BYTES - 100) + "## 1.0\n- x\n"
        assert measured(add_unreleased_entry_to, text) < SECONDS
    assert measured(add_unreleased_entry_to, blank) < SECONDS


CODE = (
    *(
        "expect.",
        "assert.a",
        "asserta",
        "a.",
        "it(",
        "it.only.",
        "test('",
        "#[",
        "#[a[",
        "#[test]\n",
        "@A",
        "@A(",
        "@A ",
    ),
    *("/*", "'", '"', "`", "\\", '"\\"', "assert!(a", "t.", " ", 'it "', "describe.", "skip: ", "(", "#"),
)


@pytest.mark.parametrize("suffix", ["js", "go", "rs", "java", "rb", "py"])
def test_test_files_are_read_in_linear_time(suffix: str) -> None:
    """No repetition makes the search for tests slow, in any language."""
    for line in CODE:
        text = filled(line, before="@pytest.mark.skip." if suffix == "py" else "it('a', () => {")
        assert measured(parse_tests, f"a.{suffix}", text) < SECONDS, line
        assert measured(parse_suite_marks, f"a.{suffix}", text) < SECONDS, line
    chain = f"@{'.'.join(['a'] * 999)}\ndef test_a(): pass\n"
    assert measured(lambda: parse_tests(f"a.{suffix}", chain * (MAX_BYTES // len(chain)))) < SECONDS


def test_many_tests_of_one_file_are_cut_out_in_linear_time() -> None:
    """Each test's body is taken from the lines; the text is not searched again for each."""
    text = "def test_a(): pass\n" * (MAX_BYTES // 19)
    tests = parse_tests("test_a.py", text)
    assert len(tests) == MAX_BYTES // 19
    assert tests["test_a #2"].body == "def test_a(): pass"
    assert measured(lambda: parse_tests("test_a.py", text)) < SECONDS


def test_renamed_tests_are_compared_a_bounded_number_of_times() -> None:
    """A patch that renames every one of many long tests is judged quickly."""
    body = " ".join(f"a{number % 7}" for number in range(380))
    old = "".join(f"def test_a{n}():\n    x = '{n} {body}'\n" for n in range(160))
    new = "".join(f"def test_b{n}():\n    x = '{n * 7} {body[3:]}'\n" for n in range(160))
    files = {"test_a.py": new}
    assert measured(lambda: find_weakened({"test_a.py": old.encode()}, patch(files))) < SECONDS


def test_test_files_that_are_not_plain_are_named() -> None:
    """A long line hides no test: the file is named instead of compared."""
    before = b"def test_a():\n    assert f() == 1\n"
    found = find_weakened({"test_a.py": before}, patch({"test_a.py": "#" * 2001}))
    assert len(found) == 1
    assert "`test_a.py` was not compared" in found[0]
    assert find_weakened({"tests/data.bin": before}, patch({"tests/data.bin": "#" * 2001})) == ()


@pytest.mark.parametrize("line", ["=", "1 passed ", "Tests: ", "1", " ", "\n", "Tests:  1 passed in ", "ok a "])
def test_logs_are_counted_in_linear_time(line: str) -> None:
    """The summary of a log is looked for in lines that can be one."""
    for before in ("", "Tests: ", "1 passed"):
        run = TestRun(command="x", exit_code=0, seconds=1, log_tail=(before + line * 8000)[:8000])
        assert measured(executed_count, run) < 0.5, (line, before)


@pytest.mark.parametrize(
    "word", ["node ", "cargo ", "npm ", "npm --", "npm --a ", "python -m ", " ", "npm run ", "go\t"]
)
def test_commands_are_told_apart_in_linear_time(word: str) -> None:
    """No script of a package.json takes long to be followed."""
    assert measured(lambda: runner_of((word * MAX_BYTES)[:MAX_BYTES])) < 0.5
    assert runner_of("cd a && node --experimental x --test b") == "node"
    assert runner_of("node x & y --test") == "other"
    assert runner_of("cargo +nightly test") == "cargo"


@pytest.mark.parametrize("text", ['\\"', '"', "/*", "//", ", ", ",", "/* *", '"a'])
def test_a_devcontainer_is_read_in_linear_time(text: str) -> None:
    """Strings and comments that never end are looked at once."""
    for before in ("", '"', "{"):
        assert measured(parse_devcontainer, (before + text * MAX_CHARACTERS)[:MAX_CHARACTERS]) < 1


@pytest.mark.parametrize(
    "report",
    [
        b'<testsuite><testcase name="' + b"a" * 8_000_000 + b'"/></testsuite>',
        b'<testsuite><testcase name="a"><failure message="' + b"&#x202e;" * 1_000_000 + b'"/></testcase></testsuite>',
        b'<testsuite name="' + b"a" * 4_000_000 + b'">' + b'<testcase name="a" classname="test"/>' * 100_000,
        b'<testsuite><testcase name="a"' + b" " * 9_000_000 + b"/></testsuite>",
    ],
    ids=["name", "message", "suite", "spaces"],
)
def test_a_report_is_read_in_linear_time(report: bytes) -> None:
    """No attribute of a report takes seconds."""
    assert measured(parse_junit, report) < 2 * SECONDS


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("'<testcase name=\"a\"/>' * 20_001", "more than 20,000 tests"),
        ("'<!--' + 'x' * 10_000_000 + '-->'", "larger than 10 MB"),
    ],
)
def test_reports_beyond_the_limits_are_not_used(tmp_path: Path, body: str, why: str) -> None:
    """A part of a report never stands for the whole, and the log says so."""
    (tmp_path / "base").mkdir()
    program = f"open(sys.argv[1], 'w').write('<testsuite>' + {body} + '</testsuite>')"
    (tmp_path / "base" / "t.py").write_text(f"import sys\nprint('5 passed in 1s')\n{program}\n")
    command = f'{sys.executable} t.py "$(ls -d {PREFIX}*)/a.xml"'
    run = run_tests(FolderSandbox(tmp_path / "base", tmp_path / "work"), command, timeout=60)
    assert run.cases is None
    assert run.log_tail.startswith("5 passed in 1s")
    assert why in run.log_tail
    assert executed_count(run) == 5


def test_only_the_first_failures_keep_their_words(tmp_path: Path) -> None:
    """Of twenty thousand failures, all are counted and two hundred are quoted."""
    (tmp_path / "base").mkdir()
    body = '<testcase name="a"><failure message="no"/></testcase>'
    program = f"open(sys.argv[1], 'w').write('<testsuite>' + '{body}' * 20_000 + '</testsuite>')"
    (tmp_path / "base" / "t.py").write_text(f"import sys\n{program}\n")
    command = f'{sys.executable} t.py "$(ls -d {PREFIX}*)/a.xml"'
    run = run_tests(FolderSandbox(tmp_path / "base", tmp_path / "work"), command, timeout=60)
    assert run.cases is not None
    assert len(run.cases) == 20_000
    assert [bool(case.message) for case in run.cases] == [True] * 200 + [False] * 19_800


def test_only_so_many_comments_are_kept() -> None:
    """The last fifty comments, ten thousand characters of each: a checkpoint stays small."""
    person = Actor(login="ada", id=1, type="User")
    comments = [
        Comment(id=number, author=person, body="x" * 60_000, created_at=MOMENT, updated_at=MOMENT)
        for number in range(300)
    ]
    kept = _told_before(comments, MOMENT)
    assert [comment.id for comment in kept] == list(range(250, 300))
    assert {len(comment.body) for comment in kept} == {10_000}
