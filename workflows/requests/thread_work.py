"""What all work on a thread has in common: accepted once, shown in one comment and by labels, never ended unsaid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from workflows.conversation.replies import react
from workflows.git.mirrors import Mirror
from workflows.git.patience import persist
from workflows.outcome import Outcome, Status
from workflows.progress import closing
from workflows.progress.live_check import Everyone, LiveCheck, conclude_broken
from workflows.progress.state_labels import State, labels_for
from workflows.progress.tracking import Progress, Tracking, marker, render_start
from workflows.publishing.publish import Published
from workflows.repository.policy import WRITERS
from workflows.requests.admission import Looked, accept, may_be_trigger, refuse, say
from workflows.requests.asked import Asked
from workflows.requests.job_services import JobServices
from workflows.requests.options import render_applied, with_chosen_model
from workflows.services import BrokenWorld, GitHub, JobCancelled, Run
from workflows.solving.interruptible import leave_when_over
from workflows.solving.solve import Solution
from workflows.types import Issue, Job, Usage

log = structlog.get_logger()

_STATES: dict[Status, State] = {
    "pull_request": "in-review",
    "pushed": "in-review",
    "asked": "needs-info",
    "planned": "needs-info",
    "failed": "blocked",
    "rejected": "blocked",
    "worse": "blocked",
}


@dataclass
class Thread:
    """One accepted request on an issue or pull request. ``solution``, ``published``, ``receipt`` (what it has cost, in
    words), ``spent`` (what sessions before the one at hand have cost) and ``unresolved`` (see Outcome) are set as they
    come about.

    ``check`` shows it on a pull request's head too, once :meth:`show_check` was called. ``quiet``: there alone.
    """

    run: Run
    job: Job
    services: JobServices
    github: GitHub
    tracking: Tracking
    asked: Asked
    issue: Issue
    solution: Solution | None = None
    published: Published | None = None
    receipt: str = ""
    spent: Usage = field(default_factory=Usage)
    unresolved: tuple[str, ...] = ()
    check: LiveCheck | None = None
    quiet: bool = False

    @property
    def progress(self) -> Progress:
        """Who is told how it goes on: the tracking comment, on a pull request also the check run."""
        return self.tracking if self.check is None else Everyone(self.tracking, self.check)

    def spend(self, receipt: str) -> None:
        """Have the last word say what a session has cost, beside what is there to be said already."""
        self.receipt = "\n".join(part for part in (self.receipt, receipt) if part)

    def show_check(self, head_sha: str) -> None:
        """From now on show the running stage as a check run on this commit too; it is concluded with the job."""
        self.check = LiveCheck(self.github, self.job, head_sha=head_sha, scrub=self.services.scrub)

    def settle(self) -> None:
        """Show nothing beside the work any more: what is written next stays."""
        self.tracking.settle()
        if self.check is not None:
            self.check.settle()

    def close(self, text: str) -> None:
        """Say the last word in the tracking comment, and what it has cost where that is known, as a step."""
        whole = f"{text}\n\n{self.receipt}" if self.receipt else text
        self.run.step("close", lambda: self.tracking.close(whole), type(None))

    def end(
        self,
        status: Status,
        reason: str,
        *,
        word: str = "",
        more: str = "",
        seconds: Mapping[str, float] | None = None,
        published: Published | None = None,
    ) -> Outcome:
        """The outcome, said in the tracking comment: ``word`` in bold, the reason, and ``more`` below it.

        All three are ours, or cleaned.
        """
        told = f"**{word}:** {reason}" if word else reason
        self.close("\n\n".join(part for part in (told, more) if part))
        outcome = Outcome(status=status, reason=reason, seconds=dict(seconds or {}))
        if published is None:
            return outcome
        return outcome.model_copy(
            update={
                "pull_request": published.pull_request,
                "url": published.url,
                "branch": published.branch,
                "commit": published.commit,
            }
        )

    def fetch(self, *, pull: int | None = None) -> Mirror:
        """The repository's mirror, brought up to date; with the head of a pull request, a fork's too."""
        mirror = self.services.mirrors.at(self.asked.repository.ref.id)
        url = self.asked.repository.clone_url
        # A fetch that nobody waits for any more does no harm, and the next job has it.
        leave_when_over(
            self.run,
            lambda: persist(
                lambda: mirror.fetch(url, self.github.git_token(), pull=pull), renew=self.github.fetch_repository
            ),
        )
        return mirror

    def mirror(self, *commits: str, pull: int | None = None) -> Mirror:
        """The mirror with these commits in it: fetched again, as by :meth:`fetch`, when another machine began this."""
        mirror = self.services.mirrors.at(self.asked.repository.ref.id)
        return mirror if all(mirror.holds(commit) for commit in commits) else self.fetch(pull=pull)

    def lost_permission(self) -> str:
        """Why the person who asked may not publish any more, read now; empty when they may, or nobody asked."""
        job = self.job
        if not self.asked.decision.allowed or job.actor.type != "User":
            return ""
        permission = self.github.fetch_permission(job.actor.login)
        if permission in WRITERS:
            return ""
        return f"`{job.actor.login}` no longer has write permission ({permission})."

    def show_state(self, state: State | None) -> None:
        """Put the thread's state label on, and take the others off, as a step."""
        if self._labelled:
            self.run.step("label", lambda: self.label(state), type(None))

    def label(self, state: State | None) -> None:
        """The same outside of a step."""
        if self._labelled:
            show_state(self.github, self.job, self.asked, self.services, state)

    @property
    def _labelled(self) -> bool:
        return self.asked.policy.state_labels and not self.quiet


