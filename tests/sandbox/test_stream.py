"""The host's end of the tool stream, against a peer that writes what it likes."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from sandbox.container import SandboxUnavailable
from sandbox.stream import ToolStream
from sandbox.toolbox.frames import ANSWER, HEADER, KEY_BYTES, LARGEST, REQUEST, BadFrame, pack, parse_body, parse_header

KEY = b"k" * KEY_BYTES


def docker_frame(content: bytes) -> bytes:
    return struct.pack(">BxxxL", 1, len(content)) + content


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
