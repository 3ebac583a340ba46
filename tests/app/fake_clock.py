"""A clock that jumps instead of waiting, and remembers how long it was asked to."""

from __future__ import annotations

import threading
import time

from app.github_retry import Clock


class FakeClock:
    """Starts at the real time; only ``sleep`` and ``advance`` move it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gone = 0.0
        self._start = time.time()
        self.sleeps: list[float] = []

    def now(self) -> float:
        with self._lock:
            return self._start + self._gone

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.sleeps.append(seconds)
            self._gone += seconds

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._gone += seconds

    @property
    def clock(self) -> Clock:
        return Clock(seconds=self.now, wall=self.now, sleep=self.sleep)
