"""Kills at every moment that is seen, once, in several worlds at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker

from tests.faults.arena import KILLS_A_JOB, Arena, Told
from tests.faults.moments import Moment, Plan
from tests.faults.nursery import Nursery

WORLDS = 3
"""A job mostly waits: for the second between two writes, and for containers."""


def wants(moment: Moment) -> bool:
    """All moments but one side of each turn of the model, and the starts of containers: the loop takes those too."""
    if moment.what.startswith("container start"):
        return False
    if not moment.what.startswith("model turn"):
        return True
    odd = int(moment.what.split()[-1]) % 2 == 1
    return moment.when == ("before" if odd else "after")


def explore(folder: Path, *, plan: Plan, nursery: Nursery, engine: docker.DockerClient) -> list[Told]:
    """Run jobs until one comes to its end without meeting a moment that has had no kill yet, in each world."""

    def live(number: int) -> list[Told]:
        arena = Arena(folder / f"world-{number}", plan=plan, nursery=nursery, engine=engine)
        try:
            arena.serve()
            told = [arena.run()]
            while len(told[-1].kills) == KILLS_A_JOB:
                told.append(arena.run())
            return told
        finally:
            arena.stop()

    with ThreadPoolExecutor(WORLDS) as threads:
        return [told for life in threads.map(live, range(WORLDS)) for told in life]
