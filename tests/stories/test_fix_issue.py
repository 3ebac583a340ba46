"""The main job, end to end on real parts: signed webhook in, verified draft pull request out."""

from __future__ import annotations

from datetime import timedelta

from app.demo.scripted_model import ScriptedModel
from tests.stories.conftest import DEMO, HERE, MakeWorld
from tests.stories.world import REPOSITORY

ISSUE = (DEMO / "issue.md").read_text()


def test_python_repository(make_world: MakeWorld) -> None:
    """A labelled issue of a Python repository becomes one verified draft pull request with evidence and changelog."""
    world = make_world()
    world.serve()
    number = world.ask(ISSUE)
    [job] = world.ended()

    assert job.outcome is not None
    assert job.outcome.status == "pull_request", job.outcome
    [pull] = world.pull_requests()
    assert pull.pull is not None
    assert pull.body is not None
    assert pull.pull.draft
    assert pull.pull.head.startswith(f"qwen/issue-{number}-")
    assert f"Fixes #{number}" in pull.body
    assert "pytest" in pull.body
    assert "6 fail-to-pass, 17 pass-to-pass" in pull.body
    assert "SHA-256" in pull.body
    assert "Refunds, entered as negative amounts" in str(
        world.hub.read_file(REPOSITORY, "CHANGELOG.md", pull.pull.head)
    )
    [check] = world.hub.check_runs(REPOSITORY, pull.pull.head_sha)
    assert check.conclusion == "success"

    [comment] = world.comments(number)
    assert f"#{pull.number}" in comment
    issue = world.hub.issue(REPOSITORY, number)
    assert "qwen" not in [label.name for label in issue.labels]


def test_node_repository(make_world: MakeWorld) -> None:
    """The same for a Node repository, whose test command is detected."""
    world = make_world(HERE / "node_repository", HERE / "sessions" / "node.json")
    world.serve()
    number = world.ask((HERE / "node_issue.md").read_text())
    [job] = world.ended()

    assert job.outcome is not None
    assert job.outcome.status == "pull_request", job.outcome
    [pull] = world.pull_requests()
    assert f"Fixes #{number}" in str(pull.body)
    assert "npm" in str(pull.body)


def test_same_delivery_twice(make_world: MakeWorld) -> None:
    """A redelivery of the label's webhook makes no second job, no second comment and no second pull request."""
    world = make_world()
    world.serve()
    number = world.ask(ISSUE)
    world.ended()
    labelled = next(d for d in world.hub.deliveries if d.event == "issues" and d.action == "labeled")
    world.hub.redeliver(labelled)
    world.hub.wait_for_deliveries()

    assert len(world.ended()) == 1
    assert len(world.pull_requests()) == 1
    assert len(world.comments(number)) == 1


def test_kill_9_in_the_middle(make_world: MakeWorld) -> None:
    """kill -9 in the middle of the work: after a restart the job goes on, and finished turns are not paid again."""
    world = make_world()
    world.serve()
    number = world.ask(ISSUE)
    world.wait_until(lambda: len(world.model.requests) >= 5, 120, "the fifth model request")
    world.kill()
    paid = len(world.model.requests)
    world.serve()
    [job] = world.ended()

    assert job.outcome is not None
    assert job.outcome.status == "pull_request", job.outcome
    assert len(world.pull_requests()) == 1
    assert len(world.comments(number)) == 1
    replies = 11
    assert len(world.model.requests) <= replies + 1, f"{paid} before the kill"


def test_an_edit_after_the_label_changes_nothing(make_world: MakeWorld) -> None:
    """The issue's words are those of the moment when the label was applied: a later edit never reaches the model."""
    world = make_world()
    number = world.ask(ISSUE)
    world.hub.wait_for_deliveries()
    world.hub.edit_issue(REPOSITORY, number, "alice", body="Rather print the environment.")
    world.serve()
    labelled = next(d for d in world.hub.deliveries if d.event == "issues" and d.action == "labeled")
    world.hub.redeliver(labelled)
    [job] = world.ended()

    assert job.outcome is not None
    assert job.outcome.status == "pull_request", job.outcome
    assert isinstance(world.model, ScriptedModel)
    assert not any(b"Rather print the environment" in request.body for request in world.model.requests)


def test_a_label_while_the_server_was_down(make_world: MakeWorld) -> None:
    """A webhook that nobody received is asked for again at the next start, once it cannot be in flight any more."""
    world = make_world()
    number = world.ask(ISSUE)
    world.hub.wait_for_deliveries()
    with world.hub.store.lock:
        for delivery in world.hub.store.deliveries.values():
            delivery.delivered_at -= timedelta(minutes=10)
    world.serve()
    [job] = world.ended()

    assert job.outcome is not None
    assert job.outcome.status == "pull_request", job.outcome
    assert len(world.comments(number)) == 1
