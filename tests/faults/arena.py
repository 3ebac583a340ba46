"""A world whose Forgehand is killed at planned moments and started again, until each job has ended."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

import docker

from app.localhub.records import CheckRun, Comment, Issue, JournalEntry
from app.localhub.server import read_folder
from sandbox.container import OWNER_LABEL
from tests.faults.moments import DockerWatch, GitHubTrap, Kill, Killer, Plan, WatchedModel, name_of_call
from tests.faults.nursery import Child, Nursery
from tests.stories.world import REPOSITORY, World
from workflows.queue import JobRecord

DEMO = Path(__file__).parent.parent.parent / "app" / "demo"
POLICY = b"setup: mkdir -p made && echo 1 > made/by-setup\ntest: python -m pytest -q\n"
"""Set-up commands, so that a snapshot is made."""
KILLS_A_JOB = 8
"""Below the ten starts after which a job is given up."""


@dataclass(frozen=True)
class Commit:
    """A commit as git stores it."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: str
    committer: str
    message: str


@dataclass(frozen=True)
class Told:
    """All that is left of a job when it has ended."""

    repository: str
    kills: tuple[Kill, ...]
    trail: tuple[str, ...]
    jobs: tuple[JobRecord, ...]
    base: str
    branches: dict[str, str]
    commits: dict[str, Commit]
    pulls: tuple[Issue, ...]
    issue: Issue
    comments: tuple[Comment, ...]
    checks: tuple[CheckRun, ...]
    journal: tuple[JournalEntry, ...]
    calls: tuple[str, ...]
    """The model's calls in their order."""
    containers: tuple[str, ...]
    files: tuple[str, ...]
    """What lies in the data folder and in the temporary folder."""

    def __str__(self) -> str:
        return f"{self.repository}, killed {', '.join(str(kill.moment) for kill in self.kills) or 'never'}"


class Arena(World):
    """The demo's story, in a new repository for every job, so that all jobs must come to the same tree."""

    def __init__(self, folder: Path, *, plan: Plan, nursery: Nursery, engine: docker.DockerClient) -> None:
        folder.mkdir()
        model = WatchedModel(DEMO / "sessions" / "tally.json")
        model.start()
        super().__init__(folder, files={"README.md": "Nothing."}, model=model)
        self.scratch = folder / "tmp"
        self.scratch.mkdir()
        self._nursery = nursery
        self._engine = engine
        self.owner = "forgehand-" + hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        self.killer = Killer(plan, self.kill)
        model.killer = self.killer
        self._calls = model
        self.hub.faults.add(GitHubTrap(self.killer))
        self._docker = DockerWatch(engine, f"{OWNER_LABEL}={self.owner}", self.killer)
        self._count = 0

    def spawn(self, command: str, **settings: str) -> Child:  # type: ignore[override]
        """As the world does, but from the nursery, and with a temporary folder of its own."""
        return self._nursery.start(command, self.environment(TMPDIR=str(self.scratch), **settings), self.log)

    def stop(self) -> None:
        """End everything."""
        self.killer.disarm()
        self._docker.stop()
        super().stop()

    def run(self, *, kills: int = KILLS_A_JOB) -> Told:
        """One job from its label to its end, with that many kills at most."""
        self._count += 1
        name = self.create_repository(
            f"job-{self._count}", {**read_folder(DEMO / "repository"), ".github/qwen.yml": POLICY}
        )
        base = self.hub.branches(name)["main"]
        calls, entries = len(self._calls.requests), len(self.hub.journal)
        self.killer.begin()
        if kills:
            self.killer.arm()
        number = self.ask((DEMO / "issue.md").read_text(), repository=name)
        while self._killed_before_the_end(self._count):
            self._process.wait()
            kills -= 1
            self._restart(armed=kills > 0)
        self.killer.disarm()
        return self._told(name, number, base, entries, calls)

    def _restart(self, *, armed: bool) -> None:
        """Start again. The next kill may come before the server answers: it takes up the job first."""
        self.killer.fired.clear()
        self._process = self.spawn("serve")
        if armed:
            self.killer.arm()
        self.wait_until(lambda: self.killer.fired.is_set() or self._live(), 60, "`forgehand serve` to answer")

    def _killed_before_the_end(self, jobs: int) -> bool:
        def waited() -> bool:
            return self.killer.fired.is_set() or self._ended(jobs)

        self.wait_until(waited, 120, "the next kill, or the job's end")
        return self.killer.fired.is_set()

    def _ended(self, jobs: int) -> bool:
        """Whether so many jobs have ended; looked up without a Queue, which would do some of the server's work."""
        with sqlite3.connect(f"file:{self.data / 'forgehand.sqlite3'}?mode=ro", uri=True, timeout=30) as connection:
            query = "SELECT count(*) FROM workflow_status WHERE status NOT IN ('PENDING', 'ENQUEUED', 'DELAYED')"
            return int(connection.execute(query).fetchone()[0]) >= jobs

    def _told(self, name: str, number: int, base: str, entries: int, calls: int) -> Told:
        branches = self.hub.branches(name)
        listed = self._engine.containers.list(
            all=True, filters={"label": f"{OWNER_LABEL}={self.owner}"}, ignore_removed=True
        )
        path = self.hub.repository(name).path
        return Told(
            repository=name,
            kills=tuple(self.killer.kills),
            trail=tuple(self.killer.trail),
            jobs=tuple(job for job in self.ended(jobs=self._count) if job.job.repository.full_name == name),
            base=base,
            branches=branches,
            commits={branch: read_commit(path, tip) for branch, tip in branches.items()},
            pulls=tuple(self.pull_requests(name)),
            issue=self.hub.issue(name, number),
            comments=tuple(self.hub.comments(name, number)),
            checks=tuple(self.hub.check_runs(name)),
            journal=tuple(self.hub.journal[entries:]),
            calls=tuple(name_of_call(request) for request in self._calls.requests[calls:] if "chat" in request.path),
            containers=tuple(str(container.name) for container in listed),
            files=tuple(_files(self.data) + _files(self.scratch)),
        )


def read_commit(repository: Path, commit: str) -> Commit:
    """A commit of a bare repository, taken apart."""
    command = ["git", "-C", str(repository), "cat-file", "commit", commit]
    text = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    head, _, message = text.partition("\n\n")
    lines = [line.partition(" ")[::2] for line in head.splitlines()]
    fields = dict(lines)
    parents = tuple(value for name, value in lines if name == "parent")
    return Commit(commit, fields["tree"], parents, fields["author"], fields["committer"], message)


def _files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder.parent)) for path in sorted(folder.rglob("*")) if "objects" not in path.parts]


__all__ = ["REPOSITORY", "Arena", "Commit", "Told", "read_commit"]
