"""One stateful fake for each outside thing that a test does not want for real."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, Literal, TypeVar

from sandbox.container import ChangeTooLarge, ExecResult, FileChange, Sandbox, SandboxUnavailable, ToolAnswer
from workflows.durable.job_records import JobRecord
from workflows.durable.run import InlineRun
from workflows.requests.job_services import NoJobs
from workflows.services import BrokenWorld, Conclusion, JobCancelled, Permission, Reaction
from workflows.trajectory.events import Entry
from workflows.trajectory.log import MemoryLog
from workflows.types import (
    Actor,
    Comment,
    CommentRef,
    Issue,
    Job,
    LabelAct,
    Patch,
    PatchFile,
    PullRequest,
    Repository,
    RepositoryRef,
    Review,
    TestRun,
)

T = TypeVar("T")


class Crash(BaseException):
    """The process dies here: nothing catches it."""


class CrashingLog(MemoryLog):
    """A session's log that outlives its process, which dies at the ``crash_at``-th act of storing (from 1).

    ``stored`` says whether that act still reached the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self.acts = 0
        self.crash_at: int | None = None
        self.stored = True

    def append(self, entries: Sequence[Entry]) -> None:
        self.acts += 1
        if self.acts == self.crash_at and not self.stored:
            raise Crash
        super().append([Entry.model_validate_json(entry.model_dump_json()) for entry in entries])
        if self.acts == self.crash_at:
            raise Crash


class OneThread:
    """A GitHub of one repository with one thread, #7: its state, labels, comments and reactions.

    It holds one edit of a comment or a check run back when it is told to.
    """

    def __init__(self, *, policy: str = "", permission: Permission = "write", closed: bool = False) -> None:
        self.policy = policy
        self.permission = permission
        self.closed = closed
        self.labels: set[str] = set()
        self.label_acts: list[LabelAct] = []
        self.comments: dict[int, str] = {}
        self.reactions: list[object] = []
        self.checks: dict[str, tuple[str, Conclusion | None]] = {}
        self.edits: list[str] = []
        self.asked, self.let = Event(), Event()
        self._made = 0
        self._holds = False
        self._broken: Exception | None = None

    def fetch_repository(self) -> Repository:
        ref = RepositoryRef(installation_id=1, id=11, full_name="octo/hello")
        return Repository(ref=ref, default_branch="main", clone_url="", html_url="", private=True)

    def fetch_file(self, path: str, ref: str) -> bytes | None:
        return self.policy.encode() or None

    def fetch_reviews(self, number: int) -> list[Review]:
        return []

    def fetch_permission(self, login: str) -> Permission:
        return self.permission

    def fetch_issue(self, number: int) -> Issue | None:
        state: Literal["open", "closed"] = "closed" if self.closed else "open"
        author = Actor(id=5, login="mona")
        return Issue(
            number=7, title="", body="", author=author, state=state, labels=tuple(sorted(self.labels)), html_url=""
        )

    def fetch_pull_request(self, number: int) -> PullRequest | None:
        return PullRequest(
            number=7,
            title="",
            body="",
            head="topic",
            base="main",
            head_sha="a" * 40,
            draft=False,
            state="closed" if self.closed else "open",
            html_url="",
            author=Actor(id=5, login="mona"),
            head_repository="octo/hello",
        )

    def fetch_comments(self, number: int) -> list[Comment]:
        us, now = Actor(id=9, login="forgehand[bot]", type="Bot"), datetime.now(UTC)
        return [
            Comment(id=number, author=us, body=body, created_at=now, updated_at=now)
            for number, body in self.comments.items()
        ]

    def react(self, number: int, reaction: Reaction) -> None:
        self.reactions.append(number)

    def react_to_comment(self, comment: CommentRef, number: int, reaction: Reaction) -> None:
        self.reactions.append(comment.id)

    def add_label(self, number: int, label: str, *, color: str, description: str) -> None:
        self.labels.add(label)

    def remove_label(self, number: int, label: str) -> None:
        self.labels.discard(label)

    def fetch_label_acts(self, number: int) -> list[LabelAct]:
        return self.label_acts

    def find_or_create_comment(self, number: int, marker: str, body: str) -> int:
        found = next((number for number, said in self.comments.items() if marker in said), None)
        if found is None:
            self._made += 1
            found = self._made
            self.comments[found] = body
        return found

    def hold(self, broken: Exception | None = None) -> None:
        """Hold the next edit back until ``let`` is set, then raise ``broken``; ``asked`` is set when it comes."""
        self._holds, self._broken = True, broken

    def update_comment(self, comment_id: int, body: str) -> None:
        self._hear(body)
        if comment_id not in self.comments:
            raise BrokenWorld("github", "The comment was deleted.")
        self.comments[comment_id] = body

    def update_comment_if(self, comment_id: int, body: str, *, holds: Callable[[str], bool]) -> None:
        if holds(self.comments.get(comment_id, "")):
            self.update_comment(comment_id, body)

    def find_or_create_check_run(
        self, *, head_sha: str, name: str, external_id: str, title: str, summary: str, conclusion: Conclusion | None
    ) -> None:
        self._hear(title)
        self.checks[external_id] = (title, conclusion)

    def _hear(self, edit: str) -> None:
        self.edits.append(edit)
        if self._holds:
            self._holds = False
            self.asked.set()
            assert self.let.wait(20)
            if self._broken is not None:
                raise self._broken


