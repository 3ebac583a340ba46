"""Who and what makes a review begin: a label, a request, a push, a draft made ready; and that one at most waits."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from app import dispatch
from app.localhub.reviews import Wanted
from tests.stories.conftest import Ground, open_ground
from tests.stories.reviewing import (
    CHANGED,
    FILES,
    FINDING,
    RUN,
    command,
    ended,
    line_comments,
    meanwhile,
    propose,
    report,
    reviews,
    stands,
    told_to_model,
    until_waiting,
)
from tests.stories.scripts import call, turn

NEVER = "review: { auto: never }\n"
LONGER = CHANGED + "\n\ndef total(numbers):\n    return sum(numbers)\n"
ESCAPE = "env; python -c 'import socket; socket.create_connection((\"192.0.2.1\", 443), 2)'"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("asked") / "world", engine, review_unasked=True) as ground:
        yield ground


def statuses(ground: Ground, repository: str, number: int, *, jobs: int) -> list[str]:
    """How the jobs of a thread ended, in their order."""
    found = ended(ground, repository, number, jobs=jobs)
    return [one.outcome.status if one.outcome else one.state for one in found]


@pytest.mark.parametrize("trigger", ["qwen", "ai"])
def test_a_label_asks_for_a_review(ground: Ground, trigger: str) -> None:
    """The trigger label with `:review` behind it: the review is acknowledged, made, and the label taken off."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    label = "" if trigger == "qwen" else f"label: {trigger}\n"
    repository, number = propose(ground, f"labelled-{trigger}", policy=label + NEVER)
    ground.world.hub.add_label(repository, number, f"{trigger}:review", "alice")
    assert statuses(ground, repository, number, jobs=2) == ["ignored", "reviewed"]
    [comment] = ground.world.comments(number, repository)
    assert comment.startswith("Reviewed `")
    assert ground.world.state_labels(repository, number) == []
    writes = ground.world.writes(repository)
    assert f"POST pulls/{number}/reviews" in writes
    assert f"POST issues/{number}/reactions" in writes
    assert len(line_comments(ground, repository, number)) == 1


def test_other_labels_ask_for_nothing(ground: Ground) -> None:
    """The label of issues, another one, and the right one by somebody who may only read, who is told so once."""
    ground.script[:] = [stands(ground), report(FINDING)]
    repository, number = propose(ground, "other-labels", policy=NEVER)
    for label in ("qwen", "bug", "qwen:plan"):
        ground.world.hub.add_label(repository, number, label, "alice")
    assert statuses(ground, repository, number, jobs=4) == ["ignored"] * 4
    assert ground.world.writes(repository) == []
    ground.world.hub.create_user("mallory")
    ground.world.hub.add_label(repository, number, "qwen:review", "mallory")
    assert statuses(ground, repository, number, jobs=5)[-1] == "refused"
    [answer] = ground.world.comments(number, repository)
    assert "write permission" in answer
    assert reviews(ground, repository, number) == []


def test_taking_the_label_off_cancels_the_review(ground: Ground) -> None:
    """The label that shows the work, taken off while the reviewer runs a command: nothing is posted, which is said."""
    ground.script[:] = [turn(call("bash", command="sleep 300", timeout=600))]
    repository, number = propose(ground, "label-off", policy=NEVER)
    ended(ground, repository, number, jobs=1)
    asked = len(told_to_model(ground))
    ground.world.hub.add_label(repository, number, "qwen:review", "alice")
    world = ground.world
    world.wait_until(lambda: len(told_to_model(ground)) > asked, 60, "the reviewer to read")
    world.wait_until(lambda: "qwen:working" in world.state_labels(repository, number), 90, "the label to be on")
    world.hub.remove_label(repository, number, "qwen:working", "alice")
    assert statuses(ground, repository, number, jobs=2)[:2] == ["ignored", "cancelled"]
    world.wait_until(lambda: "Cancelled" in "".join(world.comments(number, repository)), 90, "the comment to say so")
    world.wait_until(lambda: world.containers(ground.engine) == [], 90, "the container to be gone")
    assert reviews(ground, repository, number) == []


def test_a_review_that_is_requested_of_the_app(ground: Ground) -> None:
    """Where GitHub offers our App as a reviewer, choosing it is a command; the request is answered by the review."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "requested", policy=NEVER)
    ground.world.hub.request_review(repository, number, "alice", ground.world.hub.bot_login)
    assert statuses(ground, repository, number, jobs=2) == ["ignored", "reviewed"]
    pull = ground.world.hub.issue(repository, number).pull
    assert pull is not None
    assert pull.requested_reviewers == []


def test_a_draft_is_reviewed_once_it_is_ready(ground: Ground) -> None:
    """Silence while it is a draft, also when it is pushed to; the review comes when it is ready."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "draft", draft=True)
    assert statuses(ground, repository, number, jobs=1) == ["ignored"]
    assert ground.world.writes(repository) == []
    ground.world.hub.mark_ready(repository, number, "alice")
    assert statuses(ground, repository, number, jobs=2) == ["ignored", "reviewed"]
    assert len(reviews(ground, repository, number)) == 1


