"""The nursery that the fault tests take their Forgehand processes from, and the run that all others are judged by."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import docker
import pytest

from sandbox.authorities import find_authorities
from sandbox.images import ensure_image
from tests.faults.arena import Arena, Told
from tests.faults.moments import Plan
from tests.faults.nursery import Nursery

Undisturbed = Callable[[], Told]


@pytest.fixture(scope="session")
def nursery(engine: docker.DockerClient) -> Iterator[Nursery]:
    """One for all tests: it takes seconds to be ready. The image is there, so that a server's start does not wait."""
    ensure_image(engine, say=print, authorities=find_authorities(os.environ), environment=os.environ)
    made = Nursery()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, nursery: Nursery, engine: docker.DockerClient
) -> Iterator[Undisturbed]:
    """Waits for the run that nobody disturbs; it goes on beside the first test."""
    folder = tmp_path_factory.mktemp("undisturbed") / "world"

    def live() -> Told:
        arena = Arena(folder, plan=Plan(lambda moment: False), nursery=nursery, engine=engine)
        try:
            arena.serve()
            return arena.run(kills=0)
        finally:
            arena.stop()

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(live)
        yield running.result
