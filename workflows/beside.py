"""Work in a thread of its own, which may be left alone: nothing is heard of it any more but by whoever waits."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


def begin_beside(work: Callable[[], T], *, name: str, daemon: bool = True) -> Future[T]:
    """Begin ``work`` in a thread with this name and this context; what it gives or raises is the future's.

    The end of the process waits for a thread that is no ``daemon``.
    """
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def perform() -> None:
        with _Handover(future):
            future.set_result(context.run(work))

    threading.Thread(target=perform, daemon=daemon, name=name).start()
    return future


@dataclass(frozen=True)
class _Handover:
    """What is raised inside is raised where the future is waited for, and only there."""

    future: Future[Any]

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            self.future.set_exception(error)
        return True
