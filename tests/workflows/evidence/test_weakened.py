from __future__ import annotations

import base64
import time

import pytest

from workflows.evidence.testcode import parse_tests
from workflows.evidence.testfiles import is_test_path, only_tests
from workflows.evidence.weakened import find_weakened
from workflows.types import Patch, PatchFile

PYTHON = """\
import pytest

def test_one():
    assert f(1) == 1
    assert f(2) == 2

class TestTwo:
    def test_two(self):
        with pytest.raises(ValueError):
            f(None)

def test_three(tmp_path):
    value = f(3)
    assert value == 3, "three"
"""
JAVASCRIPT = """\
const test = require('node:test');
describe('math', () => {
  // it('was commented out', () => {})
  it('adds "two" numbers', () => { expect(add(1, 2)).toBe(3); expect(add(0, 0)).toBe(0); });
  it(`subtracts`, async () => { expect(sub(2, 1)).toEqual(1); });
});
"""


def patch(files: dict[str, str | None]) -> Patch:
    return Patch(
        base="0" * 40,
        files=tuple(
            PatchFile(
                path=path,
                mode=None if text is None else "100644",
                content=None if text is None else base64.b64encode(text.encode()),
            )
            for path, text in sorted(files.items())
        ),
    )


def weakened(before: dict[str, str], after: dict[str, str | None]) -> tuple[str, ...]:
    return find_weakened({path: text.encode() for path, text in before.items()}, patch(after))


def changed(path: str, text: str, *replacements: tuple[str, str]) -> tuple[str, ...]:
    new = text
    for old, other in replacements:
        assert old in new
        new = new.replace(old, other)
    return weakened({path: text}, {path: new})


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "def test_one():",
            "@pytest.mark.skip\ndef test_one():",
            "line 4: the test `test_one` is now marked `pytest.mark.skip`",
        ),
        ("def test_one():", "@pytest.mark.xfail(strict=False)\ndef test_one():", "`pytest.mark.xfail`"),
        ("    value = f(3)", "    pytest.skip('later')", "`pytest.skip`"),
        ("class TestTwo:", "@pytest.mark.skipif(True, reason='x')\nclass TestTwo:", "`TestTwo.test_two` is now marked"),
        ("import pytest\n", "import pytest\npytestmark = pytest.mark.skip\n", "`test_one` is now marked"),
        ("    assert f(2) == 2\n", "", "checks less: 1 assertion now, 2 before"),
        ("            f(None)", "            raise ValueError", None),
        (
            "        with pytest.raises(ValueError):\n            f(None)",
            "        f(None)",
            "checks less: nothing now, 1",
        ),
        ('value == 3, "three"', "True", "asserts nothing but a constant now"),
        ('value == 3, "three"', "value is not None", "checks more loosely"),
        ('value == 3, "three"', "value", "checks more loosely"),
        ('value == 3, "three"', "value == 4", None),
        ("def test_three(tmp_path):", "def test_third(tmp_path):", None),
        ("def test_three(tmp_path):", "def check_three(tmp_path):", "line 12: the test `test_three` was deleted"),
    ],
)
def test_python(old: str, new: str, says: str | None) -> None:
    """Each way to make a Python test say less is one sentence; an honest change is none."""
    found = changed("tests/test_x.py", PYTHON, (old, new))

    assert (says is None) == (found == ())
    assert says is None or says in found[0]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("it(`subtracts`", "it.skip(`subtracts`", "`subtracts` is now marked `it.skip`"),
        ("it(`subtracts`", "xit(`subtracts`", "`xit`"),
        ("it(`subtracts`", "it.only(`subtracts`", "`it.only`"),
        ("describe('math'", "describe.skip('math'", "line 2: `describe.skip` was added"),
        ("it(`subtracts`, async", "it(`subtracts`, {skip: true}, async", "`skip: true`"),
        (" expect(add(0, 0)).toBe(0);", "", "checks less: 1 assertion now, 2 before"),
        (" expect(add(0, 0)).toBe(0);", " // expect(add(0, 0)).toBe(0);\n", "checks less"),
        (".toEqual(1)", ".toBeDefined()", "checks more loosely"),
        ("expect(sub(2, 1)).toEqual(1)", "expect(true).toBe(true)", "nothing but a constant"),
        ("  it(`subtracts`", "  // it(`subtracts`", "`subtracts` was deleted"),
        ("it(`subtracts`", "it(`takes away`", None),
        ("toEqual(1)", "toEqual(2)", None),
    ],
)
def test_javascript(old: str, new: str, says: str | None) -> None:
    """The same for the JavaScript runners; a test in a comment is no test."""
    found = changed("src/math.test.ts", JAVASCRIPT, (old, new))

    assert (says is None) == (found == ())
    assert says is None or says in found[0]


