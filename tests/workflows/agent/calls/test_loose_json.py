"""Objects in a model's prose."""

from __future__ import annotations

import time
from typing import Any

import pytest

from workflows.agent.calls.loose_json import find_objects


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ("", []),
        ("no object", []),
        ('{"a": 1}', [{"a": 1}]),
        ('Here it is:\n```json\n{"a": {"b": 1}}\n```\nDone.', [{"a": {"b": 1}}]),
        ('{"a": 1} and {"b": 2}', [{"a": 1}, {"b": 2}]),
        ('{"a": "raw\nline"}', [{"a": "raw\nline"}]),
        ('Sure: {"a": [1, 2,], "b": {"c": 3},}', [{"c": 3}, {"a": [1, 2], "b": {"c": 3}}]),
        ('{"a": {"b": 1}, "cut": "off', [{"b": 1}]),
        ('{"a": ', []),
        ("}{", []),
    ],
)
def test_find_objects(text: str, objects: list[dict[str, Any]]) -> None:
    """Every whole object is found, one with commas too many last; what is cut off is not."""
    assert find_objects(text) == objects


@pytest.mark.parametrize("piece", ["{", '{"a":', "}", '{"a": 1,}', '"', "[{", "{}"])
def test_hostile_size(piece: str) -> None:
    """200,000 characters cost under a second."""
    start = time.thread_time()
    find_objects(piece * (200_000 // len(piece)))
    assert time.thread_time() - start < 1
