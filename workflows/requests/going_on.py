"""Which session a request goes on with, and with what words: people's answer to its question, or an actor's."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.repository.policy import WRITERS
from workflows.requests.job_services import JobServices
from workflows.services import GitHub
from workflows.texts.untrusted import clean_inbound, fence_untrusted
from workflows.trajectory.events import Event
from workflows.types import Comment, Job, Noun, StopReason

MARKS = ("end", "answer", "continue")


class Continued(Noun):
    """The session of the job ``continues`` on the commit ``base``.

    It goes on with the ``answer`` to its question, or with ``words``, unless they are None. Both are fenced.
    """

    continues: str
    base: str
    answer: str = ""
    words: str | None = None


def find_session(github: GitHub, job: Job, services: JobServices, comments: Sequence[Comment]) -> Continued | None:
    """The session that this request goes on with; None: it begins one. ``comments`` are those that count for it.

    What was settled when the job was admitted stays: edits since change nothing. But a question that was answered
    meanwhile is not answered twice.
    """
    if job.fresh or (job.plan and job.going_on is None):
        return None
    if job.continues is not None and job.going_on is not None:
        return _opened(services, job.continues, words=job.going_on)
    if job.continues is not None and job.answer:
        waits = last_stop(services.trajectories.open(job.continues).events()) == "asked"
        return _opened(services, job.continues, answer=job.answer) if waits else None
    waiting = services.trajectories.waiting(job.repository.id, job.number)
    if waiting is None:
        return None
    asked_by, moment = waiting
    moment = moment.replace(microsecond=0)  # GitHub gives times in whole seconds
    answer = _said_by_writers(github, [one for one in comments if one.created_at >= moment])
    return _opened(services, asked_by, answer=answer) if answer else None


def is_answer(job: Job) -> bool:
    """Whether it was a comment without a command that asked, because the thread waited for an answer."""
    return job.request == "answer" and job.unasked


def last_stop(events: Sequence[Event]) -> StopReason | None:
    """How a session stopped; None while it runs, when it broke off, and when it goes on."""
    last = next((event for event in reversed(events) if event.kind in MARKS), None)
    stop: StopReason | None = last.payload["stop"] if last is not None and last.kind == "end" else None
    return stop


def fence_words(words: str, login: str) -> str:
    """What an actor says to a session that goes on; nothing stays nothing."""
    return fence_untrusted(f"words of {login}", clean_inbound(words).text) if words.strip() else ""


def _opened(services: JobServices, job_id: str, *, answer: str = "", words: str | None = None) -> Continued | None:
    events = services.trajectories.open(job_id).events()
    opening = next((event for event in events if event.kind == "session"), None)
    if opening is None:
        return None
    return Continued(continues=job_id, base=str(opening.payload["base"]), answer=answer, words=words)


def _said_by_writers(github: GitHub, comments: Sequence[Comment]) -> str:
    writers: dict[str, bool] = {}
    said = []
    for comment in comments:
        login = comment.author.login
        if login not in writers:
            writers[login] = github.fetch_permission(login) in WRITERS
        if writers[login]:
            said.append(fence_untrusted(f"answer by {login}", clean_inbound(comment.body).text))
    return "\n\n".join(said)
