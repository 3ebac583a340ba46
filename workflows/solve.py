"""From a base commit and an issue to a verified patch with its texts: the part of the line that needs no GitHub."""

from __future__ import annotations

from workflows.assignment import Assignment, Described
from workflows.bench import Bench, say_tests
from workflows.interruptible import interruptible
from workflows.services import Run
from workflows.sessions import Sessions, record_verdict
from workflows.stages import Stages
from workflows.stops import say_stop
from workflows.tracking import Progress
from workflows.types import Finish, Noun, Patch, StopReason, TestRun, Usage, Verdict
from workflows.workshop import SetupReport

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


def solve(run: Run, stages: Stages, progress: Progress, assignment: Assignment) -> Solution:
    """Set-up, tests before, the agent, the texts, tests after. Raises BrokenWorld and JobCancelled.

    A patch that breaks the rules is not run again: its problems are the answer.
    """
    assignment = interruptible(assignment, run)
    bench = Bench(assignment)
    setup = stages.step("sandbox", bench.prepare, SetupReport, _say_setup)
    before = stages.step("baseline", bench.tests, TestRun | None, say_tests)
    progress.note(before.notes if before is not None else ())
    try:
        chosen = Sessions(run, bench, progress, before).carry_out()
    finally:
        bench.close()
    result = chosen.result
    stages.note("agent", result.seconds, f"{len(result.turns)} turns")
    patch = result.patch or Patch(base=assignment.survey.base)
    asked = result.stop == "asked"
    # A question is no end: the change is only shown, and is described and run when it is done.
    describe = bench.sketch if asked else bench.describe

    def texts() -> Described:
        return describe(patch, result.finish).model_copy(update={"notes": bench.notes})

    described = stages.step("describe", texts, Described, _say_described)
    progress.note(described.notes)
    verdict = Verdict(status="unverified", reasons=("The change was not run.",), before=before)
    if not asked and not described.patch.empty and not described.problems:
        verdict = stages.step("verify", lambda: bench.verify(described.patch, before), Verdict, _say_verdict)
        run.step("record", lambda: record_verdict(assignment.log(chosen.session), verdict), type(None))
    return Solution(
        described=described,
        verdict=verdict,
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


def _say_setup(report: SetupReport) -> str:
    if report.failed:
        return f"the set-up failed: {report.failed}"
    if not report.commands:
        return "no set-up needed"
    return f"{len(report.commands)} set-up commands{' (kept from an earlier job)' if report.cached else ''}"


def _say_described(described: Described) -> str:
    return "no change" if described.patch.empty else f"{len(described.patch.files)} files"


def _say_verdict(verdict: Verdict) -> str:
    return verdict.reasons[0]
