"""kill -9 at every write to GitHub, model turn and container start of the main job: it ends as if nothing had been."""

from __future__ import annotations

from dataclasses import dataclass

import docker
import pytest

from tests.faults.arena import Told
from tests.faults.conftest import Undisturbed
from tests.faults.explore import explore, wants
from tests.faults.invariants import Kind, judge
from tests.faults.moments import Plan
from tests.faults.nursery import Nursery

# The kills of the whole module happen in one fixture, which the first test waits for.
pytestmark = pytest.mark.timeout(1800)

WHATS = {
    *("token", "reaction", "comment", "label", "fetch", "push", "pull request", "check run"),
    *("state label", "state label made"),
    *(f"model turn {number}" for number in range(1, 11)),
    "model description",
    "comment edit: fetch the repository",
    "comment edit: prepare the sandbox",
    "comment edit: run the tests before the change",
    "comment edit: describe the change",
    "comment edit: run the tests after the change, in a fresh container",
    "comment edit: push the branch and open the pull request",
    "comment edit: Done",
    "container commit, prepare the sandbox",
    "container create, prepare the sandbox",
    "container create, run the tests before the change",
    "container create, work on the change",
    "container create, run the tests after the change, in a fresh container",
}
"""What the demo's job is seen to do; a moment that is new here is killed at as well."""


@dataclass(frozen=True)
class Explored:
    """The jobs, and the moments that were seen and killed at."""

    told: list[Told]
    plan: Plan
    undisturbed: Told

    def complaints(self, *kinds: Kind) -> list[str]:
        """What is wrong with which job."""
        found = [(told, complaint) for told in self.told for complaint in judge(told, self.undisturbed)]
        return [f"{told}: {complaint.text}" for told, complaint in found if complaint.kind in kinds]


@pytest.fixture(scope="module")
def explored(
    tmp_path_factory: pytest.TempPathFactory, nursery: Nursery, engine: docker.DockerClient, undisturbed: Undisturbed
) -> Explored:
    """Every moment of the demo's job has had its kill."""
    plan = Plan(wants)
    told = explore(tmp_path_factory.mktemp("faults"), plan=plan, nursery=nursery, engine=engine)
    return Explored(told, plan, undisturbed())


def test_every_moment_has_had_its_kill(explored: Explored) -> None:
    """The process was killed at each moment, before and after each write; none of them was forgotten."""
    missed = {moment for moment in explored.plan.left() if moment.what in WHATS}
    assert (missed, WHATS - {moment.what for moment in explored.plan.killed}) == (set(), set())


def test_the_undisturbed_run_is_a_good_one(explored: Explored) -> None:
    """What all others are compared with has no fault itself."""
    assert judge(explored.undisturbed, explored.undisturbed) == []


def test_nothing_is_lost(explored: Explored) -> None:
    """Every job ends with its verified draft pull request, its check run, and the end said in its comment."""
    assert explored.complaints("lost") == []


def test_nothing_is_doubled(explored: Explored) -> None:
    """One job, reaction, comment, branch, push, pull request and check run each; no finished turn is paid again."""
    assert explored.complaints("duplicated") == []


def test_the_end_is_that_of_an_undisturbed_run(explored: Explored) -> None:
    """The commit is the one that the job makes undisturbed, and GitHub saw no effect that it would not have seen."""
    assert explored.complaints("wrong") == []


def test_nothing_is_left_behind(explored: Explored) -> None:
    """No container, and no file that a worker at rest does not have."""
    assert explored.complaints("left behind") == []
