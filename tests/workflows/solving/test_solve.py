"""The inner part of a job over restarts: a second round is gone through the same way, wherever the process died."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from app.demo.scripted_model import ScriptedModel
from tests.fakes import Crash, FolderWorkspace, run_unittest
from workflows.agent.budget import Spent
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.describe import describe_without_model
from workflows.agent.equipment import Equipment
from workflows.agent.loop import AgentResult
from workflows.agent.messages import AgentTask
from workflows.durable.run import InlineRun
from workflows.evidence.verify import compare
from workflows.git.patch import patch_file
from workflows.progress.stages import Stages
from workflows.solving import solve as solving
from workflows.solving.assignment import Assignment, Described
from workflows.solving.last_good import stepped_back
from workflows.solving.solve import Solution, solve
from workflows.solving.workshop import SetupReport
from workflows.trajectory.log import MemoryLogs
from workflows.types import (
    Actor,
    Budget,
    Finish,
    Issue,
    Job,
    Patch,
    RepositoryRef,
    StopReason,
    TestCase,
    TestRun,
    Turn,
    Usage,
    Verdict,
)

T = TypeVar("T")

TEST = "test_sums.py::test_zero"


class StoredRun(InlineRun):
    """A run whose steps outlive it. It dies before its ``crash_at``-th step or, ``done``, once that is stored."""

    def __init__(self, steps: list[tuple[str, Any]], *, crash_at: int | None = None, done: bool = False) -> None:
        super().__init__("job")
        self._steps, self._at, self._crash_at, self._done = steps, 0, crash_at, done

    def step(self, name: str, function: Callable[[], T], returns: type[T]) -> T:
        self._at += 1
        if self._at <= len(self._steps):
            stored, value = self._steps[self._at - 1]
            assert stored == name, "another process comes by the same steps in the same order"
            return cast(T, value)
        if self._at == self._crash_at and not self._done:
            raise Crash
        value = super().step(name, function, returns)
        self._steps.append((name, value))
        if self._at == self._crash_at:
            raise Crash
        return value


class FolderSession(FolderWorkspace):
    """A session's workspace that can be closed."""

    notes = ("It is slower.",)

    def close(self) -> None:
        self.restore(None)


class FolderBench:
    """A bench whose tests say of a product that it is worse than a difference, and of a sum that it is better."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.notes: tuple[str, ...] = ("It is slower.",)
        self.room = cast(Path, assignment.map_cache)

    def prepare(self) -> SetupReport:
        return SetupReport()

    def baseline(self) -> TestRun:
        return self.tests()

    def tests(self, patch: Patch | None = None) -> TestRun:
        failed = patch is not None and any(b"a * b" in (file.content or b"") for file in patch.files)
        case = TestCase(id=TEST, outcome="failed" if failed else "passed")
        return TestRun(command="pytest", exit_code=int(failed), seconds=1.0, cases=(case,))

    def verify(self, patch: Patch, before: TestRun | None) -> Verdict:
        return compare(before, self.tests(patch), patch=patch)

    def open_session(self) -> FolderSession:
        return FolderSession(self.room.parent / "repository", Path(mkdtemp(dir=self.room)))

    def equip(self, session: FolderSession, before: TestRun | None) -> Equipment:
        return Equipment(session, "base", None)

    def brief(self, before: TestRun | None) -> AgentTask:
        return AgentTask(system="You mend code.", prompt="`add` subtracts.")

    def describe(self, patch: Patch, finish: Finish | None) -> Described:
        return Described(patch=patch, description=describe_without_model(self.assignment.issue, finish))

    def close(self, *, leave_nothing: bool = False) -> None:
        return None


class Watching:
    """Progress that remembers which stages began."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, stage: str) -> None:
        self.begun.append(stage)

    def done(self, stage: str, detail: str) -> None:
        return None

    def turn(self, turn: Turn) -> None:
        return None

    def output(self, command: str, text: str) -> None:
        return None

    def note(self, notes: Any) -> None:
        return None


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


DONE = call("finish", summary="It adds.", verification="There are no tests here that could be run by me at all.")
PRODUCT = call("write_file", path="sums.py", content="def add(a, b):\n    return a * b\n")
SUM = call("write_file", path="sums.py", content="def add(a, b):\n    return a + b\n")
SCRIPT = [PRODUCT, DONE, SUM, DONE]


@pytest.fixture
def assignment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Assignment]:
    monkeypatch.setattr(solving, "Bench", FolderBench)
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "sums.py").write_text("def add(a, b):\n    return a - b\n")
    (tmp_path / "room").mkdir()
    actor = Actor(id=1, login="alice")
    with ScriptedModel(SCRIPT) as server:
        yield Assignment(
            job=Job(
                id="job",
                workflow="fix_issue",
                repository=RepositoryRef(installation_id=1, id=1, full_name="o/r"),
                number=1,
                actor=actor,
                trigger="qwen",
                delivery_id="d",
                created_at=datetime.now(UTC),
            ),
            issue=Issue(number=1, title="add", body="", author=actor, state="open", labels=(), html_url="https://x"),
            comments=(),
            policy=cast(Any, None),
            survey=cast(Any, SimpleNamespace(base="base")),
            mirror=lambda: cast(Any, SimpleNamespace(path=Path("mirror"))),
            workshop=lambda: cast(Any, None),
            model=OpenAIModel(server.url, "", model="scripted-session"),
            budget=Budget(),
            test_seconds=1.0,
            log=MemoryLogs(),
            map_cache=tmp_path / "room",
        )


