"""The stories' worlds: each test gets its own, on the shared engine and image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import pytest

from app.demo.scripted_model import ScriptedModel
from app.localhub.server import read_folder
from tests.openapi_judge import Judge
from tests.stories.world import World

DEMO = Path(__file__).parent.parent.parent / "app" / "demo"
HERE = Path(__file__).parent

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(tmp_path: Path, engine: docker.DockerClient) -> Iterator[MakeWorld]:
    """Makes worlds that are ended afterwards, their REST exchanges judged by GitHub's description."""
    worlds: list[tuple[World, Judge]] = []

    def make(
        files: dict[str, bytes | str] | Path = DEMO / "repository",
        session: Path | Sequence[dict[str, Any]] | str = DEMO / "sessions" / "tally.json",
    ) -> World:
        tree = read_folder(files) if isinstance(files, Path) else files
        model = session if isinstance(session, str) else ScriptedModel(session)
        if isinstance(model, ScriptedModel):
            model.start()
        folder = tmp_path / str(len(worlds))
        folder.mkdir()
        world = World(folder, files=tree, model=model)
        judge = Judge()
        world.hub.observe(judge.watch)
        worlds.append((world, judge))
        return world

    yield make
    for world, _ in worlds:
        world.stop()
    for _, judge in worlds:
        judge.check()


@pytest.fixture(autouse=True)
def no_containers_left(engine: docker.DockerClient) -> Iterator[None]:
    """A story leaves no container behind."""
    before = {container.id for container in engine.containers.list(all=True, filters={"label": "forgehand.job"})}
    yield
    after = {container.id for container in engine.containers.list(all=True, filters={"label": "forgehand.job"})}
    assert after <= before
