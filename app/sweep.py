"""The sweep for lost deliveries: what nobody received while we were away is asked for again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby

import structlog

from app.github import Delivery, GitHubApp
from workflows.durable.queue import Queue
from workflows.services import BrokenWorld

log = structlog.get_logger()

KEPT = timedelta(days=3)
"""GitHub can redeliver for three days: https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks"""
MOST_ATTEMPTS = 5
IN_FLIGHT = timedelta(seconds=30)
"""A delivery younger than this may still be on its way to us."""


def choose_lost(log_entries: list[Delivery], *, known: Callable[[str], bool], now: datetime) -> list[Delivery]:
    """The newest attempt of each delivery that never reached us: no attempt was answered 2xx, and we do not know it."""
    by_guid = sorted(log_entries, key=lambda entry: (entry.guid, entry.delivered_at))
    lost = []
    for _, group in groupby(by_guid, key=lambda entry: entry.guid):
        attempts = list(group)
        arrived = any(200 <= attempt.status_code < 300 for attempt in attempts)
        if not arrived and len(attempts) < MOST_ATTEMPTS and now - attempts[-1].delivered_at > IN_FLIGHT:
            lost.append(attempts[-1])
    return sorted((entry for entry in lost if not known(entry.guid)), key=lambda entry: entry.delivered_at)


class Sweeper:
    """Sweeps once ``ready`` is true and then every ``every`` seconds, in a thread of its own.

    GitHub never delivers again by itself. The first sweep goes back three days, later ones to the one before.
    """

    def __init__(
        self, github: GitHubApp, queue: Queue, *, ready: Callable[[], bool] = lambda: True, every: float = 300.0
    ) -> None:
        self._github = github
        self._queue = queue
        self._ready = ready
        self._every = every
        self._since = datetime.now(UTC) - KEPT
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a sweep under way ends with its current request."""
        self._ended.set()
        self._thread.join(timeout=5)

    def sweep(self) -> int:
        """Ask for everything lost once more; how many that were. Raises BrokenWorld."""
        now = datetime.now(UTC)
        entries = self._github.recent_deliveries(self._since)
        lost = choose_lost(entries, known=lambda guid: self._queue.delivery(guid) is not None, now=now)
        for entry in lost:
            if self._ended.is_set():
                break
            log.info("delivery asked for again", delivery=entry.guid, github_event=entry.event)
            self._github.redeliver(entry.id)
        # An hour of overlap: an attempt is judged only when it is over, and one that failed again gets another.
        self._since = max(self._since, now - timedelta(hours=1))
        return len(lost)

    def _run(self) -> None:
        while not self._ready() and not self._ended.wait(0.2):
            pass
        while not self._ended.is_set():
            try:
                self.sweep()
            except BrokenWorld as broken:
                log.warning("no sweep for lost deliveries", reason=broken.message)
            self._ended.wait(self._every)
