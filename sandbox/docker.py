"""Sandboxes on a Docker engine: what a container may have, how it starts, and that it always goes away again."""

from __future__ import annotations

import codecs
import compileall
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock
from typing import Any, TypeVar

import docker
import requests
import structlog
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from sandbox.container import (
    JOB_LABEL,
    OWNER_LABEL,
    WORKSPACE,
    ChangeTooLarge,
    ExecResult,
    FileChange,
    Limits,
    SandboxSpec,
    SandboxUnavailable,
    ToolAnswer,
)
from sandbox.plain import PlainSandbox
from sandbox.stream import RequestRefused, ToolStream
from sandbox.tool_socket import ToolSocket, remove_dead_sockets
from sandbox.toolbox.frames import LARGEST
from sandbox.toolbox.serve import MOST_COMMANDS, MOST_OTHERS

USER = "10001:10001"
HOME = "/home/agent"
EGRESS_PORT = 3128
_TOOLBOX = Path(__file__).with_name("toolbox")
_TOOLBOX_TARGET = "/opt/forgehand/toolbox"
_EGRESS_TARGET = "/run/egress"
_SOCKET_TARGET = "/run/toolbox"
# The system's own python3 before any that a set-up command could have put on the image's PATH.
_START = """
export FORGEHAND_PATH="$PATH" PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
command -v python3 >/dev/null || exit 97
exec python3 -I -S -B -W ignore -c "
import sys; sys.path[:0] = ['/opt/forgehand']; sys.version_info < (3, 8) and sys.exit(97)
from toolbox.serve import main; main()"
"""
_NO_PYTHON = 97
_NO_SHELL = 127
# Without a toolbox the container has nothing to do but to end when its controller does.
_WAIT = "while read -r _; do :; done"
_MEGABYTE = 1024 * 1024
_OPEN_SECONDS = 600.0
_TOOL_SECONDS = 60.0
_CHANGES_SECONDS = 300.0
_LATE_SECONDS = 20.0
_REMOVE_SECONDS = 3.0

log = structlog.get_logger()

Opened = TypeVar("Opened", "DockerSandbox", PlainSandbox)


class _NoPython(Exception):
    """The image has no Python that could run the toolbox."""


