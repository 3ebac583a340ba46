"""The tools that read and change one file: read_file, edit and write_file, and what they remember of each other."""

from __future__ import annotations

import errno
import functools
import operator

from .edits import replace_text
from .frames import fingerprint
from .store import NotRegular, TooBig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .paths import Paths
    from .store import LocalStore
    from .syntax import SyntaxChecker

    Answer = tuple[bool, str, dict[str, Any]]

_READ_LINES = 2_000
_READ_CHARACTERS = 40_000
_LINE_CHARACTERS = 2_000
_LARGEST = 10_000_000
_NUMBER_CHARACTERS = 7
_MOST_NUMBERS = 5_000
_SNIPPET = 4
_MARK = b"\xef\xbb\xbf"  # UTF-8's byte order mark
_NO_CHARACTER = (
    "A \ufffd stands for a byte that is no UTF-8 and cannot be named here: leave it out of old_string, or use bash "
    "with LC_ALL=C sed."
)
_FORMATS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a compiled program",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_ADVICE = {
    errno.ENOSPC: "Make room with bash: du -xsh /workspace /tmp, then rm what nobody needs",
    errno.EACCES: "Look at its mode with bash: ls -l",
    errno.EPERM: "Look at its mode with bash: ls -l",
    errno.ELOOP: "It is a symbolic link that leads back to itself; look at it with bash: ls -l",
    errno.EEXIST: "Something of that name is in the way; look at it with bash: ls -l",
    errno.ENAMETOOLONG: "Take a shorter name",
    errno.EROFS: "Write below /workspace or /tmp",
    errno.EINTR: "Perhaps the sandbox's memory is used up: look with bash (free -m; df -h /workspace /tmp), make room, "
    "then try again",
    errno.ENOTDIR: "A part of the path is a file, not a folder",
}


class Files:
    """The file tools of one container: an edit needs a file that was read here and has not changed since."""

    def __init__(self, paths: Paths, store: LocalStore, checker: SyntaxChecker | None = None) -> None:
        self._paths = paths
        self._store = store
        self._checker = checker
        self._read: dict[str, str] = {}

    def read_file(self, path: str, offset: int = 1, limit: int = _READ_LINES) -> Answer:
        """Numbered lines from the 1-based ``offset``. Raises BadPath and OSError."""
        real = self._paths.resolve(path)
        content, refusal = self._read_text(real, path)
        if content is None:
            return False, refusal, {"error": "not_text"}
        text = content.decode("utf-8-sig", "replace")
        lines = text.replace("\r\n", "\n").split("\n")
        if lines[-1] == "":
            lines.pop()
        self._read[real] = fingerprint(content)
        data: dict[str, Any] = {"path": self._paths.show(real), "lines": len(lines)}
        if not lines:
            return True, "(the file is empty)", data
        offset = offset or 1
        if offset < 1 or limit < 1:
            return False, f"offset and limit count lines from 1, but they were {offset} and {limit}.", data
        if offset > len(lines):
            return False, f"offset {offset} is beyond the last line: {path} has {len(lines)} lines.", data
        shown = _number(lines, offset, min(limit, _READ_LINES))
        last = offset + len(shown) - 1
        if last < len(lines):
            shown.append(f"(lines {offset} to {last} of {len(lines)}; read on with offset {last + 1})")
        if "\ufffd" in text and not _is_utf8(content):
            shown.append("(not UTF-8: each \ufffd stands for a byte that is none; edit keeps such bytes as they are)")
        return True, "\n".join(shown), {**data, "first": offset, "last": last}

    def edit(self, path: str, old_string: str, new_string: str, replace_all: bool = False) -> Answer:
        """Replace text in a file; see edits.replace_text. Raises BadPath and OSError."""
        real = self._paths.resolve(path)
        shown = self._paths.show(real)
        raw, refusal = self._read_text(real, path)
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
            if "\ufffd" in old_string and not _is_utf8(raw):
                text += f"\n{_NO_CHARACTER}"
            return False, text, {"error": edited.error, "path": shown, "lines": list(edited.lines)}
        content = edited.content.encode("utf-8", "surrogateescape")
        self._store.write(real, content)
        self._read[real] = fingerprint(content)
        places = "1 place" if edited.places == 1 else f"{edited.places} places"
        height = new_string.count("\n") + 1
        text = f"Edited {shown} in {places}:\n{_snippet(content, edited.lines[0], height)}"
        data = {"path": shown, "line": edited.lines[0], "replacements": edited.places}
        return self._with_warning(
            real, raw, content, (edited.lines[0], edited.lines[-1] + height), text=text, data=data
        )

    def write_file(self, path: str, content: str) -> Answer:
        """Create or overwrite a file, parents included; mode, CRLF and BOM are kept. Raises BadPath and OSError."""
        real = self._paths.resolve(path)
        if self._store.is_folder(real):
            return False, f"{path} is a folder. Name a file in it.", {"error": "is_folder"}
        raw, kept = self._in_old_style(real, content.encode("utf-8"))
        created = self._store.write(real, raw)
        self._read[real] = fingerprint(raw)
        lines = content.count("\n") + (0 if content.endswith("\n") or not content else 1)
        shown = self._paths.show(real)
        text = f"{'Created' if created else 'Overwrote'} {shown}: {lines} lines, {len(raw)} bytes{kept}."
        data = {"path": shown, "created": created, "lines": lines}
        return self._with_warning(real, None, raw, (1, max(lines, 1)), text=text, data=data)

    def read_bytes(self, path: str, limit: int) -> bytes | None:
        """A regular file's bytes, or None when it is absent, not a file, or larger than ``limit``. Raises BadPath."""
        try:
            return self._store.read(self._paths.resolve(path), limit)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, NotRegular, TooBig):
            return None

    def _in_old_style(self, real: str, raw: bytes) -> tuple[bytes, str]:
        """The new content with what read_file did not show of the old one: line ends and byte order mark."""
        try:
            old = self._store.read(real, _LARGEST)
        except OSError:
            return raw, ""
        kept = []
        if old.count(b"\r\n") * 2 > old.count(b"\n") and b"\0" not in old and b"\r\n" not in raw:
            raw = raw.replace(b"\n", b"\r\n")
            kept.append("CRLF line ends")
        if old.startswith(_MARK) and not raw.startswith(_MARK):
            raw = _MARK + raw
            kept.append("byte order mark")
        return raw, f"; it kept its {' and its '.join(kept)}" if kept else ""

    def _with_warning(
        self,
        real: str,
        before: bytes | None,
        after: bytes,
        changed: tuple[int, int],
        *,
        text: str,
        data: dict[str, Any],
    ) -> Answer:
        warning = "" if self._checker is None else self._checker.find_new_problem(real, before, after, changed)
        if warning:
            return True, f"{text}\n{warning}", {**data, "syntax_error": warning}
        return True, text, data

    def _read_text(self, real: str, path: str) -> tuple[bytes | None, str]:
        """The bytes of a text file, or None and the reason why it is not shown as text."""
        if self._store.is_folder(real):
            return None, f"{path} is a folder. List it with glob (pattern '*') or bash."
        try:
            content = self._store.read(real, _LARGEST)
        except FileNotFoundError:
            return None, f"There is no file {path}. Find it with glob."
        except NotRegular:
            return None, f"{path} is not a regular file."
        except TooBig:
            return None, f"{path} is larger than {_LARGEST // 1_000_000} MB. Use grep, or bash with head, tail or sed."
        for magic, name in _FORMATS.items():
            if content.startswith(magic) and (b"\0" in content or len(magic) > 2):
                advice = " Convert it with bash: iconv -f UTF-16 -t UTF-8." if name.startswith("UTF-16") else ""
                return None, f"{path} is {name}, not plain text; it cannot be shown or edited here.{advice}"
        if b"\0" in content[:65536]:
            return (
                None,
                f"{path} is a binary file of {len(content)} bytes, not text; it cannot be shown or edited here.",
            )
        return content, ""