Look = Callable[[GitHub, Job, Asked, JobServices], Outcome | None]
"""What is looked at before a job that an event asked for by itself is acknowledged: its end, when nothing is done."""


def work_on_thread(
    run: Run,
    job: Job,
    services: JobServices,
    carry_out: Callable[[Thread], Outcome],
    *,
    detail: str = "",
    look: Look | None = None,
    silent: bool = False,
) -> Outcome:
    """Carry an accepted request out. Every end is said; only a broken GitHub or a bug leaves by an exception.

    ``detail`` is said beside "Accepted". ``look`` may end what nobody asked for before anything is said; it is one
    step, and what it says itself it must find again. ``silent``: then there is no tracking comment and no label either;
    the check run shows it.
    """
    github = services.github(job.repository)
    with _cancellation_said(github, job, services):
        accepted = _accept(run, github, job, services, look)
        if isinstance(accepted, Outcome):
            return accepted
        quiet = silent and _is_unasked(job)
        comment_id = None if quiet else run.step("acknowledge", lambda: _acknowledge(github, job), int)
    asked, issue = accepted
    tracking = Tracking(github, job, comment_id=comment_id, scrub=services.scrub)
    applied = render_applied(job, asked.policy, services)
    by = f"asked by `{job.actor.login}`{f' with {applied}' if applied else ''}"
    tracking.done("accept", detail or by)
    services = with_chosen_model(services, job)
    thread = Thread(run, job, services, github, tracking, asked, issue, quiet=quiet)
    return _see_through(thread, carry_out)


def _accept(
    run: Run, github: GitHub, job: Job, services: JobServices, look: Look | None
) -> tuple[Asked, Issue] | Outcome:
    """What was asked, with its issue; or the end of what is not carried out, which was said if it had to be."""
    asked = accept(run, github, job, services)
    if isinstance(asked, Outcome):
        return asked
    if not asked.decision.allowed or asked.issue is None:
        return run.step("refuse", lambda: _turn_down(github, job, asked, services), Outcome)
    if look is not None and _is_unasked(job):
        looked = run.step("look", lambda: Looked(ending=look(github, job, asked, services)), Looked)
        if looked.ending is not None:
            return looked.ending
    return asked, asked.issue


def _is_unasked(job: Job) -> bool:
    """Whether it was an event alone that asked, and nobody was told of it."""
    return job.unasked and job.tracking is None


@contextmanager
def _cancellation_said(github: GitHub, job: Job, services: JobServices) -> Iterator[None]:
    """Say that the job was cancelled in its tracking comment, if it has one: it may have been made just before."""
    try:
        yield
    except JobCancelled:
        if job.tracking is not None or _is_acknowledged(github, job):
            say(github, job, services.scrub(closing.render_cancelled(None)))
        raise


