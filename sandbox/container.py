"""The sandbox protocol: what a disposable container is asked to do, and in which words it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Literal, Protocol

WORKSPACE = "/workspace"
JOB_LABEL = "forgehand.job"
OWNER_LABEL = "forgehand.owner"

Network = Literal["none", "egress"]


class SandboxUnavailable(Exception):
    """The engine or the container broke: never the fault of the command that was running.

    Kept apart from a failed command, which is an ordinary :class:`ExecResult`.
    """


@dataclass(frozen=True)
class Limits:
    """Upper bounds of one container; the tmpfs sizes count against the memory."""

    memory_mb: int = 4096
    cpus: float = 2.0
    pids: int = 512
    workspace_mb: int = 2048
    tmp_mb: int = 512
    home_mb: int = 512


@dataclass(frozen=True)
class SandboxSpec:
    """One container: what it starts from, what it holds, and what bounds it.

    ``mirror`` is the host path of a bare repository. It is mounted read-only; the workspace is a clone of ``commit``
    that borrows its objects, without remotes. ``network="none"`` has loopback and nothing else. ``network="egress"``
    additionally forwards 127.0.0.1:3128 to the proxy listening on ``egress_socket`` (a host Unix socket), and is
    for the set-up phase alone. ``writable_root`` is for the set-up phase too: its container is committed as a
    snapshot, so it may not use tmpfs for the workspace or the home folder.
    """

    image: str
    job_id: str
    mirror: Path | None = None
    commit: str | None = None
    network: Network = "none"
    egress_socket: Path | None = None
    writable_root: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()


@dataclass(frozen=True)
class ExecResult:
    """What a command did. ``exit_code`` is None when it was ended by its deadline or by its caller (``cancelled``).

    ``output_file`` is the path in the container of the whole of an output that was cut; see :meth:`Sandbox.execute`.
    """

    exit_code: int | None
    output: str
    truncated: bool
    timed_out: bool
    out_of_memory: bool
    seconds: float
    cancelled: bool = False
    output_file: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the command ended by itself with exit code 0."""
        return self.exit_code == 0


@dataclass(frozen=True)
class FileChange:
    """One path of a patch: ``mode`` is git's octal string ("100644", "100755", "120000"); a deletion has no content."""

    path: str
    mode: str | None
    content: bytes | None

    @property
    def deleted(self) -> bool:
        """Whether the path is gone in the patch."""
        return self.content is None


@dataclass(frozen=True)
class ToolAnswer:
    """The answer of a file tool: ``ok`` False means the caller asked for something impossible, ``text`` says what."""

    ok: bool
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Sandbox(Protocol):
    """A running container with the workspace at :data:`WORKSPACE`. Every method raises SandboxUnavailable alone."""

    @property
    def id(self) -> str:
        """The container's id."""

    @property
    def notes(self) -> Sequence[str]:
        """What people should be told of this container, a sentence each; empty when all is as it should be."""

    def execute(
        self,
        command: str,
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        carry: bool = False,
        output_limit: int = 30_000,
        on_output: Callable[[str], None] | None = None,
        cancelled: Event | None = None,
    ) -> ExecResult:
        """Run one bash command in the workspace; its process group is ended at ``timeout`` seconds.

        It has no input. Some commands and tools run at the same time; more than a dozen wait for each other.

        ``carry``: start in the folder and with the exported variables that the last carried command left.
        Of a carried command whose output is cut, the first 8 MB and the end are kept in a file below /tmp; the text
        names it, and so does ``output_file``.
        ``output_limit``: characters kept of standard output and error together, half from the head, half from the tail.
        ``on_output``: called in this thread with the output as it comes; of a flood some is skipped, and said to be.
        ``cancelled``: when it is set the process group is ended within a second.
        """

    def tool(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        """Run a file tool (``read_file``, ``grep``, ``glob``, ``edit``, ``write_file``) with the model's arguments."""

    def read_bytes(self, path: str, *, limit: int) -> bytes | None:
        """The content of a file below the workspace or /tmp; None when it is absent or larger than ``limit`` bytes."""

    def export_changes(self, *, max_files: int, max_bytes: int) -> list[FileChange]:
        """What differs from the commit the workspace was made from, committed inside or not, without ignored files.

        Raises ChangeTooLarge when the change exceeds the caps; the cap is enforced inside, before bytes are sent.
        """

    def apply_changes(self, changes: Sequence[FileChange]) -> None:
        """Write a patch into the workspace."""

    def close(self) -> None:
        """Remove the container; never raises, may be called twice."""


class ChangeTooLarge(Exception):
    """The workspace holds a larger change than the caps allow; the message gives the numbers."""


class Sandboxes(Protocol):
    """The one that opens containers."""

    def open(self, spec: SandboxSpec) -> Sandbox:
        """Create, start and fill a container. Raises SandboxUnavailable."""

    def remove_leftovers(self, job_id: str | None = None) -> int:
        """Remove this owner's containers (of one job, or of all jobs) and return how many there were."""
