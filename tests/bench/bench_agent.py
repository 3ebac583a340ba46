"""The agent's own time a turn, against other agents on the same script: python -m tests.bench.bench_agent [--alone]."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

from sandbox.authorities import find_authorities
from sandbox.engine import ensure_engine
from sandbox.images import ensure_image
from tests.bench.controller import Load
from tests.bench.instant_model import Exchange, serve_instantly
from tests.bench.peers import PEERS, NotRun, find_or_install, play_peer
from tests.bench.scripted_turns import Kind, make_repository, plan_turns, render_script
from workflows.durable.database import open_engine
from workflows.trajectory.database import DatabaseTrajectories
from workflows.trajectory.events import Entry

ROOT = Path(__file__).parents[2]
TURNS = 91
LONG = 500
COMMITS = 100
AT_ONCE = ((1, TURNS), (16, TURNS), (64, 28))
"""Sessions at once, and the turns of each: as many as let a small machine come to the end."""
LAUNCH = """
from app.collector import collect_seldom
with collect_seldom():
    from tests.bench.controller import main
    main()
"""
"""Our process, started as the console script starts."""
SHOWN: tuple[Kind, ...] = ("shell", "read", "edit")


@dataclass(frozen=True)
class Ours:
    """What one run of ours took: kind and milliseconds of each turn, and seconds from process start to end."""

    times: list[tuple[Kind, float]]
    wall: float

    @property
    def turn(self) -> float:
        """The median turn, in milliseconds."""
        return median(spent for _, spent in self.times)


def non_model_times(exchanges: Sequence[Exchange], turns: Sequence[Kind]) -> list[tuple[Kind, float]]:
    """Kind and milliseconds of each turn: from the last byte of its reply to the last byte of the next request."""
    found = []
    for session in {exchange.session for exchange in exchanges}:
        own = sorted((one for one in exchanges if one.session == session), key=lambda one: one.turn)
        found += [(turns[before.turn], (after.arrived - before.answered) * 1000) for before, after in pairwise(own)]
    return found


def say_times(title: str, times: Sequence[tuple[Kind, float]], rest: str) -> None:
    """One line: p50 / p99 a kind of turn, then ``rest``."""
    cells = []
    for kind in SHOWN:
        taken = [spent for of, spent in times if of == kind]
        cells.append(f"{median(taken):7.1f} /{quantiles(taken, n=100)[98]:7.1f}")
    print(f"{title:34} {'  '.join(cells)}   {rest}", flush=True)


def play_ours(folder: Path, image: str, sessions: int, turns: Sequence[Kind]) -> Ours:
    """The loop in a process of its own, with real sandboxes and a durable log; prints its line."""
    folder.mkdir()
    folder.chmod(0o755)
    commit = make_repository(folder / "tree")
    mirror = folder / "mirror.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(folder / "tree"), str(mirror)], check=True)
    with serve_instantly(render_script("forgehand", turns)) as model:
        load = Load(sessions, model.url, str(folder), image, str(mirror), commit)
        config = folder / "load.json"
        config.write_text(json.dumps(asdict(load)))
        began = time.monotonic()
        command = [sys.executable, "-c", LAUNCH, str(config)]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        wall = time.monotonic() - began
        exchanges = model.exchanges()
    assert set(report["stops"]) == {"finished"}, report["stops"]
    firsts = {one.session: one.arrived for one in exchanges if one.turn == 0}
    first = median(firsts[number] - began for number, began in enumerate(report["began"]))
    whole, shared = report["resident_with"] / 1024, report["resident_before"] / 1024
    memory = f"{whole:5.0f} MiB" if sessions == 1 else f"{(whole - shared) / sessions:5.1f} MiB a session"
    times = non_model_times(exchanges, turns)
    rest = f"{wall:6.1f} s wall, {first * 1000:5.0f} ms to first request, {memory}"
    say_times(f"forgehand, {sessions} at once, {len(turns)} turns", times, rest)
    return Ours(times, wall)


def play_peers(folder: Path, image: str) -> None:
    """Each peer on the same script, right after ours, and how many times our time it takes, a turn and in all."""
    turns = plan_turns(TURNS)
    walls = {}
    for number, peer in enumerate(PEERS):
        try:
            find_or_install(peer.package)
            ours = play_ours(folder / f"beside-{number}", image, 1, turns)
            played = play_peer(peer, turns, folder=folder / f"peer-{number}", image=image)
        except NotRun as reason:
            print(f"{peer.title:34} not run: {reason}", flush=True)
            continue
        times = non_model_times(played.exchanges, turns)
        first = min(one.arrived for one in played.exchanges) - played.began
        taken = median(spent for _, spent in times)
        wall = played.ended - played.began
        memory = "" if played.resident is None else f", {played.resident / 1024:5.0f} MiB"
        rest = f"{wall:6.1f} s wall, {first * 1000:5.0f} ms to first request{memory}"
        rest += f"; a turn {taken / ours.turn:4.1f}x ours, wall {wall / ours.wall:4.1f}x"
        say_times(f"{peer.title} {peer.package.version}", times, rest)
        walls[peer.title] = wall / ours.wall
        if peer.least is not None:
            say_goal(
                f"{peer.title}: a turn >= {peer.least}x ours",
                taken >= peer.least * ours.turn,
                f"{taken / ours.turn:.1f}x",
            )
    if walls:
        best = min(walls, key=lambda title: walls[title])
        say_goal("the quickest peer's wall >= 4x ours", walls[best] >= 4, f"{walls[best]:.1f}x ({best})")


def main(*, alone: bool) -> None:
    """Ours at 1, 16 and 64 at once, a long session, then the peers."""
    for package in ("app", "workflows", "sandbox", "tests/bench"):
        compileall.compile_dir(ROOT / package, quiet=1)  # as pip has done with the peers
    client = ensure_engine(install=False, say=print)
    image = ensure_image(client, say=print, authorities=find_authorities(os.environ), environment=os.environ)
    print(f"{'milliseconds of non-model time':34} {'shell p50 / p99':>16} {'read':>17} {'edit':>17}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        floor = time_commits(folder)
        print(f"the floor of what is durable: one commit on this disk {floor:.1f} ms; a turn waits for one of its two")
        one, *_ = [play_ours(folder / str(count), image, count, plan_turns(turns)) for count, turns in AT_ONCE]
        long = [spent for _, spent in play_ours(folder / "long", image, 1, plan_turns(LONG)).times]
        tenth = len(long) // 10
        flat = median(long[-tenth:]) / median(long[:tenth])
        say_goal("a turn in 12 ms p50", one.turn <= 12, f"{one.turn:.1f} ms")
        say_goal(f"{TURNS} turns in 2.5 s, from the start of the process", one.wall <= 2.5, f"{one.wall:.1f} s")
        say_goal(f"last tenth of {LONG} turns <= 1.3x the first", flat <= 1.3, f"{flat:.2f}x")
        if not alone:
            play_peers(folder, image)


def time_commits(folder: Path) -> float:
    """Milliseconds of one commit that reaches the disk, the median of many."""
    engine = open_engine(f"sqlite:///{folder}/floor.sqlite3", wait_seconds=60.0)
    log = DatabaseTrajectories(engine).open("floor")
    taken = []
    for turn in range(COMMITS):
        began = time.perf_counter()
        log.append([Entry(kind="llm_request", turn=turn, payload={"text": "x" * 1000})])
        taken.append((time.perf_counter() - began) * 1000)
    engine.dispose()
    return median(taken)


def say_goal(what: str, met: bool, measured: str) -> None:
    """A goal, and whether this run meets it."""
    print(f"goal: {what}: {'met' if met else 'missed'}, measured {measured}", flush=True)


if __name__ == "__main__":
    main(alone="--alone" in sys.argv)
