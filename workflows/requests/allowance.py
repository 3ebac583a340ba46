"""How much people without write permission may ask for in a day: what a policy opens to them is on its owner's bill."""

from __future__ import annotations

from datetime import timedelta

from workflows.repository.policy import Policy
from workflows.requests.job_services import JobServices
from workflows.types import Actor, Job

DAY = timedelta(days=1)


def say_used_up(job: Job, person: Actor, policy: Policy, services: JobServices) -> str:
    """Why no more is done for somebody without write permission; empty while there is something left.

    What was asked for before this counts, so that what was admitted is carried out. Admissions of several threads at
    the same moment may each take the last place.
    """
    before = [
        one
        for one in services.jobs.asked_by(job.repository.id, person.id, since=job.created_at - DAY)
        if _place(one) < _place(job)
    ]
    if len(before) < policy.readers_a_day:
        return ""
    return (
        f"@{person.login} has no write permission here, and the policy grants such people {policy.readers_a_day} "
        "requests in 24 hours (`readers_a_day`), which are used up. Ask again later, or ask a maintainer to do it."
    )


def _place(job: Job) -> tuple[object, ...]:
    return (job.created_at, len(job.id), job.id)
