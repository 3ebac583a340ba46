"""A job's log: what the runner adds is gone, and an excerpt keeps what explains the failure."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.checks.check_log import LogStep, excerpt_log, failed_steps, parse_check_log


def stamped(text: str) -> str:
    """The text as GitHub stores it."""
    return "\ufeff" + "\n".join(
        f"2026-11-27T09:26:{n % 60:02}.1234567Z {line}" for n, line in enumerate(text.split("\n"))
    )


def step(script: str, output: str, exit_code: int | None = None) -> str:
    """One step of a log; with an exit code, it failed."""
    echoed = f"\x1b[36;1m{script}\x1b[0m\nshell: /usr/bin/bash -e {{0}}\nenv:\n  CI: true"
    head = f"##[group]Run {script}\n{echoed}\n##[endgroup]\n"
    return head + output + (f"\n##[error]Process completed with exit code {exit_code}." if exit_code else "")


LOG = stamped(
    "\n".join(
        [
            "Current runner version: '2.319.1'",
            "##[group]Operating System\nUbuntu\n##[endgroup]",
            "##[group]Run actions/checkout@v4\nwith:\n  fetch-depth: 1\n##[endgroup]",
            "Syncing repository",
            step("npm ci", "added 12 packages"),
            step("npm test", "\x1b[31mboom\x1b[0m\n  10%\r 50%\r100% done", 1),
            "Post job cleanup.",
            "Cleaning up orphan processes",
        ]
    )
)


def test_steps() -> None:
    """Each step has its title and its output; times, colours, scripts and progress are gone."""
    steps = parse_check_log(LOG)
    assert [one.title for one in steps] == [
        "",
        "Run actions/checkout@v4",
        "Run npm ci",
        "Run npm test",
        "Post job cleanup.",
    ]
    assert steps[3].lines == ("boom", "100% done", "##[error]Process completed with exit code 1.")
    assert failed_steps(steps) == [steps[3]]


@pytest.mark.parametrize(
    ("log", "steps"),
    [
        ("", [LogStep("", ("",))]),
        ("one\ntwo", [LogStep("", ("one", "two"))]),
        # a program's own group that looks like a step
        (
            step("make", "##[group]Run the tests\nfailed: 3\n##[endgroup]\nend"),
            [LogStep("Run make", ("##[group]Run the tests", "failed: 3", "##[endgroup]", "end"))],
        ),
        # the tail of a log begins anywhere
        ("shell: x\n##[endgroup]\nout", [LogStep("", ("shell: x", "##[endgroup]", "out"))]),
        ("##[group]Run cut off\nscript", [LogStep("", ("##[group]Run cut off", "script"))]),
        ("\r\none\r\n", [LogStep("", ("", "one", ""))]),
    ],
)
def test_odd_logs(log: str, steps: list[LogStep]) -> None:
    """Programs that group like the runner, cut-off logs and other services' logs lose nothing."""
    assert parse_check_log(log) == steps


def test_a_short_excerpt_is_everything() -> None:
    """A failed step that fits is shown whole, without the steps that succeeded."""
    assert (
        excerpt_log(LOG, 1_000) == "== Run npm test ==\nboom\n100% done\n##[error]Process completed with exit code 1."
    )


def test_first_errors_and_the_end() -> None:
    """Of a long log the first error stays with the lines around it, and the end; what is left out is counted."""
    noise = [f"compiling module {number}" for number in range(5_000)]
    noise[1_000] = "Error: the first cause"
    output = "\n".join([*noise, "test_error_handling PASSED", "0 errors", "last words"])
    excerpt = excerpt_log(stamped(step("make", output, 2)), 3_000)
    assert len(excerpt) <= 3_000
    assert "compiling module 999\nError: the first cause\ncompiling module 1001" in excerpt
    assert excerpt.endswith("last words\n##[error]Process completed with exit code 2.")
    assert "lines left out" in excerpt
    assert "compiling module 0" not in excerpt


def test_repeated_lines_are_one() -> None:
    """The same line over and over is shown once, with how often."""
    assert "waiting [500 times]" in excerpt_log(step("x", "waiting\n" * 500, 1), 10_000)


@given(st.text(alphabet="aE:#[]\n\r errorgup\x1b", max_size=300), st.integers(0, 400))
def test_never_longer(log: str, most: int) -> None:
    """No excerpt is longer than asked for."""
    assert len(excerpt_log(log, most)) <= most


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-27T09:26:00.1234567Z error: something failed",
        "2026-11-27T09:26:00.1234567Z ok",
        "##[group]Run x",
        "\x1b[31m\x1b]0;" + "x" * 100,
        "x" * 5_000,
        "\r",
        "10%\r" * 300,
        "",
    ],
)
def test_five_megabytes(line: str) -> None:
    """5 MB of anything is cut within five seconds, and twice as much takes about twice as long."""

    def seconds(size: int) -> float:
        log = f"{line}\n" * (size // (len(line) + 1))
        start = time.thread_time()
        excerpt_log(log, 20_000)
        return time.thread_time() - start

    half, whole = seconds(2_500_000), seconds(5_000_000)
    assert whole < 5
    assert whole < 4 * half + 0.2
