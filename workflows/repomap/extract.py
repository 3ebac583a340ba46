"""The definitions and references in one file's bytes, by tree-sitter: runs in a worker process, never in the host's.

Points (row, column) are never asked for: their reference counts have crashed a release of the binding.
"""

from __future__ import annotations

import importlib
import re
from bisect import bisect_left
from collections import Counter
from functools import cache

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser, Query, QueryCursor

from workflows.repomap.languages import LANGUAGES
from workflows.repomap.symbols import Definition, FileSymbols

MAX_DEFINITIONS = 2_000
MAX_REFERENCES = 5_000
LONGEST_NAME = 100
LONGEST_SIGNATURE = 120
_KINDS = ("type", "function", "value")


def extract_symbols(language: str, content: bytes) -> FileSymbols:
    """The symbols of a file in a language of LANGUAGES. Bad syntax is fine; binary and minified content has none.

    What is defined inside a function is not a definition here.
    """
    if _is_not_source(content):
        return FileSymbols()
    parser, definitions, names = _tools(language)
    root = parser.parse(content).root_node
    found: dict[int, tuple[Node, Node, str]] = {}  # by the byte where the name stands: two patterns may find one name
    for _, captures in QueryCursor(definitions).matches(root):
        name = captures["name"][0]
        kind = next(kind for kind in _KINDS if kind in captures)
        found.setdefault(name.start_byte, (captures[kind][0], name, kind))
    used = QueryCursor(names).captures(root).get("name", [])
    uses = Counter(content[node.start_byte : node.end_byte] for node in used)
    uses.subtract(content[name.start_byte : name.end_byte] for _, name, _ in found.values())
    defined = tuple(_definitions(content, list(found.values())))
    return FileSymbols(defined, tuple(_references(uses)), _broken_at(content, root))


def load_grammars() -> None:
    """Load every grammar now, so that no file need be opened later."""
    for language in LANGUAGES:
        _tools(language)


def _broken_at(content: bytes, root: Node) -> int:
    node: Node | None = root if root.has_error else None
    while node is not None and not (node.is_error or node.is_missing):
        node = next((child for child in node.children if child.has_error or child.is_error or child.is_missing), None)
    return 0 if node is None else content.count(b"\n", 0, node.start_byte) + 1


def _definitions(content: bytes, found: list[tuple[Node, Node, str]]) -> list[Definition]:
    newlines = [match.start() for match in re.finditer(rb"\n", content)]
    around: list[tuple[int, str]] = []  # where the definitions around this one end, and their kinds
    kept: list[Definition] = []
    for whole, name, kind in sorted(found, key=lambda one: (one[0].start_byte, -one[0].end_byte)):
        while around and around[-1][0] <= whole.start_byte:
            around.pop()
        inside_function = any(outer == "function" for _, outer in around)
        depth = sum(outer == "type" for _, outer in around)
        around.append((whole.end_byte, kind))
        if inside_function or name.end_byte - name.start_byte > LONGEST_NAME:
            continue
        line = bisect_left(newlines, name.start_byte)
        begin = newlines[line - 1] + 1 if line else 0
        text = content[name.start_byte : name.end_byte].decode("utf-8", "replace")
        kept.append(Definition(text, line + 1, depth, _signature(content, begin, whole, name)))
        if len(kept) == MAX_DEFINITIONS:
            break
    return kept


def _signature(content: bytes, begin: int, whole: Node, name: Node) -> str:
    # From the line of the name to the body, without comments before it; without a body, that line alone.
    begin = max(begin, name.start_byte - LONGEST_SIGNATURE)
    line_end = content.find(b"\n", name.end_byte)
    end = line_end if line_end >= 0 else len(content)
    body = whole.child_by_field_name("body")
    if body is not None and body.start_byte >= name.end_byte:
        while (before := body.prev_sibling) is not None and before.type.endswith("comment"):
            body = before
        end = body.start_byte
    text = " ".join(content[begin : min(end, begin + 4 * LONGEST_SIGNATURE)].decode("utf-8", "replace").split())
    text = text.replace("( ", "(").replace(", )", ")").replace(" )", ")")
    return text.rstrip(" {:")[:LONGEST_SIGNATURE]


def _references(uses: Counter[bytes]) -> list[tuple[str, int]]:
    kept = [(-times, name) for name, times in uses.items() if times > 0 and 2 < len(name) <= LONGEST_NAME]
    return [(name.decode("utf-8", "replace"), -times) for times, name in sorted(kept)[:MAX_REFERENCES]]


def _is_not_source(content: bytes) -> bool:
    if b"\0" in content[:8_000]:
        return True
    return len(content) > 5_000 and len(content) > 400 * (content.count(b"\n") + 1)


@cache
def _tools(language: str) -> tuple[Parser, Query, Query]:
    entry = LANGUAGES[language]
    grammar = Grammar(getattr(importlib.import_module(entry.package), entry.loader)())
    names = f"[{' '.join(f'({kind})' for kind in entry.names)}] @name"
    return Parser(grammar), Query(grammar, entry.definitions), Query(grammar, names)
