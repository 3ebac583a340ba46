"""A model file for llama.cpp whose weights are a script.

Each token has its own direction in the embedding, attention and feed-forward add nothing, and the output matrix maps a
token to the one that follows it in the script. A prompt ends in a run of spaces, a token of its own, which the chat
template makes as long as the reply's number asks for: that is where a reply begins.

The format is GGUF, version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

REPLIES = 16
PIECE = 3
HEAD = 16
HIDDEN = 32
ALIGNMENT = 32
LOGIT = 3.0
END = "<|im_end|>"
CONTROL = ("<|endoftext|>", "<|im_start|>", END)
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING = 4, 5, 6, 7, 8
_ARRAY = 9


class Vocabulary:
    """The tokens of a script: every byte, the control tokens, the runs of spaces, and the pieces of the replies.

    ``follows`` maps a token's number to that of the next. ``with_tools`` are the replies to requests that offer tools,
    by the number of replies before, ``without`` those to the others; ``endless``: each begins again at its end.
    """

    def __init__(self, with_tools: Sequence[str], without: Sequence[str], *, endless: bool) -> None:
        assert max(len(with_tools), len(without)) <= REPLIES
        self.texts = list(_BYTES)
        self.kinds = [_NORMAL] * len(self.texts)
        self.follows: dict[int, int] = {}
        self._numbers = {text: number for number, text in enumerate(self.texts)}
        for text in CONTROL:
            self._add(text, _CONTROL)
        starts = [self._add(" " * (length + 2), _USER_DEFINED) for length in range(2 * REPLIES)]
        for offset, replies in ((0, with_tools), (1, without)):
            for number, start in enumerate(starts[offset::2]):
                self._write(start, replies[number] if number < len(replies) else "", endless=endless)

    @property
    def end(self) -> int:
        """The token after a reply."""
        return self._numbers[END]

    def _write(self, start: int, reply: str, *, endless: bool) -> None:
        at = first = start
        for piece in self._pieces(reply):
            token = self._add(piece, _NORMAL)
            self.follows[at] = token
            first = token if at == start else first
            at = token
        self.follows[at] = first if endless and at != start else self.end

    def _pieces(self, reply: str) -> list[str]:
        """The reply in pieces that no other token is, for a token is followed by one other alone."""
        pieces: list[str] = []
        at = 0
        while at < len(reply):
            end = at + PIECE
            while end < len(reply) and (_spell(reply[at:end]) in self._numbers or reply[at:end] in pieces):
                end += 1
            if len(reply) - end < PIECE:
                end = len(reply)
            pieces.append(reply[at:end])
            at = end
        while pieces and (_spell(pieces[-1]) in self._numbers or pieces[-1] in pieces[:-1]):
            assert len(pieces) > 1, f"the reply {reply!r} is a token already"
            pieces[-2:] = [pieces[-2] + pieces[-1]]
        return [_spell(piece) for piece in pieces]

    def _add(self, text: str, kind: int) -> int:
        assert text not in self._numbers, text
        number = self._numbers[text] = len(self.texts)
        self.texts.append(text)
        self.kinds.append(kind)
        return number


def write_model(
    path: Path, with_tools: Sequence[str], without: Sequence[str] = (), *, window: int, endless: bool = False
) -> None:
    """Write the file: a few megabytes. ``window`` is the context length it was made for, in tokens of one byte each."""
    vocabulary = Vocabulary(with_tools, without, endless=endless)
    size = -(-len(vocabulary.texts) // ALIGNMENT) * ALIGNMENT
    tensors = _tensors(vocabulary, size)
    fields = _fields(vocabulary, size, window)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields)) + b"".join(fields)
    offset, infos, bodies = 0, b"", []
    for name, shape, content in tensors:
        infos += _string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        infos += struct.pack("<IQ", 0, offset)  # 0: numbers of 32 bits
        bodies.append(_padded(content))
        offset += len(bodies[-1])
    path.write_bytes(_padded(head + infos) + b"".join(bodies))


def _tensors(vocabulary: Vocabulary, size: int) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Name, shape (the length of a row first) and content of each tensor."""
    count = len(vocabulary.texts)
    ones = struct.pack("<f", 1.0) * size
    layer = {"attn_q": HEAD, "attn_k": HEAD, "attn_v": HEAD, "ffn_gate": HIDDEN, "ffn_up": HIDDEN}
    back = {"attn_output": HEAD, "ffn_down": HIDDEN}
    own = _matrix(size, count, ((token, token, 1.0) for token in range(count)))
    after = _matrix(size, count, ((then, token, LOGIT) for token, then in vocabulary.follows.items()))
    return [
        ("token_embd.weight", (size, count), own),
        ("output.weight", (size, count), after),
        ("output_norm.weight", (size,), ones),
        ("blk.0.attn_norm.weight", (size,), ones),
        ("blk.0.ffn_norm.weight", (size,), ones),
        *((f"blk.0.{name}.weight", (size, rows), bytes(4 * size * rows)) for name, rows in layer.items()),
        *((f"blk.0.{name}.weight", (row, size), bytes(4 * size * row)) for name, row in back.items()),
    ]


