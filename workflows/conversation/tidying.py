"""After a thread ended, its label was taken off or its work was stopped: the cancelled say so, and it shows no work."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.durable.job_records import JobRecord
from workflows.outcome import Outcome
from workflows.progress.closing import render_cancelled
from workflows.progress.state_labels import state_label
from workflows.progress.tracking import is_unended, marker
from workflows.requests.job_services import JobServices
from workflows.services import GitHub
from workflows.types import Job


def tidy(github: GitHub, job: Job, services: JobServices) -> Outcome:
    """Say in the comments of cancelled requests that they were. Again, it changes nothing.

    What runs closes its own comment, with more words; but a worker that died, or stopped just then, runs nothing more.
    So it is looked at once more, as it stands when it is edited: what it says itself meanwhile stays.
    """
    records = services.jobs.thread(job.repository.id, job.number)
    cancelled = [one for one in records if one.state == "cancelled"]
    if not cancelled:
        return Outcome(status="answered", reason=f"{job.words} Nothing waited.")
    ours = [one for one in github.fetch_comments(job.number) if one.author.login == services.spoken.login]
    for one in cancelled:
        mark = marker(one.job.id)
        said = "Cancelled." if _has_begun(one) else render_cancelled(None)
        for comment in ours:
            if mark in comment.body and is_unended(comment.body):
                text = f"{services.scrub(f'{said} {job.words}'.strip())}\n\n{mark}"
                github.update_comment_if(comment.id, text, holds=is_unended)
    if not any(one.state in ("queued", "running") and not one.job.admission for one in records):
        _take_working_label_off(github, job.number, cancelled)
    return Outcome(status="answered", reason=f"{job.words} {len(cancelled)} cancelled.".strip())


def _has_begun(record: JobRecord) -> bool:
    return record.attempts > 0 and not record.job.admission


def _take_working_label_off(github: GitHub, number: int, cancelled: Sequence[JobRecord]) -> None:
    names = {state_label("working", trigger=one.job.label).name.casefold() for one in cancelled if one.job.label}
    issue = github.fetch_issue(number)
    for label in issue.labels if issue is not None else ():
        if label.casefold() in names:
            github.remove_label(number, label)
