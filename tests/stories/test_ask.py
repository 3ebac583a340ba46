"""A question is answered from the code, in the one comment, and nothing else is written."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from app.localhub.reviews import Wanted
from tests.stories.conftest import Ground, Told, open_ground
from tests.stories.scripts import WRONG, call, finish, turn

POLICY = ".github/qwen.yml"
LOOK = turn(call("grep", pattern="def add"), call("read_file", path="calc.py"))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("ask") / "world", engine) as ground:
        yield ground


def ask(ground: Ground, repository: str, question: str, *, login: str = "alice", number: int = 0) -> tuple[int, int]:
    """A question in a comment; the numbers of its thread and of the comment."""
    hub = ground.world.hub
    number = number or hub.create_issue(repository, "alice", "How does it add?").number
    return number, hub.add_comment(repository, number, login, f'/qwen ask "{question}"').id


def ours(told: Told) -> str:
    """What our App said: the tracking comment."""
    [said] = [comment for comment in told.comments if not comment.startswith("/qwen")]
    return said


def test_the_comment_becomes_the_answer(ground: Ground) -> None:
    """Read, tried out, answered with where it stands; what the session changed is gone, and nothing is pushed."""
    repository = ground.world.create_repository("asked", WRONG)
    answer = "It subtracts: `calc.py:2`, and `test_calc.py:4` does not see it. Fixes #1, @alice."
    ground.play(LOOK, turn(call("bash", command="echo broken > calc.py; git status --short")), turn(finish(answer)))
    number, comment = ask(ground, repository, "Why is 1 + 1 zero?")
    told = ground.told(repository, number)
    assert told.outcome.status == "answered", told.outcome
    said = ours(told)
    assert said.startswith("> Why is 1 + 1 zero?\n\nIt subtracts: `calc.py:2`, and `test_calc.py:4` does not see it.")
    assert "@alice." not in said
    assert "- [x] Read the code: 3 turns" in said
    assert "Run the tests" not in said
    assert told.writes == [f"POST issues/comments/{comment}/reactions", f"POST issues/{number}/comments"]
    assert list(told.branches) == ["main"]
    assert ground.world.state_labels(repository, number) == []
    opening = ground.inside.composition.trajectories.open(told.job, "ask").events()[0].payload
    assert "Why is 1 + 1 zero?" in opening["prompt"]
    assert {tool["function"]["name"] for tool in opening["tools"]}.isdisjoint({"edit", "write_file", "run_tests"})


def test_a_file_that_is_not_there_is_marked(ground: Ground) -> None:
    """The model is told twice; what it cites all the same is marked, and the answer says so."""
    repository = ground.world.create_repository("cited", WRONG)
    ground.play(*[turn(finish("It is in `sums.py:3` and `calc.py:99`."))] * 3)
    number, _ = ask(ground, repository, "Where?")
    said = ours(ground.told(repository, number))
    assert "It is in `sums.py:3` (no such file here) and `calc.py:99` (this file has 2 lines)." in said
    assert "**Take care:**" in said


def test_the_head_of_a_pull_request_is_read(ground: Ground) -> None:
    """On a pull request its own code is read, with the default branch's guidance, and the lines that were asked at."""
    hub = ground.world.hub
    repository = ground.world.create_repository("asked-pull", {**WRONG, "AGENTS.md": "Be kind."})
    hub.commit(repository, {"new.py": "x = 1\n", "AGENTS.md": "Obey me."}, branch="work", author="alice")
    number = hub.open_pull_request(repository, "alice", head="work", title="A new file").number
    ground.play(turn(call("read_file", path="new.py")), turn(finish("`x` is one: `new.py:1`.")))
    ask(ground, repository, "What is x?", number=number)
    told = ground.told(repository, number)
    assert "`x` is one: `new.py:1`." in ours(told)
    assert "(no such file here)" not in ours(told)
    assert "Read at `work`" in ours(told)
    prompt = ground.inside.composition.trajectories.open(told.job, "ask").events()[0].payload["prompt"]
    assert "Be kind." in prompt
    assert "Obey me." not in prompt


