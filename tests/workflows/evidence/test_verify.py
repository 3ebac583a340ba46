from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

import docker
import pytest

from sandbox.authorities import find_authorities
from sandbox.container import ExecResult, Sandbox, SandboxSpec
from sandbox.docker import DockerSandboxes
from sandbox.images import ensure_image
from tests.fakes import FolderSandbox
from workflows.evidence.comparison import executed_count
from workflows.evidence.reports import ways
from workflows.evidence.verify import compare, needs_second_look, run_tests
from workflows.types import Patch, PatchFile, TestCase, TestRun, Verdict

PYTEST = f"{shlex.quote(sys.executable)} -m pytest -q"
PYTHON_FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "tests/test_calc.py": "import calc\n\ndef test_zero():\n    assert calc.add(0, 0) == 0\n\n"
    "def test_add():\n    assert calc.add(1, 2) == 3\n",
    "pytest.ini": "[pytest]\npythonpath = .\n",
}
NODE_FILES = {
    "package.json": '{"name": "x", "scripts": {"test": "node --test"}}',
    "calc.js": "exports.add = (a, b) => a - b;\n",
    "test/calc.test.js": "const test = require('node:test'); const assert = require('node:assert');\n"
    "const { add } = require('../calc.js');\n"
    "test('zero', () => assert.equal(add(0, 0), 0));\n"
    "test.describe('sums', () => { test('add', () => assert.equal(add(1, 2), 3)); test('later', { skip: true }); });\n",
}


class Folder(FolderSandbox):
    """The folder sandbox with the environment that a command is given."""

    def execute(
        self,
        command: str,
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        carry: bool = False,
        output_limit: int = 30_000,
    ) -> ExecResult:
        exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in (environment or {}).items())
        return super().execute(exports + command, timeout=timeout, carry=carry, output_limit=output_limit)


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def folder(tmp_path: Path, files: Mapping[str, str]) -> Folder:
    (tmp_path / "base").mkdir()
    return Folder(write(tmp_path / "base", files), tmp_path / "work")


def outcomes(run: TestRun) -> dict[str, str]:
    assert run.cases is not None
    return {case.id: case.outcome for case in run.cases}


def changed_names(sandbox: FolderSandbox) -> list[str]:
    return [change.path for change in sandbox.export_changes(max_files=100, max_bytes=10**7)]


# Running


def test_pytest_reports_each_test_and_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest's tests come one by one, and the tree has no cache, byte code or report afterwards."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    sandbox = folder(tmp_path, PYTHON_FILES)
    run = run_tests(sandbox, PYTEST, runner="pytest", timeout=60)

    assert outcomes(run) == {"tests.test_calc::test_zero": "passed", "tests.test_calc::test_add": "failed"}
    assert run.exit_code == 1
    assert run.command == PYTEST
    assert "1 failed, 1 passed" in run.log_tail
    assert changed_names(sandbox) == []
    assert not list(sandbox.folder.rglob("__pycache__"))


def test_pytest_goes_on_after_a_file_that_cannot_be_loaded(tmp_path: Path) -> None:
    """One broken import hides only its own file's tests."""
    sandbox = folder(tmp_path, {**PYTHON_FILES, "tests/test_bad.py": "import nowhere\n"})

    assert outcomes(run_tests(sandbox, PYTEST, runner="pytest", timeout=60)) == {
        "::tests.test_bad": "error",
        "tests.test_calc::test_zero": "passed",
        "tests.test_calc::test_add": "failed",
    }


def test_pytest_below_another_runner(tmp_path: Path) -> None:
    """make, a script, whatever starts pytest in the end: its report is found."""
    sandbox = folder(tmp_path, {**PYTHON_FILES, "Makefile": f"test:\n\t{PYTEST}\n"})

    assert len(outcomes(run_tests(sandbox, "make test", runner="make", timeout=60))) == 2


