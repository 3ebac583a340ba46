"""What an event means is decided from the event alone, for every event there is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.dispatch import CLOCKS_DIFFER, Audience, Cancel, Dispatch, Ignore, Signal, Start, dispatch
from app.webhook import Event, EventChecks, EventComment, EventIssue, parse_event
from workflows.durable.deliveries import MOST_JOBS
from workflows.types import Actor, Ends, RepositoryRef

GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAYLOADS = Path(__file__).parent / "payloads"
AUDIENCE = Audience(app_slug="forgehand", app_id=77)
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
    [job] = decided.jobs
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
        {"name": "ping"}, {"name": "push"}, {"name": "brand_new_event"}, {"action": "opened"},
        {"action": ""}, {"action": "brand_new_action"}, {"repository": None}, {"issue": None}, {"label": None},
        {"sender": None}, {"sender": Actor(id=1, login="forgehand[bot]", type="Bot")},
        {"sender": Actor(id=1, login="renovate[bot]", type="Bot")}, {"sender": Actor(id=1, login="sneaky[bot]")},
        {"sender": Actor(id=1, login="acme", type="Organization")},
        {"sender": Actor(id=1, login="mannequin", type="Mannequin")}, {"unread": "its payload is too large"},
        {"issue": EventIssue(number=7, state="closed")},
        {"issue": EventIssue(number=7, state="closed", is_pull_request=True)},
    ],
    ids=str,
)  # fmt: skip
def test_everything_else_is_ignored_with_a_reason(changes: dict[str, Any]) -> None:
    """Pings, other events and actions, bots, closed issues and pull requests, and missing parts start nothing."""
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
    """GitHub's own examples lead to a decision; among them only labels start jobs."""
    headers = {"x-github-event": path.stem.partition(".")[0], "x-github-delivery": GUID}
    event = parse_event(headers, path.read_bytes(), NOW)
    assert isinstance(event, Event)
    decided = dispatch(event, AUDIENCE)
    kinds = {
        "issues.labeled": Start,
        "issues.unlabeled": Cancel,
        "issues.deleted": Cancel,
        "issue_comment.created": Signal,
        "pull_request.labeled": Start,
    }
    assert isinstance(decided, kinds.get(path.stem, Ignore)), decided


def comment(body: str, kind: str = "issue", *, pull: bool = False, **changes: Any) -> Dispatch:
    names = {"issue": "issue_comment", "review": "pull_request_review", "review_comment": "pull_request_review_comment"}
    fields: dict[str, Any] = {
        "name": names[kind],
        "action": "submitted" if kind == "review" else "created",
        "label": None,
        "issue": EventIssue(number=7, title="It breaks", state="open", is_pull_request=pull or kind != "issue"),
        "comment": EventComment(id=99, kind=kind, body=body, state="commented" if kind == "review" else ""),  # type: ignore[arg-type]
    }
    return decide(**(fields | changes))


def test_the_commands_of_a_comment_are_jobs_in_their_order() -> None:
    """Each command is a job of its own, with the comment it stands in; what cannot be read is answered by one more."""
    decided = comment("/qwen fix the sum\n\n/qwen status\n\n/qwen reviw\n\n/qwen fix budget=many")
    assert isinstance(decided, Start)
    first, second, third = decided.jobs
    assert [job.id for job in decided.jobs] == [f"gh-{GUID}", f"gh-{GUID}-2", f"gh-{GUID}-3"]
    assert (first.workflow, second.workflow, third.workflow) == ("fix_issue", "answer", "answer")
    assert first.command is not None
    assert (first.command.word, first.command.text) == ("fix", "the sum")
    assert first.comment is not None
    assert (first.comment.kind, first.comment.id) == ("issue", 99)
    assert "Did you mean `/qwen review`" in third.words
    assert "budget" in third.words
    assert all(job.admission for job in decided.jobs)


def test_no_command_of_a_comment_is_lost_without_a_word() -> None:
    """Ten commands are ten jobs, and that an eleventh was left out is said by one more."""
    decided = comment("\n\n".join(f"/qwen fix number {index}" for index in range(1, 12)))
    assert isinstance(decided, Start)
    texts = [job.command.text if job.command else job.words for job in decided.jobs]
    assert texts[:10] == [f"number {index}" for index in range(1, 11)]
    assert "left out" in texts[10]
    assert len(texts) == 11 <= MOST_JOBS


def test_a_late_closing_ends_only_what_was_asked_for_before() -> None:
    """Its time is GitHub's, and clocks differ; an issue that is deleted ends all."""
    closed = LABELED.issue.model_copy(update={"closed_at": NOW})  # type: ignore[union-attr]
    decided = decide(action="closed", issue=closed)
    assert isinstance(decided, Cancel)
    assert decided.before == NOW + CLOCKS_DIFFER
    deleted = decide(action="deleted", issue=closed)
    assert isinstance(deleted, Cancel)
    assert deleted.before is None


