"""`/qwen update` and `/qwen resolve`: the base branch is merged into a pull request's branch, and proved before.

Nothing is ever forced: what is pushed is a merge commit on top of the head.
"""

from __future__ import annotations

from dataclasses import replace

from workflows.merges.base_merge import WORDS, BaseMerge, Situation, begin_merge, read_situation
from workflows.merges.conflicts import say_conflicts
from workflows.outcome import Outcome
from workflows.progress.stages import Stages
from workflows.progress.tracking import StageName
from workflows.pulls.pull_work import PullWork, read_head, survey_pull
from workflows.repository.survey import Survey
from workflows.requests.job_services import JobServices
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.resolve_conflicts import resolve_conflicts
from workflows.services import Run
from workflows.solving.bench import Bench, say_tests
from workflows.solving.interruptible import interruptible
from workflows.solving.solve import say_setup, say_verdict
from workflows.solving.workshop import SetupReport
from workflows.texts.outbound import code_span
from workflows.types import Job, Patch, PullRequest, TestRun, Verdict

NAME = "update_branch"
TITLES: dict[StageName, str] = {
    "accept": "Accepted",
    "fetch": "Fetch the repository and try the merge",
    "sandbox": "Prepare the sandbox",
    "baseline": "Run the tests on the branch as it is",
    "verify": "Run the tests on the merge, in a fresh container",
    "publish": "Push the merge",
}


def update_branch(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end. Every end is said on the pull request."""
    return work_on_thread(run, job, services, _carry_out)


def _carry_out(thread: Thread) -> Outcome:
    head = read_head(thread)
    pull = head.pull
    if pull is None or head.problem:
        return thread.end("refused", head.problem, word="Not begun")
    stages = Stages(thread.run, thread.tracking)
    situation = look_at_base(thread, pull, stages)
    if situation.problem:
        return thread.end("refused", situation.problem, word="Not begun")
    if situation.current:
        told = f"The branch is up to date: {code_span(pull.base)} at `{situation.base[:10]}` is in it already."
        return thread.end("no_change", told)
    if not situation.clean and not _wants_resolution(thread.job):
        return _name_conflicts(thread, pull, situation)
    merge = begin_merge(thread, pull, stages, situation)
    return merge_base(merge) if situation.clean else resolve_conflicts(merge)


def _wants_resolution(job: Job) -> bool:
    return job.command is not None and job.command.word == "resolve"


def _name_conflicts(thread: Thread, pull: PullRequest, situation: Situation) -> Outcome:
    files = len(situation.conflicts)
    told = f"Merging {code_span(pull.base)} at `{situation.base[:10]}` conflicts in {files} file{'s' * (files != 1)}."
    more = f"{say_conflicts(situation.conflicts)}\n\n`{thread.services.spoken.prefix} resolve` has them resolved."
    return thread.end("refused", told, word="Not updated", more=more)


def look_at_base(thread: Thread, pull: PullRequest, stages: Stages) -> Situation:
    """Where head and base stand, as the stage "fetch". Raises BrokenWorld."""

    def say(found: Situation) -> str:
        return f"{code_span(pull.head)} at `{found.head[:10]}`, {code_span(pull.base)} at `{found.base[:10]}`"

    return stages.step("fetch", lambda: read_situation(thread, pull), Situation, say)


def merge_base(merge: BaseMerge) -> Outcome:
    """Prove the merge, which has no conflicts, and push it. One that breaks tests of the branch is not pushed."""
    verdict = prove_merge(merge)
    if verdict.status != "worse":
        return push_proved(merge, verdict)
    listed = "\n".join(f"- {merge.thread.services.clean(' '.join(reason.split()))}" for reason in verdict.reasons)
    told = f"The merge of {merge.base} has no conflicts, but makes things worse. Nothing was pushed."
    return merge.thread.end("worse", told, word="Not updated", more=listed, seconds=merge.stages.seconds)


def push_proved(merge: BaseMerge, verdict: Verdict) -> Outcome:
    """Push a merge of which the tests say that it is not worse, and say so."""
    thread, seconds = merge.thread, merge.stages.seconds
    published = merge.push(Patch(base=merge.situation.draft), verdict)
    if published.reason:
        return thread.end("rejected", published.reason, word="Not updated", seconds=seconds)
    told = f"{merge.base} is merged into the branch as `{published.commit[:10]}`, {WORDS[verdict.status]}."
    more = thread.services.clean("\n\n".join(part for part in (verdict.reasons[0], published.note) if part))
    return thread.end("pushed", told, word="Updated", more=more, seconds=seconds, published=published)


def prove_merge(merge: BaseMerge) -> Verdict:
    """The tests on the head and on the merge, each in a fresh container."""
    merge.thread.tracking.follow(TITLES)
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