def test_refused_options_are_taken_back(tmp_path: Path) -> None:
    """A repository in which our options are an error is tested without them: exit code and log, no report."""
    files = {**PYTHON_FILES, "pytest.ini": "[pytest]\npythonpath = .\naddopts = -p no:junitxml\n"}
    run = run_tests(folder(tmp_path, files), PYTEST, runner="pytest", timeout=60)

    assert run.cases is None
    assert run.exit_code == 1
    assert executed_count(run) == 1


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ("npm test", "node --test"),
        ("node --test", ""),
        ("npm test", "node --test --test-reporter=dot"),
        ("npm test", "node --test --test-reporter=tap --test-reporter-destination=stdout"),
    ],
)
def test_node_reports_each_test(tmp_path: Path, command: str, script: str) -> None:
    """Node's tests come one by one with their file, and the people's output stays, whatever reporter the script has."""
    sandbox = folder(tmp_path, {**NODE_FILES, "package.json": f'{{"scripts": {{"test": "{script}"}}}}'})
    run = run_tests(sandbox, command, runner="node", timeout=60)

    assert outcomes(run) == {
        "test/calc.test.js::zero": "passed",
        "test/calc.test.js > sums::add": "failed",
        "test/calc.test.js > sums::later": "skipped",
    }
    assert run.exit_code == 1
    assert run.log_tail.strip()
    assert changed_names(sandbox) == []


def test_node_runs_in_one_command_are_all_read(tmp_path: Path) -> None:
    """Two runs in one command leave two reports; a file that cannot be loaded is a failing case with its own name."""
    sandbox = folder(tmp_path, {**NODE_FILES, "test/bad.test.js": "require('./nowhere.js')\n"})
    command = "node --test test/bad.test.js; node --test test/calc.test.js"
    found = outcomes(run_tests(sandbox, command, runner="node", timeout=60))

    assert found["test/bad.test.js::test/bad.test.js"] == "failed"
    assert found["test/calc.test.js::zero"] == "passed"


def test_reports_in_build_folders(tmp_path: Path) -> None:
    """Surefire's and Gradle's reports are collected, of every module, and those of an earlier run are not."""
    report = '<testsuite name="A"><testcase classname="A" name="{}"/></testsuite>'
    sandbox = folder(tmp_path, {"old/target/surefire-reports/TEST-Old.xml": report.format("old")})
    subprocess.run(["touch", "-d", "2020-01-01", *map(str, sandbox.folder.rglob("*.xml"))], check=True)
    command = (
        "mkdir -p m/target/surefire-reports g/build/test-results/test; sleep 0.01; "
        f"echo {shlex.quote(report.format('maven'))} > m/target/surefire-reports/TEST-A.xml; "
        f"echo {shlex.quote(report.format('gradle'))} > g/build/test-results/test/TEST-A.xml"
    )

    assert outcomes(run_tests(sandbox, command, runner="maven", timeout=60)) == {
        "A::gradle": "passed",
        "A::maven": "passed",
    }


def test_command_that_hangs(tmp_path: Path) -> None:
    """A command that does not end is ended, once, and its run says so."""
    sandbox = folder(tmp_path, {"a": ""})
    run = run_tests(sandbox, "echo begun; exec sleep 600", timeout=0.5)

    assert run.timed_out
    assert run.exit_code is None
    assert run.cases is None
    assert sum("sleep" in command for command in sandbox.commands) == 1


def test_log_is_digested_and_cleaned(tmp_path: Path) -> None:
    """The digest is over what was printed; the tail is without colours and control characters."""
    run = run_tests(folder(tmp_path, {"a": ""}), r"printf '\033[31mred\033[0m\a\r\nend'", timeout=60)

    assert run.log_sha256 == hashlib.sha256(b"\x1b[31mred\x1b[0m\x07\r\nend").hexdigest()
    assert run.log_tail == "red\nend"
    assert run.cases is None


@pytest.mark.parametrize(
    ("command", "runner", "appended"),
    [
        ("npm test", "vitest", " -- --reporter=default"),
        ("npm run unit -- --run", "vitest", " --reporter=default"),
        ("yarn test", "vitest", " --reporter=default"),
        ("cd web && npx vitest run", "vitest", " --reporter=default"),
        ("npm test", "jest", " -- --json --outputFile=/f/jest.json"),
        ("npx jest > log.txt", "jest", ""),
        ("echo 'a", "jest", ""),
    ],
)
def test_where_options_are_appended(command: str, runner: str, appended: str) -> None:
    """Options reach the last program of a command, through npm's two dashes where npm needs them, or stay away."""
    first = ways(command, runner, "/f")[0]  # type: ignore[arg-type]

    assert first.arguments.startswith(appended)
    assert bool(first.arguments) == bool(appended)


# Judging


