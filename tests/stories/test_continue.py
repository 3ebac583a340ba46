"""Work that stopped goes on where it was, or begins anew, as people say; questions are answered by whoever may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker
import pytest

from tests.stories.conftest import Ground, Told, open_ground
from tests.stories.scripts import FIX, NOTE, NOTED, RIGHT, UNTESTED, WRONG, call, finish, turn, write
from workflows.trajectory.events import check_chain, of_kind

LS = turn(call("bash", command="ls"))
HONEST = turn(finish("`add` subtracted.", verification="No new test: the old one and the issue's example say it all."))
SLOW = turn(call("bash", command="touch asleep; while [ ! -e /tmp/go ]; do sleep 0.1; done", timeout=600))
ASK = call("ask", question="May `add` take floats? Otherwise I leave it at whole numbers.")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("continue") / "world", engine) as ground:
        yield ground


def issue(ground: Ground, name: str, files: dict[str, str] | None = None) -> tuple[str, int]:
    repository = ground.world.create_repository(name, files or UNTESTED)
    return repository, ground.world.hub.create_issue(repository, "alice", "One more note", "It is missing.").number


def say(ground: Ground, repository: str, number: int, words: str, *, login: str = "alice", jobs: int) -> Told:
    """What came of a comment, once the thread has had that many jobs."""
    ground.world.hub.add_comment(repository, number, login, words)
    return ground.told(repository, number, jobs=jobs)


def ours(ground: Ground, told: Told) -> list[str]:
    """What our App said on the thread."""
    found = ground.world.hub.comments(told.repository, told.number)
    return [one.body for one in found if one.author.login == ground.world.hub.bot_login]


def first_prompt_of(ground: Ground, job: str) -> str:
    return str(ground.inside.composition.trajectories.open(job).events()[0].payload["prompt"])


def test_spent_turns_go_on_in_the_same_pull_request(ground: Ground) -> None:
    """The session goes on with fresh turns and the actor's words; its change is one more commit of the pull request."""
    repository, number = issue(ground, "spent")
    ground.play(turn(NOTE), LS, turn(write("more.txt", "More.\n")), turn(finish("Two notes.")), turn(finish("Two.")))
    first = say(ground, repository, number, "/qwen fix turns=2", jobs=1)
    assert first.outcome.status == "pull_request", first.outcome
    assert "**Perhaps not finished:** the budget of turns was used up." in ours(ground, first)[0]
    body = f"Read the notes first.\n\n{first.pulls[0].body}\n\nThanks, alice."
    ground.world.hub.edit_issue(repository, first.pulls[0].number, "alice", body=body)
    told = say(ground, repository, number, "/qwen continue and write more.txt turns=5", jobs=2)
    assert told.outcome.status == "pull_request", told.outcome
    assert (told.outcome.pull_request, told.outcome.branch) == (first.outcome.pull_request, first.outcome.branch)
    branch = str(told.outcome.branch)
    hub = ground.world.hub
    assert hub.read_file(repository, "more.txt", branch) == b"More.\n"
    assert hub.read_file(repository, "notes.txt", branch) == b"One note.\nAnother one.\n"
    events = ground.inside.composition.trajectories.open(first.job).events()
    check_chain(events)
    [went_on] = of_kind(events, "continue")
    assert went_on.payload["stop"] == "turns"
    assert "and write more.txt" in went_on.payload["text"]
    assert ground.inside.composition.trajectories.open(told.job).events() == [], "it is one session, in one log"
    assert "with `turns=5`" in ours(ground, told)[1]
    pull = told.outcome.pull_request
    assert [write for write in told.writes if "reactions" not in write] == [
        f"POST issues/{number}/comments",
        f"PUSH {branch}",
        "POST pulls",
        "POST check-runs",
        f"POST issues/{number}/comments",
        f"PUSH {branch}",
        f"PATCH pulls/{pull}",
        "POST check-runs",
    ]
    body = str(told.pulls[0].body)
    assert "more.txt" in body
    assert body.startswith("Read the notes first.\n\n<!-- forgehand:section=change -->")
    assert body.endswith("<!-- forgehand:end=change -->\n\nThanks, alice.")
    assert body.count("## Summary") == 1

    done = say(ground, repository, number, "/qwen continue", jobs=3)
    assert done.outcome.status == "answered"
    assert "The last work on this thread was finished." in ours(ground, done)[-1]


