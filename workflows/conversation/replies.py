"""Short words of ours in a thread: each is found again by its hidden name, so that it is never said twice."""

from __future__ import annotations

from workflows.repository.policy import WRITERS
from workflows.requests.job_services import JobServices
from workflows.services import GitHub, Reaction
from workflows.types import Job


def react(github: GitHub, job: Job, reaction: Reaction) -> None:
    """React where the request stands: on its comment, or on the issue that was labelled."""
    if job.comment is not None:
        github.react_to_comment(job.comment, job.number, reaction)
    else:
        github.react(job.number, reaction)


def answer_to_request(github: GitHub, job: Job, services: JobServices, text: str) -> None:
    """Say ``text`` in answer to this request.

    To people with write permission each time anew; to others once a word and thread, brought up to date, so that
    nobody can fill a thread with our words.
    """
    if github.fetch_permission(job.actor.login) in WRITERS:
        answer_once(github, job, services, text, name=f"answer job={job.id}")
    else:
        word = job.command.word if job.command else "unread"
        answer_once(github, job, services, text, name=f"answer word={word} actor={job.actor.id}")


def answer_once(github: GitHub, job: Job, services: JobServices, text: str, *, name: str) -> None:
    """Say ``text`` in the comment of this name; where it was said already, the comment is brought up to date."""
    mark = f"<!-- forgehand:{name} -->"
    body = f"{services.scrub(text)}\n\n{mark}"
    github.update_comment(github.find_or_create_comment(job.number, mark, body), body)
