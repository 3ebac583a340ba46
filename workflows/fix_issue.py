"""The main job: a labelled issue becomes a verified draft pull request, or an honest comment."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

import structlog

from workflows import closing
from workflows.git import Mirror, Mirrors
from workflows.outbound import clean_outbound
from workflows.outcome import Outcome
from workflows.policy import (
    POLICY_PATH,
    BudgetLimits,
    Policy,
    PolicyError,
    decide,
    effective_budget,
    parse_policy,
    render_policy_errors,
)
from workflows.publish import Published, Publisher
from workflows.services import BrokenWorld, GitHub, JobCancelled, Model, Run
from workflows.solve import Assignment, Solution, solve
from workflows.stages import Stages
from workflows.survey import Survey, survey_repository
from workflows.texts import compose_texts
from workflows.tracking import Tracking, marker, render_start
from workflows.types import Comment, Decision, Issue, Job, Noun, Repository, RepositoryRef
from workflows.workshop import Workshop

log = structlog.get_logger()

NAME = "fix_issue"
PERMISSIONS = {"contents": "write", "issues": "write", "pull_requests": "write", "checks": "write", "metadata": "read"}


@dataclass(frozen=True)
class FixServices:
    """What the workflow works with. ``secrets`` are the values that must never leave, ``hosts``
    those whose links stay alive."""

    github: Callable[[RepositoryRef], GitHub]
    model: Model
    mirrors: Mirrors
    workshop: Workshop
    budget: BudgetLimits
    test_seconds: float
    default_label: str
    secrets: Collection[str]
    hosts: Collection[str]

    def scrub(self, text: str) -> str:
        """``text`` fit to be sent to GitHub: no secret, no live mention, no image, no command."""
        return clean_outbound(text, self.secrets, hosts=self.hosts)


class Asked(Noun):
    """The request as it stood when the job began: read once, so that later edits change nothing."""

    repository: Repository
    issue: Issue | None
    comments: tuple[Comment, ...] = ()
    policy: Policy = Policy()
    policy_errors: tuple[PolicyError, ...] = ()
    decision: Decision


def fix_issue(run: Run, job: Job, services: FixServices) -> Outcome:
    """Run the job to its end. Every end is said on the issue; only a broken GitHub or a bug leaves by an exception."""
    github = services.github(job.repository)
    asked = run.step("accept", lambda: _ask(github, job, services), Asked)
    if not asked.decision.allowed or asked.issue is None:
        return run.step("refuse", lambda: _refuse(github, job, asked), Outcome)
    comment_id = run.step("acknowledge", lambda: _acknowledge(github, job), int)
    tracking = Tracking(github, job_id=job.id, comment_id=comment_id, started=job.created_at, scrub=services.scrub)
    tracking.done("accept", f"asked by `{job.actor.login}`")
    try:
        attempt = _Attempt(run, job, services, github, tracking, asked, asked.issue)
        return attempt.carry_out()
    except BrokenWorld as broken:
        message = broken.message
        run.step("give up", lambda: tracking.close(closing.render_failure(message)), type(None))
        return Outcome(status="failed", reason=message)
    except JobCancelled:
        tracking.close(closing.CANCELLED)
        raise


def answer_bug(job: Job, github: GitHub, message: str) -> None:
    """Say on the issue that we failed ourselves: in the tracking comment. Raises BrokenWorld."""
    text = f"{closing.render_failure(message)}\n\n{marker(job.id)}"
    github.update_comment(github.find_or_create_comment(job.number, marker(job.id), text), text)


@dataclass
class _Attempt:
    """One attempt of an accepted job."""

    run: Run
    job: Job
    services: FixServices
    github: GitHub
    tracking: Tracking
    asked: Asked
    issue: Issue

    def carry_out(self) -> Outcome:
        """From the fetch to the last word."""
        stages = Stages(self.run, self.tracking)
        survey = stages.step("fetch", self._fetch, Survey, lambda found: f"`{found.branch}` at `{found.base[:10]}`")
        assignment = Assignment(
            job=self.job,
            issue=self.issue,
            comments=self.asked.comments,
            policy=self.asked.policy,
            survey=survey,
            mirror=lambda: self._mirror(survey.base),
            workshop=self.services.workshop,
            model=self.services.model,
            budget=effective_budget(self.services.budget, self.asked.policy),
            test_seconds=self.services.test_seconds,
            secrets=self.services.secrets,
        )
        solution = solve(self.run, stages, self.tracking, assignment)
        ending = closing.choose(solution)
        if ending is not None:
            self.run.step("say why", lambda: self._close(ending.text), type(None))
            return Outcome(status=ending.status, reason=ending.reason, seconds=stages.seconds)
        return self._publish(stages, survey, solution)

    def _publish(self, stages: Stages, survey: Survey, solution: Solution) -> Outcome:
        publisher = Publisher(
            job=self.job,
            issue=self.issue,
            policy=self.asked.policy,
            repository=self.asked.repository,
            survey=survey,
            github=self.github,
            mirror=lambda: self._mirror(survey.base),
        )
        model = self.services.model.name
        texts = compose_texts(
            solution,
            job=self.job,
            issue=self.issue,
            survey=survey,
            model=model,
            seconds=sum(stages.seconds.values()),
            secrets=self.services.secrets,
            hosts=self.services.hosts,
        )
        published = stages.step(
            "publish", lambda: publisher.publish(solution, texts), Published, lambda done: done.url or done.reason
        )
        if published.pull_request is None:
            text = closing.render_unpublished(published.reason, solution)
            self.run.step("say why", lambda: self._close(text), type(None))
            return Outcome(status="rejected", reason=published.reason, seconds=stages.seconds)
        text = closing.render_success(published, solution)
        self.run.step("close", lambda: self._close(text), type(None))
        return Outcome(
            status="pull_request",
            reason=solution.verdict.reasons[0],
            pull_request=published.pull_request,
            url=published.url,
            branch=published.branch,
            commit=published.commit,
            seconds=stages.seconds,
        )

    def _close(self, text: str) -> None:
        self.tracking.close(text)

    def _fetch(self) -> Survey:
        repository = self.asked.repository
        mirror = self.services.mirrors.at(repository.ref.id)
        mirror.fetch(repository.clone_url, self.github.git_token())
        base = mirror.resolve(repository.default_branch)
        if base is None:
            raise BrokenWorld(
                "git",
                f"The branch `{repository.default_branch}` has no commit yet. Push a first one, then label again.",
            )
        return survey_repository(mirror, base=base, branch=repository.default_branch, policy=self.asked.policy)

    def _mirror(self, base: str) -> Mirror:
        """The mirror with the base commit in it: fetched again when another machine began this job."""
        mirror = self.services.mirrors.at(self.asked.repository.ref.id)
        if not mirror.holds(base):
            mirror.fetch(self.asked.repository.clone_url, self.github.git_token())
        return mirror


def _ask(github: GitHub, job: Job, services: FixServices) -> Asked:
    repository = github.fetch_repository()
    text = github.fetch_file(POLICY_PATH, repository.default_branch)
    parsed = parse_policy(text)
    policy = parsed if isinstance(parsed, Policy) else Policy()
    issue = github.fetch_issue(job.number)
    decision = decide(
        policy,
        label=job.trigger or None,
        actor=job.actor,
        permission=github.fetch_permission(job.actor.login),
        issue=issue,
        repository=repository,
        default_label=services.default_label,
    )
    errors = () if isinstance(parsed, Policy) else parsed
    if errors and decision.allowed:
        decision = Decision(allowed=False, reasons=(render_policy_errors(errors),))
    comments = _told_before(github.fetch_comments(job.number), job.created_at) if decision.allowed else ()
    return Asked(
        repository=repository,
        issue=issue,
        comments=comments,
        policy=policy,
        policy_errors=errors,
        decision=decision,
    )


def _told_before(comments: list[Comment], moment: datetime) -> tuple[Comment, ...]:
    """People's comments as they stood when the job was asked for; what is newer, or edited since, is left out."""
    return tuple(
        comment
        for comment in comments
        if comment.author.type == "User" and comment.created_at <= moment and comment.updated_at <= moment
    )


def _refuse(github: GitHub, job: Job, asked: Asked) -> Outcome:
    reason = asked.decision.reasons[0]
    if not asked.decision.answer:
        return Outcome(status="ignored", reason=reason)
    # One refusal an actor and thread: the marker names both, a repeated one only brings the text up to date.
    name = f"<!-- forgehand:refusal actor={job.actor.id} -->"
    body = f"{closing.quiet(reason)}\n\n{name}"
    github.update_comment(github.find_or_create_comment(job.number, name, body), body)
    if asked.issue is not None and job.trigger:
        github.remove_label(job.number, job.trigger)
    return Outcome(status="refused", reason=reason)


def _acknowledge(github: GitHub, job: Job) -> int:
    github.react(job.number, "eyes")
    comment = github.find_or_create_comment(job.number, marker(job.id), render_start(job.id))
    if job.trigger:
        github.remove_label(job.number, job.trigger)
    return comment
