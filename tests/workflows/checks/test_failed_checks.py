"""Failed checks: the machinery's failures are told from the code's, and neither is guessed."""

from __future__ import annotations

import time

import pytest

from tests.workflows.checks.test_check_log import stamped, step
from workflows.checks.failed_checks import FailureKind, classify_check
from workflows.types import Annotation, CheckRun


def check(conclusion: str = "failure", *, name: str = "test", app: str = "github-actions", **more: str) -> CheckRun:
    return CheckRun(
        id=1,
        name=name,
        head_sha="a" * 40,
        status="completed",
        conclusion=conclusion,
        app_slug=app,
        details_url="",
        **more,
    )


def kind_of(output: str, script: str = "make") -> tuple[FailureKind, str]:
    """What a step that failed with this output is taken for."""
    found = classify_check(check(), log=stamped(step(script, output, 1)))
    return found.kind, found.line


@pytest.mark.parametrize(
    "line",
    [
        "The hosted runner: GitHub Actions 9 lost communication with the server. Anything in your workflow that",
        "The self-hosted runner lost communication with the server. Verify the machine is running.",
        "The runner has received a shutdown signal. This can happen when the runner service is stopped.",
        "The hosted runner encountered an error while running your job. (Error Type: Disconnect).",
        "The job was not acquired by Runner of type hosted even after multiple attempts",
        "Received request to deprovision: The request was cancelled by the remote provider.",
        "No space left on device : '/home/runner/runners/2.319.1/_diag/Worker_20240929-071716-utc.log'",
        "Failed to download action 'https://api.github.com/repos/a/b/tarball/c'. Error: timeout",
        "Docker pull failed with exit code 1",
        "Cache service responded with 503",
        "API rate limit exceeded for installation ID 1.",
    ],
)
def test_the_runner(line: str) -> None:
    """The runner's own error, in the log or as the only thing that is left of the job, is infrastructure."""
    log = stamped(step("pytest", f"..F.\n##[error]{line}\n##[error]The operation was canceled."))
    found = classify_check(check("cancelled"), log=log)
    assert (found.kind, found.line) == ("infrastructure", line)
    note = Annotation(path=".github", start_line=1, end_line=1, level="failure", message=line)
    assert classify_check(check(), log=None, annotations=[note]).kind == "infrastructure"


@pytest.mark.parametrize(
    "line",
    [
        "npm ERR! code ETIMEDOUT",
        "npm error code E503",
        "npm error errno ECONNRESET",
        " ERR_PNPM_FETCH_503  GET https://registry.npmjs.org/x: Service Unavailable - 503",
        "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'ReadTimeoutError'",
        "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='x', port=443): Read timed out.",
        "ERROR: HTTP error 502 while getting https://files.pythonhosted.org/packages/x.whl",
        "requests: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded with url: /simple/x",
        "  Caused by: operation timed out",
        "E: Failed to fetch http://azure.archive.ubuntu.com/x.deb  503  Service Unavailable",
        "ERROR: Error response from daemon: toomanyrequests: You have reached your pull rate limit.",
        'Error response from daemon: Get "https://registry-1.docker.io/v2/": net/http: TLS handshake timeout',
        "ERROR: failed to copy: httpReadSeeker: unexpected status code https://registry-1.docker.io/v2/x: 429",
        "fatal: unable to access 'https://github.com/a/b/': Could not resolve host: github.com",
        "fatal: unable to access 'https://github.com/a/b/': The requested URL returned error: 503",
        "error: RPC failed; curl 56 GnuTLS recv error (-54): Error in the pull function.",
        "curl: (28) Operation timed out after 300000 milliseconds",
        "curl: (22) The requested URL returned error: 502",
        "2026-11-27 09:26:00 ERROR 503: Service Unavailable.",
        "  [28] Timeout was reached (Operation too slow. Less than 10 bytes/sec transferred the last 30 seconds)",
        'go: github.com/a/b@v1: Get "https://proxy.golang.org/a/b/@v/v1.mod": dial tcp: i/o timeout',
        "> Could not GET 'https://repo.maven.apache.org/x.pom'. Received status code 503 from server",
        "Could not transfer artifact a:b:pom:1 from/to central (https://repo.maven.apache.org): Connection reset",
        "tar: x/y: Cannot write: No space left on device",
        "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
        "OSError: [Errno 28] No space left on device",
        "npm ERR! code ENOSPC",
    ],
)
def test_tools_without_a_network_or_a_disk(line: str) -> None:
    """Package managers, git and Docker that fail for want of a network, a registry or a disk are infrastructure."""
    assert kind_of(f"Installing\n{line}\nGiving up") == ("infrastructure", " ".join(line.split()))


FULL = "No space left on device"


