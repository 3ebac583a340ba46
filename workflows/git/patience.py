"""git over the network, tried again: a connection that broke is waited out, a token that was refused is renewed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from workflows.git.process import GitFailure

T = TypeVar("T")

log = structlog.get_logger()

PAUSES = (1.0, 5.0, 15.0)


def persist(act: Callable[[], T], *, renew: Callable[[], object]) -> T:
    """What ``act`` gives, which must be harmless to repeat and ask for its token each time. Raises GitFailure.

    After a broken connection there are three more tries. After a refused token ``renew`` is called and there is one
    more: a token can end before its time.
    """
    pauses = iter(PAUSES)
    renewed = False
    while True:
        try:
            return act()
        except GitFailure as failure:
            pause = next(pauses, None) if failure.reason == "network" else None
            if pause is None and (failure.reason != "authentication" or renewed):
                raise
            log.warning("git tried again", reason=failure.message)
        if pause is None:
            renewed = True
            renew()
        else:
            time.sleep(pause)
