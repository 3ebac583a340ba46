"""`/qwen update` and `/qwen resolve`: the base branch is merged into a pull request's branch, and proved before.

Nothing is ever forced: what is pushed is a merge commit on top of the head.
"""

from __future__ import annotations

from workflows.merges.base_merge import WORDS, BaseMerge, Situation, begin_merge, look_at_base
from workflows.merges.conflicts import say_conflicts
from workflows.merges.proving import prove_and_push
from workflows.outcome import Outcome
from workflows.progress.stages import Stages
from workflows.progress.tracking import StageName
from workflows.publishing.publish import Published
from workflows.pulls.pull_work import read_head
from workflows.requests.job_services import JobServices
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.resolve_conflicts import resolve_conflicts, resolves_unasked
from workflows.services import Run
from workflows.texts.outbound import code_span
from workflows.types import Job, PullRequest, Verdict

NAME = "update_branch"
TITLES: dict[StageName, str] = {
    "accept": "Accepted",
    "fetch": "Fetch the repository and try the merge",
    "sandbox": "Prepare the sandbox",
    "baseline": "Run the tests on the branch as it is",
    "verify": "Run the tests on the merge, in a fresh container",
    "salvage": "Bring the merge onto what was pushed meanwhile",
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
    ended = _nothing_to_merge(thread, pull, situation)
    if ended is not None:
        return ended
    merge = begin_merge(thread, pull, stages, situation)
    return _merge(merge) if situation.clean else resolve_conflicts(merge)


def _nothing_to_merge(thread: Thread, pull: PullRequest, situation: Situation) -> Outcome | None:
    """The end where there is nothing to merge, or nothing that this command merges; None where there is."""
    if situation.problem:
        return thread.end("refused", situation.problem, word="Not updated")
    if situation.current:
        told = f"The branch is up to date: {code_span(pull.base)} at `{situation.base[:10]}` is in it already."
        return thread.end("no_change", told)
    if not situation.clean and not _wants_resolution(thread, pull, situation):
        return _name_conflicts(thread, pull, situation)
    return None


def _wants_resolution(thread: Thread, pull: PullRequest, situation: Situation) -> bool:
    command = thread.job.command
    return (command is not None and command.word == "resolve") or resolves_unasked(thread, pull, situation)


def _name_conflicts(thread: Thread, pull: PullRequest, situation: Situation) -> Outcome:
    files = len(situation.conflicts)
    told = f"Merging {code_span(pull.base)} at `{situation.base[:10]}` conflicts in {files} file{'s' * (files != 1)}."
    more = f"{say_conflicts(situation.conflicts)}\n\n`{thread.services.spoken.prefix} resolve` has them resolved."
    return thread.end("refused", told, word="Not updated", more=more)


def _merge(merge: BaseMerge) -> Outcome:
    """Prove the merge, which has no conflicts, and push it. One that breaks tests of the branch is not pushed."""
    thread = merge.thread
    thread.tracking.follow(TITLES)
    proved = prove_and_push(merge)
    if proved.verdict is None:
        now = proved.merge
        return _nothing_to_merge(thread, now.pull, now.situation) or resolve_conflicts(now)
    if proved.published is not None:
        return say_pushed(proved.merge, proved.verdict, proved.published)
    listed = "\n".join(f"- {thread.services.clean(' '.join(reason.split()))}" for reason in proved.verdict.reasons)
    told = f"The merge of {proved.merge.base} has no conflicts, but makes things worse. Nothing was pushed."
    return thread.end("worse", told, word="Not updated", more=listed, seconds=merge.stages.seconds)


def say_pushed(merge: BaseMerge, verdict: Verdict, published: Published) -> Outcome:
    """The end of a merge of which the tests say that it is not worse: pushed, or why not."""
    thread, seconds = merge.thread, merge.stages.seconds
    if published.reason:
        return thread.end("rejected", published.reason, word="Not updated", seconds=seconds)
    told = f"{merge.base} is merged into the branch as `{published.commit[:10]}`, {WORDS[verdict.status]}."
    more = thread.services.clean("\n\n".join(part for part in (verdict.reasons[0], published.note) if part))
    return thread.end("pushed", told, word="Updated", more=more, seconds=seconds, published=published)
