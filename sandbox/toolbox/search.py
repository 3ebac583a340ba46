"""The tools that find: grep over contents and glob over names; sorted, bounded, without ignored files."""

from __future__ import annotations

import errno
import os
import re
import sys
import time

from .globs import compile_glob
from .paths import Paths
from .shell import Shell, find_program, wait_readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Answer = tuple[bool, str, dict[str, Any]]

_GREP_LINES = 100
_MOST_LINES = 1_000
_GREP_CHARACTERS = 30_000
_LINE_CHARACTERS = 300
# Longer than what is shown, so that ripgrep's own note on a cut line is always cut away.
_LINE_BYTES = 2_000
_GLOB_NAMES = 200
_SECONDS = 20.0
_NAMES_BYTES = 64 * 1024 * 1024
_PACKAGE = __name__.rpartition(".")[0]
_SEEK = f"import sys; sys.path[:0] = [sys.argv[1]]; from {_PACKAGE}.seek import main; sys.exit(main(sys.argv[2:]))"
_RIPGREP = ("--no-config", "--hidden", "--glob=!.git", "--color=never")
# Without mmap, which fills a tmpfs with the holes of a sparse file, and ends by SIGBUS when it is full.
_GREP = (
    "--no-messages",
    "--no-mmap",
    "--line-number",
    "--with-filename",
    "--no-heading",
    "--sort=path",
    "--max-columns-preview",
    "--crlf",
)


class Search:
    """The search tools of one container: by ripgrep where it is on ``program_path``, else by our own stand-in.

    ``program_path``: where programs are looked for; by default on the toolbox's own PATH.
    """

    def __init__(self, paths: Paths, shell: Shell, program_path: str | None = None) -> None:
        self._paths = paths
        self._shell = shell
        self._program_path = os.environ.get("PATH", os.defpath) if program_path is None else program_path

    def grep(self, pattern: str, path: str = ".", glob: str = "", limit: int = _GREP_LINES) -> Answer:
        """Lines that match a regular expression (ripgrep's syntax), as path:line:text. Raises BadPath and OSError."""
        real = self._paths.resolve(path)
        if limit < 1:
            return False, f"limit counts lines from 1, but it was {limit}.", {"error": "bad_limit"}
        if not os.path.lexists(real):
            return False, f"There is no {path} to search.", {"error": "not_found"}
        limit = min(limit, _MOST_LINES)
        output, code, ended = self._run(
            self._grep_command(pattern, glob, os.path.relpath(real, self._paths.workspace)),
            lambda seen: seen.count(b"\n") > limit or len(seen) > _GREP_CHARACTERS * 4,
        )
        lines = output.decode("utf-8", "replace").split("\n")
        if not lines[-1]:
            lines.pop()
        # Without a line it is no complaint about the pattern: there was something that may not be read.
        if code == 2 and lines and not ended and not re.match(r".+:\d+:", lines[0]):
            text = "The pattern or glob is not valid for grep (regex syntax as in ripgrep):\n" + "\n".join(lines[:20])
            return False, text, {"error": "bad_pattern"}
        if not lines:
            text = "No matches in the time there was; narrow the path or the glob." if ended else "No matches."
            return True, text, {"matches": 0, "truncated": ended}
        return render_lines(lines, limit, cut=ended)

    def glob(self, pattern: str, path: str = ".") -> Answer:
        """Names that match, in order; a pattern without a slash matches at any depth. Raises BadPath and OSError."""
        real = self._paths.resolve(path)
        if not os.path.isdir(real):
            return False, f"There is no folder {path}.", {"error": "not_found"}
        if ".." in pattern.split("/"):
            return False, "The pattern may not hold '..'; give a folder in path instead.", {"error": "bad_pattern"}
        pattern = pattern[len(real) + 1 :] if pattern.startswith(real + "/") else pattern
        try:
            matches = compile_glob(pattern)
        except re.error as error:
            text = f"The pattern {pattern!r} is not a glob ({error}). Example: src/**/*.py"
            return False, text, {"error": "bad_pattern"}
        names, ended = self._names(real)
        return render_names([name for name in names if matches(name)], self._paths.show(real), cut=ended)

    def _grep_command(self, pattern: str, glob: str, path: str) -> list[str]:
        program = find_program("rg", self._program_path)
        if program is None:
            return [*self._stand_in(), "lines", pattern, glob, path]
        chosen = ["--glob=" + glob] if glob else []
        if glob and "/" not in glob and not glob.startswith("!"):
            # As a file type, for ripgrep takes a --glob as a wish to see ignored files, too.
            chosen = ["--type-add=wanted:" + glob, "--type=wanted"]
        columns = f"--max-columns={_LINE_BYTES}"
        return [program, *_RIPGREP, *_GREP, columns, *chosen, "--regexp=" + pattern, "--", path]

    def _names(self, folder: str) -> tuple[list[str], bool]:
        """The files below a folder, relative to it, and whether there may be more."""
        program = find_program("rg", self._program_path)
        if program is None:
            argv = [*self._stand_in(), "names", folder]
        else:
            argv = [program, *_RIPGREP, "--files", "--null", "--no-messages", "--", folder]
        output, _, ended = self._run(argv, lambda seen: len(seen) > _NAMES_BYTES)
        *whole, _ = output.split(b"\0")
        above = len(folder.rstrip("/")) + 1
        return [raw.decode("utf-8", "replace")[above:] for raw in whole], ended

    def _stand_in(self) -> list[str]:
        above = os.path.dirname(os.path.abspath(__file__))
        for _ in _PACKAGE.split("."):
            above = os.path.dirname(above)
        return [sys.executable, "-I", "-S", "-B", "-c", _SEEK, above]

    def _run(self, argv: list[str], enough: Callable[[bytearray], bool]) -> tuple[bytes, int, bool]:
        """The output so far, the exit code, and whether it was cut short by ``enough`` or by time.

        Raises OSError when something else ended it: what it found until then is no answer.
        """
        process = self._shell.spawn(argv, cwd=self._paths.workspace)
        assert process.stdout is not None
        seen = bytearray()
        ended = False
        deadline = time.monotonic() + _SECONDS
        try:
            while not ended and wait_readable(process.stdout.fileno(), deadline - time.monotonic()):
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    break
                seen += chunk
                ended = enough(seen)
            ended = ended or time.monotonic() >= deadline
        finally:
            process.kill()
            process.stdout.close()
            code = process.wait()
            self._shell.forget(process)
        if code < 0 and not ended:
            raise OSError(errno.EINTR, f"the search was ended by signal {-code} before it was done")
        return bytes(seen), code, ended


