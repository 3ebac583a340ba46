"""Reviews of our pull requests: one batch, one commit, every point answered once, and nobody's work overwritten."""

from __future__ import annotations

import dataclasses
import subprocess
import threading
from collections.abc import Iterator, Mapping

import docker
import pytest
from dbos import DBOS

from app import dispatch
from app.demo.scripted_model import ScriptedModel
from app.localhub.faults import Fault
from app.localhub.records import Pull
from app.localhub.reviews import Wanted
from tests.stories.conftest import Ground, MakeWorld, open_ground
from tests.stories.kills import Kill
from tests.stories.scripts import DESCRIBED, UNTESTED, WRONG, Entry, call, finish, turn, write
from tests.stories.world import World
from workflows.durable.queue import JobRecord
from workflows.solving.workshop import Workshop

BRANCH = "qwen/work"
CHANGE = {"calc.py": "def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return a + a + a\n"}
NOTES = {"notes.txt": "One note.\nA second note.\nA third note.\n"}
MERGING = "The base branch was merged into this pull request's branch"
MENDED = write("calc.py", "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return add(a, a)\n")
BETTER = write("notes.txt", "One note.\nThe second note.\nA third note.\n")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("feedback") / "world", engine) as ground:
        yield ground


def open_pull(
    world: World,
    name: str,
    *,
    files: Mapping[str, str] = UNTESTED,
    change: Mapping[str, str] = NOTES,
    author: str | None = None,
) -> tuple[str, int]:
    """A pull request with one change, by our App unless ``author`` opened it; its repository and number."""
    hub = world.hub
    repository = world.create_repository(name, files)
    hub.commit(repository, dict(change), branch=BRANCH)
    by = author or hub.bot_login
    number = hub.open_pull_request(repository, by, head=BRANCH, title="Work on notes").number
    return repository, number


def pull_of(ground: Ground, repository: str, number: int) -> Pull:
    pull = ground.world.hub.issue(repository, number).pull
    assert pull is not None
    return pull


def jobs_of(ground: Ground, repository: str) -> list[JobRecord]:
    found = ground.inside.queue.jobs(limit=1000)
    return [record for record in found if record.job.repository.full_name == repository]


def statuses_of(ground: Ground, repository: str) -> list[str]:
    """How its jobs ended, of those that have."""
    return [record.outcome.status for record in jobs_of(ground, repository) if record.outcome]


def told_to_model(ground: Ground) -> list[str]:
    """The model's requests so far."""
    assert isinstance(ground.world.model, ScriptedModel)
    return [request.body.decode() for request in ground.world.model.requests]


def replies(ground: Ground, repository: str, number: int) -> list[str]:
    """What we answered on lines, without hidden names."""
    hub = ground.world.hub
    ours = [one for one in pull_of(ground, repository, number).comments if one.author.login == hub.bot_login]
    return [one.body.partition("\n\n<!--")[0] for one in ours]


def parents_of(ground: Ground, repository: str, commit: str) -> list[str]:
    path = ground.world.hub.repository(repository).path
    found = subprocess.run(
        ["git", "-C", str(path), "log", "-1", "--format=%P", commit], capture_output=True, text=True, check=True
    )
    return found.stdout.split()


def content(ground: Ground, repository: str, path: str) -> str:
    return (ground.world.hub.read_file(repository, path, BRANCH) or b"").decode()


