"""From a base commit and an issue to a verified patch with its texts: the part of the line that needs no GitHub."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sandbox.container import Sandbox, SandboxSpec, SandboxUnavailable
from workflows.agent.briefing import AgentTask, brief_agent
from workflows.agent.budget import Budget
from workflows.agent.describe import Description, describe, describe_without_model
from workflows.agent.loop import AgentResult, run_agent
from workflows.changelog import ChangelogEntry, plan_changelog
from workflows.git import Identity, Mirror
from workflows.outbound import code_block
from workflows.patch import PatchRules, check_patch, secrets_in
from workflows.plain_text import fit_to_parse
from workflows.policy import BudgetLimits, Policy
from workflows.services import BrokenWorld, Model, Run
from workflows.session import Session, fresh_sandbox
from workflows.stages import Stages
from workflows.stops import say_stop
from workflows.survey import Survey
from workflows.testfiles import only_tests
from workflows.tracking import Progress
from workflows.types import Comment, Finish, Issue, Job, Noun, Patch, StopReason, TestRun, Usage, Verdict
from workflows.verify import compare, needs_second_look, run_tests
from workflows.weakened import find_weakened
from workflows.workshop import SetupReport, Workshop, lazily, snapshot_scope

DIFF_BYTES = 200_000
SHOWN_DIFF = 60_000
_NOBODY = Identity("Forgehand", "forgehand@localhost")


@dataclass(frozen=True)
class Assignment:
    """What is to be solved, and with what. ``mirror`` gives the mirror with the survey's base commit in it.

    ``workshop`` raises BrokenWorld when there is no engine; ``test_seconds`` bounds one run of the tests.
    """

    job: Job
    issue: Issue
    comments: Sequence[Comment]
    policy: Policy
    survey: Survey
    mirror: Callable[[], Mirror]
    workshop: Callable[[], Workshop]
    model: Model
    budget: BudgetLimits
    test_seconds: float
    secrets: Collection[str] = ()


class Described(Noun):
    """The texts and the final patch. ``problems`` say why it may not be published; ``diff`` is cut when long."""

    patch: Patch
    description: Description
    changelog: ChangelogEntry | None = None
    usage: Usage = Usage()
    problems: tuple[str, ...] = ()
    diff: str = ""


class Solution(Noun):
    """What came out of an assignment."""

    described: Described
    verdict: Verdict
    setup: SetupReport
    finish: Finish | None
    stop: StopReason
    stop_detail: str
    turns: int
    usage: Usage
    agent_seconds: float

    @property
    def unfinished(self) -> str:
        """Why the model was stopped before it said that it was done, in half a sentence; empty when it said so."""
        return "" if self.stop == "finished" else say_stop(self.stop, self.stop_detail)


def solve(run: Run, stages: Stages, progress: Progress, assignment: Assignment) -> Solution:
    """Set-up, tests before, the agent, the texts, tests after. Raises BrokenWorld and JobCancelled.

    A patch that breaks the rules is not run again: its problems are the answer.
    """
    bench = _Bench(assignment)
    setup = stages.step("sandbox", bench.prepare, SetupReport, _say_setup)
    before = stages.step("baseline", bench.tests, TestRun | None, say_tests)
    try:
        result = _work(run, bench, progress, before)
    finally:
        bench.session.close()
    stages.note("agent", result.seconds, f"{len(result.turns)} turns")
    patch = result.patch or Patch(base=assignment.survey.base)
    described = stages.step("describe", lambda: bench.describe(patch, result.finish), Described, _say_described)
    verdict = Verdict(status="unverified", reasons=("The change was not run.",), before=before)
    if not described.patch.empty and not described.problems:
        verdict = stages.step("verify", lambda: bench.verify(described.patch, before), Verdict, _say_verdict)
    return Solution(
        described=described,
        verdict=verdict,
        setup=setup,
        finish=result.finish,
        stop=result.stop,
        stop_detail=result.detail,
        turns=len(result.turns),
        usage=result.usage + described.usage,
        agent_seconds=result.seconds,
    )


def _work(run: Run, bench: _Bench, progress: Progress, before: TestRun | None) -> AgentResult:
    limits = bench.assignment.budget
    progress.begin("agent")
    return run_agent(
        run,
        bench.assignment.model,
        workspace=bench.session,
        task=bench.brief(before),
        budget=Budget(turns=limits.turns, tokens=limits.tokens, seconds=limits.seconds, usd=limits.usd),
        run_tests=bench.run_targets if bench.assignment.survey.test_command else None,
        on_turn=progress.turn,
    )


class _Bench:
    """One attempt's containers; each is opened only when a step really runs."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self._setup = SetupReport()
        self._spec = lazily(self._prepare_spec)
        self.session = Session(lambda: assignment.workshop().sandboxes, self._spec, assignment.survey.base)

    def prepare(self) -> SetupReport:
        """Make the image and the snapshot, or find them. Raises BrokenWorld("sandbox"), also when a set-up fails that
        somebody wrote down: the tests would only fail after it. A guessed one may fail.
        """
        self._spec()
        if self._setup.failed and self.assignment.survey.setup.source != "detected":
            raise BrokenWorld(
                "sandbox",
                f"The set-up failed: {self._setup.failed}. Correct it on the default branch.\n\n"
                f"{code_block(self._setup.log_tail[-2000:])}",
            )
        return self._setup

    def tests(self, patch: Patch | None = None) -> TestRun | None:
        """One run of the test command in a container of its own; None when no command is known."""
        survey = self.assignment.survey
        if survey.test_command is None:
            return None
        with fresh_sandbox(self.assignment.workshop().sandboxes, self._spec(), patch) as sandbox:
            return run_tests(sandbox, survey.test_command, runner=survey.runner, timeout=self.assignment.test_seconds)

    def run_targets(self, sandbox: Sandbox, targets: str) -> TestRun:
        """The agent's own test run, in its container."""
        survey = self.assignment.survey
        command = f"{survey.test_command} {targets}".strip()
        return run_tests(sandbox, command, runner=survey.runner, timeout=self.assignment.test_seconds)

    def brief(self, before: TestRun | None) -> AgentTask:
        """The opening messages."""
        given = self.assignment
        known = [f"Before any change: {say_tests(before)}."] if before is not None else []
        return brief_agent(
            given.issue,
            given.comments,
            guidance=given.survey.guidance,
            facts=[*given.survey.notes, *known],
            test_command=given.survey.test_command,
        )

    def describe(self, patch: Patch, finish: Finish | None) -> Described:
        """The rules first; then title, description and changelog entry, and the rules for what they added."""
        given = self.assignment
        plain = describe_without_model(given.issue, finish)
        if patch.empty:
            return Described(patch=patch, description=plain)
        mirror = given.mirror()
        problems = self._problems(mirror, patch)
        if problems:
            return Described(patch=patch, description=plain, problems=problems)
        diff = self._diff(mirror, patch)
        description, usage = describe(given.model, given.issue, diff=diff, finish=finish, verdict=None)
        entry = plan_changelog(
            description.changelog,
            issue=given.issue.number,
            style=given.policy.changelog,
            names=[entry.path for entry in mirror.tree(patch.base)],
            read=lambda path: fit_to_parse(_changed_or(patch, path, mirror)),
            patched=[file.path for file in patch.files],
        )
        whole = _with_file(patch, entry)
        return Described(
            patch=whole,
            description=description,
            changelog=entry,
            usage=usage,
            problems=self._problems(mirror, whole),
            diff=diff[:SHOWN_DIFF],
        )

    def verify(self, patch: Patch, before: TestRun | None) -> Verdict:
        """Tests after, in a fresh container with only the patch; its tests alone on the base; a second look."""
        mirror = self.assignment.mirror()
        found = {file.path: mirror.read_file(patch.base, file.path) for file in patch.files}
        base = {path: content for path, content in found.items() if content is not None}
        weakened = find_weakened(base, patch)
        after = self.tests(patch)
        if after is None:
            reason = "No test command is known, so nothing was run."
            return Verdict(status="no_tests", reasons=(reason,), weakened=weakened)
        tests = only_tests(patch)
        telling = not tests.empty and tests.files != patch.files and not after.timed_out
        red = self.tests(tests) if telling else None
        verdict = compare(before, after, patch=patch, red=red, weakened=weakened)
        if needs_second_look(verdict):
            verdict = compare(before, after, patch=patch, red=red, weakened=weakened, again=self.tests(patch))
        return verdict

    def _prepare_spec(self) -> SandboxSpec:
        given = self.assignment
        workshop = given.workshop()
        try:
            workshop.sandboxes.remove_leftovers(given.job.id)
        except SandboxUnavailable as error:
            raise BrokenWorld("sandbox", str(error)) from error
        spec, self._setup = workshop.prepare(
            job_id=given.job.id,
            repository=snapshot_scope(given.job.repository),
            policy=given.policy,
            mirror=given.mirror(),
            survey=given.survey,
        )
        return spec

    def _problems(self, mirror: Mirror, patch: Patch) -> tuple[str, ...]:
        given = self.assignment
        names = [entry.path for entry in mirror.tree(patch.base)]
        broken = check_patch(patch, PatchRules(protected=given.policy.protected), existing=names)
        leaked = secrets_in(patch, lambda path: mirror.read_file(patch.base, path), known=given.secrets)
        return (*broken, *leaked)

    def _diff(self, mirror: Mirror, patch: Patch) -> str:
        draft = mirror.commit(
            patch,
            base=patch.base,
            message="draft",
            author=_NOBODY,
            committer=_NOBODY,
            date=self.assignment.job.created_at,
        )
        return mirror.diff(patch.base, draft, limit=DIFF_BYTES)


