"""Kills at every moment that is seen, once, in several worlds at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.faults.arena import KILLS_A_JOB, Arena, Told
from tests.faults.invariants import Complaint, judge
from tests.faults.moments import Moment, Plan
from tests.faults.nursery import Nursery

WORLDS = 3
"""A job mostly waits: for the second between two writes, and for containers."""


@dataclass(frozen=True)
class Explored:
    """All jobs, the undisturbed one apart, and the moments that were seen and killed at."""

    undisturbed: Told
    told: tuple[Told, ...]
    plan: Plan

    def complaints(self, *kinds: str) -> list[str]:
        """What is wrong with which job."""
        return [
            f"{told}: {c.text}" for told in (self.undisturbed, *self.told) for c in self.judge(told) if c.kind in kinds
        ]

    def judge(self, told: Told) -> list[Complaint]:
        """What is wrong with one job."""
        return judge(told, self.undisturbed)


def wants(moment: Moment) -> bool:
    """All moments but one side of each turn of the model, and the starts of containers: the loop takes those too."""
    if moment.what.startswith("container start"):
        return False
    if not moment.what.startswith("model turn"):
        return True
    odd = int(moment.what.split()[-1]) % 2 == 1
    return moment.when == ("before" if odd else "after")


def explore(folder: Path, *, plan: Plan, nursery: Nursery, engine: docker.DockerClient) -> Explored:
    """Run jobs until every wanted moment that was seen has had its kill, or has not come again."""

    def live(number: int) -> list[Told]:
        arena = Arena(folder / f"world-{number}", plan=plan, nursery=nursery, engine=engine)
        try:
            arena.serve()
            told = [arena.run(kills=KILLS_A_JOB if number else 0)]
            while plan.left() and (told[-1].kills or len(told) == 1):
                told.append(arena.run())
            return told
        finally:
            arena.stop()

    with ThreadPoolExecutor(WORLDS) as threads:
        lives = list(threads.map(live, range(WORLDS)))
    return Explored(lives[0][0], (*lives[0][1:], *(told for life in lives[1:] for told in life)), plan)