def test_a_review_is_one_batch(ground: Ground) -> None:
    """A review's body and two comments on lines: one verified commit, two answers, both resolved, review asked again.

    Everything that was written is in the list, and nothing more.
    """
    hub = ground.world.hub
    repository, number = open_pull(ground.world, "batch", files=WRONG, change=CHANGE)
    said = "[F1] done: both use `add` now.\n[F2] done: it adds.\n[F3] done: it doubles."
    ground.play(turn(MENDED, call("run_tests")), turn(finish(said, verification="Ran.")), turn(finish(said)))
    first, second = Wanted("calc.py", "This triples.", line=6), Wanted("calc.py", "Use add here, too.", line=5)
    hub.submit_review(
        repository, number, "alice", event="REQUEST_CHANGES", body="Please mend both.", comments=[first, second]
    )
    told = ground.told(repository, number)

    assert told.outcome.status == "pushed", told.outcome
    assert content(ground, repository, "calc.py").endswith("return add(a, a)\n")
    commit = told.branches[BRANCH]
    assert told.outcome.commit == commit
    assert replies(ground, repository, number) == [
        f"Done in {commit[:12]}: it adds.",
        f"Done in {commit[:12]}: it doubles.",
    ]
    assert set(hub.resolved_threads(repository, number).values()) == {hub.bot_login}
    assert len(hub.resolved_threads(repository, number)) == 2
    assert told.writes == [
        f"POST issues/{number}/comments",
        "POST check-runs",
        f"PUSH {BRANCH}",
        "POST check-runs",
        *(f"POST pulls/{number}/comments/{top}/replies" for top in sorted(hub.resolved_threads(repository, number))),
        f"POST pulls/{number}/requested_reviewers",
    ]
    assert told.answer.startswith(f"Done in {commit}, verified.")
    assert "both use `add` now." in told.answer