@pytest.mark.parametrize(
    ("path", "text", "old", "new", "says"),
    [
        ("a_test.go", 'func TestA(t *testing.T) {\n\tt.Error("x")\n}\n', "\tt.E", "\tt.Skip()\n\tt.E", "`t.Skip`"),
        ("a_test.go", 'func TestA(t *testing.T) {\n\tt.Error("x")\n}\n', "TestA", "helpA", "`TestA` was deleted"),
        ("src/lib.rs", "#[test]\nfn adds() { assert_eq!(1, f()); }\n", "#[test]", "#[test]\n#[ignore]", "`#[ignore`"),
        (
            "src/lib.rs",
            "#[tokio::test]\nasync fn adds() { assert_eq!(1, f()); }\n",
            "assert_eq!(1, f());",
            "f();",
            "nothing now",
        ),
        ("ATest.java", "@Test\nvoid adds() { assertEquals(1, f()); }\n", "@Test", "@Disabled @Test", "`@Disabled`"),
        ("ATest.kt", "@Test\nfun `adds up`() { assertEquals(1, f()) }\n", "@Test", "", "`adds up` was deleted"),
        ("a_spec.rb", "it 'adds' do\n  expect(f).to eq(1)\nend\n", "it 'adds'", "xit 'adds'", "`xit`"),
    ],
)
def test_other_languages(path: str, text: str, old: str, new: str, says: str) -> None:
    """Go, Rust, Java, Kotlin and Ruby have their own words for it."""
    assert says in changed(path, text, (old, new))[0]


def test_deleted_file() -> None:
    """A deleted test file is one sentence with the number of its tests, not one for each."""
    assert weakened({"tests/test_x.py": PYTHON}, {"tests/test_x.py": None}) == (
        "`tests/test_x.py` was deleted, with 3 tests.",
    )
    assert weakened({"tests/data.json": "{}"}, {"tests/data.json": None}) == ("`tests/data.json` was deleted.",)


def test_renamed_and_moved_is_not_deleted() -> None:
    """Tests are followed to another file, as a whole or one by one; what is lost on the way is named."""
    assert weakened({"tests/test_x.py": PYTHON}, {"tests/test_x.py": None, "tests/unit/test_y.py": PYTHON}) == ()
    assert weakened({"tests/data.json": "{}"}, {"tests/data.json": None, "tests/new/data.json": "{}"}) == ()
    lossy = PYTHON.replace("    assert f(2) == 2\n", "")
    assert weakened({"tests/test_x.py": PYTHON}, {"tests/test_x.py": None, "tests/test_y.py": lossy}) == (
        "`tests/test_y.py` line 3: the test `test_one` checks less: 1 assertion now, 2 before.",
    )


def test_new_tests_are_looked_at_too() -> None:
    """A new test that asserts a constant, or that keeps all others from running, is named; an ordinary one is not."""
    assert weakened({}, {"tests/test_n.py": "def test_n():\n    assert f() == 1\n"}) == ()
    assert "nothing but a constant" in weakened({}, {"tests/test_n.py": "def test_n():\n    assert True\n"})[0]
    assert "run alone" in weakened({}, {"a.test.js": "it.only('x', () => { expect(f()).toBe(1) })"})[0]


@pytest.mark.parametrize(
    ("path", "old", "new", "says"),
    [
        ("pyproject.toml", '[tool.x]\naddopts = "-q"', '[tool.x]\naddopts = "-q --deselect tests/a.py"', "line 2"),
        ("pytest.ini", "[pytest]", "[pytest]\naddopts = -k 'not slow'", "-k 'not slow'"),
        ("conftest.py", "", "collect_ignore = ['test_a.py']", "collect_ignore"),
        ("tests/conftest.py", "", "def pytest_collection_modifyitems(items):\n    items.clear()", "modifyitems"),
        ("package.json", '{"scripts": {"test": "jest"}}', '{"scripts": {"test": "true"}}', "from `jest` to `true`"),
        ("package.json", '{"scripts": {"test": "jest"}}', "{}", "is gone"),
        ("jest.config.js", "x = {}", "x = {\n testPathIgnorePatterns: ['a'] }", "line 2"),
        ("Makefile", "test:\n\tpytest\n", "test:\n\ttrue\n", "`make test`"),
    ],
)
def test_settings_that_leave_tests_out(path: str, old: str, new: str, says: str) -> None:
    """Changed test settings are named with the line; the code did not have to be touched to skip a test."""
    assert says in weakened({path: old}, {path: new})[0]
    assert weakened({path: old}, {path: old + "\n"}) == ()


