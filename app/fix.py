"""`forgehand fix`: one issue now, on a local checkout without any GitHub, or on an issue's URL through the App."""

from __future__ import annotations

import getpass
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from app.composition import Composition
from app.failures import FAILURES, say_failure
from app.logging import configure_logging
from app.settings import Settings, SettingsError
from workflows import fix_issue
from workflows.durable.run import InlineRun
from workflows.git.mirrors import Mirror, Mirrors
from workflows.progress import closing
from workflows.progress.live_edits import SECONDS_BETWEEN_EDITS
from workflows.progress.stages import Stages
from workflows.progress.tracking import TITLES, RunningCommand, StageName
from workflows.publishing.change_texts import Texts, compose_texts
from workflows.publishing.publish import MOST_BRANCHES, commit_solution
from workflows.publishing.pull_request import branch_name
from workflows.repository.policy import POLICY_PATH, Policy, effective_budget, parse_policy, render_policy_errors
from workflows.repository.survey import Survey, survey_repository
from workflows.services import BrokenWorld
from workflows.solving.solve import Assignment, Solution, solve
from workflows.texts.untrusted import show_hidden
from workflows.types import Actor, Issue, Job, RepositoryRef, Turn

_ISSUE_URL = re.compile(r"https?://[^/]+/(?P<name>[^/]+/[^/]+)/issues/(?P<number>\d+)/?")


class TerminalProgress:
    """Progress on a terminal: a line a stage, and a line a turn."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[str] = set()
        self._running = RunningCommand("")
        self._printed = time.monotonic()

    def begin(self, stage: StageName) -> None:
        """Say that a stage starts."""
        self._console.print(f"… {TITLES[stage]}", style="dim")

    def done(self, stage: StageName, detail: str) -> None:
        """Say what came of a stage."""
        self._console.print(f"✔ {TITLES[stage]}: {_one_line(detail)}", markup=False, highlight=False)

    def turn(self, turn: Turn) -> None:
        """Say what the agent did."""
        calls = ", ".join(call.name for call in turn.reply.tool_calls) or "(words)"
        self._console.print(
            f"  turn {turn.number}, {turn.stage}: {_one_line(calls)}", style="dim", markup=False, highlight=False
        )

    def output(self, command: str, text: str) -> None:
        """Say what a long command is at, at most once in SECONDS_BETWEEN_EDITS."""
        self._running = self._running.listen(command, text)
        if time.monotonic() - self._printed >= SECONDS_BETWEEN_EDITS:
            self._printed = time.monotonic()
            said = _one_line(f"{self._running.command}: {self._running.said}")
            self._console.print(f"  running {said}", style="dim", markup=False, highlight=False)

    def note(self, notes: Sequence[str]) -> None:
        """Say what people should know, once."""
        for note in notes:
            if note not in self._told:
                self._told.add(note)
                self._console.print(f"  {_one_line(note)}", style="yellow", markup=False, highlight=False)


def _one_line(text: str) -> str:
    # A terminal obeys control characters, and tools, tests and paths have their names from the model.
    return " ".join(show_hidden(text).split())


@dataclass(frozen=True)
class _Checkout:
    """A local checkout, fetched into a mirror, and what is to be done on it."""

    path: Path
    mirror: Mirror
    survey: Survey
    policy: Policy
    job: Job
    issue: Issue


def fix_local_checkout(settings: Settings, path: Path, *, text: str, base: str | None) -> int:
    """Solve the issue in ``text`` on a checkout; leave a branch there and the pull request's text. The exit code."""
    console = Console(stderr=True)
    composition = Composition(
        settings, say=lambda line: console.print(f"  {_one_line(line)}", style="dim", markup=False)
    )
    configure_logging(style=settings.log_format, level="warning", redactor=composition.redactor)
    try:
        checkout = _read_checkout(composition, _find_checkout(path), text=text, base=base)
        solution, seconds = _solve(composition, console, checkout)
        ending = closing.choose(solution, clean=composition.job_services.clean)
        if ending is not None:
            console.print(_one_line(ending.reason), style="yellow", markup=False)
            print(show_hidden(ending.text))
            return 1
        return _leave(composition, console, checkout, solution, seconds=seconds)
    except FAILURES as error:
        return say_failure(console, error, redact=composition.redactor.redact)
    finally:
        composition.close()


def fix_issue_url(settings: Settings, url: str, *, login: str) -> int:
    """Do for an issue's URL what the label would make the App do, for ``login``. The exit code."""
    console = Console(stderr=True)
    found = _ISSUE_URL.fullmatch(url)
    if found is None or not login:
        wanted = "https://github.com/OWNER/NAME/issues/NUMBER" if found is None else "--as LOGIN, who has write access"
        console.print(f"Name the issue and who asks: {wanted} is missing.", style="red", markup=False)
        return 2
    composition = Composition(
        settings, say=lambda line: console.print(f"  {_one_line(line)}", style="dim", markup=False)
    )
    configure_logging(style=settings.log_format, level="info", redactor=composition.redactor)
    try:
        job = _job_of_url(composition, found["name"], int(found["number"]), login)
        outcome = fix_issue.fix_issue(InlineRun(job.id), job, composition.named_services())
    except FAILURES as error:
        return say_failure(console, error, redact=composition.redactor.redact)
    finally:
        composition.close()
    print(_one_line(outcome.url or outcome.reason))
    return 0 if outcome.status in ("pull_request", "no_change") else 1