def explain_error(tool: str, error: OSError) -> str:
    """What went wrong with a file, and what to do about it."""
    advice = _ADVICE.get(error.errno or 0)
    return f"{tool} failed: {error}." + (f" {advice}." if advice else "")


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _number(lines: list[str], offset: int, limit: int) -> list[str]:
    """Numbered lines, cut so that the page stays below the characters of one answer."""
    page = lines[offset - 1 : offset - 1 + limit]
    characters = sum(map(len, page)) + (_NUMBER_CHARACTERS + 1) * len(page)
    last = offset - 1 + len(page)
    if characters <= _READ_CHARACTERS and max(map(len, page)) <= _LINE_CHARACTERS and last <= _MOST_NUMBERS:
        # The usual page, in a third of the time.
        return list(map(operator.add, _numbers(last.bit_length())[offset - 1 : last], page))
    shown: list[str] = []
    left = _READ_CHARACTERS
    for number, line in enumerate(page, offset):
        numbered = f"{number:6}\t{line}"
        if len(line) > _LINE_CHARACTERS:
            cut = len(line) - _LINE_CHARACTERS
            numbered = f"{number:6}\t{line[:_LINE_CHARACTERS]} [... {cut} characters left out ...]"
        left -= len(numbered) + 1
        if left < 0 and shown:
            break
        shown.append(numbered)
    return shown


@functools.lru_cache(maxsize=None)  # noqa: UP033 - functools.cache came with Python 3.9
def _numbers(size: int) -> list[str]:
    """How the numbered lines begin; ``size`` is the number of bits of the largest number."""
    return [f"{number:6}\t" for number in range(1, 1 << size)]


def _snippet(content: bytes, line: int, height: int) -> str:
    lines = content.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    first = max(1, line - _SNIPPET)
    last = min(len(lines) - (lines[-1] == ""), line + min(height, 40) - 1 + _SNIPPET)
    return "\n".join(f"{number:6}\t{lines[number - 1][:300]}" for number in range(first, last + 1))