class CancelledAt(InlineRun):
    """A run whose job is cancelled in the step of this name, ``after`` it did what it does or before."""

    def __init__(self, name: str, *, after: bool = False, nth: int = 1) -> None:
        super().__init__("gh-1")
        self._name = name
        self._after = after
        self._left = nth

    def step(self, name: str, function: Callable[[], T], returns: type[T]) -> T:
        self._left -= name == self._name
        if name != self._name or self._left:
            return super().step(name, function, returns)
        if self._after:
            function()
        raise JobCancelled("The job was cancelled.")


class KnownJobs(NoJobs):
    """The jobs on record, as a test says they are, and the ids of those that were cancelled."""

    def __init__(self, *records: JobRecord) -> None:
        self.records = list(records)
        self.cancelled: list[str] = []

    def job(self, job_id: str) -> JobRecord | None:
        return next((record for record in self.records if record.job.id == job_id), None)

    def asked_by(self, repository_id: int, actor_id: int, *, since: datetime) -> list[Job]:
        jobs = [record.job for record in self.records if record.job.created_at >= since]
        return [job for job in jobs if (job.repository.id, job.actor.id) == (repository_id, actor_id)]

    def cancel(self, job_id: str) -> bool:
        self.cancelled.append(job_id)
        return True

    def thread(self, repository_id: int, number: int) -> list[JobRecord]:
        return self.records


