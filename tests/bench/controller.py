"""The measured process: sessions of the agent loop at once over real sandboxes, each with a durable log.

Its one argument is a JSON file of :class:`Load`; it prints a JSON :class:`Report`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Barrier
from typing import cast

from sandbox.container import Limits, SandboxSpec
from sandbox.docker import DockerSandbox, DockerSandboxes
from sandbox.engine import find_engine
from tests.bench.instant_model import MODEL_NAME
from tests.bench.scripted_turns import PROMPT
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.equipment import Equipment
from workflows.agent.loop import AgentResult, run_agent
from workflows.agent.messages import AgentTask
from workflows.durable.database import open_engine
from workflows.durable.run import InlineRun
from workflows.solving.session import Session
from workflows.trajectory.database import DatabaseTrajectories
from workflows.types import Budget, Turn

PATIENCE = 900.0
WINDOW = 262_144
LIMITS = Limits(memory_mb=256, cpus=2.0, pids=64, workspace_mb=32, tmp_mb=32, home_mb=32)


@dataclass(frozen=True)
class Load:
    """``sessions`` at once against the model at ``url``, each on a clone of ``commit``; ``pings`` of every sandbox."""

    sessions: int
    url: str
    folder: str
    image: str
    mirror: str
    commit: str
    pings: int = 0


@dataclass(frozen=True)
class Report:
    """``began``: when each session did (monotonic clock); memory in KiB before any and with all at their last turn.

    Of one session, the memory before it is without the model's package.
    ``stops`` and ``files`` (changed) are one a session; ``pings`` are milliseconds.
    """

    began: tuple[float, ...]
    resident_before: int
    resident_with: int
    stops: tuple[str, ...]
    files: tuple[int, ...]
    pings: tuple[float, ...]


class _Stage:
    """What the sessions share: the engine, the database, the model, and the moment when all of them are at the end."""

    def __init__(self, load: Load) -> None:
        # First, as `forgehand fix` does: its package is loaded beside the rest.
        self.model = OpenAIModel(load.url, "no-key", model=MODEL_NAME, sampling={}, context_window=WINDOW)
        engine = find_engine(os.environ)
        assert engine is not None, "no Docker engine answers"
        sandboxes = DockerSandboxes(engine, "bench-agent", sockets=Path(load.folder) / "sockets")
        spec = SandboxSpec(load.image, "bench-agent", mirror=Path(load.mirror), commit=load.commit, limits=LIMITS)
        self.load = load
        self.workspaces = [Session(lambda: sandboxes, lambda: spec, load.commit) for _ in range(load.sessions)]
        database = open_engine(f"sqlite:///{load.folder}/trajectories.sqlite3", wait_seconds=PATIENCE)
        self.trajectories = DatabaseTrajectories(database)
        self.ended = Barrier(load.sessions + 1, timeout=PATIENCE)
        self.released = Barrier(load.sessions + 1, timeout=PATIENCE)

    def play(self, number: int) -> tuple[float, AgentResult]:
        """One session; its end waits until every session is there."""
        began = time.monotonic()
        job = f"bench-{number}"
        try:
            result = run_agent(
                InlineRun(job),
                self.model,
                log=self.trajectories.open(job),
                equipment=Equipment(self.workspaces[number], self.load.commit, None),
                task=AgentTask(system="You are an agent.", prompt=PROMPT.format(session=number)),
                budget=Budget(turns=1000, tokens=10**12, seconds=PATIENCE, usd=10**9),
                on_turn=self._wait_at_the_end,
            )
        except BaseException:
            self.ended.abort()
            raise
        return began, result

    def _wait_at_the_end(self, turn: Turn) -> None:
        if turn.stop is not None:
            self.ended.wait()
            self.released.wait()


def play_all(load: Load) -> Report:
    """Play the sessions, and measure while all of them are still in memory."""
    stage = _Stage(load)
    if load.sessions > 1:  # with one, its time is measured, and nobody waits for the package beside it
        _ = stage.model.endpoint
    before = _resident()
    with ThreadPoolExecutor(max_workers=load.sessions) as pool:
        playing = [pool.submit(stage.play, number) for number in range(load.sessions)]
        stage.ended.wait()
        during = _resident()
        pings = [_timed(_ping(stage.workspaces[at % load.sessions])) for at in range(load.pings)]
        stage.released.wait()
        played = [session.result() for session in playing]
        list(pool.map(Session.close, stage.workspaces))
    stage.trajectories.close()
    return Report(
        began=tuple(began for began, _ in played),
        resident_before=before,
        resident_with=during,
        stops=tuple(result.stop for _, result in played),
        files=tuple(len(result.patch.files) if result.patch else 0 for _, result in played),
        pings=tuple(pings),
    )


def _ping(workspace: Session) -> Callable[[], object]:
    sandbox = cast(DockerSandbox, workspace.sandbox())
    return lambda: sandbox._stream.call("ping", {}, timeout=5)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _resident() -> int:
    """This process's resident memory in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def main() -> None:
    """Play what the file asks for, print the report."""
    print(json.dumps(asdict(play_all(Load(**json.loads(Path(sys.argv[1]).read_text()))))))
