"""What people answer to a finding reaches the reviewer: it is accepted and the finding withdrawn, or answered once."""

from __future__ import annotations

from workflows.outcome import Outcome
from workflows.pulls.pull_change import read_pull
from workflows.requests.asked import Asked
from workflows.requests.job_services import JobServices, opened_by_us
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.review.hearing import hear
from workflows.review.standing import read_threads
from workflows.services import GitHub, Run
from workflows.types import Job

NAME = "hear_replies"


def hear_replies(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end. It speaks in the threads alone."""
    return work_on_thread(run, job, services, _carry_out, look=_look, silent=True)


def _look(github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome | None:
    """Why nobody is answered; None when an answer to a finding of ours waits."""
    pull = github.fetch_pull_request(job.number)
    if pull is None or pull.state == "closed":
        return Outcome(status="ignored", reason="The pull request is closed.")
    if opened_by_us(pull, services):
        return Outcome(status="ignored", reason="On our own pull request a round of feedback answers.")
    waits = [
        one
        for one in read_threads(github, services, pull)
        if (not one.resolved or one.by_reader) and one.replies and one.replies[-1].id > one.answered
    ]
    return None if waits else Outcome(status="ignored", reason="No answer to a finding of ours waits.")


def _carry_out(thread: Thread) -> Outcome:
    heard = hear(thread, read_pull(thread), judging=True)
    if not heard.withdrawn and not heard.answered:
        return Outcome(status="answered", reason="What people answered was heard; they have the last word.")
    reason = f"{heard.withdrawn} findings withdrawn, {heard.answered} answers answered."
    return Outcome(status="answered", reason=reason)
