"""Work on the branch of a pull request: its head is the base, and what comes of it is one more commit on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from workflows.git.mirrors import Mirror
from workflows.git.patience import persist
from workflows.outcome import Outcome
from workflows.progress import closing
from workflows.progress.stages import Stages
from workflows.publishing.change_texts import Texts, compose_texts
from workflows.publishing.publish import AUTHOR, Published, Shown, conclude, show_check
from workflows.pulls.salvage import MOST_TRIES, Salvaged, salvage
from workflows.repository.survey import Survey, survey_apart
from workflows.requests.asked import Asked
from workflows.requests.job_services import opened_by_us
from workflows.requests.options import granted_budget, left_of
from workflows.requests.thread_assignment import assign
from workflows.requests.thread_work import Thread
from workflows.services import BrokenWorld, GitHub
from workflows.solving.bench import Bench, say_tests
from workflows.solving.interruptible import interruptible
from workflows.solving.solve import Assignment, Solution, solve
from workflows.solving.workshop import SetupReport
from workflows.texts.outbound import code_span
from workflows.types import Job, Noun, Patch, PullRequest, TestRun, Verdict


class Head(Noun):
    """The pull request as it was when the work began; ``problem`` says why nothing can be pushed to it."""

    pull: PullRequest | None = None
    problem: str = ""


def read_head(thread: Thread) -> Head:
    """The pull request now, as a step."""
    return thread.run.step("pull request", lambda: head_now(thread.github, thread.job, thread.asked), Head)


def is_ours(thread: Thread, pull: PullRequest) -> bool:
    """Whether our App opened it."""
    return opened_by_us(pull, thread.services)


def open_pull_work(
    thread: Thread, pull: PullRequest, request: str, *, naming: Callable[[Solution], str] = lambda solution: ""
) -> PullWork:
    """The work on a pull request, its stages shown in the tracking comment and as a check run on its head."""
    thread.show_check(pull.head_sha)
    return PullWork(thread, pull, Stages(thread.run, thread.progress), request, naming)


@dataclass(frozen=True)
class PullWork:
    """One session on a pull request's branch. ``request`` is what is asked for, as the agent is told it.

    ``naming`` says in a paragraph of the commit message what the change answers.
    """

    thread: Thread
    pull: PullRequest
    stages: Stages
    request: str
    naming: Callable[[Solution], str] = lambda solution: ""

    def survey(self) -> Survey:
        """What the head tells about the repository; the guidance is the default branch's. A stage."""
        told = f"`{self.pull.head}` at `{self.pull.head_sha[:10]}`"
        return self.stages.step("fetch", self._survey, Survey, lambda found: told)

    def solve(self, survey: Survey) -> Solution:
        """The session and its proof. Raises BrokenWorld and JobCancelled."""
        thread = self.thread
        going_on = thread.asked.continued
        if going_on is not None and going_on.base != survey.base:
            thread.tracking.note(("The branch moved since that session stopped, so the work began anew.",))
        thread.solution = solve(thread.run, self.stages, thread.progress, self.assign(survey))
        thread.spend(closing.render_receipt(thread.solution, sum(self.stages.seconds.values())))
        return thread.solution

    def publish(self, survey: Survey, solution: Solution) -> Outcome:
        """The commit on the branch, or why there is none; the last word is the caller's when it was pushed."""
        services = self.thread.services
        ending = closing.choose(solution, clean=services.clean)
        if ending is not None:
            self.thread.close(ending.text)
            return Outcome(status=ending.status, reason=ending.reason, seconds=self.stages.seconds)
        texts = self._compose(survey, solution)
        published = self._try(solution, texts)
        if published.reason and published.branch:
            solution, published = self._push_again(survey, solution, texts, published)
            self.thread.solution, self.thread.published = solution, published
        if published.reason:
            self.thread.close(closing.render_unpublished(published.reason, solution, clean=services.clean))
            return Outcome(status="rejected", reason=published.reason, seconds=self.stages.seconds)
        return Outcome(
            status="pushed",
            reason=solution.verdict.reasons[0],
            pull_request=self.pull.number,
            url=self.pull.html_url,
            branch=published.branch,
            commit=published.commit,
            seconds=self.stages.seconds,
        )

    def _try(self, solution: Solution, texts: Texts) -> Published:
        """The push, as a stage."""

        def push() -> Published:
            self.thread.published = self._push(solution, texts)
            return self.thread.published

        return self.stages.step("publish", push, Published, lambda done: done.commit[:10] or done.reason)

    def _push_again(
        self, survey: Survey, solution: Solution, texts: Texts, refused: Published
    ) -> tuple[Solution, Published]:
        """The change brought onto what people pushed meanwhile, proved and pushed there, as often as it takes."""
        published = refused
        for _ in range(MOST_TRIES):
            moved = self.stages.step("salvage", partial(self._salvage, solution, texts), Salvaged, _say_salvaged)
            if moved.patch is None:
                return solution, published.model_copy(update={"reason": moved.problem or published.reason})
            solution = self._prove(solution, moved.patch)
            if solution.verdict.status == "worse":
                told = "Somebody pushed to the branch meanwhile, and on top of that the change makes things worse"
                return solution, Published(branch=self.pull.head, reason=f"{told}: {solution.verdict.reasons[0]}")
            texts = self._compose(survey, solution)
            published = self._try(solution, texts)
            if not published.branch or not published.reason:
                told = "Somebody pushed to the branch meanwhile: the change was merged with that and tested again."
                return solution, published.model_copy(update={"note": f"{told} {published.note}".strip()})
        return solution, published

    def _salvage(self, solution: Solution, texts: Texts) -> Salvaged:
        thread, patch = self.thread, solution.described.patch
        mirror = thread.fetch()
        commit = mirror.commit(
            patch,
            base=patch.base,
            message=texts.commit_message,
            author=AUTHOR,
            committer=AUTHOR,
            date=thread.job.created_at,
        )
        return salvage(mirror, branch=self.pull.head, base=patch.base, commit=commit)

    def _prove(self, solution: Solution, patch: Patch) -> Solution:
        """The same solution with its change as ``patch`` on the branch as it is now, by tests before and after it."""
        thread, stages = self.thread, self.stages
        there = replace(self, pull=self.pull.model_copy(update={"head_sha": patch.base}))
        survey = thread.run.step("survey", there._survey, Survey)
        bench = Bench(interruptible(there.assign(survey), thread.run, thread.progress.output))
        try:
            stages.step("sandbox", bench.prepare, SetupReport, lambda report: "once more")
            before = stages.step("baseline", bench.tests, TestRun | None, say_tests)
            verdict = stages.step(
                "verify", lambda: bench.verify(patch, before), Verdict, lambda found: found.reasons[0]
            )
        finally:
            bench.close(leave_nothing=thread.run.over.is_set())
        described = solution.described.model_copy(update={"patch": patch})
        return solution.model_copy(update={"described": described, "verdict": verdict})

    def _survey(self) -> Survey:
        return survey_pull(self.thread, self.pull, fetch_head(self.thread, self.pull), base=self.pull.head_sha)

    def assign(self, survey: Survey) -> Assignment:
        """What is to be solved on the survey's base."""
        thread = self.thread
        asked, job = thread.asked, thread.job
        going_on = asked.continued if asked.continued and asked.continued.base == survey.base else None
        given = assign(
            thread,
            survey,
            budget=left_of(granted_budget(job, asked.policy, thread.services), thread.spent),
            session=job.id if going_on is None else going_on.continues,
            request=self.request,
            scope=f":pull-{self.pull.number}",
        )
        return given if going_on is None else replace(given, words=going_on.words)

    def _compose(self, survey: Survey, solution: Solution) -> Texts:
        thread = self.thread
        return compose_texts(
            self._named(solution),
            job=thread.job,
            issue=thread.issue.model_copy(update={"number": 0}),
            survey=survey,
            model=thread.services.model.name,
            seconds=sum(self.stages.seconds.values()),
            secrets=thread.services.secrets,
            hosts=thread.services.hosts,
        )

    def _named(self, solution: Solution) -> Solution:
        """The solution whose description says what it answers."""
        described = solution.described
        summary = f"{described.description.summary}\n\n{self.naming(solution)}".strip()
        description = described.description.model_copy(update={"summary": summary})
        return solution.model_copy(update={"described": described.model_copy(update={"description": description})})

    def _push(self, solution: Solution, texts: Texts) -> Published:
        published = push_commit(self.thread, self.pull, solution.described.patch, texts.commit_message)
        if published.reason:
            return published
        shown = Shown(texts.verdict_line, texts.evidence, conclude(solution.verdict))
        return published.model_copy(
            update={"note": show_check(self.thread.github, self.thread.job, published.commit, shown)}
        )


