"""A job's waiting, ended with the job: its commands, its model's replies and what is made for it on the engine.

What cannot be ended from outside is left alone in a thread of its own; nothing is heard of it any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from sandbox.container import ExecResult, FileChange, Sandbox, Sandboxes, SandboxSpec, ToolAnswer
from workflows.beside import begin_beside
from workflows.services import Model, Run
from workflows.solving.assignment import Assignment
from workflows.solving.workshop import Workshop
from workflows.types import Reply

T = TypeVar("T")
OnOutput = Callable[[str, str], None]
"""Takes a command and a piece of what it says."""

LOOK_SECONDS = 0.25
SEARCHES = frozenset({"grep", "glob"})
"""The file tools that a large tree makes slow."""


def interruptible(assignment: Assignment, run: Run, on_output: OnOutput | None = None) -> Assignment:
    """The same assignment, whose commands and replies end by what ``run.check`` raises once the run is over.

    ``on_output`` is told what a command says while it runs, in the thread that reads it against the command's deadline:
    it must not wait.
    """
    model_for = assignment.model_for
    return replace(
        assignment,
        workshop=lambda: _workshop(assignment.workshop(), run, on_output),
        model=InterruptibleModel(assignment.model, run),
        model_for=None if model_for is None else lambda attempt: InterruptibleModel(model_for(attempt), run),
    )


def leave_when_over(run: Run, work: Callable[[], T], discard: Callable[[T], None] | None = None) -> T:
    """What ``work`` gives or raises; once the run is over, what ``run.check`` raises, while ``work`` goes on alone.

    ``discard`` takes what it gives when nobody does any more.
    """
    _end_with(run)
    future = begin_beside(work, name="left-when-over")
    with ExitStack() as left:
        if discard is not None:
            left.callback(future.add_done_callback, partial(_discard, discard))
        done = False
        while not done:
            done = bool(wait([future], timeout=LOOK_SECONDS).done)
            _end_with(run)  # first: what was cut because of the end is no failure of its own
        left.pop_all()
    return future.result()


@dataclass(frozen=True)
class InterruptibleModel:
    """A model whose reply is waited for no longer than the run lasts."""

    model: Model
    run: Run

    @property
    def name(self) -> str:
        """The model's name as sent to the endpoint."""
        return self.model.name

    @property
    def context_window(self) -> int:
        """How many tokens a request and its reply may have together."""
        return self.model.context_window

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        cancelled: threading.Event | None = None,
    ) -> Reply:
        """One whole reply, as the model gives it; see :class:`workflows.services.Model`."""
        over = cancelled or self.run.over
        return leave_when_over(
            self.run, lambda: self.model.complete(messages, tools=tools, deadline=deadline, cancelled=over)
        )


@dataclass(frozen=True)
class InterruptibleSandboxes:
    """Sandboxes whose commands last no longer than the run; one that is still being filled then is removed."""

    sandboxes: Sandboxes
    run: Run
    on_output: OnOutput | None = None

    def open(self, spec: SandboxSpec) -> Sandbox:
        """A started container; see :class:`sandbox.container.Sandboxes`."""
        opened = leave_when_over(self.run, lambda: self.sandboxes.open(spec), discard=lambda late: late.close())
        return InterruptibleSandbox(opened, self.run, self.on_output)

    def remove_leftovers(self, job_id: str | None = None) -> int:
        """Remove this owner's containers."""
        return self.sandboxes.remove_leftovers(job_id)


@dataclass(frozen=True)
class InterruptibleSandbox:
    """A container whose commands and searches last no longer than the run; other tools do not begin after it."""

    sandbox: Sandbox
    run: Run
    on_output: OnOutput | None = None

    @property
    def id(self) -> str:
        """The container's id."""
        return self.sandbox.id

    @property
    def notes(self) -> Sequence[str]:
        """What people should be told of this container."""
        return self.sandbox.notes

    def execute(
        self,
        command: str,
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        carry: bool = False,
        output_limit: int = 30_000,
        on_output: Callable[[str], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> ExecResult:
        """Run one bash command in the workspace."""
        if on_output is None and self.on_output is not None:
            on_output = partial(self.on_output, command)
        try:
            return self.sandbox.execute(
                command,
                timeout=timeout,
                environment=environment,
                carry=carry,
                output_limit=output_limit,
                on_output=on_output,
                cancelled=cancelled or self.run.over,
            )
        finally:
            _end_with(self.run)  # also when it broke: an engine that stops with us breaks every command

    def tool(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        """Run a file tool with the model's arguments."""
        if name in SEARCHES:
            return leave_when_over(self.run, lambda: self.sandbox.tool(name, arguments))
        return self._unless_over(lambda: self.sandbox.tool(name, arguments))

    def read_bytes(self, path: str, *, limit: int) -> bytes | None:
        """A file's bytes, or None."""
        return self._unless_over(lambda: self.sandbox.read_bytes(path, limit=limit))

    def export_changes(self, *, max_files: int, max_bytes: int) -> list[FileChange]:
        """What differs from the commit."""
        return leave_when_over(self.run, lambda: self.sandbox.export_changes(max_files=max_files, max_bytes=max_bytes))

    def apply_changes(self, changes: Sequence[FileChange]) -> None:
        """Write a patch into the workspace."""
        leave_when_over(self.run, lambda: self.sandbox.apply_changes(changes))

    def close(self) -> None:
        """Remove the container."""
        self.sandbox.close()

    def _unless_over(self, work: Callable[[], T]) -> T:
        _end_with(self.run)
        return work()


def _workshop(workshop: Workshop, run: Run, on_output: OnOutput | None) -> Workshop:
    sandboxes = InterruptibleSandboxes(workshop.sandboxes, run, on_output)
    images = workshop.images
    return replace(
        workshop,
        sandboxes=sandboxes,
        images=lambda custom: leave_when_over(run, lambda: images(custom)),
        run=run,
    )


def _discard(discard: Callable[[T], None], done: Future[T]) -> None:
    if done.exception() is None:
        discard(done.result())


def _end_with(run: Run) -> None:
    if run.over.is_set():
        run.check()