def test_a_point_that_is_declined(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without a change is a result: the thread gets the reasons and stays open, and nothing is pushed."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.5)
    hub = ground.world.hub
    repository, number = open_pull(ground.world, "declined")
    before = hub.branches(repository)
    said = finish("[F1] declined: the style guide of this page wants it so.", no_change_needed=True)
    ground.play(turn(said), turn(said))
    hub.submit_review(
        repository, number, "alice", event="REQUEST_CHANGES", comments=[Wanted("notes.txt", "Use colons.", line=2)]
    )
    told = ground.told(repository, number)

    assert (told.outcome.status, told.outcome.reason) == (
        "no_change",
        "Every point was answered; no change was needed.",
    )
    assert told.branches == before
    assert replies(ground, repository, number) == ["Declined: the style guide of this page wants it so."]
    assert hub.resolved_threads(repository, number) == {}
    assert told.answer.startswith("**Nothing was changed.** Every point was answered:")
    [live] = hub.check_runs(repository)
    assert (live.name, live.status, live.conclusion) == ("Forgehand at work", "completed", "neutral")
    [top] = [one.id for one in pull_of(ground, repository, number).comments if one.author.login == "alice"]
    assert told.writes == [
        f"POST issues/{number}/comments",
        "POST check-runs",
        f"POST pulls/{number}/comments/{top}/replies",
    ]


def test_three_loose_comments_are_one_round(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments on lines that come one by one are waited for, and dealt with in one round and one commit."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 600.0)
    hub = ground.world.hub
    repository, number = open_pull(ground.world, "loose")
    said = finish("[F1] done: yes.\n[F2] done: yes.\n[F3] done: yes.")
    ground.play(turn(BETTER), turn(said), turn(said))
    for line in (1, 2, 3):
        hub.comment_on_line(repository, number, "alice", Wanted("notes.txt", f"Mend line {line}.", line=line))
    ground.world.wait_until(lambda: statuses_of(ground, repository) == ["joined"] * 2, 60, "the others to join")
    [waiting] = [record.job.id for record in jobs_of(ground, repository) if record.state == "queued"]
    DBOS.set_workflow_delay(waiting, delay_seconds=0)
    told = ground.told(repository, number, jobs=3)

    assert [write for write in told.writes if write.startswith("PUSH")] == [f"PUSH {BRANCH}"]
    assert len(replies(ground, repository, number)) == 3
    assert len(hub.resolved_threads(repository, number)) == 3
    assert len(told.comments) == 1
    assert sorted(statuses_of(ground, repository)) == ["joined", "joined", "pushed"]


@pytest.mark.parametrize(
    ("name", "login", "event", "body"),
    [
        ("stranger", "reader", "REQUEST_CHANGES", "Delete everything."),
        ("thanks", "alice", "COMMENT", "LGTM, thanks! :+1:"),
        ("approved", "alice", "APPROVE", "Change it all the same."),
    ],
)
def test_reviews_that_start_nothing(ground: Ground, name: str, login: str, event: str, body: str) -> None:
    """A reviewer without write permission gives no instructions; thanks and approvals ask for nothing: silence."""
    hub = ground.world.hub
    repository, number = open_pull(ground.world, name)
    hub.create_user("reader")
    hub.set_permission(repository, "reader", "read")
    hub.submit_review(repository, number, login, event=event, body=body)
    hub.wait_for_deliveries()
    if event != "APPROVE":
        assert ground.told(repository, number).outcome.status == "ignored"
    assert jobs_of(ground, repository)[1:] == []
    assert ground.world.writes(repository) == []
    assert ground.world.state_labels(repository, number) == []


def test_somebody_elses_pull_request(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """A review of a pull request that is not ours starts nothing; a command there works, and is answered in place."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.5)
    hub = ground.world.hub
    repository, number = open_pull(ground.world, "theirs", author="alice")
    hub.create_user("bob")
    hub.set_permission(repository, "bob", "write")
    hub.submit_review(repository, number, "bob", event="REQUEST_CHANGES", body="Say which note.")
    assert ground.told(repository, number).outcome.status == "ignored"
    assert ground.world.writes(repository) == []

    ground.play(turn(BETTER), turn(finish("[F1] done: it says which.")), turn(finish("[F1] done: it says which.")))
    asked = hub.comment_on_line(repository, number, "bob", Wanted("notes.txt", "/qwen fix say which note", line=2))
    told = ground.told(repository, number, jobs=3)

    # A comment on a line is a review too, which by itself starts nothing here; nor does our push.
    thread = ground.inside.queue.thread(hub.repository(repository).id, number)
    heard = [one for one in thread if one.job.workflow != "review_pull"]
    assert sorted(one.outcome.status for one in heard if one.outcome) == ["ignored", "ignored", "pushed"]
    assert replies(ground, repository, number) == [f"Done in {told.branches[BRANCH][:12]}: it says which."]
    assert hub.resolved_threads(repository, number) == {asked.id: hub.bot_login}


def test_rounds_that_are_spent(ground: Ground) -> None:
    """When the rounds are spent, one comment and a label hand the pull request over; a command makes one more."""
    hub = ground.world.hub
    policy = {".github/qwen.yml": "feedback:\n  rounds: 1\n"}
    repository, number = open_pull(ground.world, "spent", files={**UNTESTED, **policy})
    said = finish("[F1] done: better.")
    ground.play(turn(BETTER), turn(said), turn(said))
    hub.submit_review(repository, number, "alice", body="First: better, please.")
    assert ground.told(repository, number).outcome.status == "pushed"
    assert ground.world.state_labels(repository, number) == ["qwen:in-review"]

    for jobs in (2, 3):
        hub.submit_review(repository, number, "alice", body="Still better, please.")
        told = ground.told(repository, number, jobs=jobs)
        assert told.outcome.status == "refused"
        assert len(told.comments) == 2
    assert told.comments[1].startswith("**Handed over to people.** This pull request had 1 round of feedback;")
    assert ground.world.state_labels(repository, number) == ["qwen:blocked"]
    assert len([write for write in told.writes if write.startswith("PUSH")]) == 1

    best = write("notes.txt", "One note.\nThe best note.\n")
    ground.play(turn(best), turn(said), turn(said))
    hub.add_comment(repository, number, "alice", "/qwen fix")
    told = ground.told(repository, number, jobs=4)
    assert told.outcome.status == "pushed", told.outcome
    # Heard once: the first review's words are not told again.
    task = [request for request in told_to_model(ground) if "People reviewed the change" in request][-1]
    assert "Still better, please." in task
    assert "First: better, please." not in task


def test_a_fork(ground: Ground) -> None:
    """A command on a fork's pull request is refused with what to do; a review of one starts nothing."""
    repository = ground.world.create_repository("fork", UNTESTED)
    number = ground.world.hub.open_pull_request_from_fork(repository, "carol", files=NOTES, title="Notes").number
    ground.world.hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="Better, please.")
    assert ground.told(repository, number).outcome.status == "ignored"
    assert ground.world.writes(repository) == []

    ground.world.hub.add_comment(repository, number, "alice", "/qwen fix the second note")
    told = ground.told(repository, number, jobs=2)
    assert told.outcome.status == "refused"
    assert told.comments[-1].startswith("**Not started:** This pull request comes from a fork")
    assert not any(write.startswith(("PUSH", "POST check-runs")) for write in told.writes)


def test_a_pull_request_closed_meanwhile(ground: Ground) -> None:
    """Closing the pull request ends the round: the comment and the check run say so, and nothing is pushed."""
    hub, world = ground.world.hub, ground.world
    repository, number = open_pull(world, "closed")
    before, asked = hub.branches(repository), len(told_to_model(ground))
    ground.play(turn(BETTER), turn(finish("[F1] done: better."), delay=120.0))
    hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="Better, please.")
    world.wait_until(lambda: len(told_to_model(ground)) >= asked + 2, 60, "the second turn")
    hub.close_issue(repository, number, "alice")
    world.wait_until(
        lambda: "Cancelled: nothing" in "".join(world.comments(number, repository)), 90, "the comment to say so"
    )
    told = ground.told(repository, number)

    assert told.answer.startswith("Cancelled: nothing was published.")
    assert told.branches == before
    world.wait_until(lambda: hub.check_runs(repository)[0].status == "completed", 60, "the check run's end")
    [live] = hub.check_runs(repository)
    assert live.conclusion == "cancelled"
    assert told.writes == [f"POST issues/{number}/comments", "POST check-runs"]


def test_late_rounds(ground: Ground) -> None:
    """After the policy's number of rounds only requested changes count; remarks are left to people, without a word."""
    hub = ground.world.hub
    policy = {".github/qwen.yml": "feedback:\n  critical_after: 1\n"}
    repository, number = open_pull(ground.world, "late", files={**UNTESTED, **policy})
    said = finish("[F1] done: better.")
    ground.play(turn(BETTER), turn(said), turn(said))
    hub.submit_review(repository, number, "alice", body="Better, please.")
    first = ground.told(repository, number)
    assert first.outcome.status == "pushed"

    hub.submit_review(repository, number, "alice", body="A remark.")
    told = ground.told(repository, number, jobs=2)
    assert told.outcome.reason == "After so many rounds only requested changes count, and there are none."
    assert (told.outcome.status, told.writes) == ("ignored", first.writes)

    best = write("notes.txt", "One note.\nThe best note.\n")
    ground.play(turn(best), turn(said), turn(said))
    hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="It is wrong.")
    assert ground.told(repository, number, jobs=3).outcome.status == "pushed"
    task = [request for request in told_to_model(ground) if "People reviewed the change" in request][-1]
    assert "It is wrong." in task
    assert "A remark." not in task


