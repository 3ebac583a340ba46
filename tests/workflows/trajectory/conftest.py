"""Harbor, installed once a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.fetched import fetch
from tests.workflows.trajectory.harbor_judge import HARBOR, judge

Judge = Callable[[Sequence[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def harbor() -> Judge:
    """Harbor's opinion of ATIF documents."""
    folder = fetch(HARBOR)
    return lambda documents: judge(folder, documents)