def play(assignment: Assignment, run: InlineRun) -> tuple[Solution, list[str]]:
    watching = Watching()
    return solve(run, Stages(run, watching), watching, assignment), watching.begun


def test_what_was_worse_is_mended_and_judged_again(assignment: Assignment) -> None:
    """Both rounds are counted, people read what happened, and the last verdict alone stands beside the session."""
    steps: list[tuple[str, Any]] = []
    solution, begun = play(assignment, StoredRun(steps))
    assert [name for name, _ in steps] == [
        "sandbox", "baseline", "describe", "verify", "describe", "verify", "record"
    ]  # fmt: skip
    assert begun == ["sandbox", "baseline", "agent", "describe", "verify", "repair", "describe", "verify"]
    assert solution.verdict.status != "worse"
    assert [file.content for file in solution.described.patch.files] == [b"def add(a, b):\n    return a + b\n"]
    assert solution.turns == len(SCRIPT)
    assert solution.notes[0].startswith("The first change made things worse: 1 test (`test_sums.py::test_zero`)")
    assert solution.notes[1:] == ("It is slower.",)
    verdicts = [event.payload["status"] for event in assignment.log("agent").events() if event.kind == "verdict"]
    assert verdicts == [solution.verdict.status]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("crash_at", range(1, 8))
def test_a_crash_at_any_step(assignment: Assignment, crash_at: int, done: bool) -> None:
    """Another process comes by the same steps to the same end, and asks the model for nothing twice."""
    steps: list[tuple[str, Any]] = []
    with pytest.raises(Crash):
        play(assignment, StoredRun(steps, crash_at=crash_at, done=done))
    solution, _ = play(assignment, StoredRun(steps))
    assert [file.content for file in solution.described.patch.files] == [b"def add(a, b):\n    return a + b\n"]
    assert solution.turns == len(SCRIPT)
    assert "The model mended it in 2 more turns." in solution.notes[0]
    replies = [event for event in assignment.log("agent").events() if event.kind == "llm_response"]
    assert len(replies) == len(SCRIPT)


@pytest.mark.parametrize("left", ["tested", "untested"])
def test_of_a_session_that_was_stopped_the_last_good_change_is_delivered(
    assignment: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """What it left makes things worse and is left out, which people read, and remains what the session is scored by."""
    tests = "import unittest\n\nfrom sums import add\n\n\nclass T(unittest.TestCase):\n    def test(self):\n"
    (tmp_path / "repository" / "test_sums.py").write_text(f"{tests}        self.assertEqual(add(2, 0), 2)\n")
    monkeypatch.setattr(FolderBench, "equip", lambda bench, session, before: Equipment(session, "base", run_unittest))
    run = call("run_tests")
    script = [SUM, run, PRODUCT, run if left == "tested" else call("bash", command="ls")]
    with ScriptedModel(script) as server:
        model = OpenAIModel(server.url, "", model="scripted-session")
        solution, _ = play(replace(assignment, model=model, budget=Budget(turns=4)), InlineRun("job"))
    assert solution.stop == "turns"
    assert solution.verdict.status == "verified"
    assert [file.content for file in solution.described.patch.files] == [b"def add(a, b):\n    return a + b\n"]
    assert solution.notes[0].startswith(
        "The session was stopped (the budget of turns was used up) with a change that is"
    )
    [verdict] = [event.payload for event in assignment.log("agent").events() if event.kind == "verdict"]
    assert verdict["status"] == "worse"


def test_attempts_are_weighed_by_what_they_would_be_delivered_with(
    assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was green before it was stopped is chosen before one that never was."""
    monkeypatch.setattr(FolderBench, "equip", lambda bench, session, before: Equipment(session, "base", run_unittest))
    looks = [call("bash", command=f"ls {path}") for path in (".", "*.py")]
    with ScriptedModel([PRODUCT, *looks]) as never, ScriptedModel([SUM, call("run_tests"), PRODUCT]) as once:
        first, second = (OpenAIModel(server.url, "", model="scripted-session") for server in (never, once))
        given = replace(assignment, model=first, model_for=lambda number: second, attempts=2, budget=Budget(turns=3))
        solution, _ = play(given, InlineRun("job"))
    assert "number 2 was chosen by what ran" in solution.notes[0]
    assert solution.verdict.status == "verified"
    assert [file.content for file in solution.described.patch.files] == [b"def add(a, b):\n    return a + b\n"]


LEFT = Patch(base="0" * 40, files=(patch_file("a.py", "100644", b"y\n"),))
BETTER = Patch(base="0" * 40, files=(patch_file("a.py", "100644", b"x\n"),))


@pytest.mark.parametrize(
    ("stop", "best", "status", "judged"),
    [
        ("turns", BETTER, "worse", True),
        ("stuck", BETTER, "unverified", True),
        ("model_unavailable", BETTER, "no_tests", True),
        ("turns", BETTER, "verified", False),
        ("turns", None, "worse", False),
        ("turns", LEFT, "worse", False),
        ("unproven", BETTER, "worse", True),
        ("finished", BETTER, "worse", False),
        ("asked", BETTER, "unverified", False),
    ],
)
def test_when_an_earlier_change_is_judged_too(stop: StopReason, best: Patch | None, status: Any, judged: bool) -> None:
    """When the session was stopped, left nothing verified, and its own tests liked another change better."""
    result = AgentResult((), stop, LEFT, Finish(summary="It adds."), (), Usage(), 1.0, Spent(), best=best)
    earlier = stepped_back(result, Verdict(status=status, reasons=("It fails.",)))
    assert earlier == (replace(result, patch=BETTER, finish=None) if judged else None)
