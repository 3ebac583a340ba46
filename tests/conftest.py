"""What every test may use, and the rule that nothing is skipped silently."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import docker
import hypothesis
import pytest

from sandbox.engine import ensure_engine
from tests.machine import one_at_a_time

# An example is not wrong because the machine was busy with others: what computing costs has tests of its own.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")

EXPECTED_SKIPS: tuple[str, ...] = ()
"""Reasons (their beginnings) that continuous integration accepts for a skip."""

ORDER = (
    "tests/faults/test_kill.py",  # takes longest, and sets the engine up
    "tests/workflows/agent/",  # needs no engine meanwhile
    "tests/faults/",
    "tests/workflows/durable/",
    "tests/stories/",
    "tests/sandbox/",
    "",
)
"""The beginnings of files in the order in which workers take them up: small ones last, so that all end together."""


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A Docker engine that answers; installed and started when there is none, as `make demo` does it."""
    with one_at_a_time():
        client = ensure_engine(install=True, say=print)
    yield client
    client.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For several workers, the files in ORDER; one alone takes them as they are."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: next(rank for rank, start in enumerate(ORDER) if item.nodeid.startswith(start)))


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """What a worker tells goes over a pipe as UTF-8, and some tests print what is none."""
    return _utf8((yield))


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _utf8(each) for key, each in value.items()}
    return type(value)(map(_utf8, value)) if isinstance(value, list | tuple) else value


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
