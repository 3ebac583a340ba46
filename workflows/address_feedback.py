"""Follow-up on a pull request: what reviewers ask for becomes one commit on its branch, and every point an answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from workflows.conversation.replies import answer_once
from workflows.feedback.batch import Listeners, render_feedback_task
from workflows.feedback.outcomes import FeedbackOutcome, parse_outcomes, render_outcomes, render_reply
from workflows.feedback.round import NAME, Round, Said, decide_hand_over, gather_round, heard_by, spent_by
from workflows.git.history import net_lines
from workflows.outcome import Outcome
from workflows.progress import closing
from workflows.pulls.pull_work import PullWork, head_now, open_pull_work, read_head
from workflows.repository.policy import WRITERS
from workflows.requests.asked import Asked
from workflows.requests.job_services import JobServices, opened_by_us
from workflows.requests.thread_work import Thread, show_state, work_on_thread
from workflows.requests.wording import render_request
from workflows.resolve_conflicts import resolve_first
from workflows.review.hearing import hear
from workflows.services import BrokenWorld, GitHub, Run
from workflows.solving.solve import Solution
from workflows.texts.outbound import clean_line
from workflows.types import Job, PullRequest

__all__ = ["NAME", "address_feedback"]

log = structlog.get_logger()

_EVER = datetime.max.replace(tzinfo=UTC)


def address_feedback(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end. What no command asked for ends unsaid when there is nothing to address."""
    return work_on_thread(run, job, services, _carry_out, look=_look)