def test_growth_that_is_spent(ground: Ground) -> None:
    """When the rounds made the change longer than the policy allows, the next review hands it over.

    Every line counts, also where the diff is longer than what people and models are shown of it.
    """
    hub = ground.world.hub
    policy = {".github/qwen.yml": "feedback:\n  growth: 3000\n"}
    repository, number = open_pull(ground.world, "growth", files={**UNTESTED, **policy})
    longer = write("notes.txt", NOTES["notes.txt"] + "One more note, and a long one.\n" * 3000)
    said = finish("[F1] done: longer.")
    ground.play(turn(longer), turn(said), turn(said))
    hub.submit_review(repository, number, "alice", body="Longer, please.")
    first = ground.told(repository, number)
    assert (first.outcome.status, first.outcome.growth) == ("pushed", 3000)

    hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="Still longer, please.")
    told = ground.told(repository, number, jobs=2)
    assert told.outcome.status == "refused"
    assert "made this change 3000 lines longer; `feedback.growth` allows 3000." in told.comments[-1]


def test_conflicts_are_resolved_first_where_the_policy_says_so(ground: Ground) -> None:
    """With `resolve: auto` a round on a branch that conflicts with its base begins with a merge, and then goes on."""
    hub = ground.world.hub
    policy = {".github/qwen.yml": "resolve: auto\n"}
    repository, number = open_pull(ground.world, "auto", files={**UNTESTED, **policy})
    base = hub.commit(repository, {"notes.txt": "One note, of theirs.\n"}, branch="main", author="alice")
    head = hub.branches(repository)[BRANCH]
    said = finish("[F1] done: better.")
    both = write("notes.txt", "One note, of theirs.\nA second note.\n")
    better = write("notes.txt", "One note, of theirs.\nThe second note.\n")
    merging = [{"match": MERGING, **one} for one in (turn(both), turn(finish("Both notes.")))]
    ground.play(*merging, turn(better), turn(said), turn(said))
    hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="Better, please.")
    told = ground.told(repository, number)

    assert told.outcome.status == "pushed", told.outcome
    [merged] = parents_of(ground, repository, told.branches[BRANCH])
    assert parents_of(ground, repository, merged) == [head, base]
    assert content(ground, repository, "notes.txt") == "One note, of theirs.\nThe second note.\n"
    assert told.outcome.growth == 0
    assert f"is merged as `{merged[:10]}`, with 1 conflicting file resolved" in told.comments[0]
    assert told.comments[0].count(" turns · ") == 2
    assert [write for write in told.writes if write.startswith("PUSH")] == [f"PUSH {BRANCH}"] * 2


