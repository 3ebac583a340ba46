"""A session of the agent that only reads: in a sandbox, with what it hands over as the one thing that is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workflows.agent.equipment import Reading
from workflows.agent.loop import AgentResult, run_agent
from workflows.progress.stages import Stages
from workflows.progress.stops import say_stop
from workflows.repository.policy import effective_budget
from workflows.repository.setup_steps import Setup
from workflows.repository.survey import Survey, survey_repository
from workflows.requests.options import lower_budget, options_of
from workflows.requests.thread_assignment import assign
from workflows.requests.thread_work import Thread
from workflows.services import BrokenWorld
from workflows.solving.assignment import Assignment
from workflows.solving.bench import Bench, say_tests
from workflows.solving.interruptible import interruptible
from workflows.solving.workshop import SetupReport
from workflows.texts.outbound import code_span
from workflows.types import Budget, PullRequest, TestRun

MOST_TURNS = 40
SHARE = 4
"""Reading may use this part of what a change may."""
_NO_SETUP = Setup(why=("Nothing was installed: the code is only read.",))


@dataclass(frozen=True)
class ReadingSession:
    """One session on an issue or pull request. ``request`` is what is asked for, as the agent is told it.

    ``name`` is the session's in the trajectory, one that no session of changes has. ``pull``: its head is read, which
    may be a fork's; else the default branch's tip. Whatever commands change is thrown away with the container.
    ``tests``: what they need is installed, and they can be run; not for a fork's head, whose set-up would reach out.
    ``share``: so many sessions side by side share what one may use.
    """

    thread: Thread
    stages: Stages
    name: str
    request: str
    reading: Reading
    pull: PullRequest | None = None
    tests: bool = False
    share: int = 1

    @property
    def number(self) -> int | None:
        """The number of the pull request that is read."""
        return self.pull.number if self.pull is not None else None

    def survey(self) -> Survey:
        """What is known of the commit that is read. A stage."""
        return self.stages.step("fetch", self._survey, Survey, lambda found: f"`{found.branch}` at `{found.base[:10]}`")

    def prepare(self, survey: Survey) -> TestRun | None:
        """The sandbox, and the tests as they are, where they can be run: two stages. Raises BrokenWorld."""
        bench = self.bench(survey)
        self.stages.step("sandbox", bench.prepare, SetupReport, _say_setup if self.tests else _say_nothing)
        return self.stages.step("baseline", bench.tests, TestRun | None, say_tests) if self.tests else None

    def carry_out(self, survey: Survey, before: TestRun | None = None) -> AgentResult:
        """The session to its end; ``before`` are the tests as they are. Raises BrokenWorld and JobCancelled."""
        if not self.tests:
            self.prepare(survey)
        self.thread.progress.begin("agent")
        result = self.read(survey, before)
        self.stages.note("agent", result.seconds, f"{len(result.turns)} turns")
        return result

    def read(self, survey: Survey, before: TestRun | None = None) -> AgentResult:
        """The session alone, in a sandbox that was prepared; it may run beside others of the same job."""
        thread = self.thread
        assignment = interruptible(self._assign(survey), thread.run, thread.progress.output)
        bench = Bench(assignment)
        session = bench.open_session()
        job = thread.job
        equipment = replace(bench.equip(session, before), reading=self.reading)
        try:
            return run_agent(
                thread.run,
                assignment.model,
                log=assignment.log(self.name),
                equipment=equipment if self.tests else replace(equipment, run_tests=None),
                task=bench.brief(before, reading=True),
                budget=assignment.budget,
                facts={
                    "repository": job.repository.full_name,
                    "repository_id": job.repository.id,
                    "mirror": assignment.mirror().path.name,
                    "number": job.number,
                    "job": job.id,
                },
                on_turn=thread.progress.turn,
            )
        finally:
            session.close()
            bench.close(leave_nothing=thread.run.over.is_set())

    def bench(self, survey: Survey) -> Bench:
        """A bench on the commit that was read, to try something there."""
        return Bench(interruptible(self._assign(survey), self.thread.run, self.thread.progress.output))

    def _survey(self) -> Survey:
        thread, pull = self.thread, self.pull
        mirror = thread.fetch(pull=self.number)
        branch = thread.asked.repository.default_branch
        trusted = mirror.resolve(branch)
        if trusted is None:
            raise BrokenWorld("git", f"The branch `{branch}` has no commit yet. Push a first one, then ask again.")
        policy = thread.asked.policy
        told = survey_repository(mirror, base=trusted, branch=branch, policy=policy)
        told = told.model_copy(update={"setup": _NO_SETUP, "lock_files": {}})
        wanted = options_of(thread.job).branch
        if pull is None and wanted is not None and wanted != branch:
            tip = mirror.resolve(wanted)
            if tip is None:
                raise BrokenWorld("git", f"There is no branch {code_span(wanted)} here. Name one that is.")
            return told.model_copy(update={"base": tip, "branch": wanted, "nested_guidance": ()})
        if pull is None:
            return told
        if not mirror.holds(pull.head_sha):
            raise BrokenWorld("git", f"The branch `{pull.head}` moved just now. Ask again.")
        # A change under work cannot rewrite its own guidance.
        at_head = {"base": pull.head_sha, "branch": pull.head, "nested_guidance": ()}
        if not self.tests:
            return told.model_copy(update=at_head)
        found = survey_repository(mirror, base=pull.head_sha, branch=pull.head, policy=policy)
        return found.model_copy(update={"guidance": told.guidance, "nested_guidance": ()})

    def _assign(self, survey: Survey) -> Assignment:
        return assign(
            self.thread,
            survey,
            budget=self._budget(),
            session=self.thread.job.id,
            request=self.request,
            scope=self._scope(survey),
            pull=self.number,
        )

    def _budget(self) -> Budget:
        services, policy = self.thread.services, self.thread.asked.policy
        whole = lower_budget(
            reading_budget(effective_budget(services.budget, policy, long_turns=0)), options_of(self.thread.job)
        )
        return share_budget(whole, self.share)

    def _scope(self, survey: Survey) -> str:
        if self.pull is not None:
            return f":pull-{self.number}"
        trusted = self.thread.asked.repository.default_branch
        return "" if survey.branch == trusted else f":branch-{survey.branch}"


def _say_nothing(_: SetupReport) -> str:
    return "nothing installed"


def _say_setup(report: SetupReport) -> str:
    return f"the set-up failed: {report.failed}" if report.failed else f"{len(report.commands)} set-up commands"


def reading_budget(change: Budget) -> Budget:
    """What a session that only reads may use, of what one that changes may: a quarter, and at most 40 turns."""
    return Budget(
        turns=max(1, min(MOST_TURNS, change.turns // SHARE)),
        tokens=change.tokens // SHARE,
        seconds=change.seconds / SHARE,
        usd=change.usd / SHARE,
    )


def share_budget(whole: Budget, parts: int) -> Budget:
    """What each of several sessions side by side may use; they all have the same time."""
    return Budget(
        turns=max(1, whole.turns // parts),
        tokens=whole.tokens // parts,
        seconds=whole.seconds,
        usd=whole.usd / parts,
    )


def handed_over(result: AgentResult) -> tuple[str, str]:
    """The text of a session, and why the model was stopped before it handed one over (empty: it did).

    A model that only talks, and calls no tool, has said its answer all the same.
    """
    if result.finish is not None:
        return result.finish.summary.strip(), ""
    last = result.turns[-1].reply.content.strip() if result.stop == "no_tool_calls" and result.turns else ""
    return last, say_stop(result.stop, result.detail)
