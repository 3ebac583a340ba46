"""One lock a name, for as long as somebody holds it."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary


class Taken(Exception):
    """Somebody else holds the lock for longer than was to be waited."""


class _Held:
    def __init__(self) -> None:
        self.lock = threading.Lock()


class KeyedLocks:
    """Threads that ask for the same name go one after the other; a name nobody holds takes no room."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: WeakValueDictionary[Hashable, _Held] = WeakValueDictionary()

    @contextmanager
    def hold(self, name: Hashable, *, patience: float | None = None) -> Iterator[None]:
        """Hold the lock of this name. Raises Taken when it is not free within ``patience`` seconds."""
        with self._guard:
            held = self._locks.get(name)
            if held is None:
                held = self._locks[name] = _Held()
        if not held.lock.acquire(timeout=-1 if patience is None else patience):
            raise Taken
        try:
            yield
        finally:
            held.lock.release()
