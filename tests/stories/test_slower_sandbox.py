"""A repository whose image has no Python: the work is done all the same, and people are told what it costs."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import docker
import pytest

from sandbox.authorities import find_authorities
from sandbox.images import ensure_image
from sandbox.plain import NOTE
from tests.images import build_image
from tests.sandbox.test_plain import NO_PYTHON
from tests.stories.conftest import Ground, open_ground
from tests.stories.scripts import NOTED, UNTESTED

SHOWN = "The image has no python3 (3.8 or newer), so every call is a `docker exec`"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    ours = ensure_image(engine, say=print, authorities=find_authorities(os.environ), environment=os.environ)
    recipe = f"FROM {ours}\nUSER root\n{NO_PYTHON}\nUSER 10001:10001\n"
    tag = f"forgehand-stories/pythonless:{uuid.uuid4().hex[:8]}"  # others may run these stories on the same engine
    build_image(engine, recipe, tag=tag)
    with open_ground(tmp_path_factory.mktemp("slower") / "world", engine, sandbox_image=tag) as ground:
        yield ground
    engine.images.remove(tag, force=True)


@pytest.mark.parametrize("policy", ["", "test: grep -q One notes.txt\n"], ids=["no-tests", "tests"])
def test_people_are_told(ground: Ground, policy: str) -> None:
    """The tracking comment and the pull request hold the sandbox's note, once each."""
    files = {**UNTESTED, **({".github/qwen.yml": policy} if policy else {})}
    told = ground.run("tested" if policy else "untested", files, *NOTED)
    assert told.outcome.status == "pull_request", told.outcome
    assert NOTE.startswith(SHOWN)
    [comment] = told.comments
    assert comment.count(f"\n> {NOTE}\n") == 1
    [pull] = told.pulls
    assert str(pull.body).count(f"\n- {NOTE}\n") == 1