def _job_of_url(composition: Composition, full_name: str, number: int, login: str) -> Job:
    reference = composition.github.reference_to(full_name)
    if reference is None:
        raise SettingsError(f"The App is not installed on {full_name}. Install it there first.")
    return Job(
        id=f"cli-{uuid.uuid4()}",
        workflow=fix_issue.NAME,
        repository=reference,
        number=number,
        actor=Actor(id=0, login=login),
        trigger="",
        delivery_id="",
        created_at=datetime.now(UTC),
    )


def _find_checkout(path: Path) -> Path:
    """The folder of the checkout that ``path`` is in, or of a bare repository. Raises SettingsError when in none."""
    start = path.expanduser().resolve()
    for folder in (start, *start.parents) if start.is_dir() else ():
        if (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir()):
            return folder
    raise SettingsError(f"{start} is in no git checkout. Name the folder of one, or run `git init` and commit there.")


def _read_checkout(composition: Composition, path: Path, *, text: str, base: str | None) -> _Checkout:
    title, _, body = text.strip().partition("\n")
    title = title.removeprefix("#").strip()
    if not title:
        raise SettingsError('Say what is to be done: --issue "…" or --issue-file FILE.')
    mirror = Mirrors(composition.mirrors.folder, local_checkouts=True).at(str(path))
    mirror.fetch(str(path))
    branch = base or mirror.remote_head(str(path))
    commit = mirror.resolve(branch) if branch else None
    if branch is None:
        raise SettingsError(f"{path} is on no branch, or holds no commit yet. Name a branch with --base.")
    if commit is None:
        raise SettingsError(f"{path} has no branch {branch}. Name one of its own with --base.")
    policy = parse_policy(mirror.read_file(commit, POLICY_PATH))
    if not isinstance(policy, Policy):
        raise SettingsError(render_policy_errors(policy))
    actor = Actor(id=0, login=re.sub(r"[^A-Za-z0-9-]", "-", getpass.getuser()))
    job = Job(
        id=f"cli-{uuid.uuid4()}",
        workflow="fix_checkout",
        repository=RepositoryRef(installation_id=0, id=0, full_name=str(path)),
        number=0,
        actor=actor,
        trigger="",
        delivery_id="",
        created_at=datetime.now(UTC),
    )
    issue = Issue(
        number=0, title=title, body=body.strip(), author=actor, state="open", labels=(), html_url=path.as_uri()
    )
    survey = survey_repository(mirror, base=commit, branch=branch, policy=policy)
    return _Checkout(path, mirror, survey, policy, job, issue)


def _solve(composition: Composition, console: Console, checkout: _Checkout) -> tuple[Solution, float]:
    progress = TerminalProgress(console)
    run = InlineRun(checkout.job.id)
    assignment = Assignment(
        job=checkout.job,
        issue=checkout.issue,
        comments=(),
        policy=checkout.policy,
        survey=checkout.survey,
        mirror=lambda: checkout.mirror,
        workshop=composition.find_workshop,
        model=composition.model,
        budget=effective_budget(
            composition.settings.budget, checkout.policy, long_turns=composition.settings.budget_long_turns
        ),
        test_seconds=composition.settings.test_seconds,
        secrets=composition.job_services.secrets,
        log=lambda session: composition.trajectories.open(checkout.job.id, session),
        attempts=min(composition.settings.attempts, checkout.policy.attempts or 1),
        model_for=composition.model_for,
        map_cache=composition.data_dir / "maps",
        context_cap=composition.settings.context_cap,
    )
    stages = Stages(run, progress)
    solution = solve(run, stages, progress, assignment)
    return solution, sum(stages.seconds.values())


def _leave(
    composition: Composition, console: Console, checkout: _Checkout, solution: Solution, *, seconds: float
) -> int:
    texts = compose_texts(
        solution,
        job=checkout.job,
        issue=checkout.issue,
        survey=checkout.survey,
        model=composition.model.name,
        seconds=seconds,
        secrets=composition.job_services.secrets,
    )
    branch = _push(checkout, solution, texts)
    folder = composition.settings.data_dir / "fixes"
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / f"{branch.replace('/', '-')}.md"
    text.write_text(f"# {texts.title}\n\n{texts.body}\n", encoding="utf-8")
    console.print(
        f"The change is on the branch {branch}: git -C {checkout.path} diff {checkout.survey.branch}...{branch}"
    )
    console.print(f"The pull request's text is in {text}")
    print(show_hidden(f"# {texts.title}\n\n{texts.body}"))
    return 0


def _push(checkout: _Checkout, solution: Solution, texts: Texts) -> str:
    """Push to the first free name: a branch that is there already is never touched."""
    commit = commit_solution(checkout.mirror, solution, checkout.job, texts.commit_message)
    name = branch_name(checkout.policy.branch_prefix, None, checkout.issue.title)
    reason = ""
    for number in range(1, MOST_BRANCHES + 1):
        branch = name if number == 1 else f"{name}-{number}"
        pushed = checkout.mirror.push(str(checkout.path), commit, branch, create=True)
        if pushed.ok:
            return branch
        reason = pushed.reason
    raise BrokenWorld("git", f"The branch {name} could not be made in {checkout.path}: {reason}.")
