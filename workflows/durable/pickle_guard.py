"""Keeps DBOS from unpickling: who can write to the database must not be able to run code in a worker."""

from __future__ import annotations

from typing import Any, NoReturn

# Private, because DBOS chooses the decoder by a column of the row, whatever serializer it is configured with.
from dbos._serialization import DefaultSerializer


def forbid_pickle() -> None:
    """Make DBOS refuse rows that were stored as pickles, in this process and for good."""
    DefaultSerializer.deserialize = _refuse  # type: ignore[assignment, method-assign]
    DefaultSerializer.serialize = _store_errors_alone  # type: ignore[assignment, method-assign]


def _refuse(*_: Any) -> NoReturn:
    raise TypeError("Pickled rows are refused: Forgehand stores JSON alone.")


def _store_errors_alone(_: DefaultSerializer, data: Any) -> str:
    # A refused row must still be able to end, or it would hold up its issue: the error goes in as plain text.
    return str(data) if isinstance(data, Exception) else _refuse()