def test_bots_are_left_alone(ground: Ground) -> None:
    """A bot's pull request is not reviewed unasked, whoever pushes to it."""
    ground.script[:] = [stands(ground), report(FINDING)]
    ground.world.hub.store.add_user("renovate[bot]", type="Bot")
    repository, number = propose(ground, "bot", author="renovate[bot]")
    [record] = ended(ground, repository, number, jobs=1)
    assert record.outcome is not None
    assert "bots" in record.outcome.reason
    assert ground.world.writes(repository) == []


@pytest.mark.parametrize("again", [True, False], ids=["by-default", "by-policy"])
def test_opened_again(ground: Ground, monkeypatch: pytest.MonkeyPatch, *, again: bool) -> None:
    """What was pushed while it was closed is read when it is opened again, unless the policy says otherwise."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    ground.script[:] = [stands(ground), report()]
    policy = "" if again else "review: { reopened: false }\n"
    repository, number = propose(ground, f"reopened-{again}".lower(), policy=policy)
    ended(ground, repository, number, jobs=1)
    ground.world.hub.close_issue(repository, number, "alice")
    ground.world.hub.commit(repository, {"calc.py": LONGER}, branch="mean")
    before = len(told_to_model(ground))
    ground.world.hub.reopen_issue(repository, number, "alice")
    ended(ground, repository, number, jobs=2)
    told = told_to_model(ground)[before:]
    assert any("An earlier review read everything up to" in one for one in told) is again


def test_a_push_is_reviewed_by_policy_and_only_what_is_new(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `review.push` each push has a review of what it brought; the earlier finding is not said again."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "pushed", policy="review: { push: true }\n")
    ended(ground, repository, number, jobs=1)
    worse = {
        **FINDING,
        "line": 10,
        "code": "    return sum(numbers)",
        "title": "The total of None raises",
        "command": "",
    }
    ground.script[:] = [stands(ground), report(FINDING, worse)]
    before = len(told_to_model(ground))
    ground.world.hub.commit(repository, {"calc.py": LONGER}, branch="mean")
    assert statuses(ground, repository, number, jobs=2) == ["reviewed", "reviewed"]
    assert "+def mean(numbers):" not in told_to_model(ground)[before]
    assert [one.line for one in line_comments(ground, repository, number)] == [6, 10]
    assert "1 earlier point still open" in reviews(ground, repository, number)[-1].body


def test_two_reviews_in_one_comment_are_one(ground: Ground) -> None:
    """While another reads, both wait. The second has the reach of both: it reads, and the first says so."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "two-at-once", policy=NEVER)
    ended(ground, repository, number, jobs=1)

    def both() -> None:
        command(ground, repository, number, "/qwen review paths=docs/**\n/qwen review full")
        ground.world.wait_until(lambda: "**Joined:**" in "".join(ground.world.comments(number, repository)), 90, "it")

    with meanwhile(ground, both):
        command(ground, repository, number, "/qwen review")
        assert statuses(ground, repository, number, jobs=4) == ["ignored", "reviewed", "cancelled", "clean"]


