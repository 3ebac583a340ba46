"""Serving requests from the host's stream: who answers what, in which thread, and what a broken world looks like."""

from __future__ import annotations

import _socket  # not socket, which is slow to load
import contextlib
import os
import signal
import sys
import threading

from .arguments import TOOLS, BadArguments, parse_arguments
from .confine import confine
from .files import Files, explain_error
from .frames import ANSWER, HEADER, KEY_BYTES, REQUEST, pack, parse_body, parse_header
from .gitchanges import TooLarge
from .gitfolder import WorkspaceError, git_environment
from .paths import BadPath, Paths
from .search import Search
from .shell import Cancel, Shell, find_program
from .store import LocalStore
from .syntax import SyntaxChecker
from .workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .frames import Message

    Reply = tuple[Message, bytes]

# One more than the requests that a host has under way at a time, so that there is always one to hear a cancellation.
MOST_COMMANDS = 12
MOST_OTHERS = 4
_THREADS = MOST_COMMANDS + MOST_OTHERS + 1
_WORKSPACE = "/workspace"
_MIRROR = "/mirror"
_TOO_DEEP = "The folders lie too deep in each other; make or leave fewer levels of them, with bash."


class Closed(Exception):
    """The host has closed the stream."""


class Toolbox:
    """The operations of the protocol: each takes a message and its attachment, and gives the same."""

    def __init__(self, environment: dict[str, str], stream: Stream) -> None:
        self._environment = environment
        self._stream = stream
        self._cancels: dict[int, Cancel] = {}
        self._cancelling = threading.Lock()
        paths = Paths([_WORKSPACE, "/tmp"])
        self._shell = Shell(_WORKSPACE, environment)
        self._files = Files(paths, LocalStore(), SyntaxChecker(environment))
        self._search = Search(paths, self._shell)
        self._workspace = Workspace(_WORKSPACE, _MIRROR, git_environment(environment))
        self._tools: dict[str, Callable[..., tuple[bool, str, dict[str, Any]]]] = {
            "read_file": self._files.read_file,
            "edit": self._files.edit,
            "write_file": self._files.write_file,
            "grep": self._search.grep,
            "glob": self._search.glob,
        }

    def admit(self, message: Message) -> None:
        """Note a request before the next one is read: the next may cancel it."""
        if message["op"] == "execute":
            with self._cancelling:
                self._cancels[message["id"]] = Cancel()

    def open(self, message: Message, _: bytes) -> Reply:
        """Fill the workspace and start the forwarder."""
        if message["egress"]:
            from .forward import start_forwarding  # for the set-up phase alone: socket is slow to load

            start_forwarding(message["egress"]["port"], message["egress"]["socket"])
        for program in ("bash", "git"):
            if find_program(program, self._environment["PATH"]) is None:
                raise WorkspaceError(f"The image has no {program}. Use an image with bash, git and python3.")
        self._workspace.fill(message["commit"])
        return {}, b""

    def ping(self, _: Message, __: bytes) -> Reply:
        """Nothing: the answer says that there is one."""
        return {}, b""

    def cancel(self, message: Message, _: bytes) -> Reply:
        """End the command of another request; it answers then. One that has ended already is not touched."""
        with self._cancelling:
            cancel = self._cancels.get(message["target"])
            if cancel is not None:
                cancel.set()
        return {}, b""

    def execute(self, message: Message, _: bytes) -> Reply:
        """Run a command; with ``stream`` its output is sent as it comes, in parts that carry the request's id."""
        number, live = message["id"], None
        if message["stream"]:

            def live(dropped: int, chunk: bytes) -> None:
                self._stream.send({"id": number, "part": dropped}, chunk)

        try:
            answer = self._shell.execute(
                message["command"],
                timeout=message["timeout"],
                environment=message["environment"],
                carry=message["carry"],
                output_limit=message["output_limit"],
                live=live,
                cancel=self._cancels[number],
            )
        finally:
            with self._cancelling:
                self._cancels.pop(number).close()
        return answer, b""

    def after(self, operation: str) -> None:
        """What can wait until an answer is out."""
        if operation == "execute":
            self._shell.prepare()

    def tool(self, message: Message, _: bytes) -> Reply:
        """Run a file tool with the model's arguments; whatever is wrong with them is an answer, its text attached."""
        name = message["name"]
        try:
            if name not in TOOLS:
                known = ", ".join(sorted(TOOLS))
                raise BadArguments(f"There is no tool {name!r} here. The tools are: {known}")
            ok, text, data = self._tools[name](**parse_arguments(name, message["arguments"]))
        except BadArguments as error:
            ok, text, data = False, str(error), {"error": "bad_arguments"}
        except BadPath as error:
            ok, text, data = False, str(error), {"error": "bad_path"}
        except OSError as error:
            ok, text, data = False, explain_error(name, error), {"error": "system"}
        except RecursionError:  # os.makedirs and, before Python 3.12, os.walk call themselves for each folder
            ok, text, data = False, f"{name} failed: {_TOO_DEEP}", {"error": "too_deep"}
        # A file's name need not be UTF-8; what leaves here is.
        return {"ok": ok, "data": data}, text.encode("utf-8", "replace")

    def read_bytes(self, message: Message, _: bytes) -> Reply:
        """A file's bytes as the attachment."""
        try:
            content = self._files.read_bytes(message["path"], message["limit"])
        except BadPath:
            content = None
        return {"found": content is not None}, content or b""

    def export_changes(self, message: Message, _: bytes) -> Reply:
        """What is new in the change, or why it is too large."""
        try:
            return self._workspace.export_changes(message["since"], message["max_files"], message["max_bytes"])
        except TooLarge as error:
            return {"too_large": str(error)}, b""

    def apply_changes(self, message: Message, contents: bytes) -> Reply:
        """Write a patch."""
        self._workspace.apply_changes(message["entries"], contents)
        return {}, b""


