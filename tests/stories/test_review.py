"""Pull requests that are reviewed: by command and by themselves, on their lines, tried in the sandbox, said once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import docker
import pytest

from app import dispatch
from app.localhub.faults import Fault
from tests.stories.conftest import Ground, open_ground
from tests.stories.reviewing import (
    CHANGED,
    FILES,
    FINDING,
    RUN,
    TASTE,
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

WRONG = {**FINDING, "line": 2, "code": "    return a + b", "title": "The sum is wrong for large numbers"}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("review") / "world", engine, review_unasked=True) as ground:
        yield ground


def test_an_opened_pull_request_is_reviewed(ground: Ground) -> None:
    """One review that only comments: the shown defect on its line with a suggestion that was tried; taste is folded."""
    ground.script[:] = [stands(ground), RUN, report(FINDING, TASTE)]
    repository, number = propose(ground, "reviewed")
    [record] = ended(ground, repository, number, jobs=1)
    assert record.outcome is not None
    assert record.outcome.status == "reviewed", record.outcome
    [review] = reviews(ground, repository, number)
    assert review.state == "COMMENTED"
    assert "1 important, 1 minor" in review.body
    assert "The name could be longer" in review.body
    [comment] = line_comments(ground, repository, number)
    assert (comment.path, comment.line, comment.side) == ("calc.py", 6, "RIGHT")
    assert "exit code 1" in comment.body
    assert "ZeroDivisionError: division by zero" in comment.body, "the end of what was printed"
    assert "```suggestion\n    return sum(numbers) / len(numbers) if numbers else 0\n```" in comment.body
    assert "Applied and tested: 1 passed (`" in comment.body
    assert ground.world.comments(number, repository) == [], "nobody asked, so nothing is said beside the review"
    checks = {one.name: one for one in ground.world.hub.check_runs(repository)}
    assert {one.conclusion for one in checks.values()} == {"neutral"}
    told = [(one["start_line"], one["annotation_level"]) for one in checks["Forgehand review"].annotations]
    assert told == [(6, "warning"), (5, "notice")]
    assert [write.partition(" ")[2] for write in ground.world.writes(repository) if "reviews" in write] == [
        f"pulls/{number}/reviews"
    ]


def test_silence_when_nothing_matters(ground: Ground) -> None:
    """A clean change gets no review and no comment, and a check that says so."""
    ground.script[:] = [stands(ground), report()]
    repository, number = propose(ground, "clean")
    [record] = ended(ground, repository, number, jobs=1)
    assert record.outcome is not None
    assert record.outcome.status == "clean"
    assert reviews(ground, repository, number) == []
    assert ground.world.comments(number, repository) == []
    assert {one.conclusion for one in ground.world.hub.check_runs(repository)} == {"success"}


def test_what_was_said_is_not_said_again(ground: Ground) -> None:
    """A second review of the same code, asked for by a command, finds the same and says that there is nothing new."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "again")
    ended(ground, repository, number, jobs=1)
    ground.world.hub.add_comment(repository, number, "alice", "/qwen review full")
    found = ended(ground, repository, number, jobs=2)
    assert [one.outcome.status for one in found if one.outcome] == ["reviewed", "clean"]
    assert len(line_comments(ground, repository, number)) == 1


@pytest.mark.parametrize(
    ("policy", "author"),
    [("review: { auto: never }\n", "alice"), ("", "mallory")],
    ids=["policy", "stranger"],
)
def test_who_is_not_reviewed_without_being_asked(ground: Ground, policy: str, author: str) -> None:
    """A policy that says never, and strangers' pull requests: silence, with the reason on record."""
    ground.script[:] = [stands(ground), report(FINDING)]
    ground.world.hub.create_user("mallory")
    repository, number = propose(ground, f"unasked-{author}", policy=policy, author=author)
    [record] = ended(ground, repository, number, jobs=1)
    assert record.outcome is not None
    assert record.outcome.status == "ignored"
    assert ground.world.writes(repository) == []


def test_a_line_that_github_refuses_is_said_in_the_summary(ground: Ground) -> None:
    """GitHub refuses the review for one place: nothing is lost, nothing is doubled."""
    ground.script[:] = [stands(ground), RUN, report(FINDING, {**WRONG, "severity": "critical"})]
    refusal = ground.world.hub.faults.add(RefusePlace("status", method="POST", path="/reviews$", status=422, times=9))
    try:
        repository, number = propose(ground, "refused-line")
        [record] = ended(ground, repository, number, jobs=1)
    finally:
        ground.world.hub.faults.clear()
    assert refusal.struck >= 2
    assert record.outcome is not None
    assert record.outcome.status == "reviewed", record.outcome
    [review] = reviews(ground, repository, number)
    assert "The sum is wrong" in review.body
    [comment] = line_comments(ground, repository, number)
    assert "divides by zero" in comment.body


