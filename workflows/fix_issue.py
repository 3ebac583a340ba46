"""The main job: a labelled issue becomes a verified draft pull request, or an honest comment."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog

from workflows import closing
from workflows.git import Mirror, Mirrors
from workflows.git_patience import persist
from workflows.interruptible import leave_when_over
from workflows.outbound import clean_outbound, clean_words
from workflows.outcome import Outcome
from workflows.policy import (
    POLICY_PATH,
    WRITERS,
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
from workflows.trajectory.log import SessionLog
from workflows.types import Budget, Comment, Decision, Issue, Job, Noun, Repository, RepositoryRef
from workflows.untrusted import clean_inbound, fence_untrusted
from workflows.workshop import Workshop

log = structlog.get_logger()

NAME = "fix_issue"
MAX_COMMENTS = 50
LONGEST_COMMENT = 10_000
PERMISSIONS = {"contents": "write", "issues": "write", "pull_requests": "write", "checks": "write", "metadata": "read"}
OPTIONAL_PERMISSIONS = {"actions": "write"}
"""Used where the installation has granted it: to read the logs of GitHub Actions and run its jobs again."""


@dataclass(frozen=True)
class FixServices:
    """What the workflow works with. ``secrets`` are the values that must never leave, ``hosts`` those whose links stay
    alive. ``attempts`` is the most that a policy may ask for.
    """

    github: Callable[[RepositoryRef], GitHub]
    model: Model
    mirrors: Mirrors
    workshop: Callable[[], Workshop]
    budget: Budget
    test_seconds: float
    default_label: str
    secrets: Collection[str]
    hosts: Collection[str]
    trajectories: Trajectories
    long_turns: int
    attempts: int = 1
    model_for: Callable[[int], Model] | None = None
    map_cache: Path | None = None
    context_cap: int | None = None

    def scrub(self, text: str) -> str:
        """``text`` fit to be sent to GitHub: no secret, no live mention, no image, no command."""
        return clean_outbound(text, self.secrets, hosts=self.hosts)

    def clean(self, text: str) -> str:
        """The same for words of others, before they stand in a text of ours: nothing in them counts as ours."""
        return clean_words(text, self.secrets, hosts=self.hosts)


class Trajectories(Protocol):
    """Where sessions are recorded, and which of them waits for an answer."""

    def open(self, job_id: str, session: str = "agent") -> SessionLog:
        """The log of one session of a job."""

    def waiting(self, repository_id: int, number: int) -> tuple[str, datetime] | None:
        """The job of this issue whose session ended with a question that is open, and when it was put."""


class Asked(Noun):
    """The request as it stood when the job began: read once, so that later edits change nothing.

    ``continues`` is the job whose session goes on with the people's ``answer`` (fenced) to its question, on ``base``.
    """

    repository: Repository
    issue: Issue | None
    comments: tuple[Comment, ...] = ()
    policy: Policy = Policy()
    policy_errors: tuple[PolicyError, ...] = ()
    decision: Decision
    continues: str | None = None
    answer: str = ""
    base: str | None = None


def fix_issue(run: Run, job: Job, services: FixServices) -> Outcome:
    """Run the job to its end. Every end is said on the issue; only a broken GitHub or a bug leaves by an exception."""
    github = services.github(job.repository)
    try:
        asked = run.step("accept", lambda: _ask(github, job, services), Asked)
    except BrokenWorld as broken:
        if _may_be_trigger(job, services):
            raise
        # Another label, as far as anybody knows: silence, as if it had been looked into.
        log.error("label not looked into", label=job.trigger, reason=broken.message)
        return Outcome(status="failed", reason=broken.message)
    if not asked.decision.allowed or asked.issue is None:
        return run.step("refuse", lambda: _refuse(github, job, asked, services), Outcome)
    try:
        comment_id = run.step("acknowledge", lambda: _acknowledge(github, job), int)
    except JobCancelled:
        # Perhaps within the step, so that the comment is there already.
        _say(github, job, services.scrub(closing.render_cancelled(None)))
        raise
    tracking = Tracking(github, job, comment_id=comment_id, scrub=services.scrub)
    tracking.done("accept", f"asked by `{job.actor.login}`")
    attempt = _Attempt(run, job, services, github, tracking, asked, asked.issue)
    try:
        return attempt.carry_out()
    except JobCancelled:
        tracking.close(closing.render_cancelled(attempt.published))
        raise


def answer_bug(job: Job, message: str, services: FixServices) -> None:
    """Say on the issue, in the tracking comment, that the job broke outside of its own care. Raises BrokenWorld.

    A label that is perhaps not ours is left alone and not answered, unless the job was accepted before it broke.
    """
    github = services.github(job.repository)
    trigger = _may_be_trigger(job, services)
    if not trigger and not any(marker(job.id) in comment.body for comment in github.fetch_comments(job.number)):
        return
    _say(github, job, services.scrub(closing.render_failure(message, clean=services.clean)))
    if trigger and job.trigger:
        github.remove_label(job.number, job.trigger)


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
    solution: Solution | None = None
    published: Published | None = None

    def carry_out(self) -> Outcome:
        """From the fetch to the last word, also when the world breaks. Raises JobCancelled."""
        try:
            return self._carry_out()
        except BrokenWorld as broken:
            text = closing.render_failure(broken.message, self.solution, clean=self.services.clean)
            self.run.step("give up", lambda: self.tracking.close(text), type(None))
            return Outcome(status="failed", reason=broken.message.partition("\n")[0])

    def _carry_out(self) -> Outcome:
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
            budget=effective_budget(self.services.budget, self.asked.policy, long_turns=self.services.long_turns),
            test_seconds=self.services.test_seconds,
            secrets=self.services.secrets,
            log=lambda session: self.services.trajectories.open(self.asked.continues or self.job.id, session),
            # A question is put by one session, and its answer goes on with that one.
            attempts=1 if self.asked.continues else min(self.services.attempts, self.asked.policy.attempts),
            model_for=self.services.model_for,
            answer=self.asked.answer,
            may_ask=True,
            map_cache=self.services.map_cache,
            context_cap=self.services.context_cap,
        )
        self.solution = solution = solve(self.run, stages, self.tracking, assignment)
        ending = closing.choose(solution, clean=self.services.clean)
        if ending is not None:
            self.run.step("say why", lambda: self.tracking.close(ending.text), type(None))
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

        def publish() -> Published:
            self.published = publisher.publish(solution, texts)
            return self.published

        published = stages.step("publish", publish, Published, lambda done: done.url or done.reason)
        if published.pull_request is None:
            text = closing.render_unpublished(published.reason, solution, clean=self.services.clean)
            self.run.step("say why", lambda: self.tracking.close(text), type(None))
            return Outcome(status="rejected", reason=published.reason, seconds=stages.seconds)
        text = closing.render_success(published, solution, clean=self.services.clean)
        self.run.step("close", lambda: self.tracking.close(text), type(None))
        return Outcome(
            status="pull_request",
            reason=solution.verdict.reasons[0],
            pull_request=published.pull_request,
            url=published.url,
            branch=published.branch,
            commit=published.commit,
            seconds=stages.seconds,
        )

    def _fetch(self) -> Survey:
        repository = self.asked.repository
        mirror = self.services.mirrors.at(repository.ref.id)
        self._fetch_into(mirror)
        base = self.asked.base or mirror.resolve(repository.default_branch)
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
            self._fetch_into(mirror)
        return mirror

    def _fetch_into(self, mirror: Mirror) -> None:
        url = self.asked.repository.clone_url
        # A fetch that nobody waits for any more does no harm, and the next job has it.
        leave_when_over(
            self.run,
            lambda: persist(lambda: mirror.fetch(url, self.github.git_token()), renew=self.github.fetch_repository),
        )


def _say(github: GitHub, job: Job, text: str) -> None:
    """Make ``text`` the tracking comment, whether it is there already or not."""
    name = marker(job.id)
    body = f"{text}\n\n{name}"
    github.update_comment(github.find_or_create_comment(job.number, name, body), body)


def _may_be_trigger(job: Job, services: FixServices) -> bool:
    """Whether the job was asked for by a command or by the label that works without a policy."""
    return not job.trigger or job.trigger.casefold() == services.default_label.casefold()


def _ask(github: GitHub, job: Job, services: FixServices) -> Asked:
    repository = github.fetch_repository()
    text = github.fetch_file(POLICY_PATH, repository.default_branch)
    parsed = parse_policy(text)
    policy = parsed if isinstance(parsed, Policy) else Policy()
    issue = github.fetch_issue(job.number)
    if issue is not None and job.text is not None:
        issue = issue.model_copy(update={"title": job.text.title, "body": job.text.body})
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
    continued = _continued(github, job, services, comments) if decision.allowed else {}
    return Asked(
        repository=repository,
        issue=issue,
        comments=comments,
        policy=policy,
        policy_errors=errors,
        decision=decision,
        **continued,
    )


def _continued(github: GitHub, job: Job, services: FixServices, comments: Sequence[Comment]) -> dict[str, str]:
    """The session that waits for an answer, when people with write access have said something since its question."""
    waiting = services.trajectories.waiting(job.repository.id, job.number)
    if waiting is None:
        return {}
    job_id, moment = waiting
    moment = moment.replace(microsecond=0)  # GitHub gives times in whole seconds
    writers: dict[str, bool] = {}
    said = []
    for comment in (comment for comment in comments if comment.created_at >= moment):
        login = comment.author.login
        if login not in writers:
            writers[login] = github.fetch_permission(login) in WRITERS
        if writers[login]:
            said.append(fence_untrusted(f"answer by {login}", clean_inbound(comment.body).text))
    opening = next((event for event in services.trajectories.open(job_id).events() if event.kind == "session"), None)
    if not said or opening is None:
        return {}
    return {"continues": job_id, "answer": "\n\n".join(said), "base": str(opening.payload["base"])}


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


def _refuse(github: GitHub, job: Job, asked: Asked, services: FixServices) -> Outcome:
    reason = asked.decision.reasons[0]
    if not asked.decision.answer:
        return Outcome(status="ignored", reason=reason)
    # One refusal an actor and thread: the marker names both, a repeated one only brings the text up to date.
    name = f"<!-- forgehand:refusal actor={job.actor.id} -->"
    body = f"{services.scrub(reason)}\n\n{name}"
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