def test_the_same_command_is_the_same_request() -> None:
    """Two comments that ask for the same have the same request, whoever wrote them; other options make another."""

    def request(body: str, guid: str) -> str:
        decided = comment(body, delivery_id=guid)
        assert isinstance(decided, Start)
        return decided.jobs[0].request

    assert request("/qwen fix", "1") == request("Please:\n/qwen fix", "2") != request("/qwen fix turns=9", "3")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"action": "edited"}, "write a new one"),
        ({"action": "deleted"}, "write a new one"),
        ({"sender": Actor(id=1, login="ci[bot]", type="Bot")}, "Only people"),
        ({"comment": EventComment(id=1, body="/qwen fix", app_id=77)}, "Our own"),
        ({"comment": EventComment(id=1, body="/qwen fix\n<!-- forgehand:tracking job=1 -->")}, "hidden mark"),
        ({"issue": None}, "names no comment"),
    ],
    ids=["edited", "deleted", "bot", "our app", "our mark", "no issue"],
)
def test_what_is_no_request_is_ignored(changes: dict[str, Any], reason: str) -> None:
    """Edits, bots, our own App (known by its id) and copies of our own comments never command."""
    decided = comment("/qwen fix", **changes)
    assert isinstance(decided, Ignore)
    assert reason in decided.reason


def test_a_comment_without_a_command_may_be_an_answer() -> None:
    """It starts a job only when the thread waits for one; on a line of a diff it never does."""
    decided = comment("Yes, floats too.")
    assert isinstance(decided, Signal)
    assert (decided.job.workflow, decided.job.request) == ("fix_issue", "answer")
    assert isinstance(comment("Yes.", "review_comment"), Ignore)


def test_an_answer_in_a_thread_on_lines_may_be_to_a_finding_of_ours() -> None:
    """It waits for the rest of a burst; whether the thread is ours is looked at later. A command in it comes first."""
    answer = EventComment(id=99, kind="review_comment", body="It cannot be empty.", reply_to=98)
    decided = comment("", "review_comment", comment=answer)
    assert isinstance(decided, Start)
    [job] = decided.jobs
    assert (job.workflow, job.request) == ("hear_replies", "replies")
    assert job.delay > 0
    fixing = comment("", "review_comment", comment=answer.model_copy(update={"body": "/qwen fix"}))
    assert isinstance(fixing, Start)
    assert fixing.jobs[0].workflow == "address_feedback"


def test_a_review_is_one_batch() -> None:
    """A submitted review asks for one follow-up; comments on lines wait for the rest of theirs; approval is none."""
    written, loose = comment("Please mend these.", "review"), comment("", "review")
    assert isinstance(written, Start)
    assert isinstance(loose, Start)
    assert [(job.workflow, job.request) for job in (*written.jobs, *loose.jobs)] == [
        ("address_feedback", "feedback")
    ] * 2
    assert (written.jobs[0].delay, loose.jobs[0].delay > 0) == (0, True)
    approved = EventComment(id=3, kind="review", body="Fine.", state="approved")
    assert isinstance(comment("", "review", comment=approved), Ignore)
    on_line = comment("/qwen fix use a set", "review_comment")
    assert isinstance(on_line, Start)
    assert on_line.jobs[0].workflow == "address_feedback"


def checks(**changes: Any) -> Dispatch:
    suite = EventChecks(app_id=15368, head_sha="a" * 40, conclusion="failure", pulls=(12,))
    bot = Actor(id=9, login="github-actions[bot]", type="Bot")
    return decide(name="check_suite", action="completed", issue=None, label=None, sender=bot, checks=suite, **changes)


def test_red_checks_of_a_pull_request_start_their_repair() -> None:
    """A completed suite that failed asks for one repair of that commit; green, our own and stray ones do not."""
    decided = checks()
    assert isinstance(decided, Start)
    [job] = decided.jobs
    assert (job.workflow, job.number, job.head, job.on_pull_request) == ("fix_checks", 12, "a" * 40, True)
    for other in ({"conclusion": "success"}, {"app_id": 77}, {"pulls": ()}):
        suite = EventChecks(**({"app_id": 1, "head_sha": "a" * 40, "conclusion": "failure", "pulls": (12,)} | other))
        assert isinstance(decide(name="check_suite", action="completed", issue=None, checks=suite), Ignore)


@pytest.mark.parametrize(
    ("label", "operator", "alone"),
    [
        ("qwen", "qwen", "qwen"),
        ("Qwen:Working", "qwen", None),
        ("qwen:working", "qwen:fix", None),
        ("autofix:working", "qwen", "autofix:working"),
    ],
)
def test_taking_the_label_off_cancels(label: str, operator: str, alone: str | None) -> None:
    """The trigger label cancels what it asked for; the operator's state label all; a bot's hand on it nothing."""
    decided = decide(Audience(app_slug="forgehand", label=operator), action="unlabeled", label=label)
    assert isinstance(decided, Cancel)
    assert decided.label == alone
    bot = Actor(id=1, login="forgehand[bot]", type="Bot")
    assert isinstance(decide(action="unlabeled", label=label, sender=bot), Ignore)


