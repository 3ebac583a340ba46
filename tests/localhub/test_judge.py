"""The judge finds what is not as GitHub's description has it; otherwise its silence would prove nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.localhub import rest_issues
from app.localhub.edge import Exchange
from app.localhub.server import LocalHub
from tests.localhub.conftest import REPO, Rest
from tests.openapi_judge import Judge, judge_exchange, judge_payload, one_segment


@pytest.fixture
def judged(tmp_path: Path, app_key: str) -> Iterator[tuple[LocalHub, Judge, Rest]]:
    """A local GitHub with a judge whose verdict the test itself reads."""
    judge = Judge()
    with LocalHub(tmp_path, webhook_url="http://127.0.0.1:9/", private_key_pem=app_key) as hub:
        hub.observe(judge.watch)
        hub.create_repository(REPO, files={"a/b.txt": "x"})
        hub.set_permission(REPO, "alice", "admin")
        hub.create_issue(REPO, "alice", "title")
        hub.wait_for_deliveries()
        yield hub, judge, Rest(hub.api_url, hub.create_token("alice"))


def changed(exchange: Exchange, change: dict[str, Any], *, without: str = "") -> Exchange:
    body = {**json.loads(exchange.response_body), **change}
    body.pop(without, None)
    return replace(exchange, response_body=json.dumps(body).encode())


def test_broken_answers_are_found(judged: tuple[LocalHub, Judge, Rest]) -> None:
    """A missing field, a wrong type, an unknown state and an undescribed status of a real answer are each named."""
    _, judge, rest = judged
    rest("GET", f"/repos/{REPO}/issues/1")
    (good,) = judge.exchanges
    assert judge_exchange(good) == []
    assert "'node_id' is a required property" in judge_exchange(changed(good, {}, without="node_id"))[0]
    assert "number: 'one' is not of type 'integer'" in judge_exchange(changed(good, {"number": "one"}))[0]
    assert "author_association" in judge_exchange(changed(good, {"author_association": "FRIEND"}))[0]
    assert "created_at" in judge_exchange(changed(good, {"created_at": "yesterday"}))[0]
    assert judge_exchange(replace(good, status=299))
    assert judge_exchange(replace(good, path=f"/repos/{REPO}/undescribed"))
    error = replace(good, status=403, response_body=b'{"message": 7}')
    assert "7 is not of type 'string'" in judge_exchange(error)[0]


def test_broken_requests_are_found(judged: tuple[LocalHub, Judge, Rest]) -> None:
    """A request that the description does not allow, yet was answered well, is named."""
    _, judge, rest = judged
    rest("POST", f"/repos/{REPO}/issues", {"title": "good"})
    (good,) = judge.exchanges
    assert judge_exchange(good) == []
    assert judge_exchange(replace(good, request_body=b'{"body": "no title"}'))
    assert judge_exchange(replace(good, request_body=b'{"title": "x", "labels": 7}'))


def test_a_broken_server_is_found(judged: tuple[LocalHub, Judge, Rest], monkeypatch: pytest.MonkeyPatch) -> None:
    """When the local GitHub itself forgets a field, the verdict of a whole test fails."""
    _, judge, rest = judged
    whole = rest_issues.label_json
    monkeypatch.setattr(rest_issues, "label_json", lambda *a: {k: v for k, v in whole(*a).items() if k != "color"})
    rest("GET", f"/repos/{REPO}/labels")
    with pytest.raises(AssertionError, match="'color' is a required property"):
        judge.check()


def test_broken_webhooks_are_found(judged: tuple[LocalHub, Judge, Rest]) -> None:
    """A payload without its issue's number, or of an undescribed event, is named."""
    hub, _, _ = judged
    payload = json.loads(hub.deliveries[0].payload)
    assert judge_payload("issues", payload) == []
    del payload["issue"]["number"]
    assert "'number' is a required property" in judge_payload("issues", payload)[0]
    assert "not among the described ones" in judge_payload("issues", {**payload, "action": "invented"})[0]


@pytest.mark.parametrize(
    ("path", "segment"),
    [
        ("/repos/o/r/contents/a/b.py", "/repos/o/r/contents/a%2Fb.py"),
        ("/repos/o/r/contents/", "/repos/o/r/contents/%2E"),
        ("/repos/o/r/git/ref/heads/x/y", "/repos/o/r/git/ref/heads%2Fx%2Fy"),
        ("/repos/o/r/compare/a...b/c", "/repos/o/r/compare/a...b%2Fc"),
        ("/repos/o/r/commits/x/y/check-runs", "/repos/o/r/commits/x%2Fy/check-runs"),
        ("/repos/o/r/branches/a%2Fb", "/repos/o/r/branches/a%2Fb"),
        ("/repos/o/r/issues/1/comments", "/repos/o/r/issues/1/comments"),
    ],
)
def test_many_segments_become_one(path: str, segment: str) -> None:
    """Paths with slashes in a parameter fit the description's templates."""
    assert one_segment(path) == segment