def test_a_review_of_everything_is_not_given_up_for_what_is_new(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push while it reads has its own review waiting, which nobody asked for and which reads less."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "everything", policy="review: { auto: all, push: true }\n")
    ended(ground, repository, number, jobs=1)

    def push() -> None:
        ground.world.hub.commit(repository, {"calc.py": LONGER}, branch="mean")
        until_waiting(ground, repository, number, queued=1)

    with meanwhile(ground, push):
        command(ground, repository, number, "/qwen review full")
        ended(ground, repository, number, jobs=3)
    comment = ground.world.comments(number, repository)[-1]
    assert "The branch moved on meanwhile" not in comment
    assert comment.startswith("Reviewed")


def test_one_reads_and_one_waits(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a review reads: a push, a command for all of it, another push. One waits in the end, and it reads all.

    The one that was overtaken posts nothing and ends as neutral; whoever commanded is answered.
    """
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository = ground.world.create_repository("one-waits", {**FILES, ".github/qwen.yml": "review: { push: true }\n"})
    hub, number = ground.world.hub, 1
    first = hub.commit(repository, {"calc.py": CHANGED}, branch="mean", start="main")

    def rush() -> None:
        hub.commit(repository, {"calc.py": LONGER}, branch="mean")
        until_waiting(ground, repository, number, queued=1)
        command(ground, repository, number, "/qwen review full")
        ground.world.wait_until(lambda: "Queued" in "".join(ground.world.comments(number, repository)), 90, "the word")
        until_waiting(ground, repository, number, queued=1)
        hub.commit(repository, {"calc.py": LONGER + "\n\nTWO = 2\n"}, branch="mean")
        until_waiting(ground, repository, number, queued=1, joined=1)

    with meanwhile(ground, rush):
        hub.open_pull_request(repository, "alice", head="mean", title="A mean")
        assert statuses(ground, repository, number, jobs=4) == ["ignored", "cancelled", "reviewed", "joined"]
    [review] = reviews(ground, repository, number)
    assert review.commit_id == hub.branches(repository)["mean"]
    assert {one.conclusion for one in hub.check_runs(repository, first)} == {"neutral"}
    _, comment = ground.world.comments(number, repository)
    assert comment.startswith("Reviewed `")
    assert [write for write in ground.world.writes(repository) if "reviews" in write] == [
        f"POST pulls/{number}/reviews"
    ]


def test_only_the_paths_that_are_asked_for(ground: Ground) -> None:
    """`paths=` narrows what is read; the rest stays new, and the next review reads it."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    other = {"calc.py": CHANGED, "docs/page.md": "A page.\n", "src/other.py": "OTHER = 1\n"}
    repository, number = propose(ground, "paths", policy=NEVER, changed=other)
    ended(ground, repository, number, jobs=1)
    before = len(told_to_model(ground))
    command(ground, repository, number, "/qwen review paths=calc.py,docs/**")
    ended(ground, repository, number, jobs=2)
    asked = told_to_model(ground)[before]
    assert "+def mean(numbers):" in asked
    assert "=== docs/page.md (added)" in asked
    assert "+A page." in asked
    assert "OTHER = 1" not in asked
    assert "Only these paths were asked for: `calc.py`, `docs/**`." in reviews(ground, repository, number)[-1].body
    ground.script[:] = [stands(ground), report()]
    before = len(told_to_model(ground))
    command(ground, repository, number, "/qwen review")
    ended(ground, repository, number, jobs=3)
    assert "OTHER = 1" in told_to_model(ground)[before]


def test_a_fork_is_read_without_set_up_secrets_or_a_network(ground: Ground) -> None:
    """Nothing of a fork is installed or tested, commands see no secret and reach nobody, and nothing is pushed."""
    shown = {**FINDING, "command": ESCAPE}
    ground.script[:] = [stands(ground), turn(call("bash", command=ESCAPE)), report(shown)]
    policy = "review: { auto: all, approve: true }\nsetup: exit 9\n"
    repository = ground.world.create_repository("from-a-fork", {**FILES, ".github/qwen.yml": policy})
    hub = ground.world.hub
    hub.create_user("carol")
    number = hub.open_pull_request_from_fork(repository, "carol", files={"calc.py": CHANGED}, title="A mean").number
    assert statuses(ground, repository, number, jobs=1) == ["reviewed"], "the set-up that would fail was not run"
    [comment] = line_comments(ground, repository, number)
    assert "Network is unreachable" in comment.body
    assert "Not tested: what comes from a fork is not run." in comment.body
    assert "<sub>Answer here.</sub>" in comment.body, "we cannot push to a fork"
    told = "\n".join(told_to_model(ground)[-3:])
    assert "PATH=" in told, "the environment was shown"
    assert not any(word in told for word in ("ghs_", "PRIVATE KEY", "FORGEHAND_"))
    assert not any(write.startswith("PUSH") for write in ground.world.writes(repository))


def test_a_stranger_is_not_heard_in_a_thread(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody without write permission answers to a finding closes nothing and is told to no model."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "stranger-in-thread")
    ended(ground, repository, number, jobs=1)
    [finding] = line_comments(ground, repository, number)
    before = len(told_to_model(ground))
    ground.world.hub.create_user("mallory")
    ground.world.hub.reply_to_comment(repository, finding.id, "mallory", "This is wrong, withdraw it.")
    found = ended(ground, repository, number, jobs=3)
    assert {one.outcome.status for one in found[1:] if one.outcome} == {"ignored"}
    assert told_to_model(ground)[before:] == []
    assert len(line_comments(ground, repository, number)) == 2
    ground.world.hub.reply_to_comment(repository, finding.id, "mallory", "fix this")
    ended(ground, repository, number, jobs=5)
    [refusal] = ground.world.comments(number, repository)
    assert "write permission" in refusal
    assert told_to_model(ground)[before:] == []


def test_fix_this_among_people_is_no_command(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread that people began, nothing is started and nothing said."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    ground.script[:] = [stands(ground), report()]
    repository, number = propose(ground, "among-people", policy=NEVER)
    ended(ground, repository, number, jobs=1)
    hub = ground.world.hub
    top = hub.comment_on_line(repository, number, "bob", Wanted("calc.py", "Hm.", line=6)).id
    hub.reply_to_comment(repository, top, "alice", "Please fix this.")
    found = ended(ground, repository, number, jobs=4)
    assert {one.outcome.status for one in found if one.outcome} == {"ignored"}
    assert ground.world.writes(repository) == []
