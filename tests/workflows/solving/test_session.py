"""The agent's workspace: its container is opened beside what comes before it is needed, and is never left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sandbox.container import Sandboxes, SandboxSpec, SandboxUnavailable
from tests.fakes import SlowSandboxes
from workflows.solving.session import Session

SPEC = SandboxSpec("image", "job")


@pytest.fixture
def sandboxes(tmp_path: Path) -> SlowSandboxes:
    return SlowSandboxes(tmp_path, slow="open")


def test_a_container_is_opened_ahead_once(sandboxes: SlowSandboxes) -> None:
    """Nobody waits for it before it is needed; then it is the one, however often somebody asked."""
    asked = []

    def engine() -> Sandboxes:
        asked.append(True)
        return sandboxes

    session = Session(engine, lambda: SPEC, "base")
    session.open_ahead()
    session.open_ahead()
    assert sandboxes.began.wait(10)
    sandboxes.let.set()
    assert session.sandbox() is sandboxes.sandbox
    session.open_ahead()
    assert session.sandbox() is sandboxes.sandbox
    assert len(asked) == 1


def test_a_container_that_nobody_needed_is_closed(sandboxes: SlowSandboxes) -> None:
    """Also one that is not open yet when the session ends."""
    session = Session(lambda: sandboxes, lambda: SPEC, "base")
    session.open_ahead()
    assert sandboxes.began.wait(10)
    closing = threading.Thread(target=session.close)
    closing.start()
    assert sandboxes.sandbox.folder.exists()
    sandboxes.let.set()
    closing.join(10)
    assert not sandboxes.sandbox.folder.exists()


def test_a_container_that_was_not_to_be_had_ahead_is_asked_for_again(sandboxes: SlowSandboxes) -> None:
    """An engine that was down while the model thought is no failure of the call that comes after."""
    sandboxes.let.set()
    failures = [SandboxUnavailable("The engine starts."), SandboxUnavailable("It still does.")]

    def engine() -> Sandboxes:
        if failures:
            raise failures.pop()
        return sandboxes

    session = Session(engine, lambda: SPEC, "base")
    session.open_ahead()
    with pytest.raises(SandboxUnavailable, match="starts"):
        session.sandbox()
    assert session.sandbox() is sandboxes.sandbox
