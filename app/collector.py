"""When Python looks for garbage: seldom while a program loads, and not once more when it ends."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_OBJECTS = 50_000
_ROUNDS = 20


@contextmanager
def collect_seldom() -> Iterator[None]:
    """For a whole program. What we load is some 180,000 objects that stay until the end; looking through all of them
    again and again at the start, and a last time at the end, is a fifth of what a short command costs.
    """
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, _ROUNDS, _ROUNDS)
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*before)
