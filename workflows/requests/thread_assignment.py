"""What a session on a thread is given, whatever the thread asks for."""

from __future__ import annotations

from workflows.repository.survey import Survey
from workflows.requests.options import options_of
from workflows.requests.thread_work import Thread
from workflows.solving.assignment import Assignment
from workflows.types import Budget


def assign(
    thread: Thread, survey: Survey, *, budget: Budget, session: str, request: str, scope: str, pull: int | None = None
) -> Assignment:
    """The assignment on the survey's base. ``session`` is the job in whose trajectory it is recorded.

    ``scope`` keeps its snapshots apart from those of the default branch; ``pull`` is the pull request whose head the
    base is, where that may be a fork's.
    """
    services, asked = thread.services, thread.asked
    return Assignment(
        job=thread.job,
        issue=thread.issue,
        comments=asked.comments,
        policy=asked.policy,
        survey=survey,
        mirror=lambda: thread.mirror(survey.base, pull=pull),
        workshop=services.workshop,
        model=services.model,
        budget=budget,
        test_seconds=services.test_seconds,
        secrets=services.secrets,
        log=lambda name: services.trajectories.open(session, name),
        request=request,
        options=options_of(thread.job),
        scope=scope,
        map_cache=services.map_cache,
        context_cap=services.context_cap,
    )