def show_state(github: GitHub, job: Job, asked: Asked, services: JobServices, state: State | None) -> None:
    """Put the thread's state label on, and take the others off. What cannot be labelled is logged: it fails no job."""
    try:
        issue = github.fetch_issue(job.number)
        trigger = asked.policy.trigger_label(services.default_label)
        add, remove = labels_for(state, issue.labels if issue else (), trigger=trigger)
        for label in add:
            github.add_label(job.number, label.name, color=label.color, description=label.description)
        for name in remove:
            github.remove_label(job.number, name)
    except BrokenWorld as broken:
        log.warning("state not shown", state=state, reason=broken.message)


def answer_bug(job: Job, message: str, services: JobServices) -> None:
    """Say on the thread, in the tracking comment, that the job broke outside of its own care. Raises BrokenWorld.

    A label that is perhaps not ours is left alone and not answered, unless the job was accepted before it broke; nor is
    what an event asked for by itself.
    """
    github = services.github(job.repository)
    trigger = may_be_trigger(job, services) and (job.trigger or job.command is not None)
    accepted = job.tracking is not None
    if not trigger and not accepted:
        accepted = _is_acknowledged(github, job)
    if not trigger and not accepted:
        return
    say(github, job, services.scrub(closing.render_failure(message, clean=services.clean)))
    if job.on_pull_request:
        conclude_broken(github, job, scrub=services.scrub)
    if trigger and job.trigger:
        github.remove_label(job.number, job.trigger)


def _see_through(thread: Thread, carry_out: Callable[[Thread], Outcome]) -> Outcome:
    """The work with its state shown: by a label, and by the check run if there is one."""
    outcome = None
    with _SettledOnBugs(thread):
        try:
            thread.show_state("working")
            outcome = _carry_out(thread, carry_out).model_copy(update={"unresolved": thread.unresolved})
            ended, check = outcome, thread.check
            if check is not None:
                thread.run.step("conclude", lambda: check.conclude(ended), type(None))
            thread.show_state(_state_of(outcome))
        except JobCancelled:
            _show_cancelled(thread, outcome)
            raise
    return outcome


@dataclass(frozen=True)
class _SettledOnBugs:
    """What breaks inside is answered by others, in the places that live edits write to."""

    thread: Thread

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            self.thread.settle()


def _show_cancelled(thread: Thread, outcome: Outcome | None) -> None:
    """The state of a cancelled job; of one whose last word was said before, that of its ``outcome``."""
    if outcome is None:
        on_pull_request = thread.job.on_pull_request
        thread.tracking.close(closing.render_cancelled(thread.published, on_pull_request=on_pull_request))
    thread.label(None if outcome is None else _state_of(outcome))
    if thread.check is not None:
        thread.check.cancel() if outcome is None else thread.check.conclude(outcome)


def _state_of(outcome: Outcome) -> State | None:
    return "in-review" if outcome.follow_up == "rerun" else _STATES.get(outcome.status)


def _carry_out(thread: Thread, carry_out: Callable[[Thread], Outcome]) -> Outcome:
    try:
        return carry_out(thread)
    except BrokenWorld as broken:
        text = closing.render_failure(broken.message, thread.solution, clean=thread.services.clean)
        thread.run.step("give up", lambda: thread.tracking.close(text), type(None))
        return Outcome(status="failed", reason=broken.message.partition("\n")[0])


def _turn_down(github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome:
    """Refused when it was asked for; or, when it was admitted before, not begun any more, and said in its comment."""
    if job.tracking is None:
        return refuse(github, job, asked, services)
    reason = asked.decision.reasons[0]
    say(github, job, services.scrub(f"**Not started:** {reason}"))
    return Outcome(status="refused", reason=reason)


def _is_acknowledged(github: GitHub, job: Job) -> bool:
    return any(marker(job.id) in comment.body for comment in github.fetch_comments(job.number))


def _acknowledge(github: GitHub, job: Job) -> int:
    if job.tracking is not None:
        return job.tracking
    react(github, job, "eyes")
    comment = github.find_or_create_comment(job.number, marker(job.id), render_start(job.id))
    if job.trigger:
        github.remove_label(job.number, job.trigger)
    return comment
