"""Pull requests that are reviewed: by command and by themselves, on their lines, tried in the sandbox, said once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import docker
import pytest

from app.localhub.faults import Fault
from tests.stories.conftest import Ground, open_ground
from tests.stories.reviewing import FINDING, RUN, TASTE, ended, line_comments, propose, report, reviews, stands

WRONG = {**FINDING, "line": 2, "code": "    return a + b", "title": "The sum is wrong for large numbers"}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("review") / "world", engine) as ground:
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
    assert "```suggestion\n    return sum(numbers) / len(numbers) if numbers else 0\n```" in comment.body
    assert "Applied and tested: 1 passed." in comment.body
    assert ground.world.comments(number, repository) == [], "nobody asked, so nothing is said beside the review"
    [check] = [one for one in ground.world.hub.check_runs(repository) if one.conclusion]
    assert check.conclusion == "neutral"
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