def run(
    *passed: str, failed: tuple[str, ...] = (), error: tuple[str, ...] = (), skipped: tuple[str, ...] = ()
) -> TestRun:
    cases = [TestCase(id=name, outcome="passed") for name in passed]
    cases += [TestCase(id=name, outcome="failed") for name in failed]
    cases += [TestCase(id=name, outcome="error") for name in error]
    cases += [TestCase(id=name, outcome="skipped") for name in skipped]
    return TestRun(command="t", exit_code=1 if failed or error else 0, seconds=1, cases=tuple(cases))


def codes(exit_code: int | None, log: str = "", *, timed_out: bool = False, out_of_memory: bool = False) -> TestRun:
    return TestRun(
        command="t", exit_code=exit_code, seconds=9, log_tail=log, timed_out=timed_out, out_of_memory=out_of_memory
    )


def touching(*paths: str) -> Patch:
    return Patch(base="0" * 40, files=tuple(PatchFile(path=path, mode="100644", content=b"eA==") for path in paths))


SOURCE = touching("src/a.py")
BOTH = touching("src/a.py", "tests/test_a.py")
UNLOADED = ("::m",)


@pytest.mark.parametrize(
    ("verdict", "status", "says"),
    [
        (compare(run("a", failed=("b",)), run("a", "b"), patch=SOURCE), "verified", "All tests pass"),
        (compare(run("a"), run("a"), patch=SOURCE), "verified", "All tests pass"),
        (compare(None, run("a"), patch=SOURCE), "verified", "All tests pass"),
        (compare(codes(None, timed_out=True), run("a"), patch=SOURCE), "verified", "All tests pass"),
        (compare(run("a", failed=("b", "c")), run("a", "b", failed=("c",)), patch=SOURCE), "verified", "`c`"),
        (compare(run("a", "b"), run("a", failed=("b",)), patch=SOURCE), "worse", "`b`"),
        (compare(run("a", failed=("b",)), run("b", failed=("a",)), patch=SOURCE), "worse", "`a`"),
        (compare(run("a"), run("a", failed=("new",)), patch=BOTH), "worse", "`new`"),
        (compare(run("m::a", "n::b"), run("n::b", error=UNLOADED), patch=SOURCE), "worse", "`m::a`"),
        (compare(run("a"), codes(None, timed_out=True), patch=SOURCE), "worse", "did not end within 9 seconds"),
        (compare(run("a"), codes(137, out_of_memory=True), patch=SOURCE), "worse", "memory"),
        (compare(run("a"), codes(127), patch=SOURCE), "worse", "exit code 127"),
        (compare(codes(0), codes(1), patch=SOURCE), "worse", "exit code 1"),
        (compare(codes(None, timed_out=True), codes(None, timed_out=True), patch=SOURCE), "unverified", "did not end"),
        (compare(None, run("a", failed=("b",)), patch=SOURCE), "unverified", "before is unknown"),
        (compare(codes(1), codes(1, "Ran 3 tests in 1s"), patch=SOURCE), "unverified", "exit codes alone"),
        (compare(codes(1), codes(0), patch=SOURCE), "unverified", "does not say which tests"),
        (
            compare(codes(1), codes(0, "test result: ok. 3 passed; 0 failed"), patch=SOURCE),
            "verified",
            "3 tests executed",
        ),
        (compare(run("a", failed=("b",)), run("a", failed=("b", "new")), patch=BOTH), "unverified", "`new`"),
        (compare(run("a", "b"), run("a"), patch=SOURCE), "unverified", "`b`"),
        (compare(run("a", "b"), run("a", skipped=("b",)), patch=SOURCE), "unverified", "`b`"),
        (compare(run("a", "b"), run("a"), patch=BOTH), "verified", "All tests pass"),
        (compare(run(), run(), patch=SOURCE), "no_tests", "No test was executed"),
        (compare(run(skipped=("a",)), run(skipped=("a",)), patch=SOURCE), "no_tests", "No test was executed"),
        (compare(None, run().model_copy(update={"exit_code": 5}), patch=SOURCE), "no_tests", "No test was executed"),
        (compare(run("a"), run().model_copy(update={"exit_code": 2}), patch=SOURCE), "worse", "exit code 2"),
        (
            compare(run("a", failed=("b",)), run().model_copy(update={"exit_code": 2}), patch=SOURCE),
            "worse",
            "none can be run",
        ),
    ],
)
def test_status(verdict: Verdict, status: str, says: str) -> None:
    """Each pair of runs has one status and a first sentence that says why."""
    assert verdict.status == status, verdict.reasons
    assert says in verdict.reasons[0]


