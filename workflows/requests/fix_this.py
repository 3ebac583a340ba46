"""“Fix this”, said in answer to a finding of ours: then it is a command, and among people it is none."""

from __future__ import annotations

from workflows.requests.job_services import JobServices
from workflows.review.render import parse_finding_marker
from workflows.services import GitHub
from workflows.types import Job


def fix_or_hear(github: GitHub, job: Job, services: JobServices) -> Job:
    """The work that an answer asks for: the fix of our finding, or only that the answer be heard."""
    comments = {one.id: one for one in github.fetch_review_comments(job.number)}
    said = comments.get(job.comment.id) if job.comment is not None else None
    root = comments.get(said.in_reply_to or 0) if said is not None else None
    ours = services.spoken.login
    if root is None or not ours or root.author.login != ours or not parse_finding_marker(root.body):
        return job.model_copy(update={"command": None, "request": "replies"})
    return job.model_copy(update={"workflow": "address_feedback", "request": f"fix {root.id}"})