class RefusePlace(Fault):
    """GitHub refuses every review with a comment on the sum."""

    def matches(self, method: str, path: str, body: bytes) -> bool:
        if not super().matches(method, path, body):
            return False
        return any("The sum is wrong" in comment["body"] for comment in json.loads(body).get("comments", []))


def test_comments_that_pass_alone_and_are_refused_together(ground: Ground) -> None:
    """GitHub names no line that is in the way and takes no two: all that was found is said in the summary, once."""
    other = {**WRONG, "severity": "critical", "line": 2, "code": "    return a + b"}
    ground.script[:] = [stands(ground), RUN, report(FINDING, other)]
    ground.world.hub.faults.add(RefuseSeveral("status", method="POST", path="/reviews$", status=422, times=9))
    try:
        repository, number = propose(ground, "refused-together")
        [record] = ended(ground, repository, number, jobs=1)
    finally:
        ground.world.hub.faults.clear()
    assert record.outcome is not None
    assert record.outcome.status == "reviewed", record.outcome
    [review] = reviews(ground, repository, number)
    assert "The sum is wrong" in review.body
    assert "divides by zero" in review.body
    assert line_comments(ground, repository, number) == []


class RefuseSeveral(Fault):
    """GitHub refuses every review with more than one comment."""

    def matches(self, method: str, path: str, body: bytes) -> bool:
        return super().matches(method, path, body) and len(json.loads(body).get("comments", [])) > 1


def test_a_check_that_fails_by_policy(ground: Ground) -> None:
    """Where the policy says so, an open important finding fails the check; the review only comments all the same."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "failing", policy="review: { fail_on: important }\n")
    ended(ground, repository, number, jobs=1)
    checks = {one.name: one.conclusion for one in ground.world.hub.check_runs(repository)}
    assert checks == {"Forgehand at work": "neutral", "Forgehand review": "failure"}
    [review] = reviews(ground, repository, number)
    assert review.state == "COMMENTED"


def test_the_demands_of_the_issue_that_it_closes(ground: Ground) -> None:
    """The reviewer gets the linked issue, fenced; a demand that is not met is said, without a line in the summary."""
    unmet = {
        "severity": "important",
        "category": "requirement",
        "confidence": 0.9,
        "path": "calc.py",
        "title": "The issue demands a median, and there is none",
        "body": "Only the mean was added.",
    }
    ground.script[:] = [stands(ground), report(unmet)]
    repository, number = propose(ground, "demanded", body="Closes #1.", issue="Add mean and median")
    ended(ground, repository, number, jobs=1)
    asked = told_to_model(ground)
    assert any("Add mean and median" in one and "issue #1 by alice" in one for one in asked)
    [review] = reviews(ground, repository, number)
    assert "demands a median" in review.body
    assert "The change was held against the issues that it says it closes: `#1`." in review.body


def test_a_large_change_is_read_by_several(ground: Ground) -> None:
    """Each reads its own part, the riskiest files first, in one review; what has no room is named."""
    ground.script[:] = [stands(ground), report(FINDING)]
    repository = ground.world.create_repository("large", FILES)
    bulk = {f"part_{number}/module.py": "\n".join(f"x_{line} = {line}" for line in range(2_000)) for number in range(5)}
    ground.world.hub.commit(repository, {"calc.py": CHANGED, **bulk}, branch="mean", start="main")
    before = len(told_to_model(ground))
    number = ground.world.hub.open_pull_request(repository, "alice", head="mean", title="A mean").number
    ended(ground, repository, number, jobs=1)
    reading = [one for one in told_to_model(ground)[before:] if "Other reviewers read" in one]
    assert len(reading) == 3
    assert sum("+def mean(numbers):" in one for one in reading) == 1
    [review] = reviews(ground, repository, number)
    assert "files were not read" in review.body
    assert "the budget was used up by riskier files" in review.body
    assert len(line_comments(ground, repository, number)) == 1, "the same point of several reviewers is one"


def test_a_review_that_was_overtaken_says_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pushed while a review reads has its own review waiting: the first posts nothing and ends as neutral."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository = ground.world.create_repository("overtaken", {**FILES, ".github/qwen.yml": "review: { push: true }\n"})
    first = ground.world.hub.commit(repository, {"calc.py": CHANGED}, branch="mean", start="main")

    def push() -> None:
        ground.world.hub.commit(repository, {"calc.py": CHANGED + "\n\nTWO = 2\n"}, branch="mean")
        until_waiting(ground, repository, 1, queued=1)

    with meanwhile(ground, push):
        number = ground.world.hub.open_pull_request(repository, "alice", head="mean", title="A mean").number
        found = ended(ground, repository, number, jobs=2)
    assert [one.outcome.status for one in found if one.outcome] == ["ignored", "reviewed"]
    [review] = reviews(ground, repository, number)
    assert review.commit_id == ground.world.hub.branches(repository)["mean"]
    assert {one.conclusion for one in ground.world.hub.check_runs(repository, first)} == {"neutral"}
