"""Work that is asked for again: from the start, from where it stopped, or as a plan that was approved."""

from __future__ import annotations

from workflows.job_records import JobRecord
from workflows.job_services import JobServices
from workflows.plan_text import parse_plan_comment
from workflows.services import GitHub
from workflows.types import Job

_NO_WORK = frozenset({"answer", "tidy"})


def retry(job: Job, services: JobServices) -> str | Job:
    """The last work of this thread from the start, or a sentence on why there is none."""
    last = _last_work(job, services)
    if last is None:
        return "There is no earlier work on this thread to do again. Say what is to be done, or apply the label."
    if last.state in ("queued", "running"):
        return "The last work on this thread has not ended. Stop it first, or wait for its end."
    return _like(last.job, job)


def go_on(job: Job, services: JobServices) -> str | Job:
    """The last work of this thread from where its session stopped, or a sentence on why that cannot be."""
    last = _last_work(job, services)
    if last is None:
        return "There is no earlier work on this thread to go on with. Say what is to be done, or apply the label."
    if last.state in ("queued", "running"):
        return "The last work on this thread has not ended: there is nothing to go on with yet."
    session = last.job.continues or last.job.id
    if not services.trajectories.open(session).events():
        return "The last work on this thread ended before its session began. Ask for it anew with the word retry."
    if last.outcome is not None and last.outcome.status in ("pull_request", "pushed"):
        return "The last work on this thread was finished. Say what is to be done next."
    return _like(last.job, job).model_copy(update={"continues": session})


def approve(github: GitHub, job: Job, services: JobServices) -> str | Job:
    """A job that carries out the newest plan of this thread as it stands in our comment now."""
    ours = [one for one in github.fetch_comments(job.number) if one.author.login == services.spoken.login]
    plans = [plan for plan in (parse_plan_comment(comment.body) for comment in ours) if plan is not None]
    if not plans:
        return "There is no plan on this thread to approve. Ask for one first with the word plan."
    return job.model_copy(update={"workflow": "fix_issue", "plan": plans[-1], "request": "approved plan"})


def _last_work(job: Job, services: JobServices) -> JobRecord | None:
    records = services.jobs.thread(job.repository.id, job.number)
    work = [one for one in records if one.job.id != job.id and one.job.workflow not in _NO_WORK]
    work = [one for one in work if one.outcome is None or one.outcome.status not in ("joined", "refused", "ignored")]
    return work[-1] if work else None


def _like(earlier: Job, job: Job) -> Job:
    """The earlier request, made again by this actor now."""
    kept = {"workflow": earlier.workflow, "command": earlier.command, "plan": earlier.plan, "head": None}
    return job.model_copy(update={**kept, "request": earlier.request, "continues": None})
