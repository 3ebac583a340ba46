"""Several sessions: the choice is made by what ran."""

from __future__ import annotations

import threading
from base64 import b64encode

import pytest

from workflows.agent.budget import Spent
from workflows.agent.loop import AgentResult
from workflows.services import BrokenWorld, JobCancelled
from workflows.solving.attempts import Score, choose, reproduction_tests, run_attempts, score, with_tests_of
from workflows.types import Patch, PatchFile, TestCase, TestRun, Usage, Verdict


def patch(**files: str) -> Patch:
    return Patch(
        base="b",
        files=tuple(
            PatchFile(path=path.replace("__", "/") + ".py", mode="100644", content=b64encode(text.encode()))
            for path, text in sorted(files.items())
        ),
    )


def ran(*passed: str, failed: tuple[str, ...] = ()) -> TestRun:
    cases = [TestCase(id=name, outcome="passed") for name in passed]
    cases += [TestCase(id=name, outcome="failed") for name in failed]
    return TestRun(command="pytest", exit_code=int(bool(failed)), seconds=1.0, cases=tuple(cases))


def result() -> AgentResult:
    return AgentResult(
        turns=(),
        stop="finished",
        patch=patch(a="x"),
        finish=None,
        plan=(),
        usage=Usage(usd=1.0),
        seconds=1.0,
        spent=Spent(),
    )


def scored(attempt: int, **fields: object) -> Score:
    given = {"status": "verified", "fail_to_pass": 1, "broken": 0, "agreed": 1, "size": 100} | fields
    return Score.model_validate({"attempt": attempt, **given})


def test_attempts_run_at_the_same_time() -> None:
    """Each waits for the others here, so that one after the other would never end."""
    together = threading.Barrier(3, timeout=20)

    def work(number: int) -> AgentResult:
        together.wait()
        return result()

    assert sorted(run_attempts(work, 3)) == [1, 2, 3]


def test_a_broken_attempt_leaves_the_others() -> None:
    """One broken world costs one attempt; when all break, the first reason is raised; a cancellation is everyone's."""

    def work(number: int) -> AgentResult:
        if number != 2:
            raise BrokenWorld("model", f"no model for {number}")
        return result()

    assert list(run_attempts(work, 3)) == [2]

    def broken(number: int) -> AgentResult:
        raise BrokenWorld("model", "gone")

    with pytest.raises(BrokenWorld, match="gone"):
        run_attempts(broken, 2)

    def cancelled(number: int) -> AgentResult:
        if number == 1:
            raise JobCancelled("stop")
        return result()

    with pytest.raises(JobCancelled):
        run_attempts(cancelled, 2)


def test_the_others_tests_are_run_against_a_change() -> None:
    """A change is scored by the reproduction tests of every attempt, put on it one after the other."""
    mine, other = patch(sums="right", tests__test_mine="1"), patch(sums="wrong", tests__test_other="22")
    seen: list[Patch] = []

    def run(change: Patch) -> TestRun:
        seen.append(change)
        return ran("t::old", "t::other")

    wanted = reproduction_tests(ran("t::old", failed=("t::mine",)), ran("t::old", "t::other"))
    assert wanted == {"t::other"}
    verdict = Verdict(status="verified", fail_to_pass=("t::mine",))
    found = score(1, mine, verdict, others=[(other, wanted)], run=run)
    assert found.agreed == 2
    assert found.size == len(b"right")
    assert [file.path for file in seen[0].files] == ["sums.py", "tests/test_mine.py", "tests/test_other.py"]
    assert seen[0].files[0].content == b"right"
    assert with_tests_of(mine, mine) == mine


@pytest.mark.parametrize(
    "worse",
    [
        {"broken": 1, "agreed": 9},
        {"status": "unverified", "agreed": 9},
        {"agreed": 0},
        {"weakened": 1, "size": 1},
        {"size": 101},
        {},
    ],
)
def test_the_choice_is_by_what_ran(worse: dict[str, object]) -> None:
    """Nothing broken first, then verified, agreed tests, nothing weakened, size, and the earlier one."""
    best = choose([scored(2, **worse), scored(1)])
    assert best is not None
    assert best.attempt == 1
    assert choose([]) is None
