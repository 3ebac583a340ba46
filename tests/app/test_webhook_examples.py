"""Every example payload of npm's ``@octokit/webhooks-examples``, signed and posted to the running application."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.dispatch import Audience
from app.server import create_app
from tests.app.served import SECRET, deliver, serve
from workflows.durable.queue import Queue

PACKED = Path(__file__).parent / "payloads" / "examples.json.xz"
EXAMPLES: list[dict[str, Any]] = json.loads(lzma.decompress(PACKED.read_bytes()))
INSTALLATION = {"id": 7, "node_id": "MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9uNw=="}
REPOSITORY = {"id": 186853002, "full_name": "Codertocat/Hello-World", "name": "Hello-World"}
ALICE = {"id": 21031067, "login": "Codertocat", "type": "User"}


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    queue = Queue(f"sqlite:///{tmp_path / 'queue.sqlite3'}", worker=False)
    queue.start()
    yield queue
    queue.stop()


def as_it_is(payload: dict[str, Any]) -> dict[str, Any]:
    """The example itself; few of them were sent to an App."""
    return payload


def to_an_app(payload: dict[str, Any]) -> dict[str, Any]:
    """The example as a person's act on a repository that the App is installed on: it is decided on its merits."""
    return {"repository": REPOSITORY, **payload, "sender": ALICE, "installation": INSTALLATION}


def half_empty(payload: dict[str, Any]) -> dict[str, Any]:
    """The same with every object below the top null, as deleted accounts and repositories are."""
    whole = to_an_app(payload)
    emptied = {
        name: {key: None if isinstance(value, dict) else value for key, value in part.items()}
        for name, part in whole.items()
        if isinstance(part, dict)
    }
    return {**whole, **emptied}


def test_the_package_is_whole() -> None:
    """The packed examples are those of 58 events, and of every one that we act on."""
    events = {example["event"] for example in EXAMPLES}
    assert len(events) >= 58
    assert events >= {
        "issues",
        "issue_comment",
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_review_thread",
        "check_run",
        "check_suite",
        "delete",
        "push",
    }


@pytest.mark.parametrize("variant", [as_it_is, to_an_app, half_empty])
def test_every_example_is_accepted(queue: Queue, variant: Any) -> None:
    """Each is answered 202 with a decision: a job that is in the queue, or a reason; no event and no gap is a 5xx."""
    app = create_app(queue=queue, secrets=[SECRET], audience=Audience(app_slug="forgehand"), checks={})

    def post(port: int, example: dict[str, Any]) -> tuple[str, Any]:
        body = json.dumps(variant(example["payload"])).encode()
        answer = deliver(port, body, event=example["event"])
        name = f"{example['event']}.{example['payload'].get('action', '')}"
        return name, (answer.status, answer.json if answer.status == 202 else answer.body)

    with serve(app) as port, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda example: post(port, example), EXAMPLES))
    assert len(answers) == len(EXAMPLES)
    assert [each for each in answers if each[1][0] != 202] == []
    undecided = [each for each in answers if len(each[1][1]["decision"].split()) < 3]
    assert undecided == []
    started = {told["job"] for _, (_, told) in answers if told["job"]}
    assert started == {record.job.id for record in queue.jobs(limit=10_000)}


def test_labelled_examples_start_jobs(queue: Queue) -> None:
    """The way in is open: an example of a label on an open issue, by a person, starts a job."""
    app = create_app(queue=queue, secrets=[SECRET], audience=Audience(), checks={})
    labelled = [each for each in EXAMPLES if each["event"] == "issues" and each["payload"]["action"] == "labeled"]
    with serve(app) as port:
        answers = [deliver(port, json.dumps(to_an_app(each["payload"])).encode(), event="issues") for each in labelled]
    assert any(answer.json["job"] for answer in answers)
