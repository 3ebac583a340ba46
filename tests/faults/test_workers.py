"""Several workers on PostgreSQL: when the one that runs a job is killed or falls silent, another one goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from app.localhub.edge import Exchange
from tests.faults.arena import Arena, Told
from tests.faults.conftest import Undisturbed
from tests.faults.invariants import judge
from tests.faults.moments import Moment, Plan
from tests.faults.nursery import Child, Nursery
from tests.postgres import cluster, create_database
from tests.stories.world import START_SECONDS

# A whole job, more than once, on a busy machine.
pytestmark = pytest.mark.timeout(900)
LEASE_SECONDS = 3


class Crew(Arena):
    """A web server and workers, each with a log of its own, by which is known who runs the job."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, strike=kill_runner, **options)
        self.workers: list[tuple[Child, Path]] = []

    def open(self, *, workers: int) -> None:
        """Start them all."""
        self._process = self.spawn("web")  # type: ignore[assignment]
        for _ in range(workers):
            self.add_worker()
        self.wait_until(self._live, START_SECONDS, "`forgehand web` to answer")

    def add_worker(self) -> None:
        """Start one more, and return when it is ready."""
        log = self.folder / f"worker-{len(self.workers) + 1}.jsonl"
        environment = self.environment(FORGEHAND_WORKER_LEASE_SECONDS=str(LEASE_SECONDS))
        self.workers.append((self._nursery.start("worker", environment, log), log))
        self.wait_until(lambda: said(log, "started"), START_SECONDS, "a worker to be ready")

    def runner(self) -> Child:
        """The living worker that runs the job."""
        [found] = [child for child, log in self.workers if child.poll() is None and said(log, "job_started")]
        return found

    def stop(self) -> None:
        """End everything."""
        for child, _ in self.workers:
            child.send_signal(signal.SIGCONT)
            child.terminate()
        for child, _ in self.workers:
            child.wait(40)
        super().stop()


def said(log: Path, event: str) -> bool:
    """Whether an event is in a log."""
    return log.exists() and f'"event": "{event}"' in log.read_text()


def kill_runner(arena: Arena) -> bool:
    """kill -9 the worker that runs the job; another one is there, so nothing is started again."""
    assert isinstance(arena, Crew)
    runner = arena.runner()
    runner.kill()
    runner.wait()
    return False


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL server."""
    with cluster() as url:
        yield url


MakeCrew = Callable[..., Crew]


@pytest.fixture
def make_crew(tmp_path: Path, nursery: Nursery, engine: docker.DockerClient, server: str) -> Iterator[MakeCrew]:
    """Makes one crew, on a database of its own, and ends it."""
    crews: list[Crew] = []

    def make(plan: Plan, *, workers: int) -> Crew:
        database = create_database(server, f"faults_{os.getpid()}_{time.monotonic_ns()}")
        crews.append(Crew(tmp_path / "world", plan=plan, nursery=nursery, engine=engine, database=database))
        crews[-1].open(workers=workers)
        return crews[-1]

    yield make
    for crew in crews:
        crew.stop()


def test_the_worker_is_killed(make_crew: MakeCrew, undisturbed: Undisturbed) -> None:
    """kill -9 of the worker, twice in one job: another one takes it over after the lease, and nothing is doubled."""
    moments = {Moment("model turn 4", "before"), Moment("pull request", "after")}
    plan = Plan(moments.__contains__)
    crew = make_crew(plan, workers=3)
    begun = crew.begin(kills=2)
    told = crew.end(begun)

    assert plan.killed == moments
    assert judge(told, undisturbed()) == []
    slowest = max(kill.seconds for kill in told.kills)
    assert slowest < 3 * LEASE_SECONDS + 10, "the lease, the look for the dead, and the way to the next call"


def test_a_silent_worker_comes_back(make_crew: MakeCrew, undisturbed: Undisturbed) -> None:
    """A worker that is paused until another one has done its job ends itself when it wakes up, and writes nothing."""
    crew = make_crew(Plan(lambda moment: False), workers=2)
    paused: list[Child] = []

    def pause(exchange: Exchange) -> None:
        if exchange.method == "POST" and exchange.path.endswith("/pulls") and not paused:
            paused.append(crew.runner())
            paused[0].send_signal(signal.SIGSTOP)

    crew.hub.observe(pause)
    told: Told = crew.end(crew.begin(kills=0))
    assert judge(told, undisturbed(), processes=2) == []

    [sleeper] = paused
    before = len(crew.hub.journal)
    sleeper.send_signal(signal.SIGCONT)
    sleeper.wait()
    [log] = [log for child, log in crew.workers if child is sleeper]
    assert said(log, "lease_lost")
    assert not said(log, "job_ended")
    late = [f"{entry.method} {entry.path}" for entry in crew.hub.journal[before:]]
    assert late == []
