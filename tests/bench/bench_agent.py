"""The agent's own time a turn, against other agents on the same script: python -m tests.bench.bench_agent [--alone]."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

from sandbox.authorities import find_authorities
from sandbox.engine import ensure_engine
from sandbox.images import ensure_image
from tests.bench.controller import Load
from tests.bench.instant_model import Exchange, serve_instantly
from tests.bench.peers import PEERS, NotRun, play_peer
from tests.bench.scripted_turns import Kind, make_repository, plan_turns, render_script

TURNS = 91
LONG = 500
SHOWN: tuple[Kind, ...] = ("shell", "read", "edit")


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


def play_ours(folder: Path, image: str, sessions: int, turns: Sequence[Kind]) -> list[tuple[Kind, float]]:
    """The loop in a process of its own, with real sandboxes and a durable log; prints its line, gives its times."""
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
        command = [sys.executable, "-m", "tests.bench.controller", str(config)]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        wall = time.monotonic() - began
        exchanges = model.exchanges()
    assert set(report["stops"]) == {"finished"}, report["stops"]
    first = min(one.arrived for one in exchanges) - min(report["began"])
    memory = (report["resident_with"] - report["resident_before"]) / 1024 / sessions
    times = non_model_times(exchanges, turns)
    rest = f"{wall:6.1f} s wall, {first * 1000:5.0f} ms to first request, {memory:5.1f} MiB a session"
    say_times(f"forgehand, {sessions} at once, {len(turns)} turns", times, rest)
    return times


def play_peers(folder: Path, image: str, ours: float) -> None:
    """Each peer on the same script, and how many times our own time a turn it takes."""
    turns = plan_turns(TURNS)
    for number, peer in enumerate(PEERS):
        try:
            played = play_peer(peer, turns, folder=folder / f"peer-{number}", image=image)
        except NotRun as reason:
            print(f"{peer.title:34} not run: {reason}", flush=True)
            continue
        times = non_model_times(played.exchanges, turns)
        first = min(one.arrived for one in played.exchanges) - played.began
        taken = median(spent for _, spent in times)
        rest = (
            f"{played.ended - played.began:6.1f} s wall, {first * 1000:5.0f} ms to first request, {taken / ours:5.1f}x"
        )
        say_times(f"{peer.title} {peer.package.version}", times, rest)


def main(*, alone: bool) -> None:
    """Ours at 1 and 16 at once, a long session, then the peers."""
    client = ensure_engine(install=False, say=print)
    image = ensure_image(client, say=print, authorities=find_authorities(os.environ), environment=os.environ)
    print(f"{'milliseconds of non-model time':34} {'shell p50 / p99':>16} {'read':>17} {'edit':>17}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        one = play_ours(folder / "one", image, 1, plan_turns(TURNS))
        play_ours(folder / "sixteen", image, 16, plan_turns(TURNS))
        long = [spent for _, spent in play_ours(folder / "long", image, 1, plan_turns(LONG))]
        tenth = len(long) // 10
        flat = median(long[-tenth:]) / median(long[:tenth])
        ours = median(spent for _, spent in one)
        print(f"goal: a turn in 12 ms p50: {'met' if ours <= 12 else 'missed'}, measured {ours:.1f} ms")
        print(f"goal: last tenth of {LONG} turns <= 1.3x the first: {'met' if flat <= 1.3 else 'missed'}, {flat:.2f}x")
        if not alone:
            play_peers(folder, image, ours)


if __name__ == "__main__":
    main(alone="--alone" in sys.argv)