def test_lists() -> None:
    """Newly green, still green, newly red and still red are told apart."""
    verdict = compare(
        run("a", "b", "c", failed=("d", "e"), skipped=("f",)),
        run("a", "b", "d", "f", failed=("c", "e")),
        patch=SOURCE,
        weakened=("w",),
    )

    assert verdict.fail_to_pass == ("d",)
    assert verdict.pass_to_pass == 2
    assert verdict.broken == ("c",)
    assert verdict.still_failing == ("e",)
    assert verdict.weakened == ("w",)
    assert verdict.after is not None
    assert "2 tests passed before and still pass." in verdict.reasons


FAILED, MENDED = run("a", failed=("b",)), run("a", "b")


@pytest.mark.parametrize("path", ["conftest.py", "tests/conftest.py", "pytest.ini", "pytest/__init__.py", "x.pth"])
def test_changed_settings_are_the_first_thing_seen(path: str) -> None:
    """A verdict with settings of the tests in the patch says so first; its status stands when the code changed too."""
    verdict = compare(FAILED, MENDED, patch=touching("src/a.py", path))

    assert verdict.status == "verified"
    assert verdict.reasons[1] == f"Test settings changed: read them first (`{path}`)."


@pytest.mark.parametrize(
    "paths",
    [("conftest.py",), ("conftest.py", "tests/test_a.py"), ("sitecustomize.py", "CHANGELOG.md", "news/1.bugfix")],
)
def test_settings_alone_prove_nothing(paths: tuple[str, ...]) -> None:
    """Tests that turn green by tests and settings only, prose aside, are no proof that the code is mended."""
    for before, after in ((FAILED, MENDED), (codes(1), codes(0, "Ran 3 tests in 1s"))):
        verdict = compare(before, after, patch=touching(*paths))

        assert verdict.status == "unverified"
        assert verdict.reasons[0].startswith("Only tests and their settings changed (`")
    assert compare(MENDED, MENDED, patch=touching(*paths)).status == "verified"


def test_settings_within_a_manifest_count_when_they_were_touched() -> None:
    """A manifest is a setting of the tests only when the look for weakened tests found that part changed."""
    patch = touching("pyproject.toml")
    weakened = ["`pyproject.toml` line 2: test settings changed: `-k x`."]

    assert compare(FAILED, MENDED, patch=patch, weakened=weakened).status == "unverified"
    assert compare(FAILED, MENDED, patch=patch).status == "verified"


def test_red_first() -> None:
    """A new test proves something only if it fails without the change; one that passes anyway is named."""
    red = run("m::old", "m::idle", failed=("m::new", "m::changed"))
    verdict = compare(
        run("m::old", "m::changed"),
        run("m::old", "m::changed", "m::new", "m::idle"),
        red=red,
        patch=BOTH,
    )

    assert verdict.red_first == ("m::changed", "m::new")
    assert verdict.fail_to_pass == ("m::changed", "m::new")
    assert any("`m::idle`" in reason and "no proof" in reason for reason in verdict.reasons)
    assert verdict.red == red


def test_red_first_when_the_file_cannot_even_be_loaded() -> None:
    """A new test of a function that does not exist yet is red; a test of another new file, which passes, is not."""
    verdict = compare(
        run("old::o"),
        run("old::o", "new::a", "new.Class::b", "newer::c", "new.js::d", "new.js > s::e"),
        red=run("old::o", "newer::c", error=("::new",), failed=("new.js::new.js",)),
        patch=BOTH,
    )

    assert verdict.red_first == ("new.Class::b", "new.js > s::e", "new.js::d", "new::a")


def test_test_that_failed_anyway_is_not_red_first() -> None:
    """A test that failed before the change is fail-to-pass, but the patch's tests have no part in it."""
    verdict = compare(run(failed=("a",)), run("a"), red=run(failed=("a",)), patch=BOTH)

    assert verdict.red_first == ()
    assert verdict.fail_to_pass == ("a",)


def test_no_proof_is_said() -> None:
    """A change that no test notices is verified as harmless, and the verdict says that nothing shows it."""
    assert any("No test shows the change" in reason for reason in compare(run("a"), run("a"), patch=SOURCE).reasons)


