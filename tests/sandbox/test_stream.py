"""The host's end of the tool stream, against a peer that writes what it likes."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.container import SandboxUnavailable
from sandbox.stream import ToolStream
from sandbox.tool_socket import ToolSocket, remove_dead_sockets
from sandbox.toolbox.frames import ANSWER, HEADER, KEY_BYTES, LARGEST, REQUEST, BadFrame, pack, parse_body, parse_header

KEY = b"k" * KEY_BYTES


def docker_frame(content: bytes, kind: int = 1) -> bytes:
    return struct.pack(">BxxxL", kind, len(content)) + content


@pytest.mark.parametrize("claimed", [0, 1000, 20 * 1024 * 1024])
def test_a_forged_header_breaks_the_stream_at_once(claimed: int) -> None:
    """Nothing is waited for or kept of a frame whose header the toolbox did not write."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = ToolStream(ours, lambda: "it runs")
        stream.start()
        theirs.sendall(docker_frame(struct.pack(">II", 2, claimed) + bytes(HEADER.size - 8)))
        started = time.monotonic()
        with pytest.raises(SandboxUnavailable, match="wrote into the tool stream"):
            stream.call("execute", {}, timeout=60)
        assert time.monotonic() - started < 20


def test_a_frame_is_read_back() -> None:
    """What is packed is parsed, in its own direction alone, and no length can be changed."""
    frame = pack(KEY, ANSWER, {"id": 1}, b"abc")
    header, body = frame[: HEADER.size], frame[HEADER.size :]
    assert parse_header(KEY, ANSWER, header) == (8, 3)
    assert parse_body(KEY, ANSWER, header, body) == ({"id": 1}, b"abc")
    for wrong in (struct.pack(">II", 7, 4) + header[8:], struct.pack(">II", 8, 2) + header[8:]):
        with pytest.raises(BadFrame, match="header"):
            parse_header(KEY, ANSWER, wrong)
    with pytest.raises(BadFrame, match="header"):
        parse_header(KEY, REQUEST, header)
    with pytest.raises(BadFrame, match="digest"):
        parse_body(KEY, ANSWER, header, body[:-1] + b"x")
    with pytest.raises(BadFrame, match="limit"):
        pack(KEY, ANSWER, {}, bytes(LARGEST))


class Toolbox:
    """The other end, in the hands of a test: what the engine's stream and the socket carry."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.engine = socket.socketpair()
        self.stream = ToolStream(self.ours, lambda: "it runs.")
        self.door = ToolSocket(folder)
        self.stream.expect_at(self.door)
        self.stream.start()
        self.key = self.engine.recv(KEY_BYTES)

    def come(self) -> socket.socket:
        """What the toolbox does with its first request."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.door.path))
        return connection

    def answer(self, connection: socket.socket, number: int, word: str) -> None:
        frame = pack(self.key, ANSWER, {"id": number, "result": {"word": word}})
        connection.sendall(frame if connection is not self.engine else docker_frame(frame))

    def hear(self, connection: socket.socket) -> dict[str, object]:
        """The next request."""
        header = connection.recv(HEADER.size, socket.MSG_WAITALL)
        size = sum(parse_header(self.key, REQUEST, header))
        return parse_body(self.key, REQUEST, header, connection.recv(size, socket.MSG_WAITALL))[0]

    def close(self) -> None:
        self.stream.close()
        self.engine.close()


@pytest.fixture
def toolbox(tmp_path: Path) -> Iterator[Toolbox]:
    made = Toolbox(tmp_path)
    yield made
    made.close()


def test_the_stream_goes_over_to_the_socket(toolbox: Toolbox) -> None:
    """The first request by the engine's stream, all else by the socket; an answer elsewhere is none."""
    with ThreadPoolExecutor(1) as other:
        first = other.submit(toolbox.stream.call, "open", {}, timeout=20)
        assert toolbox.hear(toolbox.engine)["op"] == "open"
        with toolbox.come() as connection:
            toolbox.answer(connection, 1, "opened")
            assert first.result()[0] == {"word": "opened"}
            assert not toolbox.door.path.parent.exists()
            second = other.submit(toolbox.stream.call, "ping", {}, timeout=20)
            assert toolbox.hear(connection) == {"op": "ping", "id": 2}
            toolbox.answer(toolbox.engine, 2, "forged")
            toolbox.answer(connection, 2, "true")
            assert second.result()[0] == {"word": "true"}


def test_an_answer_by_the_engine_s_stream_ends_the_waiting_for_another(toolbox: Toolbox) -> None:
    """Nobody can come any more, and no socket is left."""
    with ThreadPoolExecutor(1) as other:
        first = other.submit(toolbox.stream.call, "open", {}, timeout=20)
        toolbox.hear(toolbox.engine)
        toolbox.answer(toolbox.engine, 1, "opened")
        assert first.result()[0] == {"word": "opened"}
    assert not toolbox.door.path.parent.exists()
    with pytest.raises(OSError):
        toolbox.come()


def test_last_words_are_heard_beside_the_socket(toolbox: Toolbox) -> None:
    """A toolbox that ends says why on its standard error, which the engine brings; its standard output is not asked."""
    with ThreadPoolExecutor(1) as other:
        first = other.submit(toolbox.stream.call, "open", {}, timeout=20)
        toolbox.hear(toolbox.engine)
        with toolbox.come() as connection:
            toolbox.answer(connection, 1, "opened")
            first.result()
        toolbox.engine.sendall(docker_frame(b"I am well.") + docker_frame(b"MemoryError", kind=2))
        with pytest.raises(SandboxUnavailable, match=r"The sandbox ended: it runs\. .* Its last words: MemoryError$"):
            toolbox.stream.call("ping", {}, timeout=20)


def test_sockets_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """As soon as they are dead; one of a process that lives stays, whose ever it is."""
    wait = "made = ToolSocket(Path(sys.argv[1])); print(made.path, flush=True); sys.stdin.read()"
    code = f"import sys; from pathlib import Path; from sandbox.tool_socket import ToolSocket; {wait}"
    ours = ToolSocket(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        remove_dead_sockets(tmp_path)
        assert (ours.path.exists(), theirs.exists()) == (True, True)
        process.kill()
    remove_dead_sockets(tmp_path)
    assert list(tmp_path.iterdir()) == [ours.path.parent]
    ours.close()
    assert list(tmp_path.iterdir()) == []
    remove_dead_sockets(tmp_path / "absent")
