"""Work that is asked for again: from the start, from where it stopped, or as a plan that was approved."""

from __future__ import annotations

from workflows.going_on import fence_words, last_stop
from workflows.job_records import JobRecord
from workflows.job_services import JobServices
from workflows.options import merge_options, options_of
from workflows.plan_text import parse_plan_comment
from workflows.services import GitHub
from workflows.types import Command, CommandOptions, Job

_NO_WORK = frozenset({"answer", "tidy"})


def retry(job: Job, services: JobServices) -> str | Job:
    """The last work of this thread from the start, or a sentence on why there is none."""
    last = _last_work(job, services)
    if last is None:
        return "There is no earlier work on this thread to do again. Say what is to be done, or apply the label."
    if last.state in ("queued", "running"):
        return "The last work on this thread has not ended. Stop it first, or wait for its end."
    return _like(last.job, job).model_copy(update={"fresh": True})


def go_on(job: Job, services: JobServices) -> str | Job:
    """The last work of this thread from where its session stopped, or a sentence on why that cannot be."""
    last = _last_work(job, services)
    if last is None:
        return "There is no earlier work on this thread to go on with. Say what is to be done, or apply the label."
    if last.state in ("queued", "running"):
        return "The last work on this thread has not ended: there is nothing to go on with yet."
    session = last.job.continues or last.job.id
    events = services.trajectories.open(session).events()
    if not events:
        return "The last work on this thread has no session to go on with. Ask for it anew with the word retry."
    status = last.outcome.status if last.outcome is not None else ""
    if status == "pushed" or (status == "pull_request" and last_stop(events) == "finished"):
        return "The last work on this thread was finished. Say what is to be done next."
    words = fence_words(job.command.text if job.command else "", job.actor.login)
    return _like(last.job, job).model_copy(update={"continues": session, "going_on": words})


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
    """The earlier request, made again by this actor now, with the options of then and of now."""
    said = options_of(job)
    command = earlier.command or (Command(word="fix") if said != CommandOptions() else None)
    if command is not None:
        command = command.model_copy(update={"options": merge_options(command.options, said)})
    kept = {"workflow": earlier.workflow, "plan": earlier.plan, "approval": earlier.approval, "head": None}
    return job.model_copy(update={**kept, "command": command, "request": earlier.request, "continues": None})
