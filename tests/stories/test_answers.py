"""Whoever asks gets one clear answer: what was wrong, or what came of it and why there is no pull request."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from app.localhub.edge import Exchange
from tests.stories.conftest import Ground, Told, open_ground
from tests.stories.scripts import FIX, ISSUE, NOTE, NOTED, RIGHT, UNTESTED, WRONG, call, finish, turn, write
from workflows.durable.queue import Queue

ACCEPTED = ["POST issues/1/reactions", "POST issues/1/comments", "DELETE issues/1/labels/qwen"]
POLICY = ".github/qwen.yml"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("answers") / "world", engine) as ground:
        yield ground


def labels(ground: Ground, told: Told) -> list[str]:
    return [label.name for label in ground.world.hub.issue(told.repository, told.number).labels]


def assert_nothing_published(told: Told) -> None:
    assert list(told.branches) == ["main"]
    assert told.pulls == []
    assert told.writes == ACCEPTED


def test_another_label_is_silent(ground: Ground) -> None:
    """A label that is not the trigger starts nothing and is not answered; the record says why."""
    world = ground.world
    repository = world.create_repository("another-label", WRONG)
    number = world.ask(ISSUE, label="documentation", repository=repository)
    told = ground.told(repository, number)

    assert told.outcome.status == "ignored"
    assert told.outcome.reason == "The label `documentation` does not start work here; `qwen` does."
    assert (told.comments, told.writes) == ([], [])
    assert labels(ground, told) == ["documentation"]


def test_a_bot_is_silent(ground: Ground) -> None:
    """A label by a bot makes no job; the delivery is recorded with the reason."""
    world = ground.world
    repository = world.create_repository("bot", WRONG)
    world.hub.create_app("helper")
    number = world.ask(ISSUE, actor="helper[bot]", repository=repository)
    world.hub.wait_for_deliveries()

    delivery = next(d for d in reversed(world.hub.deliveries) if d.action == "labeled")
    record = ground.inside.queue.delivery(delivery.guid)
    assert delivery.status_code == 202
    assert record is not None
    assert (record.job_id, record.decision) == (None, "Ignored: Only people start work, and helper[bot] is not one.")
    assert (world.comments(number, repository), world.writes(repository)) == ([], [])


@pytest.mark.parametrize("role", ["read", "triage"])
def test_too_little_permission(ground: Ground, role: str) -> None:
    """Whoever may not write is refused once, with the reason, however often the label is applied; it is taken off."""
    world = ground.world
    repository = world.create_repository(f"role-{role}", WRONG)
    world.hub.create_user(f"{role}er")
    world.hub.set_permission(repository, f"{role}er", role)
    number = world.ask(ISSUE, actor=f"{role}er", repository=repository)
    once = ground.told(repository, number)
    world.hub.add_label(repository, number, "qwen", f"{role}er")
    twice = ground.told(repository, number, jobs=2)

    assert twice.outcome.status == "refused"
    assert once.comments == twice.comments
    [comment] = twice.comments
    assert f"has {role} permission here. Starting work needs write permission: ask a maintainer to do it." in comment
    assert f"@{role}er" not in comment.replace(f"`@{role}er`", "")
    assert twice.writes == ["POST issues/1/comments", "DELETE issues/1/labels/qwen", "DELETE issues/1/labels/qwen"]
    assert labels(ground, twice) == []


def test_policy_with_unknown_keys(ground: Ground) -> None:
    """A mistake in the policy is answered with its line and what was meant; when it is corrected the label works."""
    world = ground.world
    policy = "label: qwen\nbudgets:\n  turns: 5\ntset: pytest\n"
    told = ground.run("policy", {**UNTESTED, POLICY: policy}, *NOTED)

    assert told.outcome.status == "refused"
    [comment] = told.comments
    assert "`.github/qwen.yml` on the default branch has mistakes" in comment
    assert "- line 2: `budgets` is not a key. Did you mean `budget`?" in comment
    assert "- line 4: `tset` is not a key. Did you mean `test`?" in comment
    assert told.writes == ["POST issues/1/comments", "DELETE issues/1/labels/qwen"]

    world.hub.commit(told.repository, {POLICY: "label: qwen\nbudget:\n  turns: 5\n"})
    world.hub.add_label(told.repository, told.number, "qwen", "alice")
    after = ground.told(told.repository, told.number, jobs=2)
    assert after.outcome.status == "pull_request", after.outcome
    assert len(after.comments) == 2


def test_a_protected_path(ground: Ground) -> None:
    """A change of a protected path is not published, and the answer names the path and the rule."""
    evil = write(".github/workflows/ci.yml", "on: push\n")
    told = ground.run("protected", UNTESTED, turn(evil), turn(finish()))

    assert told.outcome.status == "rejected"
    path = "`.github/workflows/ci.yml`: this path is protected (`.github/workflows/**`). A person must change it."
    assert "**No pull request:** the change breaks the rules for changes." in told.answer
    assert f"- {path}" in told.answer
    assert_nothing_published(told)


def test_a_change_that_makes_tests_worse(ground: Ground) -> None:
    """A change that breaks a test is not published: the answer names the test and holds the whole patch.

    The model was told, once, and had nothing to add.
    """
    worse = write("calc.py", "def add(a, b):\n    return a * b\n")
    told = ground.run("worse", WRONG, turn(worse, call("run_tests")), *[turn(finish())] * 4)

    assert told.outcome.status == "worse"
    assert "**No pull request:** the change makes things worse." in told.answer
    assert "test_zero" in told.answer
    assert "passed before and fails now" in told.answer
    assert "-    return a - b\n+    return a * b\n" in told.answer
    assert "- [x] Mend what the tests showed: " in told.comments[0]
    assert_nothing_published(told)


def test_no_change_needed(ground: Ground) -> None:
    """ "No change needed" is an answer of its own, with the model's reasons."""
    done = finish("`add` is right: @bob/readme documents it as a difference.", no_change_needed=True)
    told = ground.run("no-change", UNTESTED, turn(done), turn(done))

    assert told.outcome.status == "no_change"
    assert told.outcome.reason == "No change is needed."
    assert "**No change needed.** The model's reasons:" in told.answer
    assert "documents it as a difference." in told.answer
    assert_nothing_published(told)


