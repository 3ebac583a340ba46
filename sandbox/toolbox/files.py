"""The tools that read and change one file: read_file, edit and write_file, and what they remember of each other."""

from __future__ import annotations

import os
import stat
from typing import Any

from .edits import replace_text
from .frames import fingerprint
from .paths import Paths

_READ_LINES = 2_000
_READ_CHARACTERS = 40_000
_LINE_CHARACTERS = 2_000
_LARGEST = 10_000_000
_SNIPPET = 4
_IMAGES = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x7fELF": "a compiled program",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}

Answer = tuple[bool, str, dict[str, Any]]


class Files:
    """The file tools of one container: an edit needs a file that was read here and has not changed since."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._read: dict[str, str] = {}

    def read_file(self, path: str, offset: int = 1, limit: int = _READ_LINES) -> Answer:
        """Numbered lines from the 1-based ``offset``. Raises BadPath and OSError."""
        real = self._paths.resolve(path)
        content, refusal = _read_text(real, path)
        if content is None:
            return False, refusal, {"error": "not_text"}
        lines = content.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
        if lines[-1] == "":
            lines.pop()
        self._read[real] = fingerprint(content)
        data = {"path": self._paths.show(real), "lines": len(lines)}
        if not lines:
            return True, "(the file is empty)", data
        offset = offset or 1
        if offset < 1 or limit < 1:
            return False, f"offset and limit count lines from 1, but they were {offset} and {limit}.", data
        if offset > len(lines):
            return False, f"offset {offset} is beyond the last line: {path} has {len(lines)} lines.", data
        shown = _number(lines, offset, min(limit, _READ_LINES))
        last = offset + len(shown) - 1
        text = "\n".join(shown)
        if last < len(lines):
            text += f"\n(lines {offset} to {last} of {len(lines)}; read on with offset {last + 1})"
        return True, text, {**data, "first": offset, "last": last}

    def edit(self, path: str, old_string: str, new_string: str, replace_all: bool = False) -> Answer:
        """Replace text in a file; see edits.replace_text. Raises BadPath and OSError."""
        real = self._paths.resolve(path)
        shown = self._paths.show(real)
        raw, refusal = _read_text(real, path)
        if raw is None:
            return False, refusal, {"error": "not_text"}
        known = self._read.get(real)
        if known is None:
            return False, f"Read {shown} with read_file before you edit it.", {"error": "not_read"}
        if known != fingerprint(raw):
            message = f"{shown} has changed since you read it. Read it again, then edit."
            return False, message, {"error": "changed_since_read"}
        edited = replace_text(raw.decode("utf-8", "surrogateescape"), old_string, new_string, replace_all=replace_all)
        if edited.content is None:
            text = f"{shown}: {edited.explanation}"
            return False, text, {"error": edited.error, "path": shown, "lines": list(edited.lines)}
        content = edited.content.encode("utf-8", "surrogateescape")
        _write_atomically(real, content)
        self._read[real] = fingerprint(content)
        places = "1 place" if edited.places == 1 else f"{edited.places} places"
        snippet = _snippet(content, edited.lines[0], new_string.count("\n") + 1)
        data = {"path": shown, "line": edited.lines[0], "replacements": edited.places}
        return True, f"Edited {shown} in {places}:\n{snippet}", data

    def write_file(self, path: str, content: str) -> Answer:
        """Create or overwrite a file, parents included; the mode is kept. Raises BadPath and OSError."""
        real = self._paths.resolve(path)
        if os.path.isdir(real):
            return False, f"{path} is a folder. Name a file in it.", {"error": "is_folder"}
        existed = os.path.exists(real)
        raw = content.encode("utf-8")
        os.makedirs(os.path.dirname(real), exist_ok=True)
        _write_atomically(real, raw)
        self._read[real] = fingerprint(raw)
        lines = content.count("\n") + (0 if content.endswith("\n") or not content else 1)
        shown = self._paths.show(real)
        text = f"{'Overwrote' if existed else 'Created'} {shown}: {lines} lines, {len(raw)} bytes."
        return True, text, {"path": shown, "created": not existed, "lines": lines}

    def read_bytes(self, path: str, limit: int) -> bytes | None:
        """A regular file's bytes, or None when it is absent, not a file, or larger than ``limit``. Raises BadPath."""
        real = self._paths.resolve(path)
        try:
            with open(real, "rb", opener=_open_regular) as file:
                content = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, _NotRegular):
            return None
        return content if len(content) <= limit else None


class _NotRegular(OSError):
    pass


def _open_regular(path: str, flags: int) -> int:
    """Open without waiting for the other end of a FIFO. Raises _NotRegular for anything but a file."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _NotRegular(0, "not a regular file", path)
    return descriptor


def _read_text(real: str, path: str) -> tuple[bytes | None, str]:
    """The bytes of a text file, or None and the reason why it is not shown as text."""
    if os.path.isdir(real):
        return None, f"{path} is a folder. List it with glob (pattern '*') or bash."
    try:
        with open(real, "rb", opener=_open_regular) as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None, f"There is no file {path}. Find it with glob."
    except _NotRegular:
        return None, f"{path} is not a regular file."
    if len(content) > _LARGEST:
        return None, f"{path} is larger than {_LARGEST // 1_000_000} MB. Use grep, or bash with head or sed."
    for magic, name in _IMAGES.items():
        if content.startswith(magic) and (b"\0" in content or len(magic) > 2):
            return None, f"{path} is {name}, not text; it cannot be shown or edited here."
    if b"\0" in content[:65536]:
        return None, f"{path} is a binary file of {len(content)} bytes, not text; it cannot be shown or edited here."
    return content, ""


def _number(lines: list[str], offset: int, limit: int) -> list[str]:
    """Numbered lines, cut so that the page stays below the characters of one answer."""
    shown: list[str] = []
    characters = 0
    for number, line in enumerate(lines[offset - 1 : offset - 1 + limit], offset):
        numbered = f"{number:6}\t{line[:_LINE_CHARACTERS]}"
        if len(line) > _LINE_CHARACTERS:
            numbered += f" [... {len(line) - _LINE_CHARACTERS} characters left out ...]"
        characters += len(numbered) + 1
        if characters > _READ_CHARACTERS and shown:
            break
        shown.append(numbered)
    return shown


def _snippet(content: bytes, line: int, height: int) -> str:
    lines = content.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    first = max(1, line - _SNIPPET)
    last = min(len(lines) - (lines[-1] == ""), line + min(height, 40) - 1 + _SNIPPET)
    return "\n".join(f"{number:6}\t{lines[number - 1][:300]}" for number in range(first, last + 1))


def _write_atomically(real: str, content: bytes) -> None:
    """Write beside the file, then rename over it, with the mode it had. On OSError the file is as it was."""
    try:
        mode = stat.S_IMODE(os.stat(real).st_mode)
    except FileNotFoundError:
        mode = 0o644
    temporary = os.path.join(os.path.dirname(real), ".forgehand-" + os.urandom(8).hex())
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, real)
    except OSError:
        os.unlink(temporary)
        raise
