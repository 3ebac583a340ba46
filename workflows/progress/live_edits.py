"""Edits made beside the work: no command and no turn waits for GitHub, and what is written last stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Lock

import structlog

from workflows.beside import begin_beside

log = structlog.get_logger()

SECONDS_BETWEEN_EDITS = 10.0
LIVE_EDIT = "live-edit"
"""The name of the thread that edits."""


class LiveEdits:
    """The edits of one thing on GitHub: one at a time, and beside the work once in SECONDS_BETWEEN_EDITS at most.

    ``edit`` writes what there is to show when it is called, and handles what GitHub refuses.
    """

    def __init__(self, edit: Callable[[], bool]) -> None:
        self._edit = edit
        self._edited = 0.0
        self._live: Future[bool] | None = None
        self._settled = False
        self._beginning = Lock()
        """Never held while GitHub is spoken to."""
        self._editing = Lock()
        """Held while it is edited: what is read later is written later."""

    def make(self) -> bool:
        """Edit now, after the edit under way, and give what the edit gives."""
        with self._editing:
            with self._beginning:
                self._edited = time.monotonic()
            return self._edit()

    def make_beside(self) -> None:
        """Begin an edit beside the work, and return at once.

        None begins while one is under way or was a moment ago. It is not made up for: the next one shows all there is.
        """
        with self._beginning:
            busy = self._live is not None and not self._live.done()
            if busy or self._settled or time.monotonic() - self._edited < SECONDS_BETWEEN_EDITS:
                return
            self._edited = time.monotonic()
            self._live = begin_beside(self.make, name=LIVE_EDIT)
            self._live.add_done_callback(_tell_failure)

    def settle(self) -> None:
        """Begin no edit beside the work any more, and wait for the one under way: what is written next stays."""
        with self._beginning:
            self._settled = True
            live = self._live
        if live is not None:
            wait([live])


def _tell_failure(edit: Future[bool]) -> None:
    error = edit.exception()
    if error is not None:
        log.error("live edit not made", exc_info=error)  # nobody waits for what was raised