def render_lines(lines: list[str], limit: int, *, cut: bool) -> Answer:
    """The answer of grep: ``lines`` are path:line:text, ``cut`` says that there may be more."""
    kept = _page([_cut(line) for line in lines], limit)
    text = "\n".join(kept)
    if cut or len(kept) < len(lines):
        text += f"\n(only the first {len(kept)} lines are shown; narrow the pattern, the path or the glob)"
    return True, text, {"matches": len(kept), "truncated": cut or len(kept) < len(lines)}


def render_names(names: list[str], prefix: str, *, cut: bool = False) -> Answer:
    """The answer of glob: ``names`` are relative to ``prefix``, which is relative to the workspace.

    ``cut`` says that there may be more.
    """
    if not names:
        text = "No files match in the time there was; narrow the path." if cut else "No files match."
        return True, text, {"matches": 0, "truncated": cut}
    found = sorted(names)
    text = "\n".join(os.path.join(prefix, name) for name in found[:_GLOB_NAMES])
    if len(found) > _GLOB_NAMES:
        text += f"\n(only the first {_GLOB_NAMES} of {len(found)} are shown; narrow the pattern)"
    if cut:
        text += "\n(there may be more: the search was cut short; narrow the path)"
    return True, text, {"matches": len(found), "truncated": cut or len(found) > _GLOB_NAMES}


def _page(lines: list[str], limit: int) -> list[str]:
    kept: list[str] = []
    characters = 0
    for line in lines[:limit]:
        characters += len(line) + 1
        if characters > _GREP_CHARACTERS and kept:
            break
        kept.append(line)
    return kept


def _cut(line: str) -> str:
    """A line without what ripgrep and our stand-in may write differently: its dot, its return, its length."""
    line = (line[2:] if line.startswith("./") else line).rstrip("\r")
    path, number, text = [*line.split(":", 2), "", ""][:3]
    if len(text) <= _LINE_CHARACTERS:
        return line
    return f"{path}:{number}:{text[:_LINE_CHARACTERS]} [... the rest of the line is left out ...]"
