"""A worker's housekeeping, on the real engine and a real queue."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound, NotFound

from app.housekeeping import Housekeeper
from sandbox.container import JOB_LABEL, OWNER_LABEL
from sandbox.docker import DockerSandboxes
from sandbox.snapshots import REPOSITORY_LABEL, SNAPSHOT_LABEL, Snapshots
from tests.old_images import load_image
from workflows.durable.queue import Delivery, Queue
from workflows.outcome import Outcome
from workflows.services import Run
from workflows.solving.workshop import snapshot_scope
from workflows.types import Actor, Job, RepositoryRef

OLD, NEW = timedelta(days=15), timedelta(days=1)


@dataclass
class House:
    """An owner nobody else has, and a queue with one job that ended and one that runs."""

    client: docker.DockerClient
    owner: str
    queue: Queue
    keeper: Housekeeper
    ended: Job
    running: Job
    release: threading.Event

    def image(self, age: timedelta, repository: RepositoryRef) -> str:
        """A snapshot of ours."""
        labels = {
            SNAPSHOT_LABEL: "x",
            OWNER_LABEL: self.owner,
            REPOSITORY_LABEL: snapshot_scope(repository),
        }
        return load_image(self.client, f"forgehand/snapshot:{uuid.uuid4().hex}", labels=labels, age=age)

    def adopted(self, age: timedelta) -> str:
        """A layer that was added to a foreign image."""
        tag = f"forgehand/adopted:{uuid.uuid4().hex[:16]}"
        return load_image(self.client, tag, labels={"forgehand.image": "adopted", OWNER_LABEL: self.owner}, age=age)

    def container(self, image: str, job_id: str) -> str:
        """A container that a killed worker left of a job."""
        labels = {OWNER_LABEL: self.owner, JOB_LABEL: job_id}
        return str(self.client.containers.create(image, labels=labels).id)

    def has(self, image: str) -> bool:
        with suppress(ImageNotFound):
            return bool(self.client.images.get(image))
        return False

    def holds(self, container: str) -> bool:
        with suppress(NotFound):
            return bool(self.client.containers.get(container))
        return False


def submit(queue: Queue, workflow: str, repository: int) -> Job:
    guid, now = str(uuid.uuid4()), datetime.now(UTC)
    job = Job(
        id=f"gh-{guid}",
        workflow=workflow,
        repository=RepositoryRef(installation_id=1, id=repository, full_name=f"octo/{workflow}"),
        number=7,
        actor=Actor(id=5, login="mona"),
        trigger="qwen",
        delivery_id=guid,
        created_at=now,
    )
    delivery = Delivery(
        guid=guid, event="issues", action="labeled", repository=job.repository.full_name, repository_id=repository,
        number=7, received_at=now, digest="0" * 64,
    )  # fmt: skip
    queue.submit(delivery, job, "Started.")
    return job


@pytest.fixture
def house(engine: docker.DockerClient, tmp_path: Path) -> Iterator[House]:
    """The house, and afterwards none of its containers and images."""
    owner, release = f"test-{uuid.uuid4().hex[:8]}", threading.Event()

    def end(run: Run, job: Job) -> Outcome:
        return Outcome(status="no_change", reason="done")

    def block(run: Run, job: Job) -> Outcome:
        release.wait(60)
        return end(run, job)

    queue = Queue(f"sqlite:///{tmp_path / 'queue.sqlite3'}", worker=True, concurrency=2, poll_seconds=0.05)
    queue.register("end", end)
    queue.register("block", block)
    queue.start()
    sandboxes = DockerSandboxes(engine, owner)
    try:
        ended, running = submit(queue, "end", 11), submit(queue, "block", 12)
        queue.wait(ended.id, timeout=60)
        snapshots = Snapshots(engine, sandboxes, owner=owner, proxy_folder=tmp_path / "p")
        keeper = Housekeeper(engine, sandboxes, snapshots, queue)
        yield House(engine, owner, queue, keeper, ended, running, release)
    finally:
        release.set()
        queue.stop(5)
        sandboxes.remove_leftovers()
        for image in engine.images.list(filters={"label": f"{OWNER_LABEL}={owner}"}):
            engine.images.remove(image.id, force=True)


def test_what_no_job_needs_goes(house: House) -> None:
    """Old snapshots go, but not while a container or a running job's repository needs them; layers wait for quiet."""
    old, new = house.image(OLD, house.ended.repository), house.image(NEW, house.ended.repository)
    used, spared = house.image(OLD, house.ended.repository), house.image(OLD, house.running.repository)
    house.container(used, "a developer's own")
    layer, new_layer = house.adopted(OLD), house.adopted(NEW)
    house.keeper.tidy()
    assert [house.has(image) for image in (old, new, used, spared, layer)] == [False, True, True, True, True]
    house.release.set()
    house.queue.wait(house.running.id, timeout=60)
    house.keeper.tidy()
    assert [house.has(image) for image in (used, spared, layer, new_layer)] == [True, False, False, True]


def test_only_the_newest_snapshots_stay(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the most that are kept, the oldest snapshots go first."""
    monkeypatch.setattr("app.housekeeping.MOST_SNAPSHOTS", 2)
    images = [house.image(timedelta(days=days), house.ended.repository) for days in (3, 1, 2)]
    house.keeper.tidy()
    assert [house.has(image) for image in images] == [False, True, True]


def test_containers_of_ended_jobs_go(house: House) -> None:
    """What a dead worker left of a job that ended elsewhere goes; running jobs and a developer's keep theirs."""
    image = house.image(NEW, house.ended.repository)
    left = house.container(image, house.ended.id)
    running, own = house.container(image, house.running.id), house.container(image, "fix-1")
    house.keeper.tidy()
    assert [house.holds(container) for container in (left, running, own)] == [False, True, True]


def test_it_tidies_by_itself_and_ends(house: House) -> None:
    """Started, it tidies at once, and stopping ends its thread at once."""
    left = house.container(house.image(NEW, house.ended.repository), house.ended.id)
    house.keeper.start()
    deadline = time.monotonic() + 60
    while house.holds(left):
        assert time.monotonic() < deadline, "the leftover container is still there"
        time.sleep(0.02)
    house.keeper.stop()
    assert "housekeeping" not in {thread.name for thread in threading.enumerate()}
