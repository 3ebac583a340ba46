"""Admission: what is done about a request before it is queued, so that nobody waits for an answer behind work."""

from __future__ import annotations

from datetime import timedelta

import structlog

from workflows.asked import Asked, read_asked
from workflows.closing import render_cancelled
from workflows.conversation.answers import answer
from workflows.conversation.replies import answer_once, answer_to_request, react
from workflows.conversation.tidying import tidy
from workflows.job_records import JobRecord
from workflows.job_services import JobServices
from workflows.outcome import Outcome
from workflows.services import BrokenWorld, GitHub, JobCancelled, Run
from workflows.tracking import marker, render_queued
from workflows.types import Job

log = structlog.get_logger()

SILENT = frozenset({"address_feedback", "fix_checks"})
"""What an event asks for by itself is acknowledged by its workflow, once there is something to do."""
BURST = timedelta(minutes=2)
"""A command equal to one that runs, or was carried out, joins it for so long after it was made; later it may be meant
anew."""
CARRIED_OUT = frozenset({"pull_request", "pushed", "planned", "no_change", "answered"})


def admit(run: Run, job: Job, services: JobServices) -> Outcome | Job:
    """The job to queue, with its tracking comment; or the outcome when it was answered, refused or joined.

    Raises BrokenWorld when GitHub cannot be asked.
    """
    github = services.github(job.repository)
    if job.workflow == "tidy":
        return run.step("tidy", lambda: tidy(github, job, services), Outcome)
    same = run.step("join", lambda: _find_same(job, services), str)
    if same:
        run.step("react", lambda: react(github, job, "eyes"), type(None))
        return Outcome(status="joined", reason=f"Job {same} does the same already.")
    try:
        asked = run.step("accept", lambda: read_asked(github, job, services), Asked)
    except BrokenWorld as broken:
        if may_be_trigger(job, services):
            raise
        # Another label, as far as anybody knows: silence, as if it had been looked into.
        log.error("label not looked into", label=job.trigger, reason=broken.message)
        return Outcome(status="failed", reason=broken.message)
    if not asked.decision.allowed or asked.issue is None:
        return run.step("refuse", lambda: refuse(github, job, asked, services), Outcome)
    if job.words:
        run.step("say", lambda: answer_to_request(github, job, services, job.words), type(None))
        return Outcome(status="answered", reason="What could not be read was said.")
    if job.workflow == "answer":
        found = answer(run, github, job, asked, services)
        if isinstance(found, Outcome):
            return found
        job = found
    if job.workflow in SILENT and job.command is None:
        return job
    try:
        comment = run.step("acknowledge", lambda: _acknowledge(github, job, services), int)
    except JobCancelled:
        # Perhaps within the step, so that the comment is there already.
        say(github, job, services.scrub(render_cancelled(None)))
        raise
    return job.model_copy(update={"tracking": comment})


def say(github: GitHub, job: Job, text: str) -> None:
    """Make ``text`` the job's tracking comment, whether it is there already or not."""
    name = marker(job.id)
    body = f"{text}\n\n{name}"
    github.update_comment(job.tracking or github.find_or_create_comment(job.number, name, body), body)


def may_be_trigger(job: Job, services: JobServices) -> bool:
    """Whether the job was asked for by a command or by the label that works without a policy."""
    return not job.trigger or job.trigger.casefold() == services.default_label.casefold()


def refuse(github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome:
    """Say once an actor and thread why the request is not taken up, if it is one that is answered at all."""
    reason = asked.decision.reasons[0]
    if not asked.decision.answer:
        return Outcome(status="ignored", reason=reason)
    if job.command is None and not job.trigger and not job.words:
        # Something happened, such as a red check, or a comment that could have been an answer: nobody asked for it.
        return Outcome(status="ignored", reason=reason)
    if job.workflow in SILENT and job.command is None:
        return Outcome(status="ignored", reason=reason)
    answer_once(github, job, services, reason, name=f"refusal actor={job.actor.id}")
    if asked.issue is not None and job.trigger:
        github.remove_label(job.number, job.trigger)
    return Outcome(status="refused", reason=reason)


def show_positions(job: Job, services: JobServices) -> None:
    """Tell the requests that wait on this thread how many are ahead of them now; one that cannot be told is logged."""
    github = services.github(job.repository)
    unended = _unended(job, services)
    for ahead, record in enumerate(unended):
        if record.state != "queued" or record.job.tracking is None or ahead == 0:
            continue
        try:
            body = f"{services.scrub(render_queued(ahead))}\n\n{marker(record.job.id)}"
            github.update_comment(record.job.tracking, body)
        except BrokenWorld as broken:
            log.warning("position not shown", job=record.job.id, reason=broken.message)


def _acknowledge(github: GitHub, job: Job, services: JobServices) -> int:
    react(github, job, "eyes")
    text = services.scrub(render_queued(len(_unended(job, services))))
    comment = github.find_or_create_comment(job.number, marker(job.id), f"{text}\n\n{marker(job.id)}")
    if job.trigger:
        github.remove_label(job.number, job.trigger)
    return comment


def _find_same(job: Job, services: JobServices) -> str:
    """The id of the job that does what this one asks for; empty when there is none."""
    if not job.request:
        return ""
    for record in services.jobs.thread(job.repository.id, job.number):
        other = record.job
        if other.request != job.request or other.id == job.id or other.admission:
            continue
        fresh = job.created_at - other.created_at <= BURST and job.command is not None
        done = record.outcome is not None and record.outcome.status in CARRIED_OUT
        if record.state == "queued" or (fresh and (record.state == "running" or done)):
            return other.id
    return ""


def _unended(job: Job, services: JobServices) -> list[JobRecord]:
    """The other work of this thread that is queued or under way, in its order."""
    records = services.jobs.thread(job.repository.id, job.number)
    return [
        record
        for record in records
        if record.state in ("queued", "running") and record.job.id != job.id and not record.job.admission
    ]
