"""Rows of many sessions on their way to the disk: what comes while one commit is under way is one commit after it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa


class _Waiting:
    """One caller's rows, and what became of them."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows
        self.stored = False
        self.error: sa.exc.SQLAlchemyError | None = None


class SharedCommits:
    """Inserts into one table. Each caller waits until its own rows are on the disk, and whoever waits first works."""

    def __init__(self, engine: sa.Engine, table: sa.Table) -> None:
        self._engine = engine
        self._insert = sa.insert(table)
        self._working = threading.Lock()
        self._queueing = threading.Lock()
        self._queue: list[_Waiting] = []

    def store(self, rows: Sequence[dict[str, Any]]) -> None:
        """Store the rows in one act. Raises what the database has against them; other callers' rows do not suffer."""
        mine = _Waiting(rows)
        with self._queueing:
            self._queue.append(mine)
        with self._working:
            if not mine.stored and mine.error is None:
                with self._queueing:
                    together, self._queue = self._queue, []
                self._store_all(together if mine in together else [mine])
        if mine.error is not None:
            raise mine.error

    def _store_all(self, together: Sequence[_Waiting]) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(self._insert, [row for each in together for row in each.rows])
        except sa.exc.SQLAlchemyError as error:
            if len(together) == 1:
                together[0].error = error
                return
            for each in together:
                self._store_all([each])
        else:
            for each in together:
                each.stored = True
