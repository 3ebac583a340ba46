"""What was asked, by whom, and whether it may be done: read from GitHub at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from workflows.repository.policy import (
    POLICY_PATH,
    WRITERS,
    Access,
    Policy,
    PolicyError,
    decide,
    parse_policy,
    render_policy_errors,
)
from workflows.requests.allowance import say_used_up
from workflows.requests.going_on import Continued, find_session
from workflows.requests.job_services import JobServices
from workflows.services import GitHub
from workflows.types import Comment, Decision, Issue, Job, Noun, Repository

AUTOMATIC = frozenset({"fix_checks", "hear_replies", "review_pull"})
OPEN_TO_READERS = frozenset({"answer_question", "review_pull"})
_SAID_AT_ONCE: Mapping[str, Access] = {
    **dict.fromkeys(("", "help", "status", "why"), "answer"),
    **dict.fromkeys(("stop", "config", "doctor"), "control"),
}
MAX_COMMENTS = 50
LONGEST_COMMENT = 10_000


class Asked(Noun):
    """The request as it stood when it was looked at: read once, so that later edits change nothing.

    ``continued`` is the session that goes on, if one does.
    """

    repository: Repository
    issue: Issue | None
    comments: tuple[Comment, ...] = ()
    policy: Policy = Policy()
    policy_errors: tuple[PolicyError, ...] = ()
    decision: Decision
    continued: Continued | None = None

    def shows(self, label: str) -> bool:
        """Whether the issue has this label."""
        return self.issue is not None and label.casefold() in (one.casefold() for one in self.issue.labels)


def access_of(job: Job) -> Access:
    """What the actor must be allowed for this request."""
    if job.unasked and job.workflow in AUTOMATIC:
        return "automatic"
    if job.workflow in OPEN_TO_READERS:
        return "read"
    word = job.command.word if job.command else ""
    return _SAID_AT_ONCE.get(word, "change") if job.workflow == "answer" else "change"


def read_asked(github: GitHub, job: Job, services: JobServices) -> Asked:
    """Read the thread, the policy and the actor's permission as they are now, and decide. Raises BrokenWorld."""
    repository = github.fetch_repository()
    # In full: a tag of the same name is easier to make than a commit on a protected branch.
    text = github.fetch_file(POLICY_PATH, f"refs/heads/{repository.default_branch}")
    parsed = parse_policy(text)
    policy = parsed if isinstance(parsed, Policy) else Policy()
    issue = github.fetch_issue(job.number)
    if issue is not None and job.text is not None:
        issue = issue.model_copy(update={"title": job.text.title, "body": job.text.body})
    access, permission = access_of(job), github.fetch_permission(job.actor.login)
    decision = decide(
        policy,
        access=access,
        word=job.command.word if job.command else "review" if job.workflow == "review_pull" else "",
        on_pull_request=job.on_pull_request,
        label=job.trigger or None,
        actor=job.actor,
        permission=permission,
        issue=issue,
        repository=repository,
        default_label=services.default_label,
    )
    used_up = decision.allowed and access == "read" and permission not in WRITERS
    if used_up and (reason := say_used_up(job, job.actor, policy, services)):
        decision = Decision(allowed=False, reasons=(reason,))
    errors = () if isinstance(parsed, Policy) else parsed
    if errors and decision.allowed and access not in ("answer", "control"):
        decision = Decision(allowed=False, reasons=(render_policy_errors(errors),))
    comments = _told_before(github.fetch_comments(job.number), job.created_at) if decision.allowed else ()
    found = find_session(github, job, services, comments) if decision.allowed and job.workflow != "answer" else None
    return Asked(
        repository=repository,
        issue=issue,
        comments=comments,
        policy=policy,
        policy_errors=errors,
        decision=decision,
        continued=found,
    )


def _told_before(comments: list[Comment], moment: datetime) -> tuple[Comment, ...]:
    """People's comments as they stood when the job was asked for; what is newer, or edited since, is left out.

    The last 50 of them, each cut to 10,000 characters: they stand in a checkpoint.
    """
    told = [
        comment
        for comment in comments
        if comment.author.type == "User" and comment.created_at <= moment and comment.updated_at <= moment
    ]
    return tuple(
        comment.model_copy(update={"body": comment.body[:LONGEST_COMMENT]}) for comment in told[-MAX_COMMENTS:]
    )