def test_conflicts_that_cannot_be_resolved_do_not_end_the_round(ground: Ground) -> None:
    """Where the merge fails, that is said, and the round is made on the branch as it is."""
    hub = ground.world.hub
    policy = {".github/qwen.yml": "resolve: auto\n"}
    repository, number = open_pull(ground.world, "auto-failed", files={**UNTESTED, **policy})
    hub.commit(repository, {"notes.txt": "One note, of theirs.\n"}, branch="main", author="alice")
    head = hub.branches(repository)[BRANCH]
    said = finish("[F1] done: better.")
    left = {"match": MERGING, **turn(finish("No.", no_change_needed=True))}
    ground.play(left, turn(BETTER), turn(said), turn(said))
    hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="Better, please.")
    told = ground.told(repository, number)

    assert told.outcome.status == "pushed", told.outcome
    assert parents_of(ground, repository, told.branches[BRANCH]) == [head]
    assert "conflicts with the branch, and that was not resolved." in told.comments[0]


def test_conflicts_that_could_not_be_resolved_are_tried_again_when_a_head_moves(ground: Ground) -> None:
    """Rounds that leave the branch as it is do not try the same merge twice; a push to the base has it tried."""
    hub = ground.world.hub
    policy = {".github/qwen.yml": "resolve: auto\n"}
    repository, number = open_pull(ground.world, "auto-tried", files={**UNTESTED, **policy})
    hub.commit(repository, {"notes.txt": "One note, of theirs.\n"}, branch="main", author="alice")
    head = hub.branches(repository)[BRANCH]
    left = {"match": MERGING, **turn(finish("No.", no_change_needed=True))}
    declined = turn(finish("[F1] declined: it is right as it is.", no_change_needed=True))
    ground.play(left, declined, declined)
    hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="Better, please.")
    told = ground.told(repository, number)
    assert told.outcome.status == "no_change", told.outcome
    assert len(told.outcome.unresolved) == 2

    ground.play(declined, declined)
    hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="Better, please!")
    told = ground.told(repository, number, jobs=2)
    assert told.outcome.status == "no_change", told.outcome
    assert told.outcome.unresolved == ()
    assert "could not be resolved before. Neither has moved since: `/qwen resolve` tries again." in told.comments[-1]

    base = hub.commit(repository, {"other.txt": "Theirs.\n"}, branch="main", author="alice")
    both = turn(write("notes.txt", "One note, of theirs.\nA second note.\n"))
    merging = [{"match": MERGING, **one} for one in (both, turn(finish("Both notes.")))]
    ground.play(*merging, declined, declined)
    hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="Better, please!!")
    told = ground.told(repository, number, jobs=3)
    assert parents_of(ground, repository, told.branches[BRANCH]) == [head, base]


