"""Work that is asked for again: from the start, from where it stopped, or as a plan that was approved."""

from __future__ import annotations

from workflows.durable.job_records import JobRecord
from workflows.plans.plan_comments import StandingPlan, comment_url, find_plans
from workflows.plans.plan_text import plan_digest
from workflows.requests.going_on import fence_words, last_stop
from workflows.requests.job_services import JobServices
from workflows.requests.options import merge_options, options_of
from workflows.services import GitHub
from workflows.texts.outbound import code_span
from workflows.trajectory.events import Event
from workflows.types import Command, CommandOptions, Job

_WORDS = {"fix_checks": "ci", "plan_issue": "plan"}
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
    stopped = _last_session(job, services)
    if stopped is None:
        return "The last work on this thread has no session to go on with. Ask for it anew with the word retry."
    last, events = stopped
    status = last.outcome.status if last.outcome is not None else ""
    if status == "pushed" or (status == "pull_request" and last_stop(events) == "finished"):
        return "The last work on this thread was finished. Say what is to be done next."
    words = fence_words(job.command.text if job.command else "", job.actor.login)
    return _like(last.job, job).model_copy(update={"continues": last.job.continues or last.job.id, "going_on": words})


def approve(github: GitHub, job: Job, services: JobServices, *, issue_url: str) -> str | Job:
    """A job that carries out the newest plan of this thread as it stands in our comment now, or why that cannot be."""
    plans = find_plans(github.fetch_comments(job.number), services.spoken.login)
    if not plans:
        return "There is no plan on this thread to approve. Ask for one first with the word plan."
    plan = plans[-1]
    if plan.changed_at > job.created_at:
        return "The plan was edited after it was approved. Read it as it stands now, and approve it again."
    refused = _carried_out(plan, job, services)
    if refused:
        return refused
    edited = ", as it was edited since it was made," if plan.edited else ""
    approval = f"The plan{edited} was approved by {code_span(job.actor.login)}: "
    approval += f"{comment_url(issue_url, plan.comment)}. {plan.estimate}"
    assert job.command is not None, "it was asked for by a command"
    made = services.jobs.job(plan.made_by)
    # Whoever may write can edit the comment, and name a job of elsewhere in it.
    here = made is not None and made.job.repository.id == job.repository.id
    planned = options_of(made.job) if made is not None and here else CommandOptions()
    kept = CommandOptions(branch=planned.branch, paths=planned.paths)  # what the plan is about; limits were its own
    command = job.command.model_copy(update={"options": merge_options(kept, options_of(job))})
    request = f"approved plan {plan_digest(plan.text)}"
    update = {"workflow": "fix_issue", "plan": plan.text, "approval": approval.strip(), "request": request}
    return job.model_copy(update={**update, "command": command})


def _carried_out(plan: StandingPlan, job: Job, services: JobServices) -> str:
    """What to say when this very text is being carried out, or was; empty when it was not, or in vain."""
    digest = plan_digest(plan.text)
    for record in services.jobs.thread(job.repository.id, job.number):
        if not record.job.plan or record.job.id == job.id or plan_digest(record.job.plan) != digest:
            continue
        if record.state in ("queued", "running"):
            return "This plan is being carried out already."
        if record.outcome is not None and record.outcome.status in ("pull_request", "no_change"):
            done = f" in #{record.outcome.pull_request}" if record.outcome.pull_request else ""
            return f"This plan was carried out already{done}. Ask for a new one with the word plan, or for a retry."
    return ""


def _last_work(job: Job, services: JobServices) -> JobRecord | None:
    work = _work(job, services)
    return work[-1] if work else None


def _last_session(job: Job, services: JobServices) -> tuple[JobRecord, list[Event]] | None:
    """The last work that changes something, with its session: a question in between is none."""
    for record in reversed(_work(job, services)):
        events = services.trajectories.open(record.job.continues or record.job.id).events()
        if events:
            return record, events
    return None


def _work(job: Job, services: JobServices) -> list[JobRecord]:
    records = services.jobs.thread(job.repository.id, job.number)
    work = [one for one in records if one.job.id != job.id and one.job.workflow not in _NO_WORK]
    return [one for one in work if one.outcome is None or one.outcome.status not in ("joined", "refused", "ignored")]


def _like(earlier: Job, job: Job) -> Job:
    """The earlier request, made again by this actor now, with the options of then and of now."""
    said = options_of(job)
    # What a label or an event had asked for, somebody asks for now.
    command = earlier.command or Command(word=_WORDS.get(earlier.workflow, "fix"))
    command = command.model_copy(update={"options": merge_options(command.options, said)})
    kept = {"workflow": earlier.workflow, "plan": earlier.plan, "approval": earlier.approval, "head": None}
    return job.model_copy(update={**kept, "command": command, "request": earlier.request, "continues": None})