def test_weakened_tests_are_named_first(ground: Ground) -> None:
    """A pull request that weakens a test says so before anything else, with the file and the line."""
    skipped = write("test_calc.py", WRONG["test_calc.py"].replace("def ", "import pytest\n\n\n@pytest.mark.skip\ndef "))
    kept = write("test_more.py", "from calc import add\n\n\ndef test_add():\n    assert add(1, 1) == 2\n")
    told = ground.run("weakened", WRONG, turn(RIGHT, skipped, kept, call("run_tests")), turn(finish()), turn(finish()))

    assert told.outcome.status == "pull_request", told.outcome
    [pull] = told.pulls
    assert pull.body is not None
    warnings = pull.body.partition("## Summary")[0]
    assert "test_calc.py" in warnings
    assert "test_zero" in warnings
    assert "skip" in warnings


def test_a_set_up_that_fails(ground: Ground) -> None:
    """A set-up command of the policy that fails ends the job with the command, its exit code and its words."""
    policy = "setup:\n  - echo 'no such compiler' && exit 3\n"
    told = ground.run("set-up", {**WRONG, POLICY: policy}, *FIX)

    assert told.outcome.status == "failed"
    assert "**Stopped:** The set-up failed: `echo 'no such compiler' && exit 3` ended with exit code 3." in told.answer
    assert "no such compiler\n[exit code 3" in told.answer
    assert "Nothing was published. When it is mended, ask for it again." in told.answer
    assert_nothing_published(told)


def test_a_set_up_that_prints_code_fences(ground: Ground) -> None:
    """What a failing set-up prints stays inside its code block, whatever it prints."""
    policy = "setup:\n  - printf '```\\n# Not ours\\n' && exit 1\n"
    told = ground.run("fences", {**UNTESTED, POLICY: policy}, *NOTED)

    assert told.outcome.status == "failed"
    assert "\n````text\n" in told.answer


def test_a_repository_without_tests(ground: Ground) -> None:
    """Without tests there is a pull request all the same, and both it and the answer say that nothing was tested."""
    told = ground.run("untested", UNTESTED, *NOTED)

    assert told.outcome.status == "pull_request", told.outcome
    assert "**not tested**. No test command is known, so nothing was run." in told.answer
    [pull] = told.pulls
    assert "No test command was found. Set `test` in `.github/qwen.yml` to name one." in str(pull.body)
    assert [run.conclusion for run in ground.world.hub.check_runs(told.repository)] == ["neutral"]


def test_an_empty_repository(ground: Ground) -> None:
    """An issue in a repository without a commit is told to push one first."""
    told = ground.run("empty", {}, *NOTED)

    assert told.outcome.status == "failed"
    assert "**Stopped:** The branch `main` has no commit yet. Push a first one, then label again." in told.answer
    assert (told.branches, told.pulls, told.writes) == ({}, [], ACCEPTED)


@pytest.mark.parametrize("work", [True, False], ids=["with-work", "without-work"])
def test_a_branch_of_a_person(ground: Ground, work: bool) -> None:
    """A branch with our name that a person made is never touched: the next free name is taken."""
    world = ground.world
    ground.play(*NOTED)
    repository = world.create_repository(f"taken-{work}".lower(), UNTESTED)
    theirs = "qwen/issue-1-add-is-wrong"
    tip = world.branch(repository, theirs)
    if work:
        tip = world.hub.commit(repository, {"mine.txt": "mine"}, branch=theirs)
    told = ground.told(repository, world.ask(ISSUE, repository=repository))

    assert told.outcome.status == "pull_request", told.outcome
    assert told.outcome.branch == f"{theirs}-2"
    assert told.branches[theirs] == tip
    assert [pull.pull.head for pull in told.pulls if pull.pull] == [f"{theirs}-2"]