class DockerSandboxes:
    """Opens containers on the engine behind ``client``. ``owner`` names this installation of ours on a shared engine.

    ``runtime`` is the engine's name of another OCI runtime, for example "runsc" for gVisor. ``sockets`` is a folder
    for the sockets that toolboxes come to; without it, and where they cannot, the engine carries their streams.
    """

    def __init__(
        self, client: docker.DockerClient, owner: str, *, runtime: str | None = None, sockets: Path | None = None
    ) -> None:
        self._client = client
        self._owner = owner
        self._runtime = runtime
        self._sockets = sockets
        self._unremoved: set[str] = set()
        self._without_python: set[str] = set()
        # A container cannot write the compiled files itself: without them each start compiles the toolbox anew.
        compileall.compile_dir(_TOOLBOX, quiet=2)

    def open(self, spec: SandboxSpec) -> DockerSandbox | PlainSandbox:
        """A started container with the workspace filled. Raises SandboxUnavailable; leaves nothing behind then.

        An image without Python gives a slower one, which says so in its notes.
        """
        if spec.image not in self._without_python:
            try:
                return self._open(spec, DockerSandbox)
            except _NoPython:
                self._without_python.add(spec.image)
        return self._open(spec, PlainSandbox)

    def _open(self, spec: SandboxSpec, kind: type[Opened]) -> Opened:
        with ExitStack() as undo:
            tool_socket = self._make_socket() if kind is DockerSandbox else None
            if tool_socket is not None:
                undo.callback(tool_socket.close)
            container = self._create(spec, kind, None if tool_socket is None else tool_socket.path)
            undo.callback(self._remove, container)
            with _engine("start the container", image=spec.image):
                streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                attached = self._client.api.attach_socket(container, streams)
                sandbox = kind(self._client, container, attached, remove=self._remove)
                undo.callback(sandbox.close)
                if tool_socket is not None and isinstance(sandbox, DockerSandbox):
                    sandbox.expect_at(tool_socket)
                self._client.api.start(container)
            try:
                sandbox.fill(spec)
            except SandboxUnavailable:
                self._explain_end(container, spec.image)
                raise
            undo.pop_all()
        return sandbox

    def _make_socket(self) -> ToolSocket | None:
        """Where the toolbox can come to; None when there is no folder for it, or one that takes no sockets."""
        if self._sockets is None:
            return None
        try:
            return ToolSocket(self._sockets)
        except OSError as error:
            log.warning("no_tool_sockets", folder=str(self._sockets), reason=str(error))
            self._sockets = None  # the engine carries the streams, as it would have to at the next attempt
            return None

    def _create(self, spec: SandboxSpec, kind: type[Opened], tool_socket: Path | None) -> str:
        request = render_create_request(spec, owner=self._owner, runtime=self._runtime, tool_socket=tool_socket)
        if kind is PlainSandbox:
            request["Entrypoint"][-1] = _WAIT
        with _engine("create a container", image=spec.image):
            created = self._client.api.create_container_from_config(request)  # type: ignore[no-untyped-call]
        self._remove_unremoved()
        return str(created["Id"])

    def _explain_end(self, container: str, image: str) -> None:
        """Raise what is known of a container that ended before it served; else nothing."""
        with suppress(DockerException, requests.RequestException):
            code = _settled_state(self._client, container).get("ExitCode")
            if code == _NO_PYTHON:
                raise _NoPython
            if code == _NO_SHELL:
                raise SandboxUnavailable(f"The image {image} has no /bin/sh. Use an image with bash, git and python3.")

    def remove_leftovers(self, job_id: str | None = None) -> int:
        """Remove this owner's containers, of one job or of all. Raises SandboxUnavailable when the engine is down."""
        labels = [f"{OWNER_LABEL}={self._owner}"]
        if job_id is not None:
            labels.append(f"{JOB_LABEL}={job_id}")
        with _engine("list containers"):
            found = self._client.api.containers(all=True, filters={"label": labels})
        for container in found:
            self._remove(str(container["Id"]))
        if self._sockets is not None:
            remove_dead_sockets(self._sockets)
        return len(found)

    def jobs(self) -> frozenset[str]:
        """The ids of the jobs that this owner has containers of. Raises SandboxUnavailable when the engine is down."""
        with _engine("list containers"):
            found = self._client.api.containers(all=True, filters={"label": [f"{OWNER_LABEL}={self._owner}"]})
        return frozenset(str(container["Labels"][JOB_LABEL]) for container in found)

    def _remove(self, container: str) -> None:
        """Kill and remove a container with its volumes; never raises. One that the engine keeps goes later."""
        # An engine refuses to remove what ends by itself in the same moment, and what another is just removing.
        again = Retrying(
            retry=retry_if_exception_type(APIError),
            stop=stop_after_delay(_REMOVE_SECONDS),
            wait=wait_exponential(multiplier=0.02, max=0.5),
            reraise=True,
        )
        try:
            again(self._remove_once, container)
        except (DockerException, requests.RequestException) as error:
            self._unremoved.add(container)
            log.warning("container_left", container=container, reason=str(error).splitlines()[0])
        else:
            self._unremoved.discard(container)

    def _remove_once(self, container: str) -> None:
        with suppress(NotFound):
            self._client.api.remove_container(container, force=True, v=True)

    def _remove_unremoved(self) -> None:
        """Remove what was left behind when the engine did not answer; it does now."""
        for container in tuple(self._unremoved):
            self._remove(container)