def test_a_session_that_is_stopped_in_a_bad_moment_delivers_what_was_good(ground: Ground) -> None:
    """The change before it spoiled that is published, and the pull request says so; it goes on from where it was."""
    repository, number = issue(ground, "spoiled", WRONG)
    spoil = write("calc.py", "def add(a, b):\n    return a * b\n")
    mend = call("edit", path="calc.py", old_string="a * b", new_string="b + a")
    ground.play(turn(RIGHT), turn(call("run_tests")), turn(spoil), turn(mend, call("run_tests")), HONEST, HONEST)
    first = say(ground, repository, number, "/qwen fix turns=3", jobs=1)
    assert first.outcome.status == "pull_request", first.outcome
    assert "left out for an earlier, better one: 1 test (" in str(first.pulls[0].body)
    hub = ground.world.hub
    assert hub.read_file(repository, "calc.py", first.outcome.branch) == b"def add(a, b):\n    return a + b\n"
    told = say(ground, repository, number, "/qwen continue turns=4", jobs=2)
    assert told.outcome.status == "pull_request", told.outcome
    assert hub.read_file(repository, "calc.py", told.outcome.branch) == b"def add(a, b):\n    return b + a\n"


def test_what_a_person_pushed_stays(ground: Ground) -> None:
    """When somebody pushed to the branch of the pull request meanwhile, the work goes to a branch of its own."""
    repository, number = issue(ground, "pushed-between")
    ground.play(turn(NOTE), LS, turn(write("more.txt", "More.\n")), *[turn(finish("One more note."))] * 3)
    first = say(ground, repository, number, "/qwen fix turns=2", jobs=1)
    theirs = ground.world.hub.commit(
        repository, {"mine.txt": "Mine.\n"}, branch=str(first.outcome.branch), author="alice"
    )
    told = say(ground, repository, number, "/qwen continue turns=5", jobs=2)
    assert told.outcome.branch == f"{first.outcome.branch}-2"
    assert told.branches[str(first.outcome.branch)] == theirs


def test_cancelled_work_goes_on(ground: Ground) -> None:
    """Stopped in the middle of a command, it goes on with the change so far, in a new container."""
    repository, number = issue(ground, "cancelled")
    ground.play(turn(NOTE), SLOW, turn(finish("One more note.")), turn(finish("One more note.")))
    world = ground.world
    world.hub.add_comment(repository, number, "alice", "/qwen fix")
    world.wait_until(lambda: len(world.containers(ground.engine)) == 1, 90, "the work to begin")
    job = world_job(ground, repository, number)
    log = ground.inside.composition.trajectories.open(job)
    world.wait_until(lambda: sum(one.kind == "tool_intent" for one in log.events()) == 2, 90, "the second call")
    world.hub.add_comment(repository, number, "alice", "/qwen stop")
    world.wait_until(lambda: world.containers(ground.engine) == [], 90, "the container to be gone")
    stopped = ground.told(repository, number, jobs=2)
    assert ours(ground, stopped)[0].startswith("Cancelled: nothing was published.")
    told = say(ground, repository, number, "/qwen continue", jobs=3)
    assert told.outcome.status == "pull_request", told.outcome
    [went_on] = of_kind(log.events(), "continue")
    assert went_on.payload["stop"] == ""
    assert len(of_kind(log.events(), "session")) == 1
    branch = str(told.outcome.branch)
    assert world.hub.read_file(repository, "notes.txt", branch) == b"One note.\nAnother one.\n"


def world_job(ground: Ground, repository: str, number: int) -> str:
    """The thread's first job."""
    identity = ground.world.hub.repository(repository).id
    return ground.inside.queue.thread(identity, number)[0].job.id


def test_a_model_that_could_not_be_reached_goes_on(ground: Ground) -> None:
    """What failed because the model was away goes on from the turn it had reached."""
    repository, number = issue(ground, "away")
    away = {"faults": [{"status": 401, "times": 1}]}
    ground.play(LS, turn(NOTE, **away), turn(finish("One more note.")), turn(finish("One more note.")))
    failed = say(ground, repository, number, "/qwen fix", jobs=1)
    assert failed.outcome.status == "failed"
    told = say(ground, repository, number, "/qwen continue", jobs=2)
    assert told.outcome.status == "pull_request", told.outcome
    events = ground.inside.composition.trajectories.open(failed.job).events()
    assert [event.payload["number"] for event in of_kind(events, "turn")] == [1, 2, 3]


def test_retry_starts_clean(ground: Ground) -> None:
    """The same request from nothing, in a log of its own, whatever question was open; it may be told another limit."""
    repository, number = issue(ground, "retried")
    ground.play(turn(ASK))
    asked = say(ground, repository, number, "/qwen fix add it at the end", jobs=1)
    assert asked.outcome.status == "asked"
    ground.play(*NOTED)
    told = say(ground, repository, number, "/qwen retry turns=9", jobs=2)
    assert told.outcome.status == "pull_request", told.outcome
    assert "add it at the end" in first_prompt_of(ground, told.job)
    assert "with `turns=9`" in ours(ground, told)[1]
    assert of_kind(ground.inside.composition.trajectories.open(asked.job).events(), "answer") == []


