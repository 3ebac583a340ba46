"""What is waited for ends with the run, and otherwise gives what it would have given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.demo.scripted_model import ScriptedModel
from sandbox.container import SandboxSpec
from tests.fakes import FolderSandbox, SlowSandboxes
from workflows.agent.client.fallbacks import FallbackModel
from workflows.agent.client.llm import OpenAIModel
from workflows.durable.run import InlineRun
from workflows.services import BrokenWorld, JobCancelled
from workflows.solving.interruptible import (
    InterruptibleModel,
    InterruptibleSandbox,
    InterruptibleSandboxes,
    leave_when_over,
)

HELLO = [{"role": "user", "content": "Hello."}]


class CancelledRun(InlineRun):
    """A run that somebody cancels after it began."""

    def check(self) -> None:
        if self.over.is_set():
            raise JobCancelled("cancelled")


def over_soon(run: CancelledRun, began: threading.Event) -> None:
    threading.Thread(target=lambda: began.wait(10) and run.over.set(), daemon=True).start()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


def test_work_that_ends_gives_what_it_gives() -> None:
    """A value, an exception, a time-out of the work's own."""
    run = CancelledRun("job")
    assert leave_when_over(run, lambda: 7) == 7
    for error in (BrokenWorld("git", "broken"), TimeoutError("its own"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            leave_when_over(run, lambda error=error: (_ for _ in ()).throw(error))  # type: ignore[misc]
        assert caught.value is error


def test_work_that_hangs_is_left() -> None:
    """The one who waits is told that the job was cancelled; the work goes on alone."""
    run, began, released, ended = CancelledRun("job"), threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        released.wait(10)
        ended.set()

    over_soon(run, began)
    with pytest.raises(JobCancelled):
        leave_when_over(run, hang)
    assert not ended.is_set()
    released.set()
    assert ended.wait(10)


def test_a_stream_is_cut() -> None:
    """The endpoint's connection is closed, so that nothing more is made and paid for; no other model is asked."""
    cancelled, gone = threading.Event(), threading.Event()
    endless = {"content": "I think", "faults": [{"stall": 1, "alive": 0.02}, {"stall": 1, "alive": 0.02}]}
    with ScriptedModel([endless]) as server, ScriptedModel([{"content": "never"}]) as other:
        model, second = (OpenAIModel(one.url, "", model="scripted-session") for one in (server, other))

        def ask() -> None:
            with pytest.raises(BrokenWorld):
                FallbackModel([model, second]).complete(HELLO, cancelled=cancelled)
            gone.set()

        threading.Thread(target=ask, daemon=True).start()
        assert not gone.wait(0.7), "a stream that is alive is read"
        cancelled.set()
        assert gone.wait(5)
        run = CancelledRun("job")

        def end() -> None:
            until(lambda: len(server.completions()) == 2)
            run.over.set()

        threading.Thread(target=end, daemon=True).start()
        with pytest.raises(JobCancelled):
            InterruptibleModel(model, run).complete(HELLO)
        assert other.completions() == []
        model.complete(HELLO)
        assert server.completions()[-1].json["stream"] is True, "what was cut by us says nothing about the endpoint"


class OverForWhoWaits(threading.Event):
    """Set between the last look of the thread that opens and the first one of the thread that waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.current_thread()

    def is_set(self) -> bool:
        return super().is_set() and threading.current_thread() is self.waiting


def test_a_container_that_is_there_as_the_run_ends_is_closed(tmp_path: Path) -> None:
    """The moment between its start and its being handed over is no gap."""
    run, inner = CancelledRun("job"), SlowSandboxes(tmp_path, slow="nothing")
    run.over = OverForWhoWaits()
    opened = inner.open

    def open_at_the_end(spec: SandboxSpec) -> FolderSandbox:
        run.over.set()
        sandbox: FolderSandbox = opened(spec)
        return sandbox

    inner.open = open_at_the_end
    with pytest.raises(JobCancelled):
        InterruptibleSandboxes(inner, run).open(SandboxSpec("image", "job"))
    assert not inner.sandbox.folder.exists()


@pytest.mark.parametrize("slow", ["open", "tool", "export_changes", "apply_changes"])
def test_a_large_tree_is_not_waited_for(tmp_path: Path, slow: str) -> None:
    """Filling a container, searching it and taking the change out of it can take long: they are left, and closed."""
    run, inner = CancelledRun("job"), SlowSandboxes(tmp_path, slow=slow)
    over_soon(run, inner.began)

    def use() -> None:
        sandbox = InterruptibleSandboxes(inner, run).open(SandboxSpec("image", "job"))
        sandbox.tool("grep", {"pattern": "x"})
        sandbox.export_changes(max_files=1, max_bytes=1)
        sandbox.apply_changes([])

    with pytest.raises(JobCancelled):
        use()
    assert inner.sandbox.folder.exists()
    inner.let.set()
    if slow == "open":
        until(lambda: not inner.sandbox.folder.exists())  # what nobody waits for is closed by whoever opened it


def test_nothing_begins_in_a_container_after_the_end(tmp_path: Path) -> None:
    """Neither command nor tool; the container can still be closed."""
    base = tmp_path / "base"
    base.mkdir()
    inner = FolderSandbox(base, tmp_path / "container")
    run = CancelledRun("job")
    sandbox = InterruptibleSandbox(inner, run)
    assert sandbox.execute("echo fine", timeout=10).output == "fine\n"
    run.over.set()
    acts: list[Any] = [
        lambda: sandbox.execute("true", timeout=10),
        lambda: sandbox.tool("glob", {"pattern": "*"}),
        lambda: sandbox.export_changes(max_files=1, max_bytes=1),
    ]
    for act in acts:
        with pytest.raises(JobCancelled):
            act()
    sandbox.close()
    assert not inner.folder.exists()


def test_what_a_command_says_is_heard(tmp_path: Path) -> None:
    """By whoever follows the job, with the command; unless the caller listens itself."""
    base = tmp_path / "base"
    base.mkdir()
    heard: list[tuple[str, str]] = []
    listen = lambda command, text: heard.append((command, text))  # noqa: E731
    sandbox = InterruptibleSandbox(FolderSandbox(base, tmp_path / "container"), InlineRun("job"), listen)
    assert sandbox.execute("echo one", timeout=10).ok
    own: list[str] = []
    assert sandbox.execute("echo two", timeout=10, on_output=own.append).ok
    assert (heard, own) == ([("echo one", "one\n")], ["two\n"])