class FolderSandbox:
    """A Sandbox over a temporary folder: real files and real bash. ``breaks`` counts down to a failure."""

    def __init__(self, base: Path, folder: Path) -> None:
        self._base = base
        self.folder = folder
        self.commands: list[str] = []
        self.breaks: int | None = None
        self._carried = f"cd {shlex.quote(str(folder))}"
        shutil.copytree(base, folder)

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def notes(self) -> Sequence[str]:
        return ()

    def execute(
        self,
        command: str,
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        carry: bool = False,
        output_limit: int = 30_000,
        on_output: Callable[[str], None] | None = None,
        cancelled: Event | None = None,
    ) -> ExecResult:
        self._count_down()
        self.commands.append(command)
        state = self.folder.with_suffix(".state")
        after = f'\n__code=$?; {{ echo cd $(printf %q "$PWD"); export -p; }} > {state}; exit $__code' if carry else ""
        script = f"{self._carried if carry else f'cd {self.folder}'}\n{command}{after}"
        started = time.monotonic()
        try:
            done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            out = (error.stdout or b"").decode(errors="replace")
            return ExecResult(None, out, False, True, False, time.monotonic() - started)
        if carry and state.exists():
            self._carried = state.read_text()
        out = (done.stdout + done.stderr).decode(errors="replace")
        if on_output is not None and out:
            on_output(out)
        return ExecResult(done.returncode, out[:output_limit], False, False, False, time.monotonic() - started)

    def tool(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        self._count_down()
        try:
            return ToolAnswer(True, getattr(self, f"_{name}")(**arguments))
        except (OSError, ValueError) as error:
            return ToolAnswer(False, str(error).replace(str(self.folder), ""))

    def _read_file(self, path: str, offset: int = 1, limit: int = 2000) -> str:
        lines = (self.folder / path).read_text().splitlines()[offset - 1 :][:limit]
        return "\n".join(f"{number}\t{line}" for number, line in enumerate(lines, offset))

    def _glob(self, pattern: str, path: str = ".") -> str:
        found = (self.folder / path).glob(pattern)
        return "\n".join(sorted(str(file.relative_to(self.folder)) for file in found if file.is_file()))

    def _grep(self, pattern: str, path: str = ".", glob: str = "**/*", limit: int = 100) -> str:
        files = sorted(file for file in (self.folder / path).glob(glob) if file.is_file())
        lines = [
            f"{file.relative_to(self.folder)}:{number}:{line}"
            for file in files
            for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
            if re.search(pattern, line)
        ]
        return "\n".join(lines[:limit]) or "no match"

    def _write_file(self, path: str, content: str) -> str:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return f"wrote {path}"

    def _edit(self, path: str, old_string: str, new_string: str, replace_all: bool = False) -> str:
        file = self.folder / path
        text = file.read_text()
        if text.count(old_string) != 1 and not (replace_all and old_string in text):
            raise ValueError(f"old_string occurs {text.count(old_string)} times in {path}")
        file.write_text(text.replace(old_string, new_string))
        return f"edited {path}"

    def read_bytes(self, path: str, *, limit: int) -> bytes | None:
        file = self.folder / path
        return file.read_bytes() if file.is_file() and file.stat().st_size <= limit else None

    def export_changes(self, *, max_files: int, max_bytes: int) -> list[FileChange]:
        before, after = _tree(self._base), _tree(self.folder)
        changed = [path for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]
        if len(changed) > max_files:
            raise ChangeTooLarge(f"{len(changed)} files, at most {max_files}.")
        return [FileChange(path, "100644" if path in after else None, after.get(path)) for path in changed]

    def apply_changes(self, changes: Sequence[FileChange]) -> None:
        for change in changes:
            file = self.folder / change.path
            if change.content is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(change.content)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _count_down(self) -> None:
        if self.breaks is not None:
            self.breaks -= 1
            if self.breaks < 0:
                raise SandboxUnavailable("The container is gone.")


class SlowSandboxes:
    """Opens a sandbox, or searches and exports in one, only when it is let."""

    def __init__(self, folder: Path, *, slow: str) -> None:
        (folder / "base").mkdir()
        self.sandbox = FolderSandbox(folder / "base", folder / "container")
        self.slow, self.began, self.let = slow, Event(), Event()
        for act in ("tool", "export_changes", "apply_changes"):
            setattr(self.sandbox, act, self._slowly(act, getattr(self.sandbox, act)))
        self.open = self._slowly("open", lambda spec: self.sandbox)

    def remove_leftovers(self, job_id: str | None = None) -> int:
        return 0

    def _slowly(self, act: str, work: Any) -> Any:
        def slow(*arguments: Any, **named: Any) -> Any:
            if act == self.slow:
                self.began.set()
                self.let.wait(10)
            return work(*arguments, **named)

        return slow


class FolderWorkspace:
    """A Workspace over FolderSandboxes in ``room``, each a copy of ``base`` with the restored patch."""

    def __init__(self, base: Path, room: Path, *, max_files: int = 100) -> None:
        self._base = base
        self._room = room
        self._max_files = max_files
        self._patch: Patch | None = None
        self._open: FolderSandbox | None = None
        self.opened: list[FolderSandbox] = []
        self.breaks: list[int | None] = []

    def open_ahead(self) -> None:
        self.sandbox()

    def sandbox(self) -> FolderSandbox:
        if self._open is None:
            self._open = FolderSandbox(self._base, self._room / f"container-{len(list(self._room.iterdir()))}")
            self._open.apply_changes(
                [FileChange(file.path, file.mode, file.content) for file in (self._patch.files if self._patch else ())]
            )
            self._open.breaks = self.breaks.pop(0) if self.breaks else None
            self.opened.append(self._open)
        return self._open

    def export(self) -> Patch:
        changes = self.sandbox().export_changes(max_files=self._max_files, max_bytes=1_000_000)
        return to_patch(changes)

    def restore(self, patch: Patch | None, seen_files: Sequence[str] = ()) -> None:
        self._open = None
        self._patch = patch
        self.seen_files = tuple(seen_files)


def to_patch(changes: Sequence[FileChange]) -> Patch:
    """The changes as a patch on the commit ``base``."""
    return Patch(
        base="base",
        files=tuple(
            PatchFile(path=c.path, mode=c.mode, content=None if c.content is None else b64encode(c.content))
            for c in changes
        ),
    )


def run_unittest(sandbox: Sandbox, targets: str) -> TestRun:
    """The RunTests of a session on a Python repository with unittest tests; no report, the exit code alone."""
    command = f"{sys.executable} -B -m unittest -q {targets}".strip()
    done = sandbox.execute(command, timeout=60, environment=None)
    return TestRun(command=command, exit_code=done.exit_code, seconds=done.seconds, log_tail=done.output)


def _tree(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
