"""A session whose change makes things worse goes on with the verdict: once, in the same log, over restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.demo.scripted_model import ScriptedModel
from tests.fakes import Crash, CrashingLog, FolderWorkspace, run_unittest
from workflows.agent.budget import Spent
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.equipment import Equipment
from workflows.agent.loop import AgentResult, run_agent
from workflows.agent.messages import AgentTask
from workflows.agent.recorder import GoingOn
from workflows.durable.run import InlineRun
from workflows.solving.repair import may_repair, render_verdict, say_repair, spent_after
from workflows.solving.replay import replay
from workflows.trajectory.conversation import check_requests
from workflows.trajectory.events import check_chain, of_kind
from workflows.types import Budget, TestCase, TestRun, Turn, Usage, Verdict

BROKEN = "test_sums.py::test_zero"
WORDS = "- `test_zero` passed before and fails now."


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


def finish(summary: str) -> dict[str, Any]:
    return call("finish", summary=summary, verification="No test was run, for there is no time to run any of them.")


WORSE = call("write_file", path="sums.py", content="def add(a, b):\n    return a * b\n")
MENDED = call("edit", path="sums.py", old_string="a * b", new_string="a + b")
FIRST = [WORSE, finish("It adds."), finish("It adds."), finish("It adds.")]


class Job:
    """One session over several processes, each with a workspace of its own."""

    def __init__(self, model: OpenAIModel, room: Path, repository: Path) -> None:
        self.model, self.room, self.repository = model, room, repository
        self.log = CrashingLog()
        self.opened = 0

    def equip(self) -> Equipment:
        self.opened += 1
        room = self.room / str(self.opened)
        room.mkdir(parents=True)
        return Equipment(FolderWorkspace(self.repository, room), "base", run_unittest, may_ask=True)

    def play(self, repair: str = "", budget: Budget | None = None) -> AgentResult:
        return run_agent(
            InlineRun("job"),
            self.model,
            log=self.log,
            equipment=self.equip(),
            task=AgentTask(system="You mend code.", prompt="`add` subtracts."),
            budget=budget or Budget(),
            going_on=GoingOn(repair=repair),
        )


@pytest.fixture
def make_job(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "sums.py").write_text("def add(a, b):\n    return a - b\n")
    with ExitStack() as stack:

        def make(*replies: dict[str, Any]) -> Job:
            server = stack.enter_context(ScriptedModel(replies))
            return Job(
                OpenAIModel(server.url, "", model="scripted-session"), tmp_path / f"{server.url[-8:-3]}", repository
            )

        yield make


def ended_first(job: Job) -> AgentResult:
    first = job.play()
    assert first.stop == "unproven"
    return first


def test_the_session_goes_on_with_the_verdict(make_job: Callable[..., Job]) -> None:
    """The model reads the verdict after all that it said before, mends the change and finishes a second time."""
    job = make_job(*FIRST, MENDED, call("run_tests"), *[finish("It adds now.")] * 3)
    first = ended_first(job)
    second = job.play(WORDS)
    assert (second.stop, second.patch != first.patch) == ("finished", True)
    assert second.turns[: len(first.turns)] == first.turns
    told = second.turns[len(first.turns)].notices
    assert "it makes things worse" in told[-1]
    assert told[-1].endswith(WORDS)
    assert second.finish is not None
    assert second.finish.summary == "It adds now."
    check_chain(job.log.events())
    assert check_requests(job.log.events()) == len(second.turns)
    assert spent_after(first, second).input_tokens == second.usage.input_tokens - first.usage.input_tokens


def test_it_goes_on_once(make_job: Callable[..., Job]) -> None:
    """A second verdict opens nothing; and whoever does not bring one sees the session as it was before the first."""
    job = make_job(*FIRST, MENDED, *[finish("It adds now.")] * 3)
    first = ended_first(job)
    second = job.play(WORDS)
    before = job.log.events()
    assert job.play("- another verdict") == second
    assert job.play() == first
    assert job.log.events() == before
    assert len(of_kind(before, "repair")) == 1


def test_no_question_can_be_put(make_job: Callable[..., Job]) -> None:
    """The job is at its end: a question would park it with a change that is known to be worse."""
    job = make_job(*FIRST, call("ask", question="1. May I?"), MENDED, call("run_tests"), *[finish("It adds now.")] * 3)
    first = ended_first(job)
    second = job.play(WORDS)
    answer = second.turns[len(first.turns)].results[0]
    assert (answer.name, answer.failed) == ("ask", True)
    assert second.stop == "finished"


def test_the_budget_is_the_sessions(make_job: Callable[..., Job]) -> None:
    """The second round has what the first one left."""
    job = make_job(*FIRST, MENDED, *[call("bash", command=f"true {number}") for number in range(20)])
    first = ended_first(job)
    second = job.play(WORDS, budget=Budget(turns=len(first.turns) + 3))
    assert (second.stop, len(second.turns)) == ("turns", len(first.turns) + 3)


def test_a_crash_at_any_act_of_the_second_round(make_job: Callable[..., Job]) -> None:
    """The first round is seen as it was, the second one goes on where it died, and the change is the same."""
    script = (*FIRST, MENDED, call("run_tests"), *[finish("It adds now.")] * 3)
    whole = make_job(*script)
    first = ended_first(whole)
    until = whole.log.acts
    expected = whole.play(WORDS)
    assert whole.log.acts - until > 5
    for number in range(until + 1, whole.log.acts + 1):
        for stored in (True, False):
            job = make_job(*script)
            ended_first(job)
            job.log.crash_at, job.log.stored = number, stored
            with pytest.raises(Crash):
                job.play(WORDS)
            again = job.play()
            assert (again.patch, again.stop, len(again.turns)) == (first.patch, first.stop, len(first.turns))
            result = job.play(WORDS)
            assert (result.patch, result.stop, result.finish) == (expected.patch, expected.stop, expected.finish)
            check_chain(job.log.events())
            assert len(of_kind(job.log.events(), "repair")) == 1


def test_a_replay_goes_through_both_rounds(make_job: Callable[..., Job]) -> None:
    """Every recorded turn is played, those after the first end too."""
    job = make_job(*FIRST, MENDED, *[finish("It adds now.")] * 3)
    ended_first(job)
    second = job.play(WORDS)
    again = replay(InlineRun("job"), job.log.events(), equipment=job.equip())
    assert again.identical, again
    assert again.turns == len(second.turns)


def ran(outcome: str) -> TestRun:
    cases = (TestCase.model_validate({"id": BROKEN, "outcome": outcome, "message": "assert 6 == 5"}),)
    return TestRun(command="pytest", exit_code=int(outcome != "passed"), seconds=1.0, cases=cases)


WORSENED = Verdict(
    status="worse",
    reasons=("`test_zero` passed before and fails now.",),
    before=ran("passed"),
    after=ran("failed"),
    broken=(BROKEN,),
)


def ended(turns: int = 1, **fields: Any) -> AgentResult:
    given: dict[str, Any] = {"stop": "finished", "usage": Usage(), "seconds": 1.0} | fields
    return AgentResult(
        turns=tuple(Turn.model_validate({"number": number, "reply": {}}) for number in range(1, turns + 1)),
        spent=Spent(turns, given["seconds"], given["usage"]),
        patch=None,
        finish=None,
        plan=(),
        **given,
    )


@pytest.mark.parametrize(
    ("result", "verdict", "may"),
    [
        (ended(84), WORSENED, True),
        (replace(ended(120), spent=Spent(84)), WORSENED, True),
        (ended(85), WORSENED, False),
        (ended(1, seconds=86.0), WORSENED, False),
        (ended(1, usage=Usage(usd=0.9)), WORSENED, False),
        (ended(1, usage=Usage(input_tokens=900)), WORSENED, False),
        (ended(1, stop="unproven"), WORSENED, True),
        (ended(1, stop="stuck"), WORSENED, False),
        (ended(1, stop="model_unavailable"), WORSENED, False),
        (ended(1), WORSENED.model_copy(update={"status": "unverified"}), False),
        (ended(1), WORSENED.model_copy(update={"status": "verified"}), False),
    ],
)
def test_who_may_have_a_second_chance(result: AgentResult, verdict: Verdict, may: bool) -> None:
    """A model that said it was done and was wrong, while 15 % of every limit are left."""
    budget = Budget(turns=100, tokens=1000, seconds=100.0, usd=1.0)
    assert may_repair(result, verdict, budget) is may


def test_the_words_name_the_tests() -> None:
    """Model and people read which test broke, and the model how."""
    text = render_verdict(WORSENED)
    assert text.startswith("- `test_zero` passed before and fails now.\n\n$ pytest\nexit code 1")
    assert f"FAILED {BROKEN}: assert 6 == 5" in text
    first = "The first change made things worse: `test_zero` passed before and fails now. The model"
    mended = WORSENED.model_copy(update={"status": "verified"})
    assert say_repair(ended(3), ended(4), WORSENED, mended) == f"{first} mended it in 1 more turn."
    assert "could not mend it in 2 more turns." in say_repair(ended(3), ended(5), WORSENED, WORSENED)
