"""When a request to GitHub is sent again: failures, rate limits, and writes whose outcome is not known."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import structlog
from tenacity import RetryCallState, Retrying, wait_exponential_jitter

from app.github_wire import Answer, Limited, Unclear
from workflows.durable.run import JobPostponed
from workflows.services import BrokenWorld

T = TypeVar("T")

log = structlog.get_logger()

SETTLE_SECONDS = 2.0
"""Between the two looks after an unclear write: GitHub's reads lag behind its writes."""

SHORTEST_LIMIT = 60.0
"""Seconds to wait when GitHub limits us without saying for how long; doubled each time it does so again."""


@dataclass(frozen=True)
class Clock:
    """The time, so that tests need not wait: seconds that only go forward, the wall clock, and a sleep."""

    seconds: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class RetryRules:
    """``attempts`` a request that fails; ``longest_wait`` seconds between two of them; ``patience`` seconds that one
    request sits out rate limits (a little over the hour after which GitHub's primary limit is reset);
    ``between_writes`` seconds, at least one on GitHub. ``postpones``: at the end of the patience the job is put off
    (JobPostponed) and not failed.
    """

    attempts: int = 8
    longest_wait: float = 30.0
    patience: float = 3900.0
    between_writes: float = 1.0
    clock: Clock = Clock()
    postpones: bool = False

    def within(self, seconds: float) -> RetryRules:
        """For jobs that leave their thread when GitHub holds them back for longer than that."""
        return replace(self, patience=seconds, postpones=True)

    def give_up(self, seconds: float) -> BaseException:
        """What is raised when GitHub is to be left alone for so long and that is beyond the patience."""
        if self.postpones:
            return JobPostponed(seconds)
        until = datetime.fromtimestamp(self.clock.wall() + seconds, UTC)
        return BrokenWorld(
            "github",
            f"GitHub holds this installation back with a rate limit until {until:%Y-%m-%d %H:%M} UTC, "
            "longer than may be waited here. Start the job again after that.",
        )

    def once(self) -> RetryRules:
        """One try, no waiting: for health checks."""
        return RetryRules(1, self.longest_wait, 0.0, 0.0, self.clock)


class _HeldBack(Exception):
    """The gate stays closed beyond the deadline, for so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Gate:
    """Holds back all requests of one installation while a rate limit lasts, and its writes so that they keep apart.

    GitHub bans integrations that go on asking while they are limited, so the limit one thread meets holds for all.
    https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
    """

    def __init__(self, rules: RetryRules) -> None:
        self._clock = rules.clock
        self._between_writes = rules.between_writes
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._next_write = 0.0

    def close(self, seconds: float) -> None:
        """Let nothing through for so long from now."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock.seconds() + seconds)

    def left(self) -> float:
        """Seconds until anything is let through, 0 when it is."""
        with self._lock:
            return max(0.0, self._closed_until - self._clock.seconds())

    def enter(self, verb: str, *, deadline: float) -> None:
        """Wait until the request may go. Raises _HeldBack at once when that is after ``deadline`` (clock seconds)."""
        while True:
            with self._lock:
                now = self._clock.seconds()
                opens = self._closed_until
                if opens <= now:
                    if verb == "GET" or self._next_write <= now:
                        self._next_write = max(self._next_write, now + self._between_writes if verb != "GET" else 0.0)
                        return
                    opens = self._next_write
                elif opens > deadline:
                    raise _HeldBack(opens - now)
            self._clock.sleep(opens - now)


class Attempts:
    """Sends requests through one gate until there is a definite answer."""

    def __init__(self, rules: RetryRules, gate: Gate) -> None:
        self._rules = rules
        self._gate = gate
        self._backoff = wait_exponential_jitter(initial=1.0, max=rules.longest_wait, jitter=1.0)

    def send(self, verb: str, exchange: Callable[[], Answer], *, repeatable: bool) -> Answer:
        """One definite answer.

        A rate-limited request was not carried out, so it is always sent again. After an unclear outcome only a
        ``repeatable`` one is; otherwise, and when all attempts are used up, raises Unclear. Raises BrokenWorld, or
        JobPostponed by the rules, when a rate limit lasts longer than the patience.
        """
        deadline = self._rules.clock.seconds() + self._rules.patience
        limits = 0

        def once() -> Answer:
            nonlocal limits
            while True:
                try:
                    self._gate.enter(verb, deadline=deadline)
                except _HeldBack as held:
                    raise self._rules.give_up(held.seconds) from None
                try:
                    return exchange()
                except Limited as limit:
                    seconds = _hold(limit, limits)
                    limits += 1
                    log.warning("github_rate_limited", seconds=round(seconds), verb=verb)
                    self._gate.close(seconds)

        return self._until_clear(once) if repeatable else once()

    def find_or_create(self, look: Callable[[], T | None], create: Callable[[], T]) -> T:
        """What ``look`` finds, or what ``create`` makes; never blindly made twice.

        When ``create`` raises Unclear: wait, look, wait, look again, and only then create again. Raises Unclear when
        all attempts are used up.
        """
        unsure = False

        def once() -> T:
            nonlocal unsure
            found = look()
            if found is None and unsure:
                self._rules.clock.sleep(SETTLE_SECONDS)
                found = look()
            unsure = True
            return create() if found is None else found

        return self._until_clear(once)

    def _until_clear(self, once: Callable[[], T]) -> T:
        retrying = Retrying(
            sleep=self._rules.clock.sleep,
            retry=lambda state: isinstance(_error(state), Unclear),
            stop=lambda state: state.attempt_number >= self._rules.attempts,
            wait=self._pause,
            before_sleep=_report,
            reraise=True,
        )
        return retrying(once)

    def _pause(self, state: RetryCallState) -> float:
        error = _error(state)
        asked = error.pause if isinstance(error, Unclear) else 0.0
        if asked > self._rules.patience:
            if self._rules.postpones:
                raise self._rules.give_up(asked)
            asked = self._rules.patience
        return max(asked, self._backoff(state))


def _hold(limit: Limited, before: int) -> float:
    """Seconds to keep still: what GitHub said, and from its second limit in a row on at least our own growing wait."""
    growing = SHORTEST_LIMIT * 2.0 ** min(before, 6)
    if limit.seconds is None:
        return growing
    return limit.seconds if before == 0 else max(limit.seconds, growing / 2)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _report(state: RetryCallState) -> None:
    error = _error(state)
    log.warning(
        "github_retry",
        attempt=state.attempt_number,
        seconds=round(state.upcoming_sleep, 1),
        reason=error.reason if isinstance(error, Unclear) else "",
    )
