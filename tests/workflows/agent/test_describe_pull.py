"""A model's reply read as the description of a pull request: its habits are met, and nothing invented is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workflows.agent.describe_pull import PullDescription, parse_pull_description

PATHS = ("a.py",)
SAID = {"type": "feat", "title": "Read the file once", "summary": "It was read twice.", "files": {"a.py": "Cached."}}


def parse(**changes: Any) -> PullDescription | None:
    return parse_pull_description(f"Here it is:\n```json\n{json.dumps(SAID | changes)}\n```", paths=PATHS)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "feat: read the file once"),
        ({"scope": "io", "breaking": True}, "feat(io)!: read the file once"),
        ({"title": "perf(io): Read the file once."}, "feat(io): read the file once"),
        ({"type": "nonsense", "title": "perf(io)!: read the file once"}, "perf(io)!: read the file once"),
        ({"type": "FIX", "title": "API is stable"}, "fix: API is stable"),
        ({"scope": "two words"}, "feat: read the file once"),
        ({"scope": "x)!: y"}, "feat: read the file once"),
    ],
)
def test_title_and_type(changes: dict[str, Any], title: str) -> None:
    """The type stands in its field or in the title, and a scope that would break the form is left out."""
    found = parse(**changes)
    assert found is not None
    assert found.conventional == title


def test_only_files_of_the_change() -> None:
    """A reason for a path that did not change is not kept."""
    found = parse(files={"a.py": "Cached.", "b.py": "Invented."})
    assert found is not None
    assert found.files == {"a.py": "Cached."}


@pytest.mark.parametrize("changes", [{"type": "nonsense"}, {"summary": ""}, {"title": 3}, {"type": None}])
def test_what_cannot_be_used(changes: dict[str, Any]) -> None:
    """Without type, title or summary there is no description."""
    assert parse(**changes) is None
    assert parse_pull_description("No JSON at all.", paths=PATHS) is None
