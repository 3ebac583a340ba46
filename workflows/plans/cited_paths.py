"""The files that a text names as `path:line`, held against a tree: what is not there is marked as such. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

MOST_NAMED = 10
# Names are bounded: one is tried at each bracket within another, and no other thread runs meanwhile.
_NAME = r"[\w.@+-]{1,120}"
_PATH = (
    rf"(?P<path>{_NAME}(?:/[\w.@+\-\[\]()]{{1,120}}){{0,30}}\.[A-Za-z]\w{{0,11}}|{_NAME}(?:/{_NAME}){{1,30}}"
    r"|Dockerfile|Makefile)"
)
_LINES = r"(?::|#L)(?P<line>\d{1,7})(?:[-–:]L?\d{1,7})?"
# A path alone counts as one where it is set as code; elsewhere it takes a line. Not in an address, nor in a link.
_QUOTED = re.compile(rf"`(?:\./)?{_PATH}(?:{_LINES})?`")
_PLAIN = re.compile(rf"(?<![\w/.:@`+-])(?<!\]\()(?:\./)?{_PATH}{_LINES}(?![\w`])")
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})")
_COMMON = frozenset(
    {"c", "cc", "cfg", "cpp", "cs", "css", "go", "h", "hpp", "html", "ini", "java", "js", "json", "jsx", "kt", "md"}
    | {"mjs", "php", "py", "rb", "rs", "rst", "scala", "sh", "sql", "svelte", "swift", "toml", "ts", "tsx", "txt"}
    | {"vue", "xml", "yaml", "yml"}
)


@dataclass(frozen=True)
class Checked:
    """A text with its marks, and what it cites that is not there, each once, in the text's order."""

    text: str
    missing: tuple[str, ...]


def check_citations(text: str, *, names: Collection[str], lines_of: Callable[[str], int | None]) -> Checked:
    """Mark what a text cites and the tree has not: a path, or a line behind the file's end.

    ``names`` are the paths of all files; ``lines_of`` counts a file's lines, None when that cannot be said. Blocks of
    code are left alone.
    """
    tree = _Tree(names, lines_of)
    missing: dict[str, None] = {}

    def mark(found: re.Match[str]) -> str:
        path, line = found["path"], found["line"]
        wrong = tree.objection(path, int(line) if line else None)
        if not wrong:
            return found[0]
        missing[f"{path}:{line}" if line else path] = None
        return f"{found[0]} ({wrong})"

    lines, fence = [], ""
    for line in text.split("\n"):
        opens = _FENCE.match(line)
        if opens and (not fence or opens[1].startswith(fence)):
            fence = "" if fence else opens[1]
        lines.append(line if fence or opens else _PLAIN.sub(mark, _QUOTED.sub(mark, line)))
    return Checked("\n".join(lines), tuple(missing))


def say_missing(missing: Collection[str]) -> str:
    """What is missing, for whoever wrote the text; empty when nothing is."""
    if not missing:
        return ""
    named = ", ".join(f"`{one}`" for one in list(missing)[:MOST_NAMED])
    more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    return f"this is cited and is not in the repository: {named}{more}. Look again, and correct it or take it out."


class _Tree:
    def __init__(self, names: Collection[str], lines_of: Callable[[str], int | None]) -> None:
        self._names = frozenset(names)
        self._folders = frozenset(folder for name in names for folder in _parents(name))
        self._endings = (_COMMON | {_ending(name) for name in names}) - {""}
        self._lines_of = lines_of

    def objection(self, path: str, line: int | None) -> str:
        """What is wrong with a citation; empty when it stands, or when it is none."""
        if path in self._names:
            most = self._lines_of(path) if line is not None else None
            return f"this file has {most:,} lines" if most is not None and line is not None and line > most else ""
        if path.rstrip("/") in self._folders:
            return ""
        # "example.org:443" and "os.path" are no files: what is one shows by its ending, or by a folder that is there.
        known = _ending(path) in self._endings or path.partition("/")[0] in self._folders
        return "no such file here" if known else ""


def _ending(path: str) -> str:
    return posixpath.splitext(path)[1].lstrip(".").lower()


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: at + 1]) for at in range(len(parts))]
