"""Where the ledgers of findings are kept: one text a pull request, in the database (docs/decisions/0016)."""

from __future__ import annotations

from typing import Protocol

import sqlalchemy as sa

from workflows.durable.deliveries import create_tables, metadata

ledgers = sa.Table(
    "forgehand_ledgers",
    metadata,
    sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("ledger", sa.Text, nullable=False),
)


class Ledgers(Protocol):
    """The ledgers of all pull requests, as text. The jobs of one pull request run one after the other."""

    def read(self, repository_id: int, number: int) -> str | None:
        """The ledger of a pull request; None before its first review."""

    def keep(self, repository_id: int, number: int, text: str) -> None:
        """Keep this one in its place; a second time changes nothing."""


class LedgersInMemory:
    """The ledgers where there is no database, as for ``forgehand fix``."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], str] = {}

    def read(self, repository_id: int, number: int) -> str | None:
        """The ledger of a pull request."""
        return self._kept.get((repository_id, number))

    def keep(self, repository_id: int, number: int, text: str) -> None:
        """Keep it."""
        self._kept[repository_id, number] = text


class DatabaseLedgers:
    """The ledgers of an installation."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        create_tables(engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def read(self, repository_id: int, number: int) -> str | None:
        """The ledger of a pull request."""
        wanted = sa.select(ledgers.c.ledger).where(_of(repository_id, number))
        with self._engine.connect() as connection:
            found = connection.execute(wanted).scalar()
        return None if found is None else str(found)

    def keep(self, repository_id: int, number: int, text: str) -> None:
        """Keep it, in one act."""
        with self._engine.begin() as connection:
            changed = connection.execute(ledgers.update().where(_of(repository_id, number)).values(ledger=text))
            if not changed.rowcount:
                row = {"repository_id": repository_id, "number": number, "ledger": text}
                connection.execute(ledgers.insert().values(row))


def _of(repository_id: int, number: int) -> sa.ColumnElement[bool]:
    return sa.and_(ledgers.c.repository_id == repository_id, ledgers.c.number == number)
