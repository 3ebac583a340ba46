"""YAML as plain data together with the line of every key, which ``yaml.safe_load`` throws away.

Aliases, deep nesting, second documents and doubled keys are mistakes: a small file needs none of them, and each is a
way to make a small file mean something large or something else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_DEPTH = 8

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlDocument:
    """A document: ``lines`` has the 1-based line of each path; with ``mistakes`` (line, sentence) there is no data."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: tuple[tuple[int | None, str], ...] = ()


def parse_yaml(source: str) -> YamlDocument:
    """The mapping in ``source`` (an empty document is an empty mapping; lists become tuples). Never raises."""
    tree = _Tree()
    try:
        data = tree.read(source)
    except _Mistake as mistake:
        return YamlDocument(mistakes=((mistake.line, mistake.message),))
    return YamlDocument(data=data, lines=tree.lines, mistakes=tuple(tree.doubled))


class _Mistake(Exception):
    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class _Tree:
    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.doubled: list[tuple[int | None, str]] = []
        self._constructor = yaml.constructor.SafeConstructor()

    def read(self, source: str) -> Any:
        try:
            _check_events(source)
            node = yaml.compose(source, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            says = error.problem or error.context
            raise _Mistake(mark.line + 1 if mark else None, f"This is not YAML: {says}.") from None
        except yaml.YAMLError:
            raise _Mistake(None, "The file holds a character that YAML forbids. Remove control characters.") from None
        if node is None or node.tag == "tag:yaml.org,2002:null":
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise _Mistake(_line(node), "The file must hold `key: value` lines.")
        return self._plain(node, ())

    def _plain(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, _line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self._plain(child, (*path, index)) for index, child in enumerate(node.value))
        try:
            return self._constructor.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, OverflowError):
            raise _Mistake(_line(node), "This value cannot be read. Put it in quotes.") from None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise _Mistake(line, "A key must be a word.")
            key = key_node.value
            if key in values:
                first = self.lines[(*path, key)]
                self.doubled.append((line, f"`{key}` is set twice (also in line {first}). Remove one of them."))
            self.lines[(*path, key)] = line
            values[key] = self._plain(value_node, (*path, key))
        return values


def _check_events(source: str) -> None:
    depth = documents = 0
    for event in yaml.parse(source, Loader=yaml.SafeLoader):
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Mistake(line, "Anchors and aliases (& and *) are not supported. Write the value out.")
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise _Mistake(line, "The file holds a second document. Remove the `---` line and what follows it.")
        if depth > MAX_DEPTH:
            raise _Mistake(line, f"Values are nested more than {MAX_DEPTH} deep. No key needs that.")


def _line(where: yaml.Node | yaml.Event) -> int:
    mark = where.start_mark
    return mark.line + 1 if mark is not None else 1
