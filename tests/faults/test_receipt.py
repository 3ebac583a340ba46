"""kill -9 around a webhook's receipt: what was answered 2xx is never lost, and no second delivery doubles."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from app.localhub.records import Delivery
from tests.faults.arena import Arena
from tests.faults.moments import Plan
from tests.faults.nursery import Nursery
from tests.faults.post import Answer, Deliver, Interference, Post
from tests.stories.world import REPOSITORY, SECRET


@dataclass
class Counter:
    """A world whose webhooks pass through our hands, and whose jobs are short: they are refusals."""

    arena: Arena
    post: Post

    def ask(self, interference: Interference) -> tuple[int, Delivery]:
        """Somebody without the right to ask labels an issue; returns once ``interference`` is done."""
        self.post.interference = interference
        number = self.arena.ask("A wish\n\nPlease.", actor="mallory")
        assert self.post.done.wait(60)
        self.arena.hub.wait_for_deliveries()
        return number, next(delivery for delivery in self.arena.hub.deliveries if delivery.action == "labeled")

    def stored(self, delivery: Delivery) -> bool:
        """Whether Forgehand has a record of it."""
        with sqlite3.connect(f"file:{self.arena.data / 'forgehand.sqlite3'}?mode=ro", uri=True) as connection:
            query = "SELECT count(*) FROM forgehand_deliveries WHERE guid = ?"
            return bool(connection.execute(query, (delivery.guid,)).fetchone()[0])

    def check_one_job(self, number: int) -> None:
        """One job came of it, and one answer."""

        def jobs() -> list[str]:
            return [job.state for job in self.arena.records() if job.job.number == number]

        self.arena.wait_until(lambda: jobs() == ["ended"], 60, f"the one job of #{number}")
        assert len(self.arena.comments(number)) == 1


@pytest.fixture
def counter(tmp_path: Path, nursery: Nursery, engine: docker.DockerClient) -> Iterator[Counter]:
    arena = Arena(tmp_path / "world", plan=Plan(lambda moment: False), nursery=nursery, engine=engine)
    post = Post(arena.port)
    arena.hub.set_webhook(post.url, SECRET)
    arena.hub.create_user("mallory")
    arena.hub.set_permission(REPOSITORY, "mallory", "read")
    try:
        arena.serve()
        yield Counter(arena, post)
    finally:
        arena.stop()
        post.stop()


def test_killed_before_the_commit(counter: Counter) -> None:
    """GitHub is not told that a delivery arrived which is not on the disk; delivered again, it makes one job."""
    arena = counter.arena

    def interfere(deliver: Deliver) -> Answer | None:
        with ThreadPoolExecutor(1) as thread, locked(arena.data / "forgehand.sqlite3"):
            answer = thread.submit(deliver)
            arena.wait_until(lambda: has_read_all(arena.port), 20, "the server to have read the delivery")
            assert not answer.done(), "it was answered although nothing can be committed"
            arena.kill()
            assert answer.exception() is not None
        return None

    number, delivery = counter.ask(interfere)
    assert delivery.status_code >= 500
    assert not counter.stored(delivery)
    arena.serve()
    arena.hub.redeliver(delivery)
    counter.check_one_job(number)


def test_killed_before_the_answer(counter: Counter) -> None:
    """A delivery that is on the disk, but of whose answer GitHub has not heard, makes one job when it comes again."""
    arena = counter.arena

    def interfere(deliver: Deliver) -> Answer | None:
        assert deliver()[0] == 202
        arena.kill()
        return None

    number, delivery = counter.ask(interfere)
    assert delivery.status_code >= 500
    assert counter.stored(delivery)
    arena.serve()
    arena.hub.redeliver(delivery)
    counter.check_one_job(number)


def test_killed_after_the_answer(counter: Counter) -> None:
    """What was answered 202 is done after a restart, although nobody delivers it again."""
    arena = counter.arena

    def interfere(deliver: Deliver) -> Answer | None:
        answer = deliver()
        arena.kill()
        return answer

    number, delivery = counter.ask(interfere)
    assert delivery.status_code == 202
    arena.serve()
    counter.check_one_job(number)
    assert len([d for d in arena.hub.deliveries if d.guid == delivery.guid]) == 1


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Nobody can commit meanwhile."""
    connection = sqlite3.connect(database, timeout=30, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def has_read_all(port: int) -> bool:
    """Whether the server on ``port`` has taken everything that was sent to it out of the kernel's hands."""
    # Columns: https://docs.kernel.org/networking/proc_net_tcp.html
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    open_lines = [row for row in rows if int(row[1].split(":")[1], 16) == port and row[3] == "01"]
    return bool(open_lines) and all(int(row[4].split(":")[1], 16) == 0 for row in open_lines)
