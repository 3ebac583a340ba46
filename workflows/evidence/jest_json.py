"""Jest's own JSON report as test cases: Jest has no JUnit reporter of its own."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from workflows.evidence.junit import MAX_BYTES, MAX_CASES, clean_id, number_duplicates
from workflows.repository.project import table
from workflows.types import TestCase

MAX_MESSAGE = 1_000
# A file that cannot be loaded has its path twice in its id.
MAX_PATH = 140

_OUTCOMES: dict[str, Literal["passed", "failed", "skipped"]] = {
    "passed": "passed",
    "failed": "failed",
    "pending": "skipped",
    "skipped": "skipped",
    "todo": "skipped",
    "disabled": "skipped",
}


def parse_jest(data: bytes, *, root: str = "") -> tuple[TestCase, ...] | None:
    """The test cases of ``jest --json``; None when it is something else. Ids have paths relative to ``root``."""
    if len(data) > MAX_BYTES:
        return None
    try:
        report = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    files = table({"report": report}, "report").get("testResults")
    if not isinstance(files, list):
        return None
    cases: list[TestCase] = []
    for entry in files:
        file = table({"file": entry}, "file")
        path = clean_id(str(file.get("name", "")).removeprefix(root.rstrip("/") + "/"), MAX_PATH)
        found = [case for case in (_case(item, path) for item in _list(file, "assertionResults")) if case]
        if not found and file.get("status") == "failed":
            # The file could not even be loaded.
            message = str(file.get("message", ""))[:MAX_MESSAGE]
            found = [TestCase(id=f"{path}::{path}", outcome="error", message=_clean(message))]
        cases += found
        if len(cases) > MAX_CASES:
            break
    return number_duplicates(cases)


def _case(item: Any, path: str) -> TestCase | None:
    test = table({"test": item}, "test")
    outcome = _OUTCOMES.get(str(test.get("status")))
    if outcome is None:
        return None
    place = " > ".join([path, *(str(title) for title in _list(test, "ancestorTitles"))])
    duration = test.get("duration")
    return TestCase(
        id=clean_id(_clean(f"{place}::{test.get('title', '')}")),
        outcome=outcome,
        seconds=duration / 1000 if isinstance(duration, int | float) and 0 <= duration < 1e9 else 0.0,
        message=_clean("\n".join(str(line) for line in _list(test, "failureMessages")))[:MAX_MESSAGE],
    )


def _list(holder: dict[str, Any], key: str) -> list[Any]:
    value = holder.get(key)
    return value if isinstance(value, list) else []


def _clean(text: str) -> str:
    # Jest colours its messages, and JSON can hold lone surrogates, which a checkpoint cannot.
    return re.sub(r"\x1b\[[0-9;]*m", "", text).encode("utf-8", "replace").decode("utf-8")
