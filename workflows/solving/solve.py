"""From a base commit and an issue to a verified patch with its texts: the part of the line that needs no GitHub."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workflows.agent.loop import AgentResult
from workflows.progress.stages import Stages
from workflows.progress.stops import say_stop
from workflows.progress.tracking import Progress
from workflows.services import Run
from workflows.solving.assignment import Assignment, Described
from workflows.solving.attempts import STATUS_ORDER
from workflows.solving.bench import Bench, say_tests
from workflows.solving.interruptible import interruptible
from workflows.solving.last_good import say_step_back, stepped_back
from workflows.solving.repair import may_repair, render_verdict, say_repair, spent_after
from workflows.solving.sessions import Chosen, Sessions, record_verdict, session_name
from workflows.solving.workshop import SetupReport
from workflows.types import Finish, Noun, Patch, StopReason, TestRun, Usage, Verdict

__all__ = ["Assignment", "Described", "Solution", "solve"]


class Solution(Noun):
    """What came out of an assignment."""

    described: Described
    verdict: Verdict
    setup: SetupReport
    finish: Finish | None
    stop: StopReason
    stop_detail: str
    turns: int
    usage: Usage
    agent_seconds: float
    question: str = ""
    notes: tuple[str, ...] = ()

    @property
    def unfinished(self) -> str:
        """Why the model was stopped before it said that it was done, in half a sentence; empty when it said so."""
        return "" if self.stop == "finished" else say_stop(self.stop, self.stop_detail)


@dataclass(frozen=True)
class _Judged:
    """A session's change with its texts and its verdict; ``ran`` says whether there is one by a run."""

    described: Described
    verdict: Verdict
    ran: bool = False

    @property
    def rank(self) -> tuple[bool, int]:
        """Smaller is better: what breaks no rule, then by the tests."""
        return bool(self.described.problems), STATUS_ORDER[self.verdict.status]

    @property
    def flaw(self) -> str:
        """A sentence on what keeps the change from being verified."""
        if self.described.patch.empty:
            return "Everything had been taken back."
        return (*self.described.problems, *self.verdict.reasons)[0]


def solve(run: Run, stages: Stages, progress: Progress, assignment: Assignment) -> Solution:
    """Set-up, tests before, the agent, the texts, tests after. Raises BrokenWorld and JobCancelled.

    A patch that breaks the rules is not run again: its problems are the answer. One that makes things worse goes back
    to its session, once. Of a session that was stopped the last good change is delivered.
    """
    assignment = interruptible(assignment, run, progress.output)
    bench = Bench(assignment)
    try:
        setup = stages.step("sandbox", bench.prepare, SetupReport, say_setup)
        before = stages.step("baseline", bench.baseline, TestRun | None, say_tests)
        progress.note(before.notes if before is not None else ())
        sessions = Sessions(run, bench, progress, before)
        judging = _Judging(stages, progress, bench, before)
        chosen = sessions.carry_out()
        stages.note("agent", chosen.result.seconds, f"{len(chosen.result.turns)} turns")
        judged = judging.judge(chosen.result)
        if may_repair(chosen.result, judged.verdict, sessions.budget):
            chosen, judged = _repair(stages, sessions, judging, chosen, judged)
        last = judged
        chosen, judged = _step_back(judging, chosen, last)
    finally:
        bench.close(leave_nothing=run.over.is_set())
    result, described = chosen.result, judged.described
    if last.ran:  # what is delivered instead is not what the session came to
        log = assignment.log(session_name(chosen.attempt))
        run.step("record", lambda: record_verdict(log, last.verdict), type(None))
    return Solution(
        described=described,
        verdict=judged.verdict,
        setup=setup,
        finish=result.finish,
        stop=result.stop,
        stop_detail=result.detail,
        turns=len(result.turns),
        usage=chosen.usage + described.usage,
        agent_seconds=result.seconds,
        question=result.question,
        notes=tuple(dict.fromkeys((*chosen.notes, *(before.notes if before is not None else ()), *described.notes))),
    )


@dataclass(frozen=True)
class _Judging:
    """Texts and tests of a session's change."""

    stages: Stages
    progress: Progress
    bench: Bench
    before: TestRun | None

    def judge(self, result: AgentResult) -> _Judged:
        """Describe the change and run the tests on it, where it can be run."""
        bench = self.bench
        patch = result.patch or Patch(base=bench.assignment.survey.base)
        asked = result.stop == "asked"
        # A question is no end: the change is only shown, and is described and run when it is done.
        describe = bench.sketch if asked else bench.describe

        def texts() -> Described:
            return describe(patch, result.finish).model_copy(update={"notes": bench.notes})

        described = self.stages.step("describe", texts, Described, _say_described)
        self.progress.note(described.notes)
        if asked or described.patch.empty or described.problems:
            unrun = Verdict(status="unverified", reasons=("The change was not run.",), before=self.before)
            return _Judged(described, unrun)
        verdict = self.stages.step("verify", lambda: bench.verify(described.patch, self.before), Verdict, say_verdict)
        return _Judged(described, verdict, ran=True)


def _repair(
    stages: Stages, sessions: Sessions, judging: _Judging, chosen: Chosen, judged: _Judged
) -> tuple[Chosen, _Judged]:
    """The session gone on with the verdict on its change, and its new change judged where it made one."""
    first = chosen.result
    result = sessions.repair(chosen, render_verdict(judged.verdict))
    stages.note("repair", result.seconds - first.seconds, f"{len(result.turns) - len(first.turns)} more turns")
    usage = chosen.usage + spent_after(first, result)
    if result.patch == first.patch:
        return replace(chosen, usage=usage), judged
    again = judging.judge(result)
    note = say_repair(first, result, judged.verdict, again.verdict)
    usage += judged.described.usage
    return replace(chosen, result=result, usage=usage, notes=(*chosen.notes, note)), again


def _step_back(judging: _Judging, chosen: Chosen, judged: _Judged) -> tuple[Chosen, _Judged]:
    """The best change of a session that was stopped, where it is judged better than its last one."""
    earlier = stepped_back(chosen.result, judged.verdict)
    if earlier is None:
        return chosen, judged
    again = judging.judge(earlier)
    if again.rank >= judged.rank:
        return replace(chosen, usage=chosen.usage + again.described.usage), judged
    note = say_step_back(earlier, judged.flaw)
    usage = chosen.usage + judged.described.usage
    return replace(chosen, result=earlier, usage=usage, notes=(*chosen.notes, note)), again


def say_setup(report: SetupReport) -> str:
    """The set-up in a few words."""
    if report.failed:
        return f"the set-up failed: {report.failed}"
    if not report.commands:
        return "no set-up needed"
    return f"{len(report.commands)} set-up commands{' (kept from an earlier job)' if report.cached else ''}"


def _say_described(described: Described) -> str:
    return "no change" if described.patch.empty else f"{len(described.patch.files)} files"


def say_verdict(verdict: Verdict) -> str:
    """The verdict in a sentence."""
    return verdict.reasons[0]
