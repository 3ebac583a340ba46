"""A scripted endpoint, a model client on it, and a small Python repository to work in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.demo.scripted_model import ScriptedModel
from tests.fakes import FolderWorkspace
from workflows.agent.client.llm import OpenAIModel

Serve = Callable[..., ScriptedModel]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start scripted endpoints; all are stopped at the end."""
    with ExitStack() as stack:

        def start(session: Path | Sequence[Mapping[str, Any]], **options: Any) -> ScriptedModel:
            return stack.enter_context(ScriptedModel(session, **options))

        yield start


class Naps:
    """The sleeps that a client asked for, none of them slept."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def connect(naps: Naps) -> Callable[..., OpenAIModel]:
    """A client of a scripted endpoint that does not wait between its attempts."""

    def build(server: ScriptedModel, **options: Any) -> OpenAIModel:
        settings: dict[str, Any] = {"model": "scripted-session", "sleep": naps, "jitter": lambda low, high: high}
        return OpenAIModel(server.url, options.pop("api_key", "sk-sentinel-1f6b"), **(settings | options))

    return build


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two files: a wrong sum and a test that has no opinion on it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "sums.py").write_text("def add(a, b):\n    return a - b\n")
    (folder / "test_sums.py").write_text(
        "import unittest\n\nfrom sums import add\n\n\n"
        "class AddTest(unittest.TestCase):\n    def test_zero(self):\n        self.assertEqual(add(3, 0), 3)\n"
    )
    return folder


@pytest.fixture
def workspace(repository: Path, tmp_path: Path) -> FolderWorkspace:
    room = tmp_path / "room"
    room.mkdir()
    return FolderWorkspace(repository, room)
