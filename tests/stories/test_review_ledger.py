"""What becomes of findings after they were said: fixed, answered by people, withdrawn; and never said twice."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from app import dispatch
from tests.stories.conftest import Ground, MakeWorld, open_ground
from tests.stories.kills import Kill
from tests.stories.reviewing import (
    CHANGED,
    FILES,
    FINDING,
    REFUTER,
    RUN,
    command,
    ended,
    is_resolved,
    judges,
    line_comments,
    name_of,
    propose,
    report,
    reviews,
    stands,
    told_to_model,
)
from tests.stories.scripts import DESCRIBED, finish, turn, write

MENDED = CHANGED.replace("len(numbers)\n", "len(numbers) if numbers else 0\n")
LONGER = CHANGED + "\n\ndef total(numbers):\n    return sum(numbers)\n"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("ledger") / "world", engine, review_unasked=True) as ground:
        yield ground


def review(ground: Ground, name: str) -> tuple[str, int]:
    """A pull request with one finding on its line."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, name)
    ended(ground, repository, number, jobs=1)
    [_] = line_comments(ground, repository, number)
    return repository, number


def test_a_push_that_fixes_a_finding_resolves_its_thread(ground: Ground) -> None:
    """The next review reads only what is new, says in the thread that it is fixed, resolves it, and posts nothing."""
    repository, number = review(ground, "mended")
    first = ground.world.hub.branches(repository)["mean"]
    head = ground.world.hub.commit(repository, {"calc.py": MENDED}, branch="mean")
    ground.script[:] = [stands(ground), report()]
    before = len(told_to_model(ground))
    command(ground, repository, number, "/qwen review")
    *_, record = ended(ground, repository, number, jobs=2)
    assert record.outcome is not None
    assert record.outcome.status == "clean", record.outcome
    [finding, answer] = line_comments(ground, repository, number)
    assert answer.body.startswith(f"Fixed in `{head[:12]}`.")
    assert is_resolved(ground, repository, number, finding)
    asked = told_to_model(ground)[before]
    assert f"An earlier review read everything up to `{first}`" in asked
    assert "+def mean(numbers):" not in asked


def test_what_stands_is_not_said_again_on_the_next_push(ground: Ground) -> None:
    """The same point found again after a push to another place of the file is counted as open, and not repeated."""
    repository, number = review(ground, "standing")
    ground.world.hub.commit(repository, {"calc.py": LONGER}, branch="mean")
    ground.script[:] = [stands(ground), RUN, report({**FINDING, "title": "An empty mean divides by zero"})]
    command(ground, repository, number, "/qwen review full")
    ended(ground, repository, number, jobs=2)
    assert len(line_comments(ground, repository, number)) == 1
    assert "1 earlier point still open" in reviews(ground, repository, number)[-1].body


def test_nothing_new_is_not_read_again(ground: Ground) -> None:
    """A review that is asked for with nothing pushed since the last one says so, and asks no model."""
    repository, number = review(ground, "unmoved")
    before = len(told_to_model(ground))
    command(ground, repository, number, "/qwen review")
    ended(ground, repository, number, jobs=2)
    assert "Nothing was pushed since the last review" in ground.world.comments(number, repository)[-1]
    assert told_to_model(ground)[before:] == []
    assert len(reviews(ground, repository, number)) == 1


PUSHED = "review: { push: true, fail_on: important }\n"


def conclusion(ground: Ground, repository: str, head: str) -> tuple[str, str]:
    """How the review of a head ended."""
    return next(
        (str(one.conclusion), str(one.title))
        for one in ground.world.hub.check_runs(repository)
        if (one.name, one.head_sha) == ("Forgehand review", head)
    )


