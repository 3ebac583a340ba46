"""The commands that are answered at once: what is said, or which job comes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workflows.conversation.again import approve, go_on, retry
from workflows.conversation.explaining import render_config, render_doctor, render_status, render_why
from workflows.conversation.replies import answer_to_request
from workflows.conversation.tidying import tidy
from workflows.durable.job_records import JobRecord
from workflows.outcome import Outcome
from workflows.requests.asked import Asked
from workflows.requests.job_services import JobServices
from workflows.services import GitHub, Run
from workflows.types import Job, Noun


@dataclass(frozen=True)
class Question:
    """A request that is answered at once, with what was read for it."""

    job: Job
    asked: Asked
    services: JobServices
    github: GitHub


class Found(Noun):
    """What is said, or the job that is to be done; one of them."""

    words: str = ""
    job: Job | None = None


Answer = Callable[[Question], str | Job]


def answer(run: Run, github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome | Job:
    """Answer the command, or give the job that it asks for. Raises BrokenWorld."""
    assert job.command is not None, "words were said before"
    question = Question(job, asked, services, github)
    word = job.command.word
    found = run.step("answer", lambda: _find(question, word), Found)
    if found.job is not None:
        return found.job
    run.step("say", lambda: answer_to_request(github, job, services, found.words), type(None))
    return Outcome(status="answered", reason=f"`{word}` was answered.")


def _find(question: Question, word: str) -> Found:
    found = _ANSWERS[word](question)
    return Found(job=found) if isinstance(found, Job) else Found(words=found)


def _help(question: Question) -> str:
    return question.services.spoken.help(question.job.on_pull_request)


def _status(question: Question) -> str:
    job, services = question.job, question.services
    records = services.jobs.thread(job.repository.id, job.number)
    return render_status([one for one in records if one.job.id != job.id], services, job)


def _why(question: Question) -> str:
    job, services = question.job, question.services
    deliveries = services.jobs.deliveries_of(job.repository.id, job.number)
    records = {one.job.id: one for one in services.jobs.thread(job.repository.id, job.number)}
    return render_why([one for one in deliveries if one.guid != job.delivery_id], records, services)


def _config(question: Question) -> str:
    return render_config(question.asked, question.services)


def _doctor(question: Question) -> str:
    return render_doctor(question.services.spoken.doctor())


def _stop(question: Question) -> str:
    job, jobs = question.job, question.services.jobs
    jobs.cancel_issue(job.repository.id, job.number, before=job.created_at)
    # From the record, for a step that died after it had cancelled them is made again.
    ended = [one for one in jobs.thread(job.repository.id, job.number) if _was_stopped_by(one, job)]
    if not ended:
        return "Nothing is queued or under way on this thread."
    tidy(question.github, job, question.services)
    return f"Stopped: {len(ended)} {'job' if len(ended) == 1 else 'jobs'} on this thread."


def _was_stopped_by(record: JobRecord, job: Job) -> bool:
    return record.job.created_at <= job.created_at and record.was_cancelled_since(job.created_at)


_ANSWERS: dict[str, Answer] = {
    "help": _help,
    "status": _status,
    "why": _why,
    "config": _config,
    "doctor": _doctor,
    "stop": _stop,
    "retry": lambda question: retry(question.job, question.services),
    "continue": lambda question: go_on(question.job, question.services),
    "approve": lambda question: approve(
        question.github,
        question.job,
        question.services,
        issue_url=question.asked.issue.html_url if question.asked.issue else "",
    ),
}