class DockerSandbox:
    """One running container. See :class:`sandbox.container.Sandbox` for what its methods promise."""

    def __init__(
        self, client: docker.DockerClient, container: str, attached: Any, *, remove: Callable[[str], None]
    ) -> None:
        self._client = client
        self._container = container
        self._remove = remove
        # The SDK's object is kept: its end would close the connection under us.
        self._attached = attached
        self._stream = ToolStream(getattr(attached, "_sock", attached), self._diagnose)
        self._tool_socket: Path | None = None
        self._closed = False
        # Those beyond what the toolbox has threads for wait here, where their deadlines have not begun.
        self._commands = BoundedSemaphore(MOST_COMMANDS)
        self._others = BoundedSemaphore(MOST_OTHERS)
        # The change as it was told last: the toolbox tells what is new since then.
        self._exporting = Lock()
        self._exported: list[FileChange] = []
        self._exported_at = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing: this is the way it should be."""
        return ()

    @property
    def id(self) -> str:
        """The container's id."""
        return self._container

    def expect_at(self, tool_socket: ToolSocket) -> None:
        """Let the toolbox come to the socket, whose folder its container mounts; for the time before the start."""
        self._tool_socket = tool_socket.path
        self._stream.expect_at(tool_socket)

    def fill(self, spec: SandboxSpec) -> None:
        """Start the toolbox's service and put the commit and the snapshot's products into the workspace."""
        egress = None
        if spec.network == "egress" and spec.egress_socket is not None:
            egress = {"port": EGRESS_PORT, "socket": f"{_EGRESS_TARGET}/{spec.egress_socket.name}"}
        self._stream.start()
        arguments = {
            "commit": spec.commit,
            "egress": egress,
            "environment": dict(spec.environment),
            "socket": None if self._tool_socket is None else f"{_SOCKET_TARGET}/{self._tool_socket.name}",
        }
        self._call("open", arguments, timeout=_OPEN_SECONDS)

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
        """Run one bash command in the workspace."""
        if cancelled is not None and cancelled.is_set():
            return ExecResult(None, "", False, False, False, 0.0, cancelled=True)
        arguments = {
            "command": command,
            "timeout": timeout,
            "environment": dict(environment or {}),
            "carry": carry,
            "output_limit": output_limit,
            "stream": on_output is not None,
        }
        on_part = None if on_output is None else _decode_parts(on_output)
        answer, _ = self._call(
            "execute", arguments, timeout=timeout + _LATE_SECONDS, on_part=on_part, cancelled=cancelled
        )
        return ExecResult(**answer)

    def tool(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        """Run a file tool with the model's arguments."""
        answer, text = self._call("tool", {"name": name, "arguments": dict(arguments)}, timeout=_TOOL_SECONDS)
        return ToolAnswer(text=text.decode("utf-8"), **answer)

    def read_bytes(self, path: str, *, limit: int) -> bytes | None:
        """A file's bytes, or None."""
        limit = min(limit, LARGEST - _MEGABYTE)
        answer, content = self._call("read_bytes", {"path": path, "limit": limit}, timeout=_TOOL_SECONDS)
        return content if answer["found"] else None

    def export_changes(self, *, max_files: int, max_bytes: int) -> list[FileChange]:
        """What differs from the commit, sorted by path; see :meth:`sandbox.container.Sandbox.export_changes`.

        Two kinds of change are for the caller to refuse: a nested repository or submodule has mode "160000" and empty
        content, and a path that is not UTF-8 is shown escaped with the mode "000000", which git does not have.
        """
        with self._exporting:
            caps = {"max_files": max_files, "max_bytes": min(max_bytes, LARGEST // 2)}
            answer, contents = self._call(
                "export_changes", {**caps, "since": self._exported_at}, timeout=_CHANGES_SECONDS
            )
            if "too_large" in answer:
                raise ChangeTooLarge(
                    f"The change is too large: {answer['too_large']}. Make it smaller, or raise the limit."
                )
            self._exported = merge_changes(self._exported, answer, contents)
            self._exported_at = answer["number"]
            return list(self._exported)

    def apply_changes(self, changes: Sequence[FileChange]) -> None:
        """Write a patch into the workspace. Raises SandboxUnavailable, for a path no repository can have too."""
        entries = [
            {"path": c.path, "mode": None if c.deleted else c.mode, "size": len(c.content or b"")} for c in changes
        ]
        contents = b"".join(change.content or b"" for change in changes)
        self._call("apply_changes", {"entries": entries}, attachment=contents, timeout=_CHANGES_SECONDS)

    def close(self) -> None:
        """Remove the container."""
        if self._closed:
            return
        self._closed = True
        self._stream.close()
        self._remove(self._container)

    def __enter__(self) -> DockerSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        attachment: bytes = b"",
        timeout: float,
        on_part: Callable[[dict[str, Any], bytes], None] | None = None,
        cancelled: Event | None = None,
    ) -> tuple[dict[str, Any], bytes]:
        try:
            with self._commands if operation == "execute" else self._others:
                return self._stream.call(
                    operation, arguments, attachment=attachment, timeout=timeout, on_part=on_part, cancelled=cancelled
                )
        except RequestRefused as refused:
            raise SandboxUnavailable(f"The sandbox could not {operation.replace('_', ' ')}: {refused}") from None

    def _diagnose(self) -> str:
        """What became of the container, in words."""
        try:
            state = _settled_state(self._client, self._container)
        except NotFound:
            return "its container was removed from outside."
        except (DockerException, requests.RequestException):
            return "the Docker engine does not answer either; start it with: sudo systemctl start docker"
        if state.get("Paused"):
            return f"its container is paused; resume it with: docker unpause {self._container[:12]}"
        if state.get("OOMKilled"):
            return "it used up its memory; raise the memory limit."
        if state.get("ExitCode") == 137 and not state.get("Running"):
            return "its container was killed, from outside or by a command in it."
        if not state.get("Running"):
            return f"its container ended with exit code {state.get('ExitCode')}."
        return "its container runs, but the toolbox in it does not answer."


def merge_changes(before: Sequence[FileChange], answer: Mapping[str, Any], contents: bytes) -> list[FileChange]:
    """The change, sorted by path, from what the toolbox tells of it: see sandbox.toolbox.changes.Changes.take."""
    fresh, at = [], 0
    for entry in answer["entries"]:
        content, at = contents[at : at + entry["size"]], at + entry["size"]
        fresh.append(FileChange(entry["path"], entry["mode"], None if entry["mode"] is None else content))
    old = {*answer["gone"], *(change.path for change in fresh)}
    kept = [] if answer["whole"] else [change for change in before if change.path not in old]
    return sorted([*kept, *fresh], key=lambda change: change.path)


def _decode_parts(on_output: Callable[[str], None]) -> Callable[[dict[str, Any], bytes], None]:
    """A listener for the parts of an output: whole characters, and a word for what was skipped in a flood."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def listen(message: dict[str, Any], content: bytes) -> None:
        skipped = f"\n[... {message['part']} bytes not shown ...]\n" if message["part"] else ""
        on_output(skipped + decode(content))

    return listen


def render_create_request(
    spec: SandboxSpec, *, owner: str, runtime: str | None = None, tool_socket: Path | None = None
) -> dict[str, Any]:
    """The body of the engine's create request: everything a container of ours may have is in here.

    See https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate
    """
    if (spec.mirror is None) != (spec.commit is None):
        raise SandboxUnavailable(
            "A sandbox needs both a mirror and a commit, or neither; an empty repository has no commit."
        )
    return {
        "Image": spec.image,
        "Entrypoint": ["/bin/sh", "-c", _START],
        "Cmd": [],
        "User": USER,
        "WorkingDir": WORKSPACE,
        "Hostname": "sandbox",
        # The job's variables go to the toolbox, not here: a container's own are kept in every snapshot made of it.
        "Env": [f"HOME={HOME}", "LANG=C.UTF-8"],
        "Labels": {JOB_LABEL: spec.job_id, OWNER_LABEL: owner},
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        # Not NetworkMode alone: with that the engine starts a program of its own in the namespace, twice the time. The
        # runtime still makes a namespace, with loopback up; the names that the engine would have given are in `hosts`.
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "Volumes": {},
        "ExposedPorts": {},
        "HostConfig": _host_config(spec, runtime, tool_socket),
    }


def _host_config(spec: SandboxSpec, runtime: str | None, tool_socket: Path | None) -> dict[str, Any]:
    limits = spec.limits
    memory = limits.memory_mb * _MEGABYTE
    config: dict[str, Any] = {
        "NetworkMode": "none",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "ReadonlyRootfs": not spec.writable_root,
        "Init": True,
        "IpcMode": "private",
        "PidsLimit": limits.pids,
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": int(limits.cpus * 1_000_000_000),
        "ShmSize": 64 * _MEGABYTE,
        "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}, {"Name": "nofile", "Soft": 8192, "Hard": 8192}],
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
        "Tmpfs": _tmpfs(limits, writable_root=spec.writable_root),
        "Mounts": _mounts(spec, tool_socket),
    }
    if runtime is not None:
        config["Runtime"] = runtime
    return config


def _tmpfs(limits: Limits, *, writable_root: bool) -> dict[str, str]:
    """Size and number of files are capped; programs may run from everywhere, as compilers and test runners expect."""
    common = "rw,exec,nosuid,nodev"
    own = f"{common},mode=0755,uid=10001,gid=10001"
    folders = {"/tmp": f"{common},mode=1777,size={limits.tmp_mb}m,nr_inodes=200k"}  # noqa: S108 - a folder in the container
    if not writable_root:
        folders[WORKSPACE] = f"{own},size={limits.workspace_mb}m,nr_inodes=500k"
        folders[HOME] = f"{own},size={limits.home_mb}m,nr_inodes=200k"
    return folders


def _mounts(spec: SandboxSpec, tool_socket: Path | None) -> list[dict[str, Any]]:
    sources = {_TOOLBOX_TARGET: _TOOLBOX, "/etc/hosts": _TOOLBOX / "hosts"}
    if tool_socket is not None:
        sources[_SOCKET_TARGET] = tool_socket.parent
    if spec.mirror is not None:
        sources["/mirror"] = spec.mirror
    if spec.network == "egress":
        if spec.egress_socket is None:
            raise SandboxUnavailable("network='egress' needs the egress_socket of a running proxy.")
        sources[_EGRESS_TARGET] = spec.egress_socket.parent
    return [
        {
            "Type": "bind",
            "Source": str(source.resolve()),
            "Target": target,
            "ReadOnly": True,
            "BindOptions": {"Propagation": "rprivate"},
        }
        for target, source in sources.items()
    ]


def _settled_state(client: docker.DockerClient, container: str) -> dict[str, Any]:
    """The container's state; one that is just ending gets a moment to say how."""
    deadline = time.monotonic() + 1.0
    while True:
        state: dict[str, Any] = client.api.inspect_container(container)["State"]
        if state.get("Paused") or not state.get("Running") or time.monotonic() > deadline:
            return state
        time.sleep(0.05)


@contextmanager
def _engine(action: str, *, image: str = "") -> Iterator[None]:
    """Whatever the engine does wrong while it should ``action`` becomes a SandboxUnavailable that says what to do."""
    try:
        yield
    except ImageNotFound:
        raise SandboxUnavailable(f"The image {image} is not on this engine. Build or pull it first.") from None
    except APIError as error:
        words = str(error.explanation or error)
        advice = ""
        if "python3" in words and "not found" in words:
            advice = f" The image {image} needs bash, git and python3."
        elif "bind source path does not exist" in words:
            advice = " The engine must run on this machine: it mounts folders of it."
        raise SandboxUnavailable(f"The Docker engine could not {action}: {words}.{advice}") from error
    except (DockerException, requests.RequestException) as error:
        raise SandboxUnavailable(
            f"The Docker engine does not answer while it should {action} ({type(error).__name__}). "
            "Start it with: sudo systemctl start docker"
        ) from error