def _matrix(size: int, rows: int, entries: Iterable[tuple[int, int, float]]) -> bytes:
    """Zeros but for the entries: row, column, value."""
    content = bytearray(4 * size * rows)
    for row, column, value in entries:
        struct.pack_into("<f", content, 4 * (size * row + column), value)
    return bytes(content)


def _fields(vocabulary: Vocabulary, size: int, window: int) -> list[bytes]:
    """The file's metadata."""
    numbers = {
        "context_length": window,
        "embedding_length": size,
        "block_count": 1,
        "feed_forward_length": HIDDEN,
        "attention.head_count": 1,
        "attention.head_count_kv": 1,
        "attention.key_length": HEAD,
        "attention.value_length": HEAD,
        "rope.dimension_count": HEAD,
        "vocab_size": len(vocabulary.texts),
    }
    return [
        _field("general.architecture", _STRING, _string("llama")),
        *(_field(f"llama.{name}", _UINT32, struct.pack("<I", number)) for name, number in numbers.items()),
        _field("llama.attention.layer_norm_rms_epsilon", _FLOAT32, struct.pack("<f", 1e-6)),
        _field("tokenizer.ggml.model", _STRING, _string("gpt2")),
        _field("tokenizer.ggml.pre", _STRING, _string("qwen2")),
        _field("tokenizer.ggml.tokens", _ARRAY, _array(_STRING, [_string(text) for text in vocabulary.texts])),
        _field("tokenizer.ggml.token_type", _ARRAY, _array(_INT32, [struct.pack("<i", k) for k in vocabulary.kinds])),
        _field("tokenizer.ggml.merges", _ARRAY, _array(_STRING, [])),
        _field("tokenizer.ggml.eos_token_id", _UINT32, struct.pack("<I", vocabulary.end)),
        _field("tokenizer.ggml.add_bos_token", _BOOL, b"\0"),
        _field("tokenizer.chat_template", _STRING, _string(TEMPLATE.read_text(encoding="utf-8"))),
    ]


def _field(name: str, kind: int, value: bytes) -> bytes:
    return _string(name) + struct.pack("<I", kind) + value


def _array(kind: int, items: Sequence[bytes]) -> bytes:
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def _string(text: str) -> bytes:
    content = text.encode()
    return struct.pack("<Q", len(content)) + content


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % ALIGNMENT)


def _alphabet() -> list[str]:
    """The character that stands for each byte in a byte-level vocabulary: itself where it can be seen."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    unseen = [byte for byte in range(256) if byte not in seen]
    return [chr(byte) if byte in seen else chr(256 + unseen.index(byte)) for byte in range(256)]


_BYTES = _alphabet()


def _spell(text: str) -> str:
    return "".join(_BYTES[byte] for byte in text.encode())