def test_what_has_no_line_in_the_change_ends_with_the_review_that_lacks_it(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A demand that is not met and a caller that breaks are linked to where they are, fail the check, are asked for
    again at the next push, and are fixed when that review does not find them any more.
    """
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    unmet = {
        **FINDING,
        "path": "test_calc.py",
        "line": None,
        "code": "",
        "title": "The mean has no test",
        "command": "",
    }
    caller = {**unmet, "line": 4, "code": "    assert add(1, 1) == 2", "title": "This caller breaks"}
    ground.script[:] = [stands(ground), report(unmet, caller)]
    repository, number = propose(ground, "no-line", policy=PUSHED)
    ended(ground, repository, number, jobs=1)
    [posted] = reviews(ground, repository, number)
    first = ground.world.hub.branches(repository)["mean"]
    assert f"/{repository}/blob/{first}/test_calc.py#L5)" in posted.body
    assert conclusion(ground, repository, first) == ("failure", "2 important open")
    for jobs, found, ends in (
        (2, [caller], ("failure", "1 important open")),
        (3, [], ("success", "Nothing to say")),
    ):
        before = len(told_to_model(ground))
        ground.script[:] = [stands(ground), report(*found)]
        head = ground.world.hub.commit(repository, {"calc.py": f"{CHANGED}\n\nX = {before}\n"}, branch="mean")
        ended(ground, repository, number, jobs=jobs)
        [*_, again] = told_to_model(ground)[before].partition("report again, in the same words")
        assert "This caller breaks" in again
        assert conclusion(ground, repository, head) == ends
    assert len(reviews(ground, repository, number)) == 1
    assert not line_comments(ground, repository, number)


def test_a_line_that_only_left_the_diff_is_not_called_fixed(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed beside it is taken back: the thread stays open and the check fails, until the line changes."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    found = {**FINDING, "line": 2, "code": "    return a + b", "title": "The sum loses digits", "command": ""}
    ground.script[:] = [stands(ground), report({**found, "suggestion": None})]
    long = FILES["calc.py"] + "\n\n" + "".join(f"X{number} = {number}\n" for number in range(30))
    repository = ground.world.create_repository("left", {**FILES, "calc.py": long, ".github/qwen.yml": PUSHED})
    ground.world.hub.commit(repository, {"calc.py": long.replace("X0 = 0", "X0 = 7")}, branch="mean", start="main")
    number = ground.world.hub.open_pull_request(repository, "alice", head="mean", title="A mean").number
    ended(ground, repository, number, jobs=1)
    [finding] = line_comments(ground, repository, number)
    ground.script[:] = [stands(ground), report()]
    back = long.replace("X29 = 29", "X29 = 7")
    head = ground.world.hub.commit(repository, {"calc.py": back}, branch="mean")
    ended(ground, repository, number, jobs=2)
    assert conclusion(ground, repository, head) == ("failure", "1 important open")
    assert line_comments(ground, repository, number) == [finding]
    assert not is_resolved(ground, repository, number, finding)
    mended = back.replace("return a + b", "return math.fsum((a, b))")
    head = ground.world.hub.commit(repository, {"calc.py": mended}, branch="mean")
    ended(ground, repository, number, jobs=3)
    assert conclusion(ground, repository, head) == ("success", "Nothing to say")
    assert is_resolved(ground, repository, number, finding)


@pytest.mark.parametrize("accepted", [True, False], ids=["accepted", "answered"])
def test_an_answer_to_a_finding_is_heard(ground: Ground, monkeypatch: pytest.MonkeyPatch, *, accepted: bool) -> None:
    """A person's reason is judged once: the finding is withdrawn and resolved, or answered and left to people."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.5)
    repository, number = review(ground, f"answered-{accepted}")
    [finding] = line_comments(ground, repository, number)
    ground.script[:] = [stands(ground), judges(**{name_of(finding): (accepted, "calc.py:6 decides it.")})]
    before = len(told_to_model(ground))
    ground.world.hub.reply_to_comment(repository, finding.id, "alice", "It is never called with an empty list.")
    found = ended(ground, repository, number, jobs=3)
    assert [one.outcome.status for one in found if one.job.workflow == "hear_replies" and one.outcome] == ["answered"]
    assert any("It is never called with an empty list." in request for request in told_to_model(ground)[before:])
    [_, _, answer] = line_comments(ground, repository, number)
    assert answer.body.startswith("calc.py:6 decides it.")
    assert ("The finding is withdrawn." in answer.body) is accepted
    assert is_resolved(ground, repository, number, finding) is accepted
    later = (("Thanks, I will mend it.", False, "open"), ("No, it is meant so.", True, "rebutted"))
    for jobs, (words, closes, state) in zip((5, 7), later, strict=True):
        told = len(told_to_model(ground))
        ground.script[:] = [judges(**{name_of(finding): (closes, "This is said to nobody.")})]
        ground.world.hub.reply_to_comment(repository, finding.id, "alice", words)
        ended(ground, repository, number, jobs=jobs)
        ledger = ground.inside.composition.ledgers.read(ground.world.hub.repository(repository).id, number)
        assert ledger is not None
        assert f'"state":"{"withdrawn" if accepted else state}"' in ledger
        assert len(told_to_model(ground)) - told == (not accepted)
    assert len(line_comments(ground, repository, number)) == 5, "people have the last word"
    ground.world.hub.commit(repository, {"calc.py": LONGER}, branch="mean")
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    command(ground, repository, number, "/qwen review full")
    ended(ground, repository, number, jobs=8)
    assert len(line_comments(ground, repository, number)) == 5, "it is not said again"


@pytest.mark.parametrize("words", ["/qwen fix", "Please fix this!"], ids=["command", "words"])
def test_a_fix_that_is_asked_for_on_a_finding(ground: Ground, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """The fixing agent gets the finding with its evidence; the thread says in which commit it was done."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.5)
    repository, number = review(ground, f"fixed-{words[0] == '/'}".lower())
    [finding] = line_comments(ground, repository, number)
    ground.script[:] = [DESCRIBED, turn(write("calc.py", MENDED)), turn(finish("[F1] done: no numbers give 0"))]
    before = len(told_to_model(ground))
    ground.world.hub.reply_to_comment(repository, finding.id, "alice", words)
    found = ended(ground, repository, number, jobs=3)
    [record] = [one for one in found if one.job.workflow == "address_feedback" and one.job.command is not None]
    assert record.outcome is not None
    assert record.outcome.status == "pushed", record.outcome
    asked = told_to_model(ground)[before]
    assert "The mean of no numbers divides by zero" in asked
    assert "exit code 1" in asked
    assert is_resolved(ground, repository, number, finding)
    ledger = ground.inside.composition.ledgers.read(ground.world.hub.repository(repository).id, number)
    assert ledger is not None
    assert f'"state":"fixed","sha":"{record.outcome.commit}"' in ledger


@pytest.mark.parametrize("last", ["/reviews", "/replies", "/graphql"], ids=lambda last: last.strip("/"))
def test_kill_9_between_the_review_and_its_record(make_world: MakeWorld, last: str) -> None:
    """kill -9 right after a write of a review: after a restart each of them is there once, and the ledger knows it."""
    script = [REFUTER, RUN, report(FINDING)]
    world = make_world(FILES, script)
    world.serve(FORGEHAND_REVIEW_UNASKED="true")
    if last == "/reviews":
        kill = Kill(world, last)
        world.hub.faults.add(kill)
    repository = world.create_repository("killed", FILES)
    world.hub.commit(repository, {"calc.py": CHANGED}, branch="mean", start="main")
    number = world.hub.open_pull_request(repository, "alice", head="mean", title="A mean").number
    if last == "/reviews":
        assert kill.done.wait(120)
        world.serve(FORGEHAND_REVIEW_UNASKED="true")
    world.ended()
    if last != "/reviews":
        kill = Kill(world, last)
        world.hub.faults.add(kill)
    world.hub.commit(repository, {"calc.py": MENDED}, branch="mean")
    script[:] = [REFUTER, report()]
    world.hub.add_comment(repository, number, "alice", "/qwen review")
    if last != "/reviews":
        assert kill.done.wait(120)
        world.serve(FORGEHAND_REVIEW_UNASKED="true")
    world.ended(jobs=2)
    writes = world.writes(repository)
    assert sum(write == f"POST pulls/{number}/reviews" for write in writes) == 2, "a review each, on request too"
    assert sum(write.endswith("/replies") for write in writes) == 1
    assert len(world.hub.resolved_threads(repository, number)) == 1