@pytest.mark.parametrize(
    "output",
    [
        # pytest: the words are a test's subject, its captured output, or an error that the code under test raised
        f"=== FAILURES ===\nE   AssertionError: assert '{FULL}' in ''\nFAILED tests/test_disk.py::test_full",
        f"=== FAILURES ===\n--- Captured stderr call ---\nwrite /a: {FULL}\n=== 1 failed in 0.1s ===",
        f"OSError: [Errno 28] {FULL}\n=========== 1 failed, 3 passed in 0.12s ===========",
        "FAIL src/disk.test.js\n  ● disk › is full\n    Error: ENOSPC: no space left on device, write",
        f"--- FAIL: TestFull (0.00s)\n    disk_test.go:12: write /a: {FULL}\nFAIL\tx\t0.1s".replace("No", "no"),
        "test disk::full ... FAILED\n  [28] Timeout was reached\ntest result: FAILED. 0 passed; 1 failed",
        "FAIL: test_retry (tests.Net)\nurllib3: toomanyrequests: slow down\nFAILED (failures=1)",
        "not ok 1 - retries\n  npm ERR! code ETIMEDOUT",
        f"##[error]tests/test_disk.py: {FULL} : '/home/runner/_diag/x' == ''\nFAILED tests/test_disk.py::test_full",
        "src/a.ts(1,2): error TS2322: Type 'x' is not assignable.\ncurl: (28) Operation timed out",
        "error[E0308]: mismatched types",
        "a.py:1:1: F401 `os` imported but unused\nFound 1 error.",
        "npm ERR! code ERESOLVE\nnpm ERR! network",
        "main.go:3:1: syntax error",
    ],
)
def test_the_code(output: str) -> None:
    """Where a test, a compiler or a linter fails, the code is to blame, whatever words about disks it prints."""
    assert kind_of(output)[0] == "code"


@pytest.mark.parametrize(
    "output",
    [
        "",
        "something went wrong",
        # another harness, and no sign that we know of: not taken for the machinery's words
        f"check: assert error == '{FULL}'",
        f"expected: {FULL}",
        f"test_full: {FULL}",
        f"test_full: write /a: {FULL}",
        "assert_retries: npm ERR! code ETIMEDOUT, toomanyrequests: slow down",
        f'says "{FULL}", it should',
        "our retry test printed ETIMEDOUT and 503",
        f"The runner has received a shutdown signal is what our mock says, and {FULL}!",
    ],
)
def test_what_is_not_known(output: str) -> None:
    """Words in prose or in an unknown test's output are not enough: unknown, with the runner's last word."""
    assert kind_of(output) == ("unknown", "Process completed with exit code 1.")


def test_a_script_that_names_the_words() -> None:
    """The script that the runner echoes is not output."""
    script = "curl x || echo 'curl: (28) timed out'"
    log = stamped(step(f"{script}\ncurl: (28) timed out", "something went wrong", 1))
    assert classify_check(check(), log=log).kind == "unknown"


def test_a_step_that_succeeded() -> None:
    """What a step complained of that went well in the end does not count."""
    log = stamped(step("npm ci", "npm ERR! code ETIMEDOUT\nretrying\nadded 3") + "\n" + step("make", "no rule", 2))
    assert classify_check(check(), log=log).kind == "unknown"


@pytest.mark.parametrize(
    ("run", "kind", "reason"),
    [
        (check("action_required", app="x"), "not_ours", "it waits for a person"),
        (check(name="license/cla", app="x"), "not_ours", "it waits for a person"),
        (check(name="EasyCLA", app="x"), "not_ours", "it waits for a person"),
        (check(name="DCO", app="dco"), "not_ours", "it waits for a person"),
        (check(name="policy", app="x", title="Waiting for approval by @a"), "not_ours", "it waits for an approval"),
        (
            check(name="Vercel", app="x", title="Authorization required to deploy."),
            "not_ours",
            "a deployment is to be authorised",
        ),
        (check(name="classes", app="x"), "unknown", "its log names no cause that is known"),
        (check(name="review"), "unknown", "its log names no cause that is known"),
        (check("cancelled"), "not_ours", "somebody or another job cancelled it"),
        (check("stale"), "infrastructure", "GitHub gave it up: it was not finished in 14 days"),
        (check("timed_out"), "unknown", "it ran out of time"),
        (check("startup_failure"), "unknown", "its workflow could not be started"),
    ],
)
def test_without_a_log(run: CheckRun, kind: FailureKind, reason: str) -> None:
    """Without a log the name, the words and the conclusion are what there is to go by."""
    found = classify_check(run, log=None)
    assert (found.kind, found.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("path", "level", "kind"),
    [("src/a.py", "failure", "code"), ("src/a.py", "warning", "unknown"), (".github", "failure", "unknown")],
)
def test_annotations(path: str, level: str, kind: FailureKind) -> None:
    """A failure that points at a line of a file is the code's; a warning, or GitHub's own place, is not."""
    note = Annotation(path=path, start_line=3, end_line=3, level=level, message="Process completed with exit code 1.")
    assert classify_check(check(app="x"), log=None, annotations=[note]).kind == kind


def test_other_services() -> None:
    """A log without the runner's words, of another service, is read as one step."""
    assert classify_check(check(app="x"), log="$ make\nnpm ERR! code ETIMEDOUT").kind == "infrastructure"
    assert classify_check(check(app="x"), log="$ make\nnpm ERR! code ETIMEDOUT\nnot ok 3 - a").kind == "code"


@pytest.mark.parametrize(
    "line",
    [
        "error: something",
        "x" * 3_000,
        "runner " * 300,
        "https://" + "a" * 1_000,
        "a: " * 700,
        " " * 2_000,
        "=" * 2_000,
        "1 tests, " * 200,
    ],
)
def test_a_megabyte(line: str) -> None:
    """The largest log that is looked at, of any shape, costs under three seconds."""
    log = step("x", f"{line}\n" * (1_000_000 // (len(line) + 1)), 1)
    start = time.thread_time()
    classify_check(check(), log=log)
    assert time.thread_time() - start < 3
