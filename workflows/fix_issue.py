"""The main job: a labelled issue becomes a verified draft pull request, or an honest comment."""

from __future__ import annotations

from dataclasses import dataclass

from workflows import closing
from workflows.job_services import JobServices
from workflows.outcome import Outcome
from workflows.policy import effective_budget
from workflows.publish import Published, Publisher
from workflows.requests import render_request
from workflows.services import BrokenWorld, Run
from workflows.solve import Assignment, Solution, solve
from workflows.stages import Stages
from workflows.survey import Survey, survey_repository
from workflows.texts import compose_texts
from workflows.thread_work import Thread, work_on_thread
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
        stages = Stages(thread.run, thread.tracking)
        survey = stages.step("fetch", self._fetch, Survey, lambda found: f"`{found.branch}` at `{found.base[:10]}`")
        solution = solve(thread.run, stages, thread.tracking, self._assign(survey))
        thread.solution = solution
        ending = closing.choose(solution, clean=thread.services.clean)
        if ending is not None:
            thread.run.step("say why", lambda: thread.tracking.close(ending.text), type(None))
            return Outcome(status=ending.status, reason=ending.reason, seconds=stages.seconds)
        return self._publish(stages, survey, solution)

    def _assign(self, survey: Survey) -> Assignment:
        thread = self.thread
        services, asked, job = thread.services, thread.asked, thread.job
        continues = asked.continues or job.continues
        return Assignment(
            job=job,
            issue=thread.issue,
            comments=asked.comments,
            policy=asked.policy,
            survey=survey,
            mirror=lambda: thread.mirror(survey.base),
            workshop=services.workshop,
            model=services.model,
            budget=effective_budget(services.budget, asked.policy, long_turns=services.long_turns),
            test_seconds=services.test_seconds,
            secrets=services.secrets,
            log=lambda session: services.trajectories.open(continues or job.id, session),
            # A question is put by one session, and its answer goes on with that one.
            attempts=1 if continues else min(services.attempts, asked.policy.attempts),
            model_for=services.model_for,
            answer=asked.answer,
            request=render_request(job),
            may_ask=True,
            map_cache=services.map_cache,
            context_cap=services.context_cap,
        )

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
            text = closing.render_unpublished(published.reason, solution, clean=services.clean)
            thread.run.step("say why", lambda: thread.tracking.close(text), type(None))
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
        branch = asked.repository.default_branch
        base = asked.base or mirror.resolve(branch)
        if base is None:
            raise BrokenWorld("git", f"The branch `{branch}` has no commit yet. Push a first one, then label again.")
        return survey_repository(mirror, base=base, branch=branch, policy=asked.policy)