def fetch_head(thread: Thread, pull: PullRequest) -> Mirror:
    """The mirror as it is now, with the pull request's head in it. BrokenWorld when that moved meanwhile."""
    mirror = thread.fetch()
    if not mirror.holds(pull.head_sha):
        raise BrokenWorld("git", f"The branch `{pull.head}` moved just now. Ask again.")
    return mirror


def survey_pull(thread: Thread, pull: PullRequest, mirror: Mirror, *, base: str) -> Survey:
    """What a commit of the pull request tells about the repository; the guidance is the default branch's."""
    trusted = thread.asked.repository.default_branch
    return survey_apart(mirror, base=base, branch=pull.head, trusted=trusted, policy=thread.asked.policy)


def _say_salvaged(found: Salvaged) -> str:
    return found.problem or (f"onto `{found.head[:10]}`" if found.head else "the branch did not move")


def push_commit(thread: Thread, pull: PullRequest, patch: Patch, message: str) -> Published:
    """One commit on top of the head, pushed; a branch that moved meanwhile is left as it is, and ``reason`` says so.

    The patch must have passed its rules.
    """

    def commit(mirror: Mirror) -> str:
        date = thread.job.created_at
        return mirror.commit(patch, base=patch.base, message=message, author=AUTHOR, committer=AUTHOR, date=date)

    return push_made(thread, pull, lambda: thread.mirror(patch.base), commit)