def _look(github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome | None:
    """Why a review starts nothing; None when it starts a round. When the rounds are spent, that is said."""
    head = head_now(github, job, asked)
    if head.pull is None or head.problem:
        return Outcome(status="ignored", reason=head.problem)
    if not opened_by_us(head.pull, services):
        return Outcome(status="ignored", reason="The review is of a pull request that is not ours.")
    if not asked.policy.feedback.auto:
        reason = "The policy has `feedback.auto: false`: a command starts a round."
        return Outcome(status="ignored", reason=reason)
    found = _gather(github, job, asked, services)
    # What people say to each other in the conversation starts nothing by itself.
    if all(item.kind == "comment" for item in found.items):
        return Outcome(status="ignored", reason=_why_nothing(found))
    if not found.hand_over:
        return None
    text = (
        f"**Handed over to people.** {found.hand_over} I make no further round by myself; a comment with "
        f"`{services.spoken.prefix} fix` makes one more."
    )
    answer_once(github, job, services, text, name="handed-over feedback")
    if asked.policy.state_labels:
        show_state(github, job, asked, services, "blocked")
    return Outcome(status="refused", reason=found.hand_over)


def _carry_out(thread: Thread) -> Outcome:
    head = read_head(thread)
    if head.pull is None or head.problem:
        thread.close(f"**Not started:** {head.problem}")
        return Outcome(status="refused", reason=head.problem)
    github, job, asked, services = thread.github, thread.job, thread.asked, thread.services
    found = thread.run.step("gather", lambda: _gather(github, job, asked, services), Round)
    command = job.command
    if not found.items and (command is None or (not command.text.strip() and command.word != "test")):
        why = _why_nothing(found)
        thread.close(f"{why} Say after the command what is to be done.")
        return Outcome(status="answered", reason=why)
    return _Address(thread, resolve_first(thread, head.pull), found).carry_out()


def _gather(github: GitHub, job: Job, asked: Asked, services: JobServices) -> Round:
    """The points of the round, and for a review whether one is made of them; all as it is now."""
    policy, automatic = asked.policy.feedback, job.command is None
    earlier = [one for one in services.jobs.thread(job.repository.id, job.number) if one.job.id != job.id]
    spent = spent_by(earlier)
    said = Said(
        reviews=github.fetch_reviews(job.number),
        comments=github.fetch_review_comments(job.number),
        threads=github.fetch_review_threads(job.number),
        conversation=github.fetch_comments(job.number),
    )
    found = gather_round(
        said,
        listeners=_listeners(github, job, services, said),
        heard=heard_by(earlier),
        job=job,
        critical=automatic and spent.rounds >= policy.critical_after,
    )
    return found.model_copy(update={"hand_over": decide_hand_over(policy, spent) if automatic else ""})


def _listeners(github: GitHub, job: Job, services: JobServices, said: Said) -> Listeners:
    authors = [
        *(one.author for one in said.reviews),
        *(one.author for one in said.comments),
        *(one.author for one in said.conversation),
    ]
    people = sorted({author.login for author in authors if author.type == "User"})
    ours = services.spoken.login
    return Listeners(
        writers=[login for login in people if github.fetch_permission(login) in WRITERS],
        ours=ours,
        # A review asks for all that is there when the work begins; a command for what its author had seen.
        until=_EVER if job.command is None else job.created_at,
        batch=[job.comment.id] if job.comment is not None and job.comment.kind == "review" else [],
        prefixes=(services.spoken.prefix, *([f"@{ours.removesuffix('[bot]')}"] if ours else [])),
    )


def _why_nothing(found: Round) -> str:
    if found.quiet:
        return f"Nothing new to address: in {len(found.quiet)} threads we have answered as often as we will."
    if found.critical:
        return "After so many rounds only requested changes count, and there are none."
    return "There is no open feedback here by people with write permission."


@dataclass(frozen=True)
class _Address:
    """One round of an accepted job."""

    thread: Thread
    pull: PullRequest
    round: Round

    def carry_out(self) -> Outcome:
        """The session, its commit, and an answer to every point."""
        work = open_pull_work(self.thread, self.pull, self._request(), naming=self._name)
        survey = work.survey()
        solution = work.solve(survey)
        if _answers_only(solution):
            return self._answer(work, solution, self._outcomes(solution))
        outcome = work.publish(survey, solution)
        if outcome.status != "pushed":
            return outcome
        # Brought onto what people pushed meanwhile, it has another verdict.
        solution = self.thread.solution or solution
        return self._answer(work, solution, self._outcomes(solution), pushed=outcome)

    def _request(self) -> str:
        job = self.thread.job
        on_line = job.comment is not None and job.comment.kind == "review_comment"
        asked = "" if on_line else render_request(job)
        return "\n\n".join(filter(None, [asked, render_feedback_task(self.round.items) if self.round.items else ""]))

    def _outcomes(self, solution: Solution) -> tuple[FeedbackOutcome, ...]:
        finish = solution.finish
        said = f"{finish.summary}\n{finish.verification}" if finish is not None else ""
        changed = [file.path for file in solution.described.patch.files]
        return parse_outcomes(said, self.round.items, changed=changed)

    def _name(self, solution: Solution) -> str:
        """What the commit says of the points that it deals with."""
        done = {one.item for one in self._outcomes(solution) if one.kind == "done"}
        points = [f"- {item.path or item.kind}, asked by {item.author}" for item in self.round.items if item.id in done]
        return "\n".join(["Addresses the review:", "", *points]) if points else ""

    def _answer(
        self, work: PullWork, solution: Solution, outcomes: tuple[FeedbackOutcome, ...], pushed: Outcome | None = None
    ) -> Outcome:
        """Answer every thread once, resolve what was done, ask for review again, and say the last word."""
        thread = self.thread
        commit = pushed.commit or "" if pushed is not None else ""
        unanswered = thread.run.step("answer", lambda: self._reply(outcomes, commit), int)
        growth = 0
        if pushed is not None:
            growth = thread.run.step("growth", lambda: self._measure(solution, commit), int)
            self._settle_findings(commit)
            thread.run.step("ask again", self._ask_again, type(None))
        thread.close(self._last_word(solution, outcomes, commit=commit, unanswered=unanswered))
        if pushed is None:
            reason = "Every point was answered; no change was needed."
            return Outcome(status="no_change", reason=reason, heard=self.round.heard, seconds=work.stages.seconds)
        return pushed.model_copy(update={"heard": self.round.heard, "growth": growth})

    def _measure(self, solution: Solution, commit: str) -> int:
        """Net lines of the round's commit: of all of it, for the solution's own diff is cut."""
        base = solution.described.patch.base
        return net_lines(self.thread.mirror(base, commit), base, commit)

    def _reply(self, outcomes: tuple[FeedbackOutcome, ...], commit: str) -> int:
        """Answer in the threads; how many could not be answered."""
        services, job, github = self.thread.services, self.thread.job, self.thread.github
        failed = 0
        for item, outcome in zip(self.round.items, outcomes, strict=True):
            if item.kind != "thread":
                continue
            name = f"<!-- forgehand:feedback job={job.id} thread={item.comment.id} -->"
            text = render_reply(outcome, item, commit=commit, secrets=services.secrets, hosts=services.hosts)
            try:
                if item.comment.id not in self.round.quiet:
                    body = f"{services.scrub(text)}\n\n{name}"
                    github.find_or_create_reply(job.number, item.comment.id, name, body)
                if outcome.kind == "done" and item.thread:
                    github.resolve_thread(item.thread)
            except BrokenWorld as broken:
                # Deleted meanwhile, perhaps: the other threads are answered all the same.
                log.warning("thread not answered", thread=item.comment.id, reason=broken.message)
                failed += 1
        return failed

    def _settle_findings(self, commit: str) -> None:
        """Our own findings that this commit fixed are told so. A later review sees to what cannot be done now."""
        thread = self.thread
        try:
            hear(thread, self.pull.model_copy(update={"head_sha": commit}), judging=False)
        except BrokenWorld as broken:
            log.warning("findings not settled", commit=commit, reason=broken.message)

    def _ask_again(self) -> None:
        """Whoever is asked already is not asked twice: a review takes its author off that list."""
        github, number = self.thread.github, self.thread.job.number
        reviewers = dict.fromkeys(item.author for item in self.round.items if item.kind != "comment")
        pull = github.fetch_pull_request(number)
        for login in reviewers:
            if pull is not None and login not in pull.requested_reviewers:
                github.request_review(number, login)

    def _last_word(
        self, solution: Solution, outcomes: tuple[FeedbackOutcome, ...], *, commit: str, unanswered: int
    ) -> str:
        services, published = self.thread.services, self.thread.published
        parts = [_headline(solution, commit, clean=services.clean)]
        if self.round.items:
            parts.append(render_outcomes(outcomes, self.round.items, secrets=services.secrets))
        elif solution.finish is not None:
            parts.append(services.clean(solution.finish.summary).strip())
        if solution.unfinished:
            parts.append(f"**Perhaps not finished:** {clean_line(services.clean(solution.unfinished)).rstrip('.')}.")
        if self.round.left:
            parts.append(f"{self.round.left} more points are left for the next round.")
        if unanswered:
            parts.append(f"{unanswered} threads could not be answered.")
        if published is not None and published.note:
            parts.append(services.clean(published.note))
        return "\n\n".join(part for part in parts if part)


def _headline(solution: Solution, commit: str, *, clean: closing.Clean) -> str:
    if not commit:
        return "**Nothing was changed.** Every point was answered:"
    verdict = solution.verdict
    word = {"verified": "verified", "unverified": "**not verified**", "no_tests": "**not tested**"}[verdict.status]
    return f"Done in {commit}, {word}. {clean(' '.join(verdict.reasons[0].split()))}"


def _answers_only(solution: Solution) -> bool:
    """Whether the session ended as it meant to, without a change."""
    return solution.stop == "finished" and solution.described.patch.empty