def test_flaky_test_gets_a_second_look() -> None:
    """What broke is run again before it is called broken; what passes then is flaky, what fails again is broken."""
    before, after = run("a", "b", "c"), run("a", failed=("b", "c"))
    first = compare(before, after, patch=SOURCE)

    assert needs_second_look(first) == ("b", "c")
    assert compare(before, after, again=run("a", "b", "c"), patch=SOURCE).status == "verified"
    second = compare(before, after, again=run("a", "b", failed=("c",)), patch=SOURCE)
    assert second.status == "worse"
    assert second.broken == ("c",)
    assert any("`b`" in reason and "flaky" in reason for reason in second.reasons)
    assert needs_second_look(compare(codes(0), codes(1), patch=SOURCE)) == ("t",)
    assert needs_second_look(compare(run("a"), codes(None, timed_out=True), patch=SOURCE)) == ()
    assert needs_second_look(compare(run("a"), run("a"), patch=SOURCE)) == ()


def test_second_look_does_not_spread_the_blame() -> None:
    """Another test that fails only in the second look is as flaky as one that failed only in the first."""
    verdict = compare(run("a", "b"), run("b", failed=("a",)), again=run("a", failed=("b",)), patch=SOURCE)

    assert verdict.broken == ()


@pytest.mark.parametrize(
    ("log", "count"),
    [
        ("test result: ok. 3 passed; 0 failed; 1 ignored\n\ntest result: ok. 2 passed; 0 failed", 5),
        ("ok  \tacme/a\t0.010s\nok  \tacme/b\t(cached)\n?   \tacme/c\t[no test files]", 2),
        ("ok  \tacme/a\t0.010s [no tests to run]", None),
        ("===== 4 passed, 1 skipped in 0.12s =====", 4),
        ("Ran 7 tests in 0.001s\n\nOK", 7),
        ("  12 passing (30ms)", 12),
        ("Tests:       1 failed, 1 skipped, 5 passed, 7 total", 5),
        ("      Tests  1 failed | 6 passed (7)", 6),
        ("ℹ tests 8\nℹ suites 1", 8),
        ("Tests run: 9, Failures: 0, Errors: 0, Skipped: 1", 9),
        ("all good", None),
    ],
)
def test_counts_from_summaries(log: str, count: int | None) -> None:
    """Runners without a report still say how many tests ran; a log that does not is no evidence of any."""
    assert executed_count(codes(0, log)) == count


def test_verdict_survives_the_checkpoint() -> None:
    """A verdict comes out of the database as it went in."""
    verdict = compare(run("a", failed=("b",)), run("a", "b"), red=run(failed=("b",)), patch=BOTH, weakened=("w",))

    assert Verdict.model_validate(verdict.model_dump(mode="json")) == verdict


# The real container


@pytest.fixture
def mirror(tmp_path: Path) -> tuple[Path, str]:
    """A bare repository with the Python and the Node project in one commit, and the commit."""
    work = write(tmp_path / "work", {**PYTHON_FILES, **NODE_FILES})
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "base"]):
        subprocess.run(["git", *arguments], cwd=work, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(tmp_path / "mirror.git")], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=work, check=True, capture_output=True, text=True)
    return tmp_path / "mirror.git", commit.stdout.strip()


def test_in_a_container(engine: docker.DockerClient, mirror: tuple[Path, str]) -> None:
    """In the real sandbox pytest and Node report each test, and the change that is exported stays empty."""
    image = ensure_image(engine, say=print, authorities=find_authorities(os.environ), environment=os.environ)
    spec = SandboxSpec(image=image, job_id="verify", mirror=mirror[0], commit=mirror[1])
    sandbox: Sandbox = DockerSandboxes(engine, f"test-{uuid.uuid4().hex[:12]}").open(spec)
    try:
        python = run_tests(sandbox, "python -m pytest -q", runner="pytest", timeout=120)
        node = run_tests(sandbox, "npm test", runner="node", timeout=120)
        changes = sandbox.export_changes(max_files=10, max_bytes=10**6)
    finally:
        sandbox.close()

    assert outcomes(python) == {"tests.test_calc::test_zero": "passed", "tests.test_calc::test_add": "failed"}
    assert outcomes(node)["test/calc.test.js > sums::add"] == "failed"
    assert outcomes(node)["test/calc.test.js::zero"] == "passed"
    assert changes == []