def push_made(
    thread: Thread, pull: PullRequest, open_mirror: Callable[[], Mirror], commit: Callable[[Mirror], str]
) -> Published:
    """Move the branch forward to the commit that ``commit`` makes; the same promises."""
    problem = changed_since(thread, pull)
    if problem:
        return Published(reason=problem)
    mirror = open_mirror()
    made = commit(mirror)
    url = thread.asked.repository.clone_url
    pushed = persist(
        lambda: mirror.push(url, made, pull.head, thread.github.git_token()), renew=thread.github.fetch_repository
    )
    if not pushed.ok:
        return Published(branch=pull.head, reason=f"GitHub refused the push to `{pull.head}`: {pushed.reason}.")
    return Published(branch=pull.head, commit=made, pull_request=pull.number, url=pull.html_url)


def changed_since(thread: Thread, pull: PullRequest) -> str:
    """Why nothing may be published on the pull request any more; empty when all is as it was."""
    lost = thread.lost_permission()
    if lost:
        return lost
    now = thread.github.fetch_pull_request(pull.number)
    if now is None or now.state == "closed":
        return "The pull request was closed meanwhile."
    return ""


def head_now(github: GitHub, job: Job, asked: Asked) -> Head:
    """The pull request now, outside of a step."""
    pull = github.fetch_pull_request(job.number)
    if pull is None:
        return Head(problem="This is not a pull request, or it is gone.")
    if pull.state == "closed":
        return Head(pull=pull, problem="The pull request is closed.")
    if pull.head_repository is None:
        return Head(pull=pull, problem="The fork that this pull request came from is gone.")
    if not pull.comes_from(asked.repository.ref.full_name):
        told = "This pull request comes from a fork, to which nothing can be pushed from here."
        return Head(pull=pull, problem=f"{told} Push its branch to this repository to have it worked on.")
    if pull.head == asked.repository.default_branch:
        told = f"This pull request comes from the default branch, {code_span(pull.head)}, to which nothing is pushed"
        return Head(pull=pull, problem=f"{told} that nobody reviewed. Ask on a pull request into that branch.")
    return Head(pull=pull)