@pytest.mark.parametrize("merged", [True, False])
def test_a_pull_request_that_ends_cancels_its_jobs(merged: bool) -> None:
    """Closing and merging end the work on a pull request, and what waited is told so."""
    issue = EventIssue(number=8, state="closed", is_pull_request=True, merged=merged)
    decided = decide(name="pull_request", action="closed", label=None, issue=issue)
    assert isinstance(decided, Cancel)
    assert decided.job is not None
    assert ("merged" in decided.job.words) == merged


@pytest.mark.parametrize("action", ["opened", "reopened", "ready_for_review", "synchronize"])
def test_a_new_state_of_a_pull_request_may_be_reviewed(action: str) -> None:
    """It asks for a review that nobody commanded, later when it was pushed; whether there is one is policy."""
    issue = EventIssue(number=8, state="open", is_pull_request=True, author=Actor(id=5, login="mona"))
    decided = decide(name="pull_request", action=action, label=None, issue=issue)
    assert isinstance(decided, Start)
    [job] = decided.jobs
    assert (job.workflow, job.command, job.request, job.delay > 0) == (
        "review_pull",
        None,
        f"review {action}",
        action == "synchronize",
    )
    ours = issue.model_copy(update={"author": Actor(id=1, login="forgehand[bot]", type="Bot")})
    assert isinstance(decide(name="pull_request", action=action, label=None, issue=ours), Ignore)


@pytest.mark.parametrize("ours", [True, False])
def test_a_push_that_nobody_reviews_may_overtake_an_approval(ours: bool) -> None:
    """Our own, and any where the operator has reviews on command alone: it is looked at, at once, and never read."""
    issue = EventIssue(
        number=8, state="open", is_pull_request=True, author=Actor(id=5, login="mona"), head_sha="d" * 40
    )
    sender = Actor(id=1, login="forgehand[bot]", type="Bot") if ours else Actor(id=5, login="mona")
    audience = Audience(app_slug="forgehand", reviews=ours)
    told = {"name": "pull_request", "label": None, "issue": issue, "sender": sender}
    decided = decide(audience, action="synchronize", **told)
    assert isinstance(decided, Start)
    [job] = decided.jobs
    assert (job.workflow, job.request, job.delay, job.head) == ("review_pull", "push", 0.0, "d" * 40)
    assert isinstance(decide(audience, action="opened", **told), Ignore)


@pytest.mark.parametrize(("reviews", "request_"), [(True, "review edited"), (False, "push")])
def test_another_base_is_a_push(reviews: bool, request_: str) -> None:
    """The change is another one than it was, with what it was moved away from; another edit is none of our business."""
    issue = EventIssue(number=8, state="open", is_pull_request=True, author=Actor(id=5, login="mona"))
    told = {"name": "pull_request", "action": "edited", "label": None, "issue": issue}
    audience = Audience(app_slug="forgehand", reviews=reviews)
    decided = decide(audience, **told, left=Ends(base="below"))
    assert isinstance(decided, Start)
    [job] = decided.jobs
    assert (job.workflow, job.request, job.delay > 0, job.left.base) == ("review_pull", request_, reviews, "below")
    assert isinstance(decide(audience, **told), Ignore)


def test_a_label_on_a_pull_request_asks_for_a_review() -> None:
    """A person's label may be the one that asks for a review: which it is, the policy says; a bot's is none."""
    issue = EventIssue(number=8, state="open", is_pull_request=True)
    decided = decide(name="pull_request", action="labeled", label="qwen:review", issue=issue)
    assert isinstance(decided, Start)
    [job] = decided.jobs
    assert (job.workflow, job.trigger, job.command, job.on_pull_request) == ("review_pull", "qwen:review", None, True)
    taken = decide(name="pull_request", action="unlabeled", label="qwen:review", issue=issue)
    assert isinstance(taken, Cancel)
    assert taken.label == "qwen:review"
    closed = issue.model_copy(update={"state": "closed"})
    assert isinstance(decide(name="pull_request", action="labeled", label="qwen:review", issue=closed), Ignore)


def test_fix_this_in_a_thread_is_looked_into_at_once() -> None:
    """“Fix this” in a thread becomes a command, whose thread it is said later; other answers wait for their burst."""
    issue = EventIssue(number=8, state="open", is_pull_request=True)
    said = {"name": "pull_request_review_comment", "action": "created", "label": None, "issue": issue}
    for body, word, waits in (("Please fix this!", "fix", False), ("Why fix this?", None, True)):
        comment = EventComment(id=9, kind="review_comment", body=body, reply_to=3)
        decided = decide(**said, comment=comment)
        assert isinstance(decided, Start)
        [job] = decided.jobs
        assert (job.workflow, job.command and job.command.word, job.delay > 0) == ("hear_replies", word, waits)


def test_asking_us_for_a_review_is_a_command() -> None:
    """A review asked of our App by its name is one; asked of somebody else it is not."""
    issue = EventIssue(number=8, state="open", is_pull_request=True)
    asked = {"name": "pull_request", "action": "review_requested", "label": None, "issue": issue}
    decided = decide(**asked, reviewer="forgehand[bot]")
    assert isinstance(decided, Start)
    assert decided.jobs[0].command is not None
    assert decided.jobs[0].command.word == "review"
    assert isinstance(decide(**asked, reviewer="alice"), Ignore)
