"""Whether a change broke a file's syntax: only what is cheap to know, and only errors that were not there before."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Problem = tuple[int, str] | None

_LARGEST = 400_000
_DEEPEST = 150
_SECONDS = 3.0
_PARSE_ONLY = 0x400  # ast.PyCF_ONLY_AST, without loading ast
_JSON_WITH_COMMENTS = re.compile(r"(tsconfig|jsconfig|devcontainer|\.eslintrc|settings|launch|tasks).*\.json$")
_SHELLS = re.compile(rb"#!\s*\S*?(?:/|env )(?:ba|da)?sh\b")


class SyntaxChecker:
    """Checks by a file's name. ``environment`` finds the programs that check: bash, and node when there."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)

    def find_new_problem(self, path: str, before: bytes | None, after: bytes, changed: tuple[int, int]) -> str:
        """One sentence on an error that the change introduced, with its line; empty when there is none to tell.

        ``changed`` are the first and last changed lines of ``after``. The file is on the disk as ``after`` already.
        """
        check = self._choose(path, after)
        if check is None or len(after) > _LARGEST:
            return ""
        problem = check(after)
        if problem is None:
            return ""
        line, message = problem
        old = None if before is None else check(before)
        inside = changed[0] <= line <= changed[1] + 1
        if old is not None and (old[1] == message or not inside):
            return ""
        return f"Warning: this introduced a syntax error at line {line}: {message}. Nothing was reverted; mend it."

    def _choose(self, path: str, content: bytes) -> Callable[[bytes], Problem] | None:
        name = os.path.basename(path)
        extension = os.path.splitext(name)[1].lower()
        if extension in (".js", ".mjs", ".cjs"):
            return lambda source: self._check_javascript(path, source, content)
        if extension in (".sh", ".bash") or (not extension and _SHELLS.match(content[:100])):
            return self._check_shell
        if extension == ".json" and _JSON_WITH_COMMENTS.search(name):
            return None
        return _BY_EXTENSION.get(extension)

    def _check_shell(self, content: bytes) -> Problem:
        words = self._run(["bash", "-n", "/dev/stdin"], content)
        found = re.search(r"line (\d+): (.+)", words)
        return (int(found.group(1)), found.group(2).strip()) if found else None

    def _check_javascript(self, path: str, source: bytes, current: bytes) -> Problem:
        """By node, which must see the file in its place: what it means depends on the package.json above it."""
        if source is not current:
            return None
        words = self._run(["node", "--check", path], b"")
        line = re.search(r":(\d+)\r?\n", words)
        message = re.search(r"^SyntaxError: (.+)$", words, re.MULTILINE)
        # An import that this node takes for a mistake in a file that a bundler will read is none.
        if line is None or message is None or "import statement outside a module" in words or "export" in message[1]:
            return None
        return int(line.group(1)), message.group(1)

    def _run(self, argv: list[str], content: bytes) -> str:
        try:
            done = subprocess.run(
                argv,
                input=content,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self._environment,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stderr[-4000:].decode("utf-8", "replace") if done.returncode else ""


def _check_python(content: bytes) -> Problem:
    depth = deepest = 0
    for bracket in re.findall(rb"[(\[{]|[)\]}]", content):
        depth += 1 if bracket in b"([{" else -1
        deepest = max(deepest, depth)
    if deepest > _DEEPEST:
        return None  # the parser's own stack is not ours to try
    try:
        compile(content, "file", "exec", _PARSE_ONLY, dont_inherit=True)
    except SyntaxError as error:
        version = ".".join(map(str, sys.version_info[:2]))
        return error.lineno or 1, f"{error.msg} (as Python {version} reads it)"
    except (ValueError, RecursionError, MemoryError):
        return None
    return None


def _check_json(content: bytes) -> Problem:
    try:
        json.loads(content.decode("utf-8-sig", "replace"))
    except ValueError as error:
        return getattr(error, "lineno", 1), str(getattr(error, "msg", error))
    except RecursionError:
        return None
    return None


def _check_toml(content: bytes) -> Problem:
    try:
        import tomllib  # not before Python 3.11, and slow to load
    except ImportError:
        return None
    try:
        tomllib.loads(content.decode("utf-8", "replace").replace("\r\n", "\n"))
    except ValueError as error:
        found = re.search(r"line (\d+)", str(error))
        return int(found.group(1)) if found else content.count(b"\n") + 1, str(error)
    except RecursionError:
        return None
    return None


_BY_EXTENSION: dict[str, Callable[[bytes], Problem]] = {
    ".py": _check_python,
    ".pyi": _check_python,
    ".json": _check_json,
    ".toml": _check_toml,
}