def test_a_question_is_answered_by_continue(ground: Ground) -> None:
    """`/qwen continue <words>` is an answer too, and several questions of a reply stand numbered in one comment."""
    repository, number = issue(ground, "questions")
    second = call("ask", question="Where does it go?")
    ground.play(turn(ASK, second), turn(NOTE), turn(finish("One more note.")), turn(finish("One more note.")))
    asked = say(ground, repository, number, "/qwen fix", jobs=1)
    [said] = ours(ground, asked)
    assert "1. May `add` take floats? Otherwise I leave it at whole numbers.\n2. Where does it go?" in said
    assert ground.world.state_labels(repository, number) == ["qwen:needs-info"]
    told = say(ground, repository, number, "/qwen continue Floats too, at the end.", jobs=2)
    assert told.outcome.status == "pull_request", told.outcome
    events = ground.inside.composition.trajectories.open(asked.job).events()
    [went_on] = of_kind(events, "continue")
    assert (went_on.payload["stop"], "Floats too, at the end." in went_on.payload["text"]) == ("asked", True)
    [request] = [event for event in of_kind(events, "llm_request") if event.turn == 2]
    assert request.payload["notices"][-1].startswith("Your question was answered. Go on with the work.")


def test_an_answer_while_another_job_runs(ground: Ground) -> None:
    """It waits its turn, and then goes on with the session that had asked, with the words as they were said."""
    repository, number = issue(ground, "meanwhile", WRONG)
    ground.play(turn(ASK), *FIX[:1], HONEST, HONEST, HONEST)
    asked = say(ground, repository, number, "/qwen fix", jobs=1)
    assert asked.outcome.status == "asked"
    asking = list(ground.script)
    ground.play(SLOW, turn(finish("It subtracts.")))
    world = ground.world
    before = len(world.model.requests)
    world.hub.add_comment(repository, number, "alice", '/qwen ask "What does it do?"')
    world.wait_until(lambda: len(world.model.requests) > before, 90, "the second job to run")
    answer = world.hub.add_comment(repository, number, "alice", "Yes, floats too.")
    waiting = "Queued: 1 ahead on this thread."
    world.wait_until(lambda: any(waiting in text for text in world.comments(number, repository)), 90, "the queue")
    world.hub.edit_comment(repository, answer.id, "alice", "No, never floats.")
    ground.script[:] = asking
    release(ground)
    told = ground.told(repository, number, jobs=3)
    assert told.outcome.status == "pull_request", told.outcome
    events = ground.inside.composition.trajectories.open(asked.job).events()
    [heard] = of_kind(events, "answer")
    assert "Yes, floats too." in heard.payload["text"]
    assert "never" not in heard.payload["text"]


def release(ground: Ground) -> None:
    """Let the command of SLOW end, once the container in which it runs has started."""

    def running() -> list[Any]:
        [name] = ground.world.containers(ground.engine)
        return ground.engine.containers.list(filters={"name": name})

    ground.world.wait_until(lambda: bool(running()), 90, "the container to have started")
    assert running()[0].exec_run(["touch", "/tmp/go"]).exit_code == 0


def test_an_answer_after_the_issue_was_closed(ground: Ground) -> None:
    """A writer is told once to reopen it, a reader nothing; reopened, the answer counts."""
    repository, number = issue(ground, "closed")
    ground.play(turn(ASK), turn(NOTE), turn(finish("One more note.")), turn(finish("One more note.")))
    hub = ground.world.hub
    hub.create_user("mallory")
    hub.set_permission(repository, "mallory", "read")
    asked = say(ground, repository, number, "/qwen fix", jobs=1)
    hub.close_issue(repository, number, "alice")
    say(ground, repository, number, "Whatever.", login="mallory", jobs=2)
    say(ground, repository, number, "Floats too.", jobs=3)
    told = say(ground, repository, number, "At the end.", jobs=4)
    assert told.outcome.status == "refused"
    assert len(ours(ground, told)) == 2
    assert ours(ground, told)[1].startswith("This issue is closed. Reopen it, then ask again.")
    hub.reopen_issue(repository, number, "alice")
    done = say(ground, repository, number, "Now then.", jobs=5)
    assert done.outcome.status == "pull_request", done.outcome
    [heard] = of_kind(ground.inside.composition.trajectories.open(asked.job).events(), "answer")
    assert [words in heard.payload["text"] for words in ("Floats too.", "Now then.", "Whatever.")] == [
        True,
        True,
        False,
    ]


