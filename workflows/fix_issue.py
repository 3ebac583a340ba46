"""The main job: a labelled issue becomes a verified draft pull request, or an honest comment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workflows.outcome import Outcome
from workflows.progress import closing
from workflows.progress.stages import Stages
from workflows.publishing.change_texts import compose_texts
from workflows.publishing.publish import Published, Publisher
from workflows.repository.survey import Survey, survey_apart, survey_repository
from workflows.requests.going_on import is_answer
from workflows.requests.job_services import JobServices
from workflows.requests.options import granted_attempts, granted_budget, options_of
from workflows.requests.thread_assignment import assign
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.requests.wording import render_request
from workflows.services import BrokenWorld, Run
from workflows.solving.solve import Assignment, Solution, solve
from workflows.texts.outbound import code_span
from workflows.types import Job

NAME = "fix_issue"
PERMISSIONS = {"contents": "write", "issues": "write", "pull_requests": "write", "checks": "write", "metadata": "read"}
OPTIONAL_PERMISSIONS = {"actions": "write"}
"""Used where the installation has granted it: to read the logs of GitHub Actions and run its jobs again."""


def fix_issue(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end. Every end is said on the issue; only a broken GitHub or a bug leaves by an exception."""
    return work_on_thread(run, job, services, lambda thread: _Fix(thread).carry_out())


@dataclass(frozen=True)
class _Fix:
    """One attempt of an accepted job."""

    thread: Thread

    def carry_out(self) -> Outcome:
        """From the fetch to the last word. Raises BrokenWorld and JobCancelled."""
        thread = self.thread
        if is_answer(thread.job) and thread.asked.continued is None:
            thread.close(closing.ANSWERED_BEFORE)
            return Outcome(status="answered", reason="The question was answered before.")
        if thread.job.approval:
            thread.tracking.note((thread.job.approval,))
        stages = Stages(thread.run, thread.tracking)
        survey = stages.step("fetch", self._fetch, Survey, lambda found: f"`{found.branch}` at `{found.base[:10]}`")
        solution = solve(thread.run, stages, thread.tracking, self._assign(survey))
        thread.solution = solution
        thread.receipt = closing.render_receipt(solution, sum(stages.seconds.values()))
        ending = closing.choose(solution, clean=thread.services.clean)
        if ending is not None:
            thread.close(ending.text)
            return Outcome(status=ending.status, reason=ending.reason, seconds=stages.seconds)
        return self._publish(stages, survey, solution)

    def _assign(self, survey: Survey) -> Assignment:
        thread = self.thread
        services, asked, job = thread.services, thread.asked, thread.job
        goes_on = asked.continued
        given = assign(
            thread,
            survey,
            budget=granted_budget(job, asked.policy, services),
            session=job.id if goes_on is None else goes_on.continues,
            request=render_request(job),
            scope=f":branch-{survey.branch}" if survey.branch != asked.repository.default_branch else "",
        )
        # What stopped, or put a question, was one session, and it goes on as that one.
        attempts = 1 if goes_on else granted_attempts(job, asked.policy, services)
        given = replace(given, attempts=attempts, model_for=services.model_for, may_ask=True)
        return given if goes_on is None else replace(given, answer=goes_on.answer, words=goes_on.words)

    def _publish(self, stages: Stages, survey: Survey, solution: Solution) -> Outcome:
        thread = self.thread
        services = thread.services
        publisher = Publisher(
            job=thread.job,
            issue=thread.issue,
            policy=thread.asked.policy,
            repository=thread.asked.repository,
            survey=survey,
            github=thread.github,
            mirror=lambda: thread.mirror(survey.base),
            draft=options_of(thread.job).draft,
            earlier=self._published_before,
        )
        texts = compose_texts(
            solution,
            job=thread.job,
            issue=thread.issue,
            survey=survey,
            model=services.model.name,
            seconds=sum(stages.seconds.values()),
            secrets=services.secrets,
            hosts=services.hosts,
        )

        def publish() -> Published:
            thread.published = publisher.publish(solution, texts)
            return thread.published

        published = stages.step("publish", publish, Published, lambda done: done.url or done.reason)
        if published.pull_request is None:
            thread.close(closing.render_unpublished(published.reason, solution, clean=services.clean))
            return Outcome(status="rejected", reason=published.reason, seconds=stages.seconds)
        thread.close(closing.render_success(published, solution, clean=services.clean))
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
        asked = self.thread.asked
        mirror = self.thread.fetch()
        trusted = asked.repository.default_branch
        branch = options_of(self.thread.job).branch or trusted
        tip = mirror.resolve(branch)
        if tip is None and branch != trusted:
            raise BrokenWorld("git", f"There is no branch {code_span(branch)} here. Name one that is, and ask again.")
        base = asked.continued.base if asked.continued else tip
        if base is None:
            raise BrokenWorld("git", f"The branch `{branch}` has no commit yet. Push a first one, then label again.")
        if branch == trusted:
            return survey_repository(mirror, base=base, branch=branch, policy=asked.policy)
        return survey_apart(mirror, base=base, branch=branch, trusted=trusted, policy=asked.policy)

    def _published_before(self) -> Published | None:
        """What an earlier job of the session that goes on has published, while that is open still."""
        thread = self.thread
        goes_on = thread.asked.continued
        if goes_on is None:
            return None
        for record in reversed(thread.services.jobs.thread(thread.job.repository.id, thread.job.number)):
            done = record.outcome
            if (record.job.continues or record.job.id) != goes_on.continues or done is None:
                continue
            if done.pull_request is not None and done.commit and done.branch:
                pull = thread.github.fetch_pull_request(done.pull_request)
                if pull is None or pull.state == "closed":
                    return None
                return Published(branch=done.branch, commit=done.commit, pull_request=pull.number)
        return None
