"""After a thread ended, its label was taken off or its work was stopped: what waited says so."""

from __future__ import annotations

from workflows.closing import render_cancelled
from workflows.job_services import JobServices
from workflows.outcome import Outcome
from workflows.services import GitHub
from workflows.tracking import marker
from workflows.types import Job


def tidy(github: GitHub, job: Job, services: JobServices) -> Outcome:
    """Say in the comments of requests that were cancelled before they began that they were. Again, it changes nothing.

    What runs closes its own comment.
    """
    records = services.jobs.thread(job.repository.id, job.number)
    waited = [one.job for one in records if one.state == "cancelled" and (one.attempts == 0 or one.job.admission)]
    if not waited:
        return Outcome(status="answered", reason=f"{job.words} Nothing waited.")
    ours = [one for one in github.fetch_comments(job.number) if one.author.login == services.spoken.login]
    text = services.scrub(f"{render_cancelled(None)} {job.words}".strip())
    for one in waited:
        mark = marker(one.id)
        for comment in ours:
            if mark in comment.body and not comment.body.startswith("Cancelled"):
                github.update_comment(comment.id, f"{text}\n\n{mark}")
    return Outcome(status="answered", reason=f"{job.words} {len(waited)} waited.".strip())
