"""The nursery that the fault tests take their Forgehand processes from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One for all tests: it takes seconds to be ready."""
    made = Nursery()
    yield made
    made.stop()