def test_conflicts_and_round_share_one_budget(ground: Ground) -> None:
    """What resolving the conflicts has cost is not there for the round."""
    hub = ground.world.hub
    policy = {".github/qwen.yml": "resolve: auto\n"}
    repository, number = open_pull(ground.world, "shared", files={**UNTESTED, **policy})
    hub.commit(repository, {"notes.txt": "One note, of theirs.\n"}, branch="main", author="alice")
    dear = {"prompt_tokens": 5_900_000, "completion_tokens": 10, "total_tokens": 5_900_010}
    both = write("notes.txt", "One note, of theirs.\nA second note.\n")
    merging = [{"match": MERGING, **one} for one in (turn(both), turn(finish("Both notes."), usage=dear))]
    cheap = {"prompt_tokens": 200_000, "completion_tokens": 10, "total_tokens": 200_010}
    ground.play(*merging, turn(BETTER, usage=cheap), turn(finish("[F1] done: better.")))
    hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="Better, please.")
    told = ground.told(repository, number)

    assert "with 1 conflicting file resolved" in told.comments[0]
    assert "the budget of tokens was used up" in told.comments[0]


def test_a_bug_of_ours(ground: Ground) -> None:
    """A bug of our own ends the round with a word on the pull request, and its check run does not stay in progress."""

    def broken() -> Workshop:
        raise ZeroDivisionError("a bug")

    repository, number = open_pull(ground.world, "bug")
    composition = ground.inside.composition
    sound = composition.job_services
    composition.job_services = dataclasses.replace(sound, workshop=broken)
    try:
        ground.world.hub.submit_review(repository, number, "alice", body="Better, please.")
        told = ground.told(repository, number)
    finally:
        composition.job_services = sound

    assert told.outcome.status == "failed"
    assert told.answer.startswith("**Stopped:** Forgehand itself failed (ZeroDivisionError)")
    [live] = ground.world.hub.check_runs(repository)
    assert (live.status, live.conclusion) == ("completed", "failure")


def test_nothing_to_address(ground: Ground) -> None:
    """A command without words where nobody said anything is told so, and no session is made."""
    repository, number = open_pull(ground.world, "nothing")
    asked = len(told_to_model(ground))
    ground.world.hub.add_comment(repository, number, "alice", "/qwen fix")
    told = ground.told(repository, number)
    assert told.outcome.status == "answered"
    assert told.comments[-1].startswith("There is no open feedback here by people with write permission.")
    assert len(told_to_model(ground)) == asked


