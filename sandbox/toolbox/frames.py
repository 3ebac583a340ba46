"""The frames of the tool stream: lengths, a keyed digest, JSON and raw bytes; the same code on both ends.

The digest is there because a command can open the pipes of PID 1 and write into the stream: it does not know the key.
"""

from __future__ import annotations

import json
import struct
from _operator import _compare_digest as compare_digest

try:
    # hashlib would load OpenSSL: 4 MiB in each of two hundred containers.
    from _blake2 import blake2b
except ImportError:  # a Python built without it
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]

KEY_BYTES = 32
REQUEST = b"fh-request"
ANSWER = b"fh-answer"
# The lengths, their own digest, and the digest of what follows.
HEADER = struct.Struct(">II16s16s")
LARGEST = 32 * 1024 * 1024


class BadFrame(Exception):
    """The stream holds something that the other end did not write."""


def pack(key: bytes, direction: bytes, message: Message, attachment: bytes = b"") -> bytes:
    """One frame; ``direction`` (REQUEST or ANSWER) keeps a frame from being played back to its sender."""
    text = json.dumps(message, separators=(",", ":")).encode("ascii")
    if len(text) + len(attachment) > LARGEST:
        raise BadFrame(f"a frame of {len(text) + len(attachment)} bytes is over the limit of {LARGEST}")
    lengths = _digest_lengths(key, direction, len(text), len(attachment))
    digest = _digest(key, direction, text, attachment)
    return HEADER.pack(len(text), len(attachment), lengths, digest) + text + attachment


def parse_header(key: bytes, direction: bytes, header: bytes) -> tuple[int, int]:
    """The length of the JSON and that of the attachment. Raises BadFrame before anything is read that was not written
    by the other end: a forged header would have us wait for, and keep, as much as it claims.
    """
    text, attachment, lengths, _ = HEADER.unpack(header)
    if not compare_digest(lengths, _digest_lengths(key, direction, text, attachment)):
        raise BadFrame("a frame has a wrong header")
    if text + attachment > LARGEST:
        raise BadFrame(f"a frame claims {text + attachment} bytes")
    return text, attachment


def parse_body(key: bytes, direction: bytes, header: bytes, body: bytes) -> tuple[Message, bytes]:
    """The message and its attachment. Raises BadFrame when the digest does not fit."""
    length, _, _, digest = HEADER.unpack(header)
    text, attachment = body[:length], body[length:]
    if not compare_digest(digest, _digest(key, direction, text, attachment)):
        raise BadFrame("a frame has a wrong digest")
    message: Message = json.loads(text)
    return message, attachment


def fingerprint(content: bytes) -> str:
    """A short digest that tells whether a file is still what was read."""
    digest: str = blake2b(content, digest_size=16).hexdigest()
    return digest


def _digest_lengths(key: bytes, direction: bytes, text: int, attachment: int) -> bytes:
    content = struct.pack(">II", text, attachment)
    digest: bytes = blake2b(content, key=key, digest_size=16, person=direction, salt=b"lengths").digest()
    return digest


def _digest(key: bytes, direction: bytes, text: bytes, attachment: bytes) -> bytes:
    state = blake2b(key=key, digest_size=16, person=direction)
    state.update(struct.pack(">I", len(text)))
    state.update(text)
    state.update(attachment)
    digest: bytes = state.digest()
    return digest
