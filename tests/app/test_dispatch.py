"""What an event means is decided from the event alone, for every event there is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.dispatch import Audience, Cancel, Dispatch, Ignore, Start, dispatch
from app.webhook import Event, EventIssue, parse_event
from workflows.types import Actor, RepositoryRef

GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAYLOADS = Path(__file__).parent / "payloads"
AUDIENCE = Audience(app_slug="forgehand")
LABELED = Event(
    name="issues",
    action="labeled",
    delivery_id=GUID,
    received_at=NOW,
    digest="0" * 64,
    installation_id=3,
    repository=RepositoryRef(installation_id=3, id=11, full_name="octo/hello"),
    sender=Actor(id=5, login="mona"),
    issue=EventIssue(number=7, title="It breaks", state="open"),
    label="qwen",
)


def decide(audience: Audience = AUDIENCE, **changes: Any) -> Dispatch:
    return dispatch(LABELED.model_copy(update=changes), audience)


def test_a_label_starts_the_main_job() -> None:
    """A label set by a person starts fix_issue; the job's id is the delivery's, its date the receipt's."""
    decided = decide()
    assert isinstance(decided, Start)
    job = decided.job
    assert (job.id, job.delivery_id) == (f"gh-{GUID}", GUID)
    assert (job.workflow, job.trigger, job.number) == ("fix_issue", "qwen", 7)
    assert (job.actor.login, job.repository.full_name, job.created_at) == ("mona", "octo/hello", NOW)


@pytest.mark.parametrize("action", ["closed", "deleted", "transferred"])
def test_an_issue_that_ends_cancels_its_jobs(action: str) -> None:
    """Closing, deleting or moving an issue ends the work on it."""
    decided = decide(action=action)
    assert isinstance(decided, Cancel)
    assert (decided.repository_id, decided.number) == (11, 7)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "ping"}, {"name": "push"}, {"name": "brand_new_event"}, {"action": "unlabeled"}, {"action": "opened"},
        {"action": ""}, {"action": "brand_new_action"}, {"repository": None}, {"issue": None}, {"label": None},
        {"sender": None}, {"sender": Actor(id=1, login="forgehand[bot]", type="Bot")},
        {"sender": Actor(id=1, login="renovate[bot]", type="Bot")}, {"sender": Actor(id=1, login="sneaky[bot]")},
        {"sender": Actor(id=1, login="acme", type="Organization")},
        {"sender": Actor(id=1, login="mannequin", type="Mannequin")}, {"unread": "its payload is too large"},
        {"issue": EventIssue(number=7, state="open", is_pull_request=True)},
        {"issue": EventIssue(number=7, state="closed")},
    ],
    ids=str,
)  # fmt: skip
def test_everything_else_is_ignored_with_a_reason(changes: dict[str, Any]) -> None:
    """Pings, other events and actions, bots, pull requests, closed issues and missing parts start nothing."""
    decided = decide(**changes)
    assert isinstance(decided, Ignore)
    assert decided.reason.endswith(".")


def test_only_those_served_are_served() -> None:
    """With an allow-list, another installation, or another repository under the same name, is ignored."""
    assert isinstance(decide(Audience(installations=frozenset({3}), repositories=frozenset({11}))), Start)
    assert isinstance(decide(Audience(installations=frozenset({4}))), Ignore)
    assert isinstance(decide(Audience(repositories=frozenset({12}))), Ignore)


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem)
def test_every_example_is_decided(path: Path) -> None:
    """GitHub's own examples lead to a decision; among them only the label starts a job."""
    headers = {"x-github-event": path.stem.partition(".")[0], "x-github-delivery": GUID}
    event = parse_event(headers, path.read_bytes(), NOW)
    assert isinstance(event, Event)
    decided = dispatch(event, AUDIENCE)
    assert isinstance(decided, Start) == (path.stem == "issues.labeled")
