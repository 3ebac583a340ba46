"""The tools that find: grep over contents and glob over names, by ripgrep; sorted, bounded, without ignored files."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from typing import Any, Callable

from .paths import Paths
from .shell import Shell

_GREP_LINES = 100
_MOST_LINES = 1_000
_GREP_CHARACTERS = 30_000
_LINE_CHARACTERS = 300
_GLOB_NAMES = 200
_SECONDS = 20.0
_NAMES_BYTES = 64 * 1024 * 1024

Answer = tuple[bool, str, dict[str, Any]]


class Search:
    """The search tools of one container."""

    def __init__(self, paths: Paths, shell: Shell) -> None:
        self._paths = paths
        self._shell = shell

    def grep(self, pattern: str, path: str = ".", glob: str = "", limit: int = _GREP_LINES) -> Answer:
        """Lines that match a regular expression (ripgrep's syntax), as path:line:text. Raises BadPath and OSError."""
        real = self._paths.resolve(path)
        if limit < 1:
            return False, f"limit counts lines from 1, but it was {limit}.", {"error": "bad_limit"}
        if not os.path.lexists(real):
            return False, f"There is no {path} to search.", {"error": "not_found"}
        program = shutil.which("rg")
        if program is None:
            text = "This image has no ripgrep, so grep cannot search. Use bash: grep -rnE 'pattern' path | head -n 100"
            return False, text, {"error": "no_ripgrep"}
        argv = [
            program,
            "--line-number",
            "--with-filename",
            "--no-heading",
            "--color=never",
            "--no-config",
            "--sort=path",
        ]
        argv += ["--hidden", "--glob=!.git", f"--max-columns={_LINE_CHARACTERS}", "--max-columns-preview"]
        argv += ["--glob=" + glob] if glob else []
        argv += ["--regexp=" + pattern, "--", os.path.relpath(real, self._paths.workspace)]
        limit = min(limit, _MOST_LINES)
        output, code, ended = self._run(
            argv, lambda seen: seen.count(b"\n") > limit or len(seen) > _GREP_CHARACTERS * 4
        )
        lines = [_without_dot(line) for line in output.decode("utf-8", "replace").splitlines()]
        if code == 2 and not ended:
            return False, "ripgrep could not search: " + "\n".join(lines[:20]), {"error": "ripgrep"}
        if not lines:
            return True, "No matches.", {"matches": 0, "truncated": False}
        kept = _page(lines, limit)
        text = "\n".join(kept)
        if ended or len(kept) < len(lines):
            text += f"\n(only the first {len(kept)} lines are shown; narrow the pattern, the path or the glob)"
        return True, text, {"matches": len(kept), "truncated": ended or len(kept) < len(lines)}

    def glob(self, pattern: str, path: str = ".") -> Answer:
        """Names that match, in order; a pattern without a slash matches at any depth. Raises BadPath and OSError."""
        real = self._paths.resolve(path)
        if not os.path.isdir(real):
            return False, f"There is no folder {path}.", {"error": "not_found"}
        if ".." in pattern.split("/"):
            return False, "The pattern may not hold '..'; give a folder in path instead.", {"error": "bad_pattern"}
        pattern = pattern[len(real) + 1 :] if pattern.startswith(real + "/") else pattern
        try:
            matches = _compile_glob(pattern)
        except re.error as error:
            return (
                False,
                f"The pattern {pattern!r} is not a glob ({error}). Example: src/**/*.py",
                {"error": "bad_pattern"},
            )
        found = sorted(name for name in self._names(real) if matches(name))
        if not found:
            return True, "No files match.", {"matches": 0, "truncated": False}
        prefix = self._paths.show(real)
        text = "\n".join(os.path.join(prefix, name) for name in found[:_GLOB_NAMES])
        if len(found) > _GLOB_NAMES:
            text += f"\n(only the first {_GLOB_NAMES} of {len(found)} are shown; narrow the pattern)"
        return True, text, {"matches": len(found), "truncated": len(found) > _GLOB_NAMES}

    def _names(self, folder: str) -> Iterator[str]:
        program = shutil.which("rg")
        if program is None:
            yield from _walk(folder)
            return
        argv = [program, "--files", "--null", "--hidden", "--no-config", "--no-messages", "--glob=!.git", "--", folder]
        output, _, _ = self._run(argv, lambda seen: len(seen) > _NAMES_BYTES)
        for raw in output.split(b"\0"):
            if raw:
                yield raw.decode("utf-8", "replace")[len(folder.rstrip("/")) + 1 :]

    def _run(self, argv: list[str], enough: Callable[[bytearray], bool]) -> tuple[bytes, int, bool]:
        """The output so far, the exit code, and whether it was cut short by ``enough`` or by time."""
        process = self._shell.spawn(argv, cwd=self._paths.workspace)
        assert process.stdout is not None
        seen = bytearray()
        ended = False
        deadline = time.monotonic() + _SECONDS
        try:
            for chunk in iter(lambda: os.read(process.stdout.fileno(), 1 << 16), b""):  # type: ignore[union-attr]
                seen += chunk
                if enough(seen) or time.monotonic() > deadline:
                    ended = True
                    break
        finally:
            process.kill()
            process.stdout.close()
            code = process.wait()
            self._shell.forget(process)
        return bytes(seen), code, ended


def _page(lines: list[str], limit: int) -> list[str]:
    kept: list[str] = []
    characters = 0
    for line in lines[:limit]:
        characters += len(line) + 1
        if characters > _GREP_CHARACTERS and kept:
            break
        kept.append(line)
    return kept


def _without_dot(line: str) -> str:
    return line[2:] if line.startswith("./") else line


def _walk(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", "node_modules", "__pycache__")]
        for name in names:
            yield os.path.relpath(os.path.join(parent, name), folder)


def _compile_glob(pattern: str) -> Callable[[str], bool]:
    """A test for relative paths: * and ? stay in one folder, ** crosses folders, {a,b} and [abc] choose."""
    pattern = pattern[2:] if pattern.startswith("./") else pattern
    if "/" not in pattern:
        pattern = "**/" + pattern
    expression, at, depth = "", 0, 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**/", at):
            expression, at = expression + "(?:[^/]+/)*", at + 3
            continue
        if pattern.startswith("**", at):
            expression, at = expression + ".*", at + 2
            continue
        closing = pattern.find("]", at + 2) if char == "[" else -1
        if closing > 0:
            inside = pattern[at + 1 : closing].replace("\\", "\\\\")
            expression += "[" + ("^" + inside[1:] if inside[0] in "!^" else inside) + "]"
            at = closing + 1
            continue
        if char == "{":
            expression, depth = expression + "(?:", depth + 1
        elif char == "}" and depth:
            expression, depth = expression + ")", depth - 1
        elif char == "," and depth:
            expression += "|"
        else:
            expression += {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char))
        at += 1
    return re.compile("(?s:" + expression + r")\Z").match  # type: ignore[return-value]