def test_an_answered_question_is_not_answered_twice(ground: Ground) -> None:
    """A comment that comes while the answered session runs starts nothing; an edit of the answer changes nothing."""
    repository, number = issue(ground, "twice")
    ground.play(turn(ASK), SLOW, turn(NOTE), turn(finish("One more note.")), turn(finish("One more note.")))
    asked = say(ground, repository, number, "/qwen fix", jobs=1)
    world = ground.world
    answer = world.hub.add_comment(repository, number, "alice", "Floats too.")
    log = ground.inside.composition.trajectories.open(asked.job)
    world.wait_until(lambda: any(one.kind == "answer" for one in log.events()), 90, "the answer to be heard")
    world.wait_until(lambda: len(world.containers(ground.engine)) == 1, 90, "the work to go on")
    world.hub.add_comment(repository, number, "alice", "No, wait.")
    world.hub.edit_comment(repository, answer.id, "alice", "No floats.")
    world.hub.wait_for_deliveries()
    release(ground)
    told = ground.told(repository, number, jobs=2)
    assert told.outcome.status == "pull_request", told.outcome
    [heard] = of_kind(log.events(), "answer")
    assert "Floats too." in heard.payload["text"]
    assert len(told.pulls) == 1


def cancelled_on_pull(ground: Ground, name: str) -> tuple[str, int, str]:
    """A pull request of ours on which work was stopped after its change; its repository, number and first job."""
    world = ground.world
    repository = world.create_repository(name, UNTESTED)
    world.hub.commit(repository, {"notes.txt": "A note of the branch.\n"}, branch="qwen/work")
    number = world.hub.open_pull_request(repository, world.hub.bot_login, head="qwen/work", title="Notes").number
    ground.play(turn(write("more.txt", "More.\n")), SLOW, *[turn(finish("More notes."))] * 3)
    world.hub.add_comment(repository, number, "alice", "/qwen do write more.txt")
    world.wait_until(lambda: len(world.containers(ground.engine)) == 1, 90, "the work to begin")
    job = world_job(ground, repository, number)
    log = ground.inside.composition.trajectories.open(job)
    world.wait_until(lambda: sum(one.kind == "tool_intent" for one in log.events()) == 2, 90, "the second call")
    world.hub.add_comment(repository, number, "alice", "/qwen stop")
    world.wait_until(lambda: world.containers(ground.engine) == [], 90, "the container to be gone")
    ground.told(repository, number, jobs=2)
    return repository, number, job


def test_work_on_a_pull_request_goes_on(ground: Ground) -> None:
    """In the same log, on the same head: one commit on the branch."""
    repository, number, job = cancelled_on_pull(ground, "on-pull")
    head = ground.world.hub.branches(repository)["qwen/work"]
    told = say(ground, repository, number, "/qwen continue", jobs=3)
    assert told.outcome.status == "pushed", told.outcome
    events = ground.inside.composition.trajectories.open(job).events()
    assert [event.payload["stop"] for event in of_kind(events, "continue")] == [""]
    assert events[0].payload["base"] == head
    assert ground.world.hub.read_file(repository, "more.txt", "qwen/work") == b"More.\n"
    assert "began anew" not in ours(ground, told)[-1]


def test_work_on_a_branch_that_moved_begins_anew(ground: Ground) -> None:
    """On another head nothing of the session holds: a new one begins, and that is said."""
    repository, number, job = cancelled_on_pull(ground, "moved")
    ground.world.hub.commit(repository, {"mine.txt": "Mine.\n"}, branch="qwen/work", author="alice")
    ground.play(turn(write("more.txt", "More.\n")), *[turn(finish("More notes."))] * 3)
    told = say(ground, repository, number, "/qwen continue", jobs=3)
    assert told.outcome.status == "pushed", told.outcome
    assert of_kind(ground.inside.composition.trajectories.open(job).events(), "continue") == []
    assert "The branch moved since that session stopped, so the work began anew." in ours(ground, told)[-1]
    assert ground.world.hub.read_file(repository, "mine.txt", "qwen/work") == b"Mine.\n"


def test_there_is_something_to_go_on_with(ground: Ground) -> None:
    """Where no session began there is nothing to go on with, and that is said; a question in between is none."""
    repository, number = issue(ground, "nothing")
    ground.play(turn(finish("It is a note.")))
    say(ground, repository, number, '/qwen ask "What is it?"', jobs=1)
    told = say(ground, repository, number, "/qwen continue", jobs=2)
    assert "has no session to go on with" in ours(ground, told)[-1]


def test_a_second_part_is_judged_for_itself(ground: Ground) -> None:
    """The tests' verdict on a change that went on stands beside the part that it is about."""
    repository, number = issue(ground, "judged", WRONG)
    ground.play(turn(RIGHT), LS, turn(call("run_tests")), HONEST, HONEST, HONEST)
    first = say(ground, repository, number, "/qwen fix turns=2", jobs=1)
    say(ground, repository, number, "/qwen continue turns=9", jobs=2)
    events = ground.inside.composition.trajectories.open(first.job).events()
    marks = [event.kind for event in events if event.kind in ("end", "verdict", "continue")]
    assert marks == ["end", "verdict", "continue", "end", "verdict"]
