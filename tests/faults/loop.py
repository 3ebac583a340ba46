"""kill -9 again and again, and a table of what came of it: `FORGEHAND_KILL_LOOPS=5 python -m tests.faults.loop`."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import docker

from sandbox.authorities import find_authorities
from sandbox.engine import ensure_engine
from sandbox.images import ensure_image
from tests.faults.arena import KILLS_A_JOB, Arena, Told
from tests.faults.explore import WORLDS
from tests.faults.invariants import Complaint, judge
from tests.faults.moments import BY_THE_CLOCK, Moment, Plan
from tests.faults.nursery import Nursery

FAULTS = (
    ("token", "killed while a token is minted"),
    ("reaction", "killed at the reaction"),
    ("comment", "killed at the tracking comment"),
    ("label", "killed at the label"),
    ("fetch", "killed while the repository is fetched"),
    ("container", "killed as a container is made, started or kept"),
    ("model", "killed at a model call"),
    ("push", "killed at the push"),
    ("pull request", "killed at the pull request"),
    ("check run", "killed at the check run"),
    ("comment edit: Done", "killed at the last word"),
    ("comment edit", "killed at a word on the way"),
    (BY_THE_CLOCK, "killed at any time"),
)
"""The beginnings of moments, and what they are called in the table; the longest one counts."""
PAUSES = (0.05, 5.0)
"""Seconds between a start and a kill by the clock."""


@dataclass
class Row:
    """What came of one kind of kill. A job's faults count for all kinds of kill that it had."""

    runs: int = 0
    lost: int = 0
    duplicated: int = 0
    stuck: int = 0
    other: int = 0
    seconds: list[float] = field(default_factory=list)


class Restless(Arena):
    """Killed by the clock."""

    def on_start(self) -> None:
        """The next kill comes at any time."""
        self.killer.strike_after(random.uniform(*PAUSES))


@dataclass
class Loop:
    """Runs jobs, and keeps the table."""

    folder: Path
    nursery: Nursery
    engine: docker.DockerClient
    rows: dict[str, Row] = field(default_factory=lambda: defaultdict(Row))
    complaints: list[str] = field(default_factory=list)

    def run(self, loops: int) -> None:
        """The undisturbed job, then ``loops`` times all moments, and as many jobs by the clock."""
        undisturbed = next(self._live(0, Plan(lambda moment: False), Arena, kills=0), None)
        if undisturbed is None:
            return
        for loop in range(loops):
            moments = Plan(lambda moment: True)
            by_the_clock = Plan(lambda moment: moment.what == BY_THE_CLOCK, once=False)
            for kind, plan in ((Arena, moments), (Restless, by_the_clock)):
                with ThreadPoolExecutor(WORLDS) as threads:
                    told = threads.map(lambda world: list(self._live(world, plan, kind)), range(WORLDS))  # noqa: B023
                    for each in (told for life in told for told in life):
                        self._note(each, judge(each, undisturbed))
            kills = sum(row.runs for row in self.rows.values())
            print(f"loop {loop + 1} of {loops}: {kills} kills, {len(self.complaints)} faults", file=sys.stderr)

    def _live(self, world: int, plan: Plan, kind: Callable[..., Arena], *, kills: int = KILLS_A_JOB) -> Iterator[Told]:
        folder = Path(tempfile.mkdtemp(prefix=f"world-{world}-", dir=self.folder)) / "world"
        arena = kind(folder, plan=plan, nursery=self.nursery, engine=self.engine)
        try:
            arena.serve()
            told = arena.run(kills=kills)
            yield told
            while plan.once and len(told.kills) == KILLS_A_JOB:
                told = arena.run(kills=kills)
                yield told
        except AssertionError as stuck:
            self._note_stuck(arena, stuck)
        finally:
            arena.stop()

    def _note_stuck(self, arena: Arena, error: AssertionError) -> None:
        self.complaints.append(f"stuck: {' > '.join(arena.killer.trail)}: {str(error)[-3000:]}")
        for name in {fault_of(kill.moment) for kill in arena.killer.kills}:
            self.rows[name].stuck += 1

    def _note(self, told: Told, complaints: Sequence[Complaint]) -> None:
        kinds = [complaint.kind for complaint in complaints]
        self.complaints += [f"{complaint.kind}: {told}: {complaint.text}" for complaint in complaints]
        for kill in told.kills:
            row = self.rows[fault_of(kill.moment)]
            row.runs += 1
            row.seconds.append(kill.seconds)
        for name in {fault_of(kill.moment) for kill in told.kills}:
            self.rows[name].lost += kinds.count("lost")
            self.rows[name].duplicated += kinds.count("duplicated")
            self.rows[name].other += kinds.count("wrong") + kinds.count("left behind")


def fault_of(moment: Moment) -> str:
    """The name of a moment's fault in the table."""
    fits = [(beginning, name) for beginning, name in FAULTS if moment.what.startswith(beginning)]
    name = max(fits, default=("", f"killed at {moment.what}"))[1]
    return f"{name}, {moment.when} it" if moment.when != "at" else name


def render(rows: dict[str, Row]) -> str:
    """The table, in Markdown."""
    lines = ["| Fault | Runs | Lost | Duplicated | Stuck | Other | Mean recovery |", "|---|---|---|---|---|---|---|"]
    cells: Any
    for name, row in sorted(rows.items()):
        mean = f"{fmean(row.seconds):.1f} s" if row.seconds else ""
        cells = (name, row.runs, row.lost, row.duplicated, row.stuck, row.other, mean)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> int:
    """Run, print the table and the complaints; 1 when there is one."""
    loops = int(os.environ.get("FORGEHAND_KILL_LOOPS", "1"))
    client = ensure_engine(install=True, say=print)
    ensure_image(client, say=print, authorities=find_authorities(os.environ), environment=os.environ)
    nursery = Nursery()
    with tempfile.TemporaryDirectory(prefix="forgehand-faults-") as folder:
        loop = Loop(Path(folder), nursery, client)
        try:
            loop.run(loops)
        finally:
            nursery.stop()
            print(render(loop.rows))
            print(*loop.complaints, sep="\n")
    return 1 if loop.complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
