"""A merge proved before it is pushed, and made and proved again on top of what people pushed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from workflows.merges.base_merge import BaseMerge
from workflows.publishing.publish import Published
from workflows.pulls.pull_work import PullWork, survey_pull
from workflows.repository.survey import Survey
from workflows.solving.bench import Bench, say_tests
from workflows.solving.interruptible import interruptible
from workflows.solving.solve import say_setup, say_verdict
from workflows.solving.workshop import SetupReport
from workflows.types import Patch, TestRun, Verdict

MOST_TRIES = 3
"""Pushes of one merge, each proved before, when somebody else's comes before each."""
_MOVED = "Somebody pushed to the branch meanwhile: the merge was made on top of that and tested again."
_GIVEN_UP = (
    f"{MOST_TRIES} times the merge was made and tested, and each time somebody pushed to the branch before it. "
    "Nothing of theirs was touched; ask again when the branch is quiet."
)


@dataclass(frozen=True)
class Proved:
    """How far a merge without conflicts came. ``merge`` is the last that was made.

    Without ``published`` the tests do not bear it out; without ``verdict`` either, what was pushed meanwhile does not
    let it be merged as it is: the situation says why.
    """

    merge: BaseMerge
    verdict: Verdict | None = None
    published: Published | None = None


def prove_and_push(
    merge: BaseMerge, *, borne_out: Callable[[Verdict], bool] = lambda verdict: verdict.status != "worse"
) -> Proved:
    """Prove the merge and push it. ``borne_out`` says of a verdict whether it may be. Raises as prove_merge."""
    note = ""
    for _ in range(MOST_TRIES):
        verdict = prove_merge(merge)
        if not borne_out(verdict):
            return Proved(merge, verdict)
        patch = Patch(base=merge.situation.draft)
        published = merge.push(patch, verdict)
        moved = merge.moved_on(published, patch)
        if moved is None:
            return Proved(merge, verdict, published.model_copy(update={"note": f"{note} {published.note}".strip()}))
        if not moved.situation.clean:
            return Proved(moved)
        merge, note = moved, _MOVED
    return Proved(merge, verdict, published.model_copy(update={"reason": _GIVEN_UP}))


def prove_merge(merge: BaseMerge) -> Verdict:
    """The tests on the head and on the draft, each in a fresh container. Raises BrokenWorld and JobCancelled."""
    thread, stages, situation = merge.thread, merge.stages, merge.situation

    def survey() -> Survey:
        return survey_pull(thread, merge.pull, merge.mirror(), base=situation.draft)

    assignment = replace(
        PullWork(thread, merge.pull, stages, "").assign(thread.run.step("survey", survey, Survey)),
        mirror=merge.mirror,
        compared_with=situation.head,
    )
    bench = Bench(interruptible(assignment, thread.run, thread.progress.output))
    try:
        stages.step("sandbox", bench.prepare, SetupReport, say_setup)
        before = stages.step("baseline", bench.baseline, TestRun | None, say_tests)
        return stages.step("verify", lambda: bench.verify(Patch(base=situation.draft), before), Verdict, say_verdict)
    finally:
        bench.close(leave_nothing=thread.run.over.is_set())
