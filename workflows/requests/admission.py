"""Admission: what is done about a request before it is queued, so that nobody waits for an answer behind work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import structlog

from workflows.conversation.answers import answer
from workflows.conversation.replies import answer_once, answer_to_request, react
from workflows.conversation.tidying import tidy
from workflows.durable.job_records import JobRecord
from workflows.outcome import Outcome
from workflows.progress.closing import render_cancelled
from workflows.progress.tracking import marker, render_queued
from workflows.repository.policy import WRITERS, plan_label, review_label
from workflows.requests.asked import Asked, read_asked
from workflows.requests.fix_this import fix_or_hear
from workflows.requests.going_on import is_answer
from workflows.requests.job_services import JobServices
from workflows.requests.labelled import Wanted, find_wanted, is_taken_off
from workflows.requests.one_waiting import Place, find_place
from workflows.requests.options import object_to_options
from workflows.review.approvals import may_be_approved
from workflows.review.unasked import PUSHES, UNREAD, look_unasked
from workflows.services import BrokenWorld, GitHub, JobCancelled, Run
from workflows.types import Job, Noun

log = structlog.get_logger()

SILENT = frozenset({"address_feedback", "fix_checks", "hear_replies", "review_pull"})
"""What an event asks for by itself is acknowledged by its workflow, once there is something to do."""
BURST = timedelta(minutes=2)
"""A command equal to one that runs, or was carried out, joins it for so long after it was made; later it may be meant
anew. A label that is put on again joins only what runs."""
REVIEW = "review_pull"
HEARING = "hear_replies"
MOVING = frozenset({"fix_checks", "update_branch"})
"""What these look at, checks and branches, changes between one request and the next."""
QUESTIONS = frozenset({"help", "status", "why", "config", "doctor"})
STILL_TRUE = timedelta(seconds=20)
"""An equal question joins the answer that was given to one of so shortly before."""
CARRIED_OUT = frozenset({"pull_request", "pushed", "planned", "no_change", "answered"})


class Looked(Noun):
    """How what nobody asked for ends before anything is said; None when it is carried out."""

    ending: Outcome | None = None


def admit(run: Run, job: Job, services: JobServices) -> Outcome | Job:
    """The job to queue, with its tracking comment; or the outcome when it was answered, refused or joined.

    Raises BrokenWorld when GitHub cannot be asked.
    """
    if job.request == UNREAD and not may_be_approved(job, services):
        # Where reviews are switched off this is each push to each pull request, and takes nothing back.
        return Outcome(status="ignored", reason="This push is not reviewed, and nothing of it was approved.")
    github = services.github(job.repository)
    job = _see_whose_thread(run, github, job, services)
    commanded = job.command is not None  # a retry of what an event asked for has none of its own any more
    if job.workflow == "tidy":
        tidied = run.step("tidy", lambda: tidy(github, job, services), Outcome)
        wanted = run.step("wanted", partial(find_wanted, github, job, services), Wanted).job
        if wanted is None:
            return tidied
        job = wanted
    joined = _join(run, github, job, services)
    if joined is not None:
        return joined
    asked = accept(run, github, job, services)
    if isinstance(asked, Outcome):
        return asked
    ended = _end_at_once(run, github, job, asked, services)
    if ended is not None:
        return ended
    if job.workflow == "answer":
        found = answer(run, github, job, asked, services)
        if isinstance(found, Outcome):
            return found
        job = found
    place = _settle_or_end(run, github, job, asked, services)
    if isinstance(place, Outcome):
        return place
    job = place.job
    if job.workflow not in SILENT or not job.unasked or commanded:
        job = _acknowledge(run, github, job, services)
    if place.replaces:
        # Not before it is acknowledged: what cannot be said must not end what waits.
        run.step("take place", lambda: _take_place(github, place, services), type(None))
    return job


def _see_whose_thread(run: Run, github: GitHub, job: Job, services: JobServices) -> Job:
    """A plain “fix this” as what it asks for, which depends on whose thread it stands in."""
    if job.workflow != HEARING or job.command is None:
        return job
    return run.step("whose thread", lambda: fix_or_hear(github, job, services), Job)


def _end_at_once(run: Run, github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome | None:
    """The end of what is not taken up, or only said; None of what is."""
    if not asked.decision.allowed or asked.issue is None:
        return run.step("refuse", lambda: refuse(github, job, asked, services), Outcome)
    if job.trigger and not asked.shows(job.trigger) and run.step("label", lambda: is_taken_off(github, job), bool):
        return Outcome(status="ignored", reason=f"The label `{job.trigger}` was taken off again.")
    if job.words:
        run.step("say", lambda: answer_to_request(github, job, services, job.words), type(None))
        return Outcome(status="answered", reason="What could not be read was said.")
    return None


def _join(run: Run, github: GitHub, job: Job, services: JobServices) -> Outcome | None:
    """The end of a request that another job carries out already; a person sees it by a reaction."""
    same = run.step("join", lambda: _find_same(job, services), str)
    if not same:
        return None
    return _end_joined(run, github, job, same, seen=job.command is not None or job.workflow not in SILENT)


def _end_joined(run: Run, github: GitHub, job: Job, other: str, *, seen: bool) -> Outcome:
    """The end of a request that the job of that id carries out; ``seen``: somebody waits for a sign of it."""
    if seen:
        run.step("react", lambda: react(github, job, "eyes"), type(None))
    if job.trigger:
        run.step("unlabel", lambda: github.remove_label(job.number, job.trigger), type(None))
    return Outcome(status="joined", reason=f"Job {other} does the same already.")


def _keep_one_waiting(run: Run, github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome | Place:
    """The review to queue, in place of all that wait; or its end, when nobody asked for it or another does it."""
    if job.unasked:
        looked = run.step("look", lambda: Looked(ending=look_unasked(github, job, asked, services)), Looked)
        if looked.ending is not None:
            return looked.ending

    def find() -> Place:
        records = services.jobs.thread(job.repository.id, job.number)
        reviews = [one.job for one in records if one.state == "queued" and one.job.workflow == REVIEW]
        return find_place(job, [one for one in reviews if one.id != job.id and not one.admission])

    place = run.step("place", find, Place)
    return _end_joined(run, github, job, place.joins, seen=not job.unasked) if place.joins else place


def _take_place(github: GitHub, place: Place, services: JobServices) -> None:
    """End what waited; whoever asked for it is told, unless the later job goes on in the same comment."""
    for name in place.replaces:
        record = services.jobs.job(name)
        services.jobs.cancel(name)
        if record is not None and record.job.tracking not in (None, place.job.tracking):
            text = "**Joined:** the review that was asked for after this reads it too."
            say(github, record.job, services.scrub(text))


def _settle_or_end(run: Run, github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome | Place:
    """The request as it is carried out, and whose place it takes; or its end when it cannot be, and that was said."""
    problem = object_to_options(job, services)
    if problem:
        run.step("say", lambda: answer_to_request(github, job, services, problem), type(None))
        return Outcome(status="refused", reason=problem)
    label = asked.policy.trigger_label(services.default_label)
    job = settle(job.model_copy(update={"label": label}), asked, default_label=services.default_label)
    if is_answer(job) and job.continues is None:
        return run.step("unanswered", lambda: _say_unread(github, job, services), Outcome)
    return _keep_one_waiting(run, github, job, asked, services) if job.workflow == REVIEW else Place(job=job)


def settle(job: Job, asked: Asked, *, default_label: str) -> Job:
    """The request with what is decided now and not later: whether it makes a plan first, which session it goes on with.

    What goes on with a session was planned before, if it had to be.
    """
    if job.workflow != "fix_issue" or job.going_on is not None:
        return job
    if asked.continued is not None:
        kept = {"continues": asked.continued.continues, "answer": asked.continued.answer}
        return job.model_copy(update=kept)
    trigger = asked.policy.trigger_label(default_label)
    labelled = bool(job.trigger) and job.trigger.casefold() == plan_label(trigger).casefold()
    wanted = asked.policy.plan == "always" and not job.plan and not is_answer(job)
    return job.model_copy(update={"workflow": "plan_issue"}) if labelled or wanted else job


def accept(run: Run, github: GitHub, job: Job, services: JobServices) -> Asked | Outcome:
    """What was asked, read as a step. Raises BrokenWorld, but not for a label that is perhaps none of ours."""
    try:
        return run.step("accept", lambda: read_asked(github, job, services), Asked)
    except BrokenWorld as broken:
        if may_be_trigger(job, services):
            raise
        # Another label, as far as anybody knows: silence, as if it had been looked into.
        log.error("label not looked into", label=job.trigger, reason=broken.message)
        return Outcome(status="failed", reason=broken.message)


def say(github: GitHub, job: Job, text: str) -> int:
    """Make ``text`` the job's tracking comment, whether it is there already or not, or somebody deleted it; its id."""
    name = marker(job.id)
    body = f"{text}\n\n{name}"
    if job.tracking is not None:
        try:
            github.update_comment(job.tracking, body)
            return job.tracking
        except BrokenWorld as broken:
            log.warning("tracking comment not updated", job=job.id, reason=broken.message)
    comment = github.find_or_create_comment(job.number, name, body)
    github.update_comment(comment, body)
    return comment


