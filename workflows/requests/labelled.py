"""Whether a label that asks for work stands: events come late and in any order, and the last act of a person counts."""

from __future__ import annotations

from workflows.durable.job_records import JobRecord
from workflows.requests.job_services import JobServices
from workflows.services import GitHub
from workflows.types import Job, LabelAct, Noun


class Wanted(Noun):
    """The job that the label asks for after all, if there is one."""

    job: Job | None = None


def is_taken_off(github: GitHub, job: Job) -> bool:
    """Whether a person took the label off after it was put on. That we did so ourselves is no matter."""
    last = _last_act(github, job.number, job.trigger)
    return last is not None and not last.on


def find_wanted(github: GitHub, tidying: Job, services: JobServices) -> Wanted:
    """The work that ended because a label was taken off, although a person has put it on again since.

    ``tidying`` is the job of the event that ended it; what is to be done has its id, so that it is made once. What
    something else had ended before that event, such as `/qwen stop`, stays ended.
    """
    label = tidying.label
    records = services.jobs.thread(tidying.repository.id, tidying.number)
    asked = [one for one in records if _asked_by(label, one)]
    if not label or not asked or not asked[-1].was_cancelled_since(tidying.created_at):
        return Wanted()
    issue = github.fetch_issue(tidying.number)
    last = _last_act(github, tidying.number, label)
    if issue is None or issue.state == "closed" or last is None or not last.on:
        return Wanted()
    again = {
        "workflow": "review_pull" if tidying.on_pull_request else "fix_issue",
        "trigger": label,
        "words": "",
        "label": "",
        "actor": last.actor,
    }
    return Wanted(job=tidying.model_copy(update={**again, "request": asked[-1].job.request}))


def _last_act(github: GitHub, number: int, label: str) -> LabelAct | None:
    acts = github.fetch_label_acts(number)
    by_people = [act for act in acts if act.label.casefold() == label.casefold() and act.actor.type == "User"]
    return by_people[-1] if by_people else None


def _asked_by(label: str, record: JobRecord) -> bool:
    """Whether the label asked for this job; one that another job took over does not count."""
    passed_on = record.outcome is not None and record.outcome.status in ("joined", "ignored")
    return record.job.trigger.casefold() == label.casefold() and not passed_on
