"""After a thread ended or its label was taken off: what waited says so, and the state labels go."""

from __future__ import annotations

from workflows import closing
from workflows.job_services import JobServices
from workflows.outcome import Outcome
from workflows.services import GitHub
from workflows.tracking import marker
from workflows.types import Job


def tidy(github: GitHub, job: Job, services: JobServices) -> Outcome:
    """Close the tracking comments of requests that were cancelled before they began: nobody else would.

    What runs closes its own. Said again, it changes nothing.
    """
    records = services.jobs.thread(job.repository.id, job.number)
    waited = [one for one in records if one.state == "cancelled" and one.attempts == 0 and one.job.tracking is not None]
    text = services.scrub(f"{closing.render_cancelled(None)} {job.words}")
    for record in waited:
        assert record.job.tracking is not None
        github.update_comment(record.job.tracking, f"{text}\n\n{marker(record.job.id)}")
    return Outcome(status="answered", reason=f"{job.words} {len(waited)} waiting.")