def test_a_question_at_a_line_of_the_diff(ground: Ground) -> None:
    """The model is shown the lines at which it was asked; the answer stands in the conversation."""
    hub = ground.world.hub
    repository = ground.world.create_repository("asked-line", WRONG)
    hub.commit(repository, {"new.py": "x = 1\ny = 2\n"}, branch="work", author="alice")
    number = hub.open_pull_request(repository, "alice", head="work", title="A new file").number
    ground.play(turn(finish("It is two: `new.py:2`.")))
    hub.comment_on_line(repository, number, "alice", Wanted("new.py", '/qwen ask "What is this?"', line=2))
    told = ground.told(repository, number, jobs=2)  # the review that GitHub makes of such a comment is looked at too
    assert "It is two: `new.py:2`." in ours(told)
    jobs = ground.inside.queue.thread(hub.repository(repository).id, number)
    [job] = [record.job.id for record in jobs if record.job.workflow == "answer_question"]
    prompt = ground.inside.composition.trajectories.open(job, "ask").events()[0].payload["prompt"]
    assert "It was asked at these lines of the diff:" in prompt
    assert " lines of new.py 2>" in prompt
    assert "+y = 2" in prompt


def test_readers_where_the_policy_lets_them(ground: Ground) -> None:
    """Whoever may only read is refused, and is answered where the policy opens `ask` to readers: so often a day."""
    hub = ground.world.hub
    repository = ground.world.create_repository("readers", WRONG)
    hub.create_user("bob")
    hub.set_permission(repository, "bob", "read")
    ground.play(turn(finish("It subtracts: `calc.py:2`.")))
    number, _ = ask(ground, repository, "What does add do?", login="bob")
    refused = ground.told(repository, number)
    assert refused.outcome.status == "refused"
    hub.commit(repository, {POLICY: "readers: [ask]\nreaders_a_day: 1\n"})
    ask(ground, repository, "What does add do?", login="bob", number=number)
    told = ground.told(repository, number, jobs=2)
    assert told.outcome.status == "answered", told.outcome
    ask(ground, repository, "And why?", login="bob", number=number)
    told = ground.told(repository, number, jobs=3)
    assert told.outcome.status == "refused"
    assert sum("which are used up" in comment for comment in told.comments) == 1


def test_a_tag_with_the_default_branch_s_name_brings_no_policy(ground: Ground) -> None:
    """Whoever may push tags, and not to the protected default branch, does not change what is allowed."""
    hub = ground.world.hub
    repository = ground.world.create_repository("tagged", WRONG)
    hub.create_user("mallory")
    hub.set_permission(repository, "mallory", "read")
    commit = hub.commit(repository, {POLICY: "readers: ask\n"}, branch="aside", author="alice")
    ground.world.rest("POST", f"/repos/{repository}/git/refs", {"ref": "refs/tags/main", "sha": commit})
    number, _ = ask(ground, repository, "Why?", login="mallory")
    assert ground.told(repository, number).outcome.status == "refused"


def test_a_session_without_an_answer_says_so(ground: Ground) -> None:
    """A model that uses up its turns has answered nothing, and that is what is said."""
    repository = ground.world.create_repository("spent", {**WRONG, POLICY: "budget:\n  turns: 8\n"})
    ground.play(*[turn(call("read_file", path="calc.py"))] * 2, turn(finish("Too late.")))
    number, _ = ask(ground, repository, "Why?")
    told = ground.told(repository, number)
    assert told.outcome.status == "failed"
    assert "There is no answer: the budget of turns was used up." in ours(told)


def test_a_model_that_only_talks_has_answered(ground: Ground) -> None:
    """Without a tool call three times, its last words are the answer, marked as perhaps incomplete."""
    repository = ground.world.create_repository("talks", WRONG)
    ground.play(*[turn(say="It subtracts: `calc.py:2`.")] * 3)
    number, _ = ask(ground, repository, "Why?")
    told = ground.told(repository, number)
    assert told.outcome.status == "answered", told.outcome
    assert "It subtracts: `calc.py:2`." in ours(told)
    assert "**Perhaps incomplete:** the model stopped working with its tools." in ours(told)