@pytest.mark.parametrize(
    "path",
    [
        *("conftest.py", "tests/conftest.py", "pytest.ini", "tox.ini", "pytest.py", "pytest/__init__.py"),
        *("sitecustomize.py", "x.pth", "jest.config.js", "web/vitest.config.mts", ".mocharc.yml", ".mocharc"),
    ],
)
def test_new_settings_are_named(path: str) -> None:
    """A file that did not exist before and decides how tests run is named, whatever it holds."""
    assert f"`{path}` is new and decides how tests run" in weakened({}, {path: "x = 1\n"})[0]
    assert not [one for one in weakened({path: "x = 1\n"}, {path: "x = 2\n"}) if "is new" in one]


def test_ordinary_new_files_are_not_named() -> None:
    """New code, manifests and Makefiles are no test settings."""
    new = {"src/pytest_tools.py": "x = 1\n", "lib/pytest/a.py": "x", "Makefile": "test:\n\tx\n", "package.json": "{}"}
    assert weakened({}, dict(new)) == ()


@pytest.mark.parametrize(
    "line",
    [
        "def pytest_pyfunc_call(pyfuncitem): return True",
        "def pytest_sessionfinish(session): session.exitstatus = 0",
        "from x import pytest_report_teststatus",
        "@pytest.hookimpl()",
        "pytest_plugins = ['x']",
    ],
)
def test_new_hooks_are_named(line: str) -> None:
    """Any of pytest's hooks can change what tests say, so each new one is named, in an old conftest and a new one."""
    for before in ({"conftest.py": "x = 1\n"}, {}):
        assert any(
            "line 2: test settings changed" in one for one in weakened(before, {"conftest.py": f"x = 1\n{line}\n"})
        )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/test_a.py", True),
        ("tests/data/in.json", True),
        ("tests/README.md", False),
        ("pkg/test_a.py", True),
        ("pkg/a_test.py", True),
        ("conftest.py", True),
        ("pkg/tests.py", True),
        ("pkg/contest.py", False),
        ("pkg/latest.py", False),
        ("src/testing.py", False),
        ("src/a.test.tsx", True),
        ("src/__tests__/a.js", True),
        ("src/__snapshots__/a.snap", True),
        ("src/attest.js", False),
        ("a_test.go", True),
        ("src/test/java/AIT.java", True),
        ("src/main/java/Contest.java", False),
        ("src/main/java/ATest.java", True),
        ("spec/a_spec.rb", True),
        ("tests/it.rs", True),
        ("src/lib.rs", False),
        ("docs/spec.md", False),
    ],
)
def test_paths(path: str, expected: bool) -> None:
    """Tests are told by their folders and by each language's names; words that only look like it are not."""
    assert is_test_path(path) is expected


def test_only_tests_keeps_base_and_order() -> None:
    """The tests' part of a patch is a patch on the same base."""
    whole = patch({"src/a.py": "x", "tests/test_a.py": "y", "tests/test_b.py": None})
    part = only_tests(whole)

    assert part.base == whole.base
    assert [file.path for file in part.files] == ["tests/test_a.py", "tests/test_b.py"]


@pytest.mark.parametrize("path", ["a.test.js", "ATest.java", "a.rs", "a_spec.rb", "test_a.py", "a_test.go"])
@pytest.mark.parametrize(
    "part", ["it`", "it(`", "/*", "@a ", "#[a] ", "#[[", "\n", "(", "it('", "func Test(", "def test():\n "]
)
def test_hostile_files_cost_little(path: str, part: str) -> None:
    """No file of the allowed size keeps the reader busy for long."""
    started = time.thread_time()
    parse_tests(path, part * (390_000 // len(part)))

    assert time.thread_time() - started < 10