class Stream:
    """The protocol's file descriptors, out of reach of every child: those of the container's start, then a socket."""

    def __init__(self) -> None:
        self._input, self._output = os.dup(0), os.dup(1)  # not inheritable
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.close(nothing)
        self._key = b""
        self._sending = threading.Lock()
        self._receiving = threading.Lock()

    def read_key(self) -> None:
        """Take the key of the frames: the first bytes of all, before any command has run. Raises Closed."""
        self._key = self._read(KEY_BYTES)

    def go_over(self, path: str) -> None:
        """Go on over the host's socket where it can be reached: a sandboxed kernel or a security module may say no."""
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except OSError:
            connection.close()
            return
        for old in (self._input, self._output):
            os.close(old)
        self._input = self._output = connection.detach()

    def receive(self, admit: Callable[[Message], None]) -> Reply:
        """The next request, admitted before another thread can read the one after it.

        Raises Closed, and BadFrame when the host did not write it.
        """
        with self._receiving:
            header = self._read(HEADER.size)
            length, attached = parse_header(self._key, REQUEST, header)
            request = parse_body(self._key, REQUEST, header, self._read(length + attached))
            admit(request[0])
        return request

    def send(self, message: Message, attachment: bytes = b"") -> None:
        """Write an answer whole. Raises Closed."""
        view = memoryview(pack(self._key, ANSWER, message, attachment))
        with self._sending:
            while view:
                try:
                    view = view[os.write(self._output, view) :]
                except (BrokenPipeError, ConnectionResetError):
                    raise Closed from None

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = os.read(self._input, min(size, 1 << 20))
            except ConnectionResetError:  # it closed before it had read everything
                raise Closed from None
            if not part:
                raise Closed
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def main() -> None:
    """Serve until the host closes the stream; then end, and the container with it."""
    threading.excepthook = _die
    sys.excepthook = lambda *error: _die(threading.ExceptHookArgs((*error, None)))
    # A handler, not SIG_IGN: children would inherit that. So `pkill python` in a command does not end the toolbox.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    environment = dict(os.environ)
    environment["PATH"] = environment.pop("FORGEHAND_PATH", os.defpath)
    for name in ("HOSTNAME", "PWD", "OLDPWD", "SHLVL", "_"):
        environment.pop(name, None)
    stream = Stream()
    try:
        stream.read_key()
        first, _ = stream.receive(lambda _: None)
    except Closed:
        return
    if first["socket"]:
        stream.go_over(first["socket"])
    toolbox = Toolbox({**environment, **first["environment"]}, stream)
    confine()
    # All threads at once: when commands have used up the process limit, no new one could start.
    for _ in range(_THREADS):
        threading.Thread(target=_serve, args=(toolbox, stream), daemon=True).start()
    with contextlib.suppress(Closed):
        _answer(toolbox, stream, (first, b""))
        threading.Event().wait()


def _serve(toolbox: Toolbox, stream: Stream) -> None:
    """Read a request and answer it, in turns with the other threads: none is handed from one to another."""
    while True:
        try:
            _answer(toolbox, stream, stream.receive(toolbox.admit))
        except Closed:
            os._exit(0)


def _answer(toolbox: Toolbox, stream: Stream, request: Reply) -> None:
    message, attachment = request
    number, name = message["id"], message["op"]
    operation: Callable[[Message, bytes], Reply] = getattr(toolbox, name)
    try:
        result, content = operation(message, attachment)
    except (WorkspaceError, OSError) as error:
        stream.send({"id": number, "error": str(error)})
    except RecursionError:
        stream.send({"id": number, "error": _TOO_DEEP})
    else:
        stream.send({"id": number, "result": result}, content)
    toolbox.after(name)


def _die(arguments: threading.ExceptHookArgs) -> None:
    """A bug ends the toolbox with its traceback on standard error, which the host reports; it never hangs a caller."""
    sys.__excepthook__(arguments.exc_type, arguments.exc_value or arguments.exc_type(), arguments.exc_traceback)
    sys.stderr.flush()
    os._exit(70)