def _changed_or(patch: Patch, path: str, mirror: Mirror) -> bytes | None:
    """A file as it is after the patch."""
    for file in patch.files:
        if file.path == path:
            return file.content
    return mirror.read_file(patch.base, path)


def _with_file(patch: Patch, entry: ChangelogEntry | None) -> Patch:
    if entry is None or entry.file is None:
        return patch
    others = [file for file in patch.files if file.path != entry.file.path]
    return patch.model_copy(update={"files": tuple(sorted([*others, entry.file], key=lambda file: file.path))})


def _say_setup(report: SetupReport) -> str:
    if report.failed:
        return f"the set-up failed: {report.failed}"
    if not report.commands:
        return "no set-up needed"
    return f"{len(report.commands)} set-up commands{' (kept from an earlier job)' if report.cached else ''}"


def _say_described(described: Described) -> str:
    return "no change" if described.patch.empty else f"{len(described.patch.files)} files"


def _say_verdict(verdict: Verdict) -> str:
    return verdict.reasons[0]


def say_tests(run: TestRun | None) -> str:
    """A run in a few words: counts where there are any."""
    if run is None:
        return "no test command is known"
    if run.timed_out:
        return f"`{run.command}` did not end within {run.seconds:.0f} s"
    if run.cases is None:
        return f"`{run.command}` ended with exit code {run.exit_code}"
    passed = sum(case.outcome == "passed" for case in run.cases)
    failed = sum(case.outcome in ("failed", "error") for case in run.cases)
    return f"{passed} passed, {failed} failed"