def test_answers_lost_on_their_way(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """When GitHub's answer to the push or to a reply is lost, nothing is said or pushed twice."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    hub = ground.world.hub
    repository, number = open_pull(ground.world, "lost")
    said = finish("[F1] done: better.")
    ground.play(turn(BETTER), turn(said), turn(said))
    paths = ("git-receive-pack$", "/replies$", "/requested_reviewers$", "/check-runs$")
    faults = [hub.faults.add(Fault("status", method="POST", path=path, after_write=True)) for path in paths]
    hub.submit_review(repository, number, "alice", comments=[Wanted("notes.txt", "Better, please.", line=2)], body=" ")
    told = ground.told(repository, number)

    assert [fault.struck for fault in faults] == [1] * 4
    assert told.outcome.status == "pushed", told.outcome
    assert len(replies(ground, repository, number)) == 1
    assert len([write for write in told.writes if write.startswith("PUSH")]) == 1
    assert len(told.comments) == 1


def push_meanwhile(
    ground: Ground, repository: str, number: int, files: Mapping[str, str], *, change: Entry = BETTER
) -> str:
    """A review is followed up, and while the agent works a person pushes ``files`` to the branch; that commit."""
    hub = ground.world.hub
    said = finish("[F1] done: better.", verification="It cannot be run here.")
    pushed = threading.Event()
    ground.play(turn(change), turn(said, held=pushed), turn(said))
    before = len(told_to_model(ground))
    hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="Better, please.")
    ground.world.wait_until(lambda: len(told_to_model(ground)) >= before + 2, 60, "the second turn")
    theirs = hub.commit(repository, dict(files), branch=BRANCH, author="alice")
    pushed.set()
    return theirs


def test_a_person_pushes_meanwhile(ground: Ground) -> None:
    """What a person pushed while the agent worked stays; the change is merged with it, tested, and pushed on top."""
    repository, number = open_pull(ground.world, "race")
    theirs = push_meanwhile(ground, repository, number, {"more.txt": "More.\n"})
    told = ground.told(repository, number)

    assert told.outcome.status == "pushed", told.outcome
    assert parents_of(ground, repository, told.branches[BRANCH]) == [theirs]
    assert content(ground, repository, "more.txt") == "More.\n"
    assert "The second note." in content(ground, repository, "notes.txt")
    assert "Somebody pushed to the branch meanwhile: the change was merged with that and tested again." in told.answer
    assert "- [x] Bring the change onto what was pushed meanwhile" in told.comments[0]
    assert [write for write in told.writes if write.startswith("PUSH")] == [f"PUSH {BRANCH}"]


def test_a_person_pushes_the_same_lines_meanwhile(ground: Ground) -> None:
    """When the two conflict, nothing is pushed: the conflict is named, and the change shown so that it is not lost."""
    repository, number = open_pull(ground.world, "conflict")
    notes = NOTES["notes.txt"].replace("A second", "Another")
    theirs = push_meanwhile(ground, repository, number, {"notes.txt": notes})
    told = ground.told(repository, number)

    assert told.outcome.status == "rejected", told.outcome
    assert told.branches[BRANCH] == theirs
    assert "and the change conflicts with that in `notes.txt`." in told.answer
    assert "+The second note." in told.answer
    assert ground.world.state_labels(repository, number) == ["qwen:blocked"]
    assert told.writes == [f"POST issues/{number}/comments", "POST check-runs"]
    [live] = ground.world.hub.check_runs(repository)
    assert (live.status, live.conclusion) == ("completed", "failure")


def test_two_changes_that_break_each_other(ground: Ground) -> None:
    """Two changes that merge, and whose tests fail together, are found out by the run after the merge: no push."""
    few = "def test_few():\n    assert len(open('notes.txt').readlines()) <= 4\n"
    repository, number = open_pull(ground.world, "together", files={**UNTESTED, "test_notes.py": few})
    notes = NOTES["notes.txt"]
    ours = write("notes.txt", f"No note.\n{notes}")
    theirs = push_meanwhile(ground, repository, number, {"notes.txt": f"{notes}A last note.\n"}, change=ours)
    told = ground.told(repository, number)

    assert told.outcome.status == "rejected", told.outcome
    assert told.branches[BRANCH] == theirs
    assert "Somebody pushed to the branch meanwhile, and on top of that the change makes things worse" in told.answer
    assert "+No note." in told.answer


@pytest.mark.parametrize(
    "last", ["/git-receive-pack", "/replies", "/graphql", "/requested_reviewers"], ids=lambda last: last.strip("/")
)
def test_kill_9_between_the_push_and_the_answers(make_world: MakeWorld, last: str) -> None:
    """kill -9 right after any of the last writes: after a restart each of them is there once."""
    said = finish("[F1] done: better.\n[F2] done: better.")
    world = make_world(UNTESTED, [DESCRIBED, turn(BETTER), turn(said), turn(said)])
    world.serve()
    repository, number = open_pull(world, "killed")
    kill = Kill(world, last)
    world.hub.faults.add(kill)
    wanted = [Wanted("notes.txt", f"Mend line {line}.", line=line) for line in (1, 2)]
    world.hub.submit_review(repository, number, "alice", event="REQUEST_CHANGES", body="LGTM", comments=wanted)
    assert kill.done.wait(120)
    world.serve()
    world.ended()

    tops = sorted(world.hub.resolved_threads(repository, number))
    assert len(tops) == 2
    assert world.writes(repository) == [
        f"POST issues/{number}/comments",
        "POST check-runs",
        f"PUSH {BRANCH}",
        "POST check-runs",
        *(f"POST pulls/{number}/comments/{top}/replies" for top in tops),
        f"POST pulls/{number}/requested_reviewers",
    ]
    [comment] = world.comments(number, repository)
    assert comment.startswith("Done in ")
