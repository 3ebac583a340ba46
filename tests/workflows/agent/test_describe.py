"""The description of a change, from whatever the model answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.workflows.agent.conftest import Serve
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.describe import (
    LONGEST_TITLE,
    MOST_FILES,
    ChangelogText,
    describe,
    describe_without_model,
    parse_description,
)
from workflows.types import Actor, Finish, Issue

GOOD = {
    "title": "Add instead of subtracting.",
    "summary": "`add` subtracted. It adds now.",
    "files": {"sums.py": "The operator."},
    "changelog": {"category": "fixed", "text": "Sums are right."},
}
FINISH = Finish(summary="add adds.", verification="Tests pass.")


def issue(title: str = "add() is wrong") -> Issue:
    actor = Actor(id=1, login="ada")
    return Issue(
        number=7, title=title, body="See <!-- hidden --> above", author=actor, state="open", labels=(), html_url="x"
    )


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"```json\n{json.dumps(GOOD, indent=2)}\n```",
        f"Here you are, with {{braces}}:\n\n{json.dumps(GOOD)}\n\nI hope {{it}} helps.",
        json.dumps({"title": "", "summary": ""}) + json.dumps(GOOD),
        json.dumps(GOOD).replace("It adds", "It\nadds").replace("It\\nadds", "It adds"),
    ],
    ids=["plain", "fenced", "prose", "second object", "raw newline"],
)
def test_the_object_is_found(text: str) -> None:
    """Fences and prose around it do not matter."""
    described = parse_description(text)
    assert described is not None
    assert described.title == "Add instead of subtracting"
    assert described.files == {"sums.py": "The operator."}
    assert described.changelog == ChangelogText(category="Fixed", text="Sums are right.")
    assert described.written_by == "model"


@pytest.mark.parametrize(
    "text", ["", "I fixed it.", "{", "[]", "{}", '{"title": "x"}', '{"title": 3, "summary": []}', "null", "{" * 100_000]
)
def test_nonsense_is_no_description(text: str) -> None:
    """Nothing to use is None, quickly."""
    started = time.thread_time()
    assert parse_description(text) is None
    assert time.thread_time() - started < 2.0


@pytest.mark.parametrize(
    ("part", "value", "expected"),
    [
        ("files", [{"path": "a.py", "why": "x"}, {"path": ""}, 3], {"a.py": "x"}),
        ("files", "a.py", {}),
        ("files", {"a.py": 3, "b.py": "y\nz"}, {"b.py": "y z"}),
        ("changelog", "Sums are right.", ChangelogText(category="Changed", text="Sums are right.")),
        ("changelog", None, ChangelogText(category="Changed", text="Add instead of subtracting.")),
        ("changelog", {"category": "Magic", "text": "x"}, ChangelogText(category="Changed", text="x")),
    ],
)
def test_odd_parts_are_mended_or_left_out(part: str, value: Any, expected: object) -> None:
    """One odd part does not cost the others."""
    described = parse_description(json.dumps({**GOOD, part: value}))
    assert described is not None
    assert getattr(described, part) == expected


def test_everything_is_bounded() -> None:
    """A model cannot flood the pull request."""
    flood = {"title": "word " * 1000, "summary": "x" * 100_000, "files": {f"f{n}": "y" * 9999 for n in range(5000)}}
    described = parse_description(json.dumps(flood))
    assert described is not None
    assert len(described.title) <= LONGEST_TITLE
    assert len(described.summary) <= 4_000
    assert len(described.files) == MOST_FILES
    assert max(map(len, described.files.values())) <= 300


def test_the_model_is_asked_once(serve: Serve, connect: Callable[..., OpenAIModel]) -> None:
    """Issue, diff and closing words are given, fenced; hidden text is not passed on; the cost is returned."""
    server = serve([{"content": json.dumps(GOOD)}])
    described, usage = describe(connect(server), issue(), diff="+ a + b", finish=FINISH)
    assert described.written_by == "model"
    assert usage.input_tokens > 0
    (request,) = server.completions()
    prompt = request.json["messages"][1]["content"]
    assert all(word in prompt for word in ("add() is wrong", "+ a + b", "add adds.", "<untrusted-"))
    assert "hidden" not in prompt
    assert "tools" not in request.json


@pytest.mark.parametrize(
    "reply", [{"content": "No."}, {"faults": [{"status": 401, "times": -1}]}], ids=["nonsense", "refused"]
)
def test_a_model_that_fails_costs_no_description(
    serve: Serve, connect: Callable[..., OpenAIModel], reply: dict[str, Any]
) -> None:
    """The issue's title and the agent's closing words are enough."""
    described, _ = describe(connect(serve([reply])), issue(), diff="", finish=FINISH)
    assert (described.title, described.summary, described.written_by) == ("add() is wrong", "add adds.", "harness")
    assert described.changelog == ChangelogText(category="Fixed", text="add() is wrong.")


def test_without_anything_the_issue_names_the_change() -> None:
    """Even an issue without a title."""
    described = describe_without_model(issue(title=""), None)
    assert described.title == "Change for issue #7"
    assert described.summary