def may_be_trigger(job: Job, services: JobServices) -> bool:
    """Whether the job was asked for by a command or by the label that works without a policy."""
    default = services.default_label
    ours = (default, plan_label(default), review_label(default))
    return not job.trigger or job.trigger.casefold() in [name.casefold() for name in ours]


def refuse(github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome:
    """Say once an actor and thread why the request is not taken up, if it is one that is answered at all."""
    reason = asked.decision.reasons[0]
    if not asked.decision.answer:
        return Outcome(status="ignored", reason=reason)
    closed_on = is_answer(job) and asked.issue is not None and asked.issue.state == "closed"
    if closed_on and github.fetch_permission(job.actor.login) in WRITERS:
        # Whoever could answer did, and would wait for ever.
        answer_once(github, job, services, reason, name=f"refusal actor={job.actor.id}")
        return Outcome(status="refused", reason=reason)
    if job.unasked and not job.words:
        # Something happened, such as a red check, or a comment that could have been an answer: nobody asked for it.
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


def _say_unread(github: GitHub, job: Job, services: JobServices) -> Outcome:
    """The end of a comment that came as an answer and answers nothing; said where the question is open still."""
    if services.trajectories.waiting(job.repository.id, job.number) is None:
        return Outcome(status="ignored", reason="The question was answered before.")
    text = "Your comment was edited before it was read, so it was not taken as the answer. Write it as a new comment."
    answer_to_request(github, job, services, text)
    return Outcome(status="answered", reason=text)


def _acknowledge(run: Run, github: GitHub, job: Job, services: JobServices) -> Job:
    """The job with its tracking comment, in which it says that it is queued."""
    try:
        comment = run.step("acknowledge", lambda: _say_queued(github, job, services), int)
    except JobCancelled:
        # Perhaps within the step, so that the comment is there already.
        say(github, job, services.scrub(render_cancelled(None)))
        raise
    return job.model_copy(update={"tracking": comment})


def _say_queued(github: GitHub, job: Job, services: JobServices) -> int:
    react(github, job, "eyes")
    text = services.scrub(render_queued(len(_unended(job, services))))
    if job.tracking is not None:
        # It goes on in the comment of the request whose place it takes.
        comment = say(github, job, text)
    else:
        comment = github.find_or_create_comment(job.number, marker(job.id), f"{text}\n\n{marker(job.id)}")
    if job.trigger:
        github.remove_label(job.number, job.trigger)
    return comment


def _find_same(job: Job, services: JobServices) -> str:
    """The id of the job that does what this one asks for; empty when there is none."""
    if not job.request:
        return ""
    records = services.jobs.thread(job.repository.id, job.number)
    for record in records:
        other = record.job
        if other.request != job.request or other.id == job.id:
            continue
        if job.workflow == REVIEW and _was_pushed_after(other, records):
            continue
        if other.admission:
            if _was_just_said(job, record):
                return other.id
            continue
        fresh = job.created_at - other.created_at <= BURST
        done = record.outcome is not None and record.outcome.status in CARRIED_OUT and other.workflow not in MOVING
        runs = record.state == "running" and (job.command is not None or bool(job.trigger))
        if record.state == "queued" or (fresh and (runs or (done and job.command is not None))):
            return other.id
    return ""


def _was_pushed_after(job: Job, records: Sequence[JobRecord]) -> bool:
    """Whether something was pushed since that job was asked for, so that it may not read it."""
    return any(one.job.request in PUSHES and one.job.created_at > job.created_at for one in records)


def _was_just_said(job: Job, record: JobRecord) -> bool:
    """Whether an equal question was answered so shortly before that the answer is the same."""
    told = record.outcome is not None and record.outcome.status == "answered"
    word = job.command.word if job.command else ""
    return told and word in QUESTIONS and job.created_at - record.job.created_at <= STILL_TRUE


def _unended(job: Job, services: JobServices) -> list[JobRecord]:
    """The other work of this thread that is queued or under way, in its order."""
    records = services.jobs.thread(job.repository.id, job.number)
    return [
        record
        for record in records
        if record.state in ("queued", "running") and record.job.id != job.id and not record.job.admission
    ]
