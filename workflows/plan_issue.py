"""A plan for people to approve: made by a session that reads, shown in a comment of its own, carried out later."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.agent.equipment import Reading
from workflows.agent.loop import AgentResult
from workflows.outcome import Outcome
from workflows.plans.estimate import Estimate, estimate
from workflows.plans.plan_comments import StandingPlan, comment_url, find_plans, plan_marker, render_replaced
from workflows.plans.plan_text import (
    PLAN_FORMAT,
    PlanDocument,
    PlanMistake,
    parse_plan_reply,
    render_plan,
    render_plan_comment,
)
from workflows.progress.closing import render_failure
from workflows.progress.stages import Stages
from workflows.progress.tracking import StageName
from workflows.publishing.pull_request import render_usage
from workflows.requests.job_services import JobServices
from workflows.requests.options import granted_budget
from workflows.requests.reading_session import ReadingSession, handed_over
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.services import Run
from workflows.texts.outbound import code_span
from workflows.texts.untrusted import clean_inbound, fence_untrusted
from workflows.types import Job, Noun

NAME = "plan_issue"
SESSION = "plan"
STAGES: dict[StageName, str] = {
    "accept": "Accepted",
    "fetch": "Fetch the repository",
    "sandbox": "Prepare the sandbox",
    "agent": "Read the code and plan",
}
HANDOVER = f"The plan: one JSON object and nothing else, in this form:\n{PLAN_FORMAT}"
TASK = (
    "Make a plan for this issue, so that people can judge it before any work is done. Somebody else will carry it out "
    "exactly: name each step, each file that it touches, the tests that will show that it works, and what could go "
    "wrong. Plan the least that solves the issue at its root. What only the people can decide is a question; what the "
    "code can tell is none. Do not carry it out."
)


def plan_issue(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end. Nothing is pushed: the plan and the tracking comment are all that is written."""
    return work_on_thread(run, job, services, lambda thread: _Plan(thread).carry_out())


class _Before(Noun):
    """The plan that is to be changed, when there is one."""

    plan: StandingPlan | None = None


@dataclass(frozen=True)
class _Plan:
    thread: Thread

    def carry_out(self) -> Outcome:
        """From the fetch to the plan. Raises BrokenWorld and JobCancelled."""
        thread = self.thread
        thread.tracking.follow(STAGES)
        stages = Stages(thread.run, thread.tracking)
        before = thread.run.step("plan before", lambda: _Before(plan=self._standing()), _Before)
        session = ReadingSession(thread, stages, SESSION, self._request(before.plan), Reading(HANDOVER, _objection))
        result = session.carry_out(session.survey())
        text, stopped = handed_over(result)
        plan = parse_plan_reply(text)
        if isinstance(plan, PlanMistake):
            reason = f"There is no plan: {stopped or 'what the model handed over is none'}."
            thread.close(render_failure(reason, clean=thread.services.clean))
            return Outcome(status="failed", reason=reason, seconds=stages.seconds)
        comment = thread.run.step("plan", lambda: self._publish(plan), int)
        url = comment_url(thread.issue.html_url, comment)
        thread.run.step("replace", lambda: self._replace_others(comment, url), type(None))
        thread.close(self._render_end(plan, url, result, seconds=sum(stages.seconds.values())))
        return Outcome(status="planned", reason="The plan waits for its approval.", url=url, seconds=stages.seconds)

    def _standing(self) -> StandingPlan | None:
        plans = self._plans()
        return plans[-1] if plans else None

    def _plans(self) -> list[StandingPlan]:
        thread = self.thread
        return find_plans(thread.github.fetch_comments(thread.job.number), thread.services.spoken.login)

    def _request(self, before: StandingPlan | None) -> str:
        job = self.thread.job
        words = clean_inbound(job.command.text if job.command else "").text.strip()
        parts = [TASK]
        if before is not None:
            told = "There is a plan already. Make a new one from it: what it is not asked to change stays as it is."
            parts += [told, fence_untrusted("plan as it stands", clean_inbound(before.text).text)]
        if words:
            parts += [f"`{job.actor.login}` says:", fence_untrusted(f"words of {job.actor.login}", words)]
        return "\n\n".join(parts)

    def _publish(self, plan: PlanDocument) -> int:
        thread = self.thread
        services, job = thread.services, thread.job
        marker = plan_marker(job.id)
        body = render_plan_comment(
            render_plan(plan, secrets=services.secrets, hosts=services.hosts),
            marker=marker,
            estimate=self._estimate(plan),
            budget=granted_budget(job, thread.asked.policy, services),
            asks=bool(plan.questions),
            prefix=services.spoken.prefix,
        )
        return thread.github.find_or_create_comment(job.number, marker, body)

    def _estimate(self, plan: PlanDocument) -> Estimate:
        past = self.thread.services.trajectories.past(self.thread.job.repository.id)
        paid = [one for one in past if one.usd > 0 and one.turns > 0]
        return estimate(
            steps=len(plan.steps),
            files=len(plan.files),
            tests=len(plan.tests),
            history=past,
            usd_a_turn=sum(one.usd for one in paid) / sum(one.turns for one in paid) if paid else None,
        )

    def _replace_others(self, comment: int, url: str) -> None:
        """Say in the comments of older plans that they are in force no more."""
        for plan in self._plans():
            if plan.comment != comment:
                self.thread.github.update_comment(plan.comment, render_replaced(plan, url))

    def _render_end(self, plan: PlanDocument, url: str, result: AgentResult, *, seconds: float) -> str:
        approve = code_span(f"{self.thread.services.spoken.prefix} approve")
        asks = " It has questions." if plan.questions else ""
        cost = render_usage(result.usage, turns=len(result.turns), seconds=seconds)
        return f"**Planned:** [the plan]({url}) waits for {approve}.{asks}\n\n<sub>{cost}</sub>"


def _objection(text: str) -> str:
    """Why a text is no plan, for the model."""
    plan = parse_plan_reply(text)
    return plan.message if isinstance(plan, PlanMistake) else ""
