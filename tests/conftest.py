"""What every test may use, and the rule that nothing is skipped silently."""

from __future__ import annotations

import os
from collections.abc import Iterator

import docker
import pytest

from sandbox.engine import ensure_engine

EXPECTED_SKIPS: tuple[str, ...] = ()
"""Reasons (their beginnings) that continuous integration accepts for a skip."""


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A Docker engine that answers; installed and started when there is none, as `make demo` does it."""
    client = ensure_engine(install=True, say=print)
    yield client
    client.close()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI set, a skip whose reason is not in EXPECTED_SKIPS fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    reasons = [str(report.longrepr[2]) for report in reporter.stats.get("skipped", [])]
    expected = EXPECTED_SKIPS or ("\0",)
    unexpected = [reason for reason in reasons if not reason.removeprefix("Skipped: ").startswith(expected)]
    if unexpected:
        reporter.write_line(f"unexpected skips: {unexpected}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
