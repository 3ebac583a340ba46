"""Serving requests from the attached stream: who answers what, in which thread, and what a broken world looks like."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from typing import Any, Callable

from .arguments import TOOLS, BadArguments, parse_arguments
from .confine import confine
from .files import Files
from .forward import start_forwarding
from .frames import ANSWER, HEADER, KEY_BYTES, REQUEST, Message, pack, parse_body, parse_header
from .paths import BadPath, Paths
from .search import Search
from .shell import Shell
from .workspace import TooLarge, Workspace, WorkspaceError, git_environment

_THREADS = 8
_WORKSPACE = "/workspace"
_MIRROR = "/mirror"

Reply = tuple[Message, bytes]


class Closed(Exception):
    """The host has closed the stream."""


class Toolbox:
    """The operations of the protocol: each takes a message and its attachment, and gives the same."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        paths = Paths([_WORKSPACE, "/tmp"])
        self._shell = Shell(_WORKSPACE, environment)
        self._files = Files(paths)
        self._search = Search(paths, self._shell)
        self._workspace = Workspace(_WORKSPACE, _MIRROR, git_environment(environment))
        self._tools: dict[str, Callable[..., tuple[bool, str, dict[str, Any]]]] = {
            "read_file": self._files.read_file,
            "edit": self._files.edit,
            "write_file": self._files.write_file,
            "grep": self._search.grep,
            "glob": self._search.glob,
        }

    def open(self, message: Message, _: bytes) -> Reply:
        """Fill the workspace and start the forwarder."""
        if message["egress"]:
            start_forwarding(message["egress"]["port"], message["egress"]["socket"])
        for program in ("bash", "git"):
            if shutil.which(program, path=self._environment["PATH"]) is None:
                raise WorkspaceError(f"The image has no {program}. Use an image with bash, git and python3.")
        self._workspace.fill(message["commit"])
        return {}, b""

    def execute(self, message: Message, _: bytes) -> Reply:
        """Run a command."""
        return self._shell.execute(**message), b""

    def tool(self, message: Message, _: bytes) -> Reply:
        """Run a file tool with the model's arguments; whatever is wrong with them is an answer."""
        name = message["name"]
        if name not in TOOLS:
            text = "There is no tool {!r} here. The tools are: {}".format(name, ", ".join(sorted(TOOLS)))
            return {"ok": False, "text": text, "data": {"error": "unknown_tool"}}, b""
        try:
            ok, text, data = self._tools[name](**parse_arguments(name, message["arguments"]))
        except BadArguments as error:
            ok, text, data = False, str(error), {"error": "bad_arguments"}
        except BadPath as error:
            ok, text, data = False, str(error), {"error": "bad_path"}
        except OSError as error:
            ok, text, data = False, f"{name} failed: {error}", {"error": "system"}
        # A file's name need not be UTF-8; what leaves here is.
        return {"ok": ok, "text": text.encode("utf-8", "replace").decode("utf-8"), "data": data}, b""

    def read_bytes(self, message: Message, _: bytes) -> Reply:
        """A file's bytes as the attachment."""
        try:
            content = self._files.read_bytes(message["path"], message["limit"])
        except BadPath:
            content = None
        return {"found": content is not None}, content or b""

    def export_changes(self, message: Message, _: bytes) -> Reply:
        """The change, or why it is too large."""
        try:
            entries, contents = self._workspace.export_changes(message["max_files"], message["max_bytes"])
        except TooLarge as error:
            return {"too_large": str(error)}, b""
        return {"entries": entries}, contents

    def apply_changes(self, message: Message, contents: bytes) -> Reply:
        """Write a patch."""
        self._workspace.apply_changes(message["entries"], contents)
        return {}, b""


class Stream:
    """The protocol's two file descriptors, out of reach of every child."""

    def __init__(self) -> None:
        self._input, self._output = os.dup(0), os.dup(1)  # not inheritable
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.close(nothing)
        self._key = b""
        self._sending = threading.Lock()

    def read_key(self) -> None:
        """Take the key of the frames: the first bytes of all, before any command has run. Raises Closed."""
        self._key = self._read(KEY_BYTES)

    def receive(self) -> Reply:
        """The next request. Raises Closed, and BadFrame when the host did not write it."""
        header = self._read(HEADER.size)
        length, attached = parse_header(self._key, REQUEST, header)
        return parse_body(self._key, REQUEST, header, self._read(length + attached))

    def send(self, message: Message, attachment: bytes = b"") -> None:
        """Write an answer whole."""
        view = memoryview(pack(self._key, ANSWER, message, attachment))
        with self._sending:
            while view:
                view = view[os.write(self._output, view) :]

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            part = os.read(self._input, min(size, 1 << 20))
            if not part:
                raise Closed
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def main() -> None:
    """Serve until the host closes the stream; then end, and the container with it."""
    threading.excepthook = _die
    # A handler, not SIG_IGN: children would inherit that. So `pkill python` in a command does not end the toolbox.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    environment = dict(os.environ)
    environment["PATH"] = environment.pop("FORGEHAND_PATH", os.defpath)
    for name in ("HOSTNAME", "PWD", "OLDPWD", "SHLVL", "_"):
        environment.pop(name, None)
    stream = Stream()
    stream.read_key()
    first, _ = stream.receive()
    toolbox = Toolbox({**environment, **first.pop("environment")})
    confine()
    work: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    # All threads at once: when commands have used up the process limit, no new one could start.
    for _ in range(_THREADS):
        threading.Thread(target=_work, args=(toolbox, stream, work), daemon=True).start()
    work.put((first, b""))
    try:
        while True:
            message, attachment = stream.receive()
            if message["op"] == "ping":
                stream.send({"id": message["id"], "result": {}})
            else:
                work.put((message, attachment))
    except Closed:
        os._exit(0)


def _work(toolbox: Toolbox, stream: Stream, work: queue.SimpleQueue[Reply]) -> None:
    while True:
        message, attachment = work.get()
        number = message.pop("id")
        operation: Callable[[Message, bytes], Reply] = getattr(toolbox, message.pop("op"))
        try:
            result, content = operation(message, attachment)
        except (WorkspaceError, OSError) as error:
            stream.send({"id": number, "error": str(error)})
        else:
            stream.send({"id": number, "result": result}, content)


def _die(arguments: threading.ExceptHookArgs) -> None:
    """A bug ends the toolbox with its traceback on standard error, which the host reports; it never hangs a caller."""
    traceback.print_exception(arguments.exc_type, arguments.exc_value, arguments.exc_traceback, file=sys.stderr)
    sys.stderr.flush()
    os._exit(70)
