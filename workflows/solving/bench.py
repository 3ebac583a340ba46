"""A job's work bench: its containers, its test runs, the rules and the texts of its change."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Lock

import structlog

from sandbox.container import Sandbox, SandboxSpec, SandboxUnavailable
from workflows.agent.briefing import AgentTask, brief_agent
from workflows.agent.describe import Description, describe, describe_without_model
from workflows.agent.equipment import Equipment
from workflows.evidence.testfiles import only_tests
from workflows.evidence.verify import compare, needs_second_look, run_tests
from workflows.evidence.weakened import find_weakened
from workflows.git.mirror_commits import Identity
from workflows.git.mirrors import Mirror
from workflows.git.patch import PatchRules, check_patch, secrets_in
from workflows.git.plain_text import fit_to_parse
from workflows.repomap.repo_map import RepoMap, open_repo_map
from workflows.repository.guidance import nearest_guidance, read_guidance
from workflows.repository.policy import ChangelogStyle
from workflows.requests.options import render_paths
from workflows.services import BrokenWorld
from workflows.solving.assignment import Assignment, Described
from workflows.solving.session import Session, fresh_sandbox
from workflows.solving.workshop import SetupReport, lazily, snapshot_scope
from workflows.texts.changelog import ChangelogEntry, plan_changelog
from workflows.texts.outbound import code_block
from workflows.types import Finish, Patch, TestRun, Verdict

log = structlog.get_logger()

DIFF_BYTES = 200_000
SHOWN_DIFF = 60_000
_NOBODY = Identity("Forgehand", "forgehand@localhost")


class Bench:
    """A job's containers, tests and texts; each container is opened only when it is really needed."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self._setup = SetupReport()
        self._spec = lazily(self._prepare_spec)
        self._map: RepoMap | None = None
        self._drawing = Lock()
        self._sessions: list[Session] = []
        self._guidance: dict[str, str | None] = {}

    def open_session(self) -> Session:
        """A workspace of its own for one session; its container is opened when it is needed."""
        session = Session(lambda: self.assignment.workshop().sandboxes, self._spec, self.assignment.survey.base)
        self._sessions.append(session)
        return session

    @property
    def notes(self) -> tuple[str, ...]:
        """What the sessions' containers say of themselves, each sentence once."""
        return tuple(dict.fromkeys(note for session in self._sessions for note in session.notes))

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

    def baseline(self) -> TestRun | None:
        """The tests before any change: on the base, or on the commit with which the change is compared."""
        return self.tests(on=self.assignment.compared_with)

    def tests(self, patch: Patch | None = None, *, on: str = "") -> TestRun | None:
        """One run of the test command in a container of its own; None when no command is known.

        ``on`` is another commit than the base.
        """
        survey = self.assignment.survey
        if survey.test_command is None:
            return None
        spec = replace(self._spec(), commit=on) if on else self._spec()
        with fresh_sandbox(self.assignment.workshop().sandboxes, spec, patch) as sandbox:
            return run_tests(sandbox, survey.test_command, runner=survey.runner, timeout=self.assignment.test_seconds)

    def run_targets(self, sandbox: Sandbox, targets: str) -> TestRun:
        """The agent's own test run, in its container."""
        survey = self.assignment.survey
        command = f"{survey.test_command} {targets}".strip()
        return run_tests(sandbox, command, runner=survey.runner, timeout=self.assignment.test_seconds)

    def brief(self, before: TestRun | None, *, reading: bool = False) -> AgentTask:
        """The opening messages; ``reading``: of a session that changes nothing."""
        given = self.assignment
        when = "On the branch before the merge" if given.compared_with else "Before any change"
        known = [f"{when}: {say_tests(before)}."] if before is not None else []
        return brief_agent(
            given.issue,
            given.comments,
            guidance=given.survey.guidance,
            facts=[*given.survey.notes, *known],
            test_command=given.survey.test_command,
            request="\n\n".join(part for part in (given.request, render_paths(given.options)) if part),
            reading=reading,
        )

    def equip(self, session: Session, before: TestRun | None) -> Equipment:
        """What the agent works with in a session."""
        given = self.assignment
        return Equipment(
            workspace=session,
            base=given.survey.base,
            run_tests=self.run_targets if given.survey.test_command else None,
            baseline=before,
            draw_map=self._draw_map if given.map_cache is not None else None,
            guidance=self._nearer_guidance,
            weakened=self.weakened,
            may_ask=given.may_ask,
            cap=given.context_cap,
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
        entry = self._changelog(mirror, patch, description, given.policy.changelog)
        whole = _with_file(patch, entry)
        if given.options.paths and self._problems(mirror, whole):
            # The entry's file is none of the paths that were asked for.
            entry, whole = self._changelog(mirror, patch, description, "body"), patch
        return Described(
            patch=whole,
            description=description,
            changelog=entry,
            usage=usage,
            problems=self._problems(mirror, whole),
            diff=diff[:SHOWN_DIFF],
        )

    def _changelog(
        self, mirror: Mirror, patch: Patch, description: Description, style: ChangelogStyle
    ) -> ChangelogEntry | None:
        return plan_changelog(
            description.changelog,
            issue=self.assignment.issue.number,
            style=style,
            names=[entry.path for entry in mirror.tree(patch.base)],
            read=lambda path: fit_to_parse(_changed_or(patch, path, mirror)),
            patched=[file.path for file in patch.files],
        )

    def sketch(self, patch: Patch, finish: Finish | None) -> Described:
        """A change that is not finished: shown as it is, without words of a model."""
        plain = describe_without_model(self.assignment.issue, finish)
        diff = "" if patch.empty else self._diff(self.assignment.mirror(), patch)
        return Described(patch=patch, description=plain, diff=diff[:SHOWN_DIFF])

    def verify(self, patch: Patch, before: TestRun | None) -> Verdict:
        """Tests after, in a fresh container with only the patch; its tests alone on the base; a second look."""
        weakened = self.weakened(patch)
        after = self.tests(patch)
        if after is None:
            reason = "No test command is known, so nothing was run."
            return Verdict(status="no_tests", reasons=(reason,), weakened=weakened)
        tests = only_tests(patch)
        compared = self.assignment.compared_with
        # The base of a merge with conflicts is red whatever the tests say.
        telling = not tests.empty and tests.files != patch.files and not after.timed_out and not compared
        red = self.tests(tests) if telling else None
        whole = self._since(compared, patch) if compared else patch
        verdict = compare(before, after, patch=whole, red=red, weakened=weakened)
        if needs_second_look(verdict):
            verdict = compare(before, after, patch=whole, red=red, weakened=weakened, again=self.tests(patch))
        return verdict

    def weakened(self, patch: Patch) -> tuple[str, ...]:
        """What a change took away from the tests."""
        mirror = self.assignment.mirror()
        before = self.assignment.compared_with or patch.base
        found = {file.path: mirror.read_file(before, file.path) for file in patch.files}
        return find_weakened({path: content for path, content in found.items() if content is not None}, patch)

    def close(self, *, leave_nothing: bool = False) -> None:
        """Give up what is open beside the containers; and those too that were left in the middle of something."""
        if leave_nothing:
            with suppress(BrokenWorld, SandboxUnavailable):
                self.assignment.workshop().sandboxes.remove_leftovers(self.assignment.job.id)
        if self._map is not None:
            self._map.close()
            self._map = None

    def _draw_map(self, query: str, focus: Sequence[str], most: int) -> str:
        with self._drawing:
            if self._map is None:
                given = self.assignment
                mirror = given.mirror()
                assert given.map_cache is not None, "the tool is offered with a cache alone"
                cache = given.map_cache / f"{mirror.path.stem}.sqlite3"
                self._map = open_repo_map(mirror, given.survey.base, cache=cache)
        try:
            return self._map.render(query=query, focus=focus, max_tokens=most)
        except BrokenWorld as broken:
            log.warning("no repository map", reason=broken.message)
            return "There is no map now. Use `glob` and `grep`."

    def _nearer_guidance(self, touched: str) -> tuple[str, str] | None:
        survey = self.assignment.survey
        path = nearest_guidance(survey.nested_guidance, touched)
        if path is None:
            return None
        if path not in self._guidance:
            self._guidance[path] = read_guidance(self.assignment.mirror(), survey.base, path)
        text = self._guidance[path]
        return (path, text) if text else None

    def _prepare_spec(self) -> SandboxSpec:
        given = self.assignment
        workshop = given.workshop()
        try:
            workshop.sandboxes.remove_leftovers(given.job.id)
        except SandboxUnavailable as error:
            raise BrokenWorld("sandbox", str(error)) from error
        spec, self._setup = workshop.prepare(
            job_id=given.job.id,
            repository=snapshot_scope(given.job.repository) + given.scope,
            policy=given.policy,
            mirror=given.mirror(),
            survey=given.survey,
        )
        return spec

    def _problems(self, mirror: Mirror, patch: Patch) -> tuple[str, ...]:
        given = self.assignment
        names = [entry.path for entry in mirror.tree(patch.base)]
        broken = check_patch(patch, PatchRules(given.policy.protected, given.options.paths), existing=names)
        leaked = secrets_in(patch, lambda path: mirror.read_file(patch.base, path), known=given.secrets)
        return (*broken, *leaked)

    def _diff(self, mirror: Mirror, patch: Patch) -> str:
        return mirror.diff(patch.base, self._draft(mirror, patch), limit=DIFF_BYTES)

    def _draft(self, mirror: Mirror, patch: Patch) -> str:
        date = self.assignment.job.created_at
        return mirror.commit(patch, base=patch.base, message="draft", author=_NOBODY, committer=_NOBODY, date=date)

    def _since(self, commit: str, patch: Patch) -> Patch:
        """All that is different since ``commit`` once the patch is applied; only the patch where that is too much."""
        mirror = self.assignment.mirror()
        return mirror.changed_between(commit, self._draft(mirror, patch)) or patch


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