def test_an_issue_closed_before_the_job_ran(ground: Ground) -> None:
    """When the news of the closing got lost, the job sees for itself that the issue is closed, and says so."""
    world, hub = ground.world, ground.world.hub
    repository = world.create_repository("closed", UNTESTED)
    number = hub.create_issue(repository, "alice", "add is wrong").number
    with hub.store.lock:
        hub.add_label(repository, number, "qwen", "alice")
        heard, hub.app.events = hub.app.events, ()
        hub.close_issue(repository, number, "alice")
        hub.app.events = heard
    told = ground.told(repository, number)

    assert told.outcome.status == "refused"
    assert told.comments[0].startswith("This issue is closed. Reopen it, then ask again.")
    assert told.writes == ["POST issues/1/comments", "DELETE issues/1/labels/qwen"]


def test_an_issue_closed_while_the_job_runs(ground: Ground) -> None:
    """Closing the issue ends the running job: one comment, which says so, and no container.

    Its own words stay, also where they come after the look of whoever says it for workers that died.
    """
    world = ground.world

    def look(exchange: Exchange) -> None:
        listing = (exchange.method, exchange.path) == ("GET", f"/repos/{repository}/issues/1/comments")
        if listing and was_cancelled(ground.inside.queue, repository):
            world.wait_until(lambda: "Cancelled" in world.comments(number, repository)[0], 20, "the job's own words")

    world.hub.observe(look)
    ground.play(turn(NOTE), turn(finish(), delay=120.0))
    repository = world.create_repository("cancelled", UNTESTED)
    before = len(world.model.requests)
    number = world.ask(ISSUE, repository=repository)
    world.wait_until(lambda: len(world.model.requests) == before + 2, 90, "the second turn")
    assert len(world.containers(ground.engine)) == 1
    assert world.comments(number, repository)[0].startswith("Working on it: work on the change.")
    world.hub.close_issue(repository, number, "alice")
    world.wait_until(
        lambda: "Cancelled: nothing" in "".join(world.comments(number, repository)), 90, "the comment to say so"
    )
    told = ground.told(repository, number)

    assert told.answer.startswith("Cancelled: nothing was published.")
    assert told.state == "cancelled"
    assert_nothing_published(told)


def was_cancelled(queue: Queue, repository: str) -> bool:
    found = queue.jobs(limit=10)
    return any(r.state == "cancelled" and r.job.repository.full_name == repository for r in found)


def test_an_issue_closed_while_the_job_is_accepted(ground: Ground) -> None:
    """Closing the issue while the first comment is written leaves no comment that says it is being worked on."""
    world, queue = ground.world, ground.inside.queue
    repository = world.create_repository("closed-early", UNTESTED)
    number = world.hub.create_issue(repository, "alice", "add is wrong").number

    def close(exchange: Exchange) -> None:
        if exchange.path == f"/repos/{repository}/issues/1/reactions":
            world.hub.close_issue(repository, number, "alice")
            world.wait_until(lambda: was_cancelled(queue, repository), 60, "the job to be cancelled")

    world.hub.observe(close)
    world.hub.add_label(repository, number, "qwen", "alice")
    world.wait_until(
        lambda: "Cancelled: nothing" in "".join(world.comments(number, repository)), 90, "the comment to say so"
    )
    told = ground.told(repository, number)

    assert told.answer.startswith("Cancelled: nothing was published.")
    assert told.state == "cancelled"
    assert_nothing_published(told)


def test_an_issue_closed_while_the_job_publishes(ground: Ground) -> None:
    """When the pull request was open before the job heard of the closing, the last word says so."""
    world, queue = ground.world, ground.inside.queue
    ground.play(*NOTED)
    repository = world.create_repository("closed-late", UNTESTED)

    def close(exchange: Exchange) -> None:
        if (exchange.method, exchange.path) == ("POST", f"/repos/{repository}/pulls"):
            world.hub.close_issue(repository, number, "alice")
            world.wait_until(lambda: was_cancelled(queue, repository), 60, "the job to be cancelled")

    world.hub.observe(close)
    number = world.ask(ISSUE, repository=repository)
    world.wait_until(
        lambda: "Cancelled, when" in "".join(world.comments(number, repository)), 90, "the comment to say so"
    )
    told = ground.told(repository, number)

    assert told.answer.startswith("Cancelled, when draft pull request #2 was open already.")
    assert [pull.state for pull in told.pulls] == ["open"]
