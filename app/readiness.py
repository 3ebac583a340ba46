"""Whether the outside things we need are there: each check's truth, its reason and its duration."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Check:
    """What a check found; ``reason`` is a sentence without secrets that says what to do when it is not ``ok``."""

    ok: bool
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """A check with the seconds it took."""

    ok: bool
    reason: str
    seconds: float


class Readiness:
    """Runs named checks in threads. One that gives no answer in ``deadline`` seconds has failed, and is left to hang.

    Answers are kept for ``keep`` seconds, so that whoever asks often does not load what is checked. A check that turns
    is logged, with its reason.
    """

    def __init__(self, checks: Mapping[str, Callable[[], Check]], *, deadline: float = 3.0, keep: float = 5.0) -> None:
        self._probes = {name: _Probe(name, check) for name, check in checks.items()}
        self._deadline = deadline
        self._keep = keep
        self._asked = float("-inf")
        self._findings: dict[str, Finding] = {}
        self._one_at_a_time = asyncio.Lock()

    async def report(self) -> dict[str, Finding]:
        """The findings by name, at most ``keep`` seconds old; takes ``deadline`` seconds at most."""
        async with self._one_at_a_time:
            if time.monotonic() - self._asked > self._keep:
                probes = self._probes.items()
                found = await asyncio.gather(*(probe.ask(self._deadline) for _, probe in probes))
                before, self._findings = self._findings, dict(zip(self._probes, found, strict=True))
                _log_turns(before, self._findings)
                self._asked = time.monotonic()
            return self._findings


class _Probe:
    """One check, in a thread of its own: never two, so that a hanging engine costs one thread and not all."""

    def __init__(self, name: str, check: Callable[[], Check]) -> None:
        self._name = name
        self._check = check
        self._thread: threading.Thread | None = None
        self._started = 0.0

    async def ask(self, deadline: float) -> Finding:
        if self._thread is not None and self._thread.is_alive():
            return self._no_answer()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Check] = loop.create_future()
        self._started = time.monotonic()
        # A daemon: it may hang for ever, and the process must be able to end all the same.
        self._thread = threading.Thread(target=self._run, args=(loop, answer), name=f"check-{self._name}", daemon=True)
        self._thread.start()
        try:
            check = await asyncio.wait_for(answer, deadline)
        except TimeoutError:
            return self._no_answer()
        return Finding(ok=check.ok, reason=check.reason, seconds=round(time.monotonic() - self._started, 3))

    def _run(self, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Check]) -> None:
        check = Check(ok=False, reason="The check itself failed: see the log.")
        try:
            check = self._check()
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, answer, check)

    def _no_answer(self) -> Finding:
        seconds = time.monotonic() - self._started
        return Finding(ok=False, reason=f"No answer for {seconds:.0f} s.", seconds=round(seconds, 3))


def _log_turns(before: Mapping[str, Finding], after: Mapping[str, Finding]) -> None:
    for name, finding in after.items():
        was_ok = before[name].ok if name in before else True
        if was_ok and not finding.ok:
            log.warning("not_ready", check=name, reason=finding.reason)
        elif finding.ok and not was_ok:
            log.warning("ready_again", check=name, reason=finding.reason)


def _settle(answer: asyncio.Future[Check], check: Check) -> None:
    if not answer.done():
        answer.set_result(check)
