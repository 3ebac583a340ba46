"""Running the tests and judging the change by them: evidence that the harness writes, not the model."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence

from sandbox.container import ExecResult, Sandbox
from workflows.evidence.comparison import Comparison
from workflows.evidence.reports import PREFIX, Reports, option_refused, prepare_reports, read_reports, ways
from workflows.repository.runners import Runner
from workflows.types import Patch, TestRun, Verdict

LOG_LIMIT = 400_000
TAIL = 8_000

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def run_tests(sandbox: Sandbox, command: str, *, runner: Runner = "other", timeout: float) -> TestRun:
    """Run a test command once in the sandbox's workspace, for at most ``timeout`` seconds.

    A runner that refuses the options that make it write a report is run again without them. The log's digest is over
    the whole output that was kept (at most 400,000 characters). Raises SandboxUnavailable.
    """
    folder = PREFIX + secrets.token_hex(4)
    prepare_reports(sandbox, folder, runner)
    reports = Reports()
    for way in ways(command, runner, folder):
        result = sandbox.execute(
            f'export FORGEHAND_ROOT="$PWD"\n{command}{way.arguments}',
            timeout=timeout,
            environment=way.environment,
            output_limit=LOG_LIMIT,
        )
        reports = read_reports(sandbox, folder) if result.exit_code is not None else Reports()
        reported = reports.cases is not None or bool(reports.note)
        if reported or result.ok or result.timed_out or not option_refused(result.output):
            break
    return _test_run(command, result, reports, notes=sandbox.notes)


def compare(
    before: TestRun | None,
    after: TestRun,
    *,
    patch: Patch,
    red: TestRun | None = None,
    weakened: Sequence[str] = (),
    again: TestRun | None = None,
) -> Verdict:
    """Did it work? ``before`` ran on the base, ``after`` on the base with the patch.

    ``red`` ran on the base with only the patch's test files: what failed there and passes after was tested red first.
    ``again`` is the second look (a repeat of ``after``): what passes in either of the two is flaky, not broken.
    """
    return Comparison(before=before, after=after, red=red, patch=patch, weakened=tuple(weakened), again=again).verdict()


def needs_second_look(verdict: Verdict) -> tuple[str, ...]:
    """What should be run once more before it is called broken: test ids, or the command when no test can be named."""
    after = verdict.after
    if verdict.status != "worse" or after is None or after.timed_out or after.out_of_memory:
        return ()
    return verdict.broken or (after.command,)


def _test_run(command: str, result: ExecResult, reports: Reports, *, notes: Sequence[str]) -> TestRun:
    log = result.output.encode("utf-8", "replace")
    readable = _CONTROL.sub("", log.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n"))
    return TestRun(
        command=command,
        exit_code=result.exit_code,
        seconds=result.seconds,
        timed_out=result.timed_out,
        out_of_memory=result.out_of_memory,
        cases=reports.cases,
        log_tail="\n".join(part for part in (readable[-TAIL:], reports.note) if part),
        log_sha256=hashlib.sha256(log).hexdigest(),
        notes=tuple(notes),
    )
