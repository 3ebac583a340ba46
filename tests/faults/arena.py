"""A world whose Forgehand is killed at planned moments and started again, until each job has ended."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import docker
import sqlalchemy as sa

from app.localhub.records import CheckRun, Comment, Issue, JournalEntry
from app.localhub.server import read_folder
from sandbox.container import OWNER_LABEL
from tests.faults.moments import DockerWatch, GitHubTrap, Kill, Killer, Plan, WatchedModel
from tests.faults.nursery import Child, Nursery
from tests.stories.world import START_SECONDS, World
from workflows.durable.database import open_engine
from workflows.durable.job_rows import WORKFLOW
from workflows.durable.queue import JobRecord, Queue

DEMO = Path(__file__).parent.parent.parent / "app" / "demo"
POLICY = b"setup: mkdir -p made && echo 1 > made/by-setup\ntest: python -m pytest -q\n"
"""Set-up commands, so that a snapshot is made."""
PATIENCE = 300.0
"""Seconds for a job, or what is left of it after a kill: at a load of 16 on two cores one took 100."""
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
    containers: tuple[str, ...]
    files: tuple[str, ...]
    """What lies in the data folder and in the temporary folder."""

    def __str__(self) -> str:
        return f"{self.repository}, killed {', '.join(str(kill.moment) for kill in self.kills) or 'never'}"


@dataclass(frozen=True)
class Begun:
    """A job that was asked for; ``entries`` is how many the journal had before it."""

    repository: str
    number: int
    base: str
    entries: int


class Arena(World):
    """The demo's story, in a new repository for every job, so that all jobs must come to the same tree."""

    def __init__(
        self,
        folder: Path,
        *,
        plan: Plan,
        nursery: Nursery,
        engine: docker.DockerClient,
        strike: Callable[[Arena], bool] | None = None,
        database: str = "",
    ) -> None:
        """``strike`` is done at the plan's moments instead of kill -9; see :class:`Killer` for what it returns."""
        folder.mkdir()
        model = WatchedModel(DEMO / "sessions" / "tally.json")
        model.start()
        super().__init__(folder, files={"README.md": "Nothing."}, model=model)
        self.scratch = folder / "tmp"
        self.scratch.mkdir()
        self._nursery = nursery
        self._engine = engine
        self.owner = "forgehand-" + hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        self.database = database or f"sqlite:///{self.data / 'forgehand.sqlite3'}"
        self.killer = Killer(plan, lambda: (strike or _kill)(self))
        model.killer = self.killer
        self.hub.faults.add(GitHubTrap(self.killer))
        self._docker = DockerWatch(engine, f"{OWNER_LABEL}={self.owner}", self.killer)
        self._rows = open_engine(self.database, wait_seconds=30, connections=2)
        self._count = 0

    def on_start(self) -> None:
        """Called whenever the next kill may come."""

    def spawn(self, command: str, **settings: str) -> Child:  # type: ignore[override]
        """As the world does, but from the nursery."""
        return self._nursery.start(command, self.environment(**settings), self.log)

    def environment(self, **settings: str) -> dict[str, str]:
        """As the world's, with this arena's database and temporary folder."""
        return super().environment(**{"TMPDIR": str(self.scratch), "DATABASE_URL": self.database, **settings})

    @property
    def process(self) -> Child:
        """The server that runs now, or ran last."""
        assert isinstance(self._process, Child)
        return self._process

    def containers_left(self) -> list[str]:
        """The containers of this arena's jobs that are there now."""
        ours: dict[str, str | list[str] | bool] = {"label": f"{OWNER_LABEL}={self.owner}"}
        found = self._engine.containers.list(all=True, filters=ours, ignore_removed=True)
        return [str(container.name) for container in found]

    def stop(self) -> None:
        """End everything."""
        self.killer.disarm()
        self._docker.stop()
        super().stop()
        self._rows.dispose()

    def run(self, *, kills: int = KILLS_A_JOB) -> Told:
        """One job from its label to its end, with that many kills at most."""
        begun = self.begin(kills=kills)
        while self._killed_before_the_end():
            self.process.wait()
            kills -= 1
            self._restart(armed=kills > 0)
        return self.end(begun)

    def begin(self, *, kills: int) -> Begun:
        """Ask for a job, in a repository of its own."""
        self._count += 1
        # Never met before: a snapshot that an earlier run left on the engine would spare this job its set-up.
        files = {**read_folder(DEMO / "repository"), ".github/qwen.yml": POLICY}
        name = self.create_repository(f"job-{self._count}-{token_hex(3)}", files)
        entries = len(self.hub.journal)
        self.killer.begin()
        if kills:
            self.killer.arm()
            self.on_start()
        base = self.hub.branches(name)["main"]
        return Begun(name, self.ask((DEMO / "issue.md").read_text(), repository=name), base, entries)

    def end(self, begun: Begun) -> Told:
        """What came of a job, once it has ended."""
        self.wait_until(self.has_ended, PATIENCE, "the job's end")
        self.killer.disarm()
        return self._told(begun)

    def _restart(self, *, armed: bool) -> None:
        """Start again. The next kill may come before the server answers: it takes up the job first."""
        self.killer.fired.clear()
        self._process = self.spawn("serve")  # type: ignore[assignment]
        if armed:
            self.killer.arm()
            self.on_start()
        begun = lambda: self.killer.fired.is_set() or self._live()  # noqa: E731
        self.wait_until(begun, START_SECONDS, "`forgehand serve` to answer")

    def _killed_before_the_end(self) -> bool:
        fired = self.killer.fired
        self.wait_until(lambda: fired.is_set() or self.has_ended(), PATIENCE, "the next kill, or the job's end")
        return fired.is_set()

    def has_ended(self) -> bool:
        """Whether all jobs have ended; looked up without a Queue, which would do some of the server's work."""
        table = "workflow_status" if self.database.startswith("sqlite") else "dbos.workflow_status"
        with self._rows.connect() as connection:
            # The work alone: its admission has ended by then, or it would not be there.
            query = (
                f"SELECT count(*) FROM {table} "
                f"WHERE name = '{WORKFLOW}' AND status NOT IN ('PENDING', 'ENQUEUED', 'DELAYED')"
            )
            return int(connection.execute(sa.text(query)).scalar_one()) >= self._count

    def records(self) -> list[JobRecord]:
        """The jobs, newest first."""
        queue = Queue(self.database, worker=False)
        queue.start()
        try:
            return queue.jobs()
        finally:
            queue.stop()

    def _told(self, begun: Begun) -> Told:
        name, number = begun.repository, begun.number
        branches = self.hub.branches(name)
        path = self.hub.repository(name).path
        return Told(
            repository=name,
            kills=tuple(self.killer.kills),
            trail=tuple(self.killer.trail),
            jobs=tuple(job for job in self.records() if job.job.repository.full_name == name),
            base=begun.base,
            branches=branches,
            commits={branch: read_commit(path, tip) for branch, tip in branches.items()},
            pulls=tuple(self.pull_requests(name)),
            issue=self.hub.issue(name, number),
            comments=tuple(self.hub.comments(name, number)),
            checks=tuple(self.hub.check_runs(name)),
            journal=tuple(self.hub.journal[begun.entries :]),
            containers=tuple(self.containers_left()),
            files=tuple(_files(self.data) + _files(self.scratch)),
        )


def _kill(arena: Arena) -> bool:
    arena.kill()
    return True


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
