"""The stories' worlds: each test gets its own, on the shared engine and image."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from app.demo.scripted_model import ScriptedModel
from app.localhub.records import Issue as HubIssue
from app.localhub.server import read_folder
from sandbox.authorities import find_authorities
from sandbox.images import ensure_image
from tests.openapi_judge import Judge
from tests.stories.inside import Inside
from tests.stories.scripts import DESCRIBED, ISSUE
from tests.stories.world import World
from workflows.outcome import Outcome

DEMO = Path(__file__).parent.parent.parent / "app" / "demo"
DEMO_SESSION = DEMO / "sessions" / "tally.json"
HERE = Path(__file__).parent

MakeWorld = Callable[..., World]
Session = Path | Sequence[dict[str, Any]] | str


@contextmanager
def open_world(
    folder: Path,
    client: docker.DockerClient,
    *,
    files: dict[str, bytes | str] | Path = DEMO / "repository",
    session: Session = DEMO_SESSION,
) -> Iterator[World]:
    """A world that is ended afterwards: no container may be left, and GitHub's description judges what was said."""
    tree = read_folder(files) if isinstance(files, Path) else files
    model = session if isinstance(session, str) else ScriptedModel(session)
    if isinstance(model, ScriptedModel):
        model.start()
    folder.mkdir()
    world = World(folder, files=tree, model=model)
    judge = Judge()
    world.hub.observe(judge.watch)
    try:
        yield world
    finally:
        world.stop()
    assert world.containers(client) == []
    judge.check()


@pytest.fixture(scope="session")
def engine(engine: docker.DockerClient) -> docker.DockerClient:
    """The engine with the sandbox image on it: building it is not part of a story, whose patience is short."""
    ensure_image(engine, say=print, authorities=find_authorities(os.environ), environment=os.environ)
    return engine


@pytest.fixture
def make_world(tmp_path: Path, engine: docker.DockerClient) -> Iterator[MakeWorld]:
    """Makes worlds that are ended afterwards, their REST exchanges judged by GitHub's description."""
    with ExitStack() as stack:
        count = itertools.count()

        def make(files: dict[str, bytes | str] | Path = DEMO / "repository", session: Session = DEMO_SESSION) -> World:
            folder = tmp_path / str(next(count))
            return stack.enter_context(open_world(folder, engine, files=files, session=session))

        yield make


@dataclass
class Ground:
    """One running world for the stories of a module, each in a repository of its own, one after the other."""

    world: World
    inside: Inside
    engine: docker.DockerClient
    script: list[Any]

    def play(self, *turns: Mapping[str, Any]) -> None:
        """What the model says from now on, turn by turn; it describes every change alike."""
        self.script[:] = [DESCRIBED, *turns]

    def run(self, name: str, files: Mapping[str, str | bytes], *turns: Mapping[str, Any]) -> Told:
        """The story of an issue that is labelled, from the repository's files and the model's turns to its end."""
        self.play(*turns)
        repository = self.world.create_repository(name, files)
        return self.told(repository, self.world.ask(ISSUE, repository=repository))

    def told(self, repository: str, number: int, *, jobs: int = 1) -> Told:
        """What came of an issue's jobs; no container of theirs is left."""
        record = self.world.end_of(repository, number, jobs=jobs)
        # A job is cancelled the moment that it is asked for, and its container goes within ten seconds.
        self.world.wait_until(lambda: self.world.containers(self.engine) == [], 120, "no container to be left")
        return Told(
            repository,
            number,
            job=record.job.id,
            state=record.state,
            outcome=record.outcome or Outcome(status="cancelled", reason=""),
            comments=self.world.comments(number, repository),
            writes=self.world.writes(repository),
            branches=self.world.hub.branches(repository),
            pulls=self.world.pull_requests(repository),
        )


@dataclass(frozen=True)
class Told:
    """How a story ended: the last job, all comments on its issue, and all that was written to its repository."""

    repository: str
    number: int
    job: str
    state: str
    outcome: Outcome
    comments: list[str]
    writes: list[str]
    branches: dict[str, str]
    pulls: list[HubIssue]

    @property
    def answer(self) -> str:
        """The one comment, by our App: the tracking comment's text without its footer."""
        [comment] = self.comments
        return comment.rpartition("\n\n<sub>")[0] or comment


@contextmanager
def open_ground(folder: Path, engine: docker.DockerClient, **settings: Any) -> Iterator[Ground]:
    """A world for many stories, with Forgehand inside."""
    script: list[Any] = []
    with open_world(folder, engine, files={"README.md": "Nothing."}, session=script) as world:
        yield Ground(world, world.serve_inside(**settings), engine, script)
