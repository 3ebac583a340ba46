"""What .gitattributes files say of paths, as far as a review asks: generated, vendored, or without a diff. Pure.

https://git-scm.com/docs/gitattributes; linguist's attributes: https://github.com/github-linguist/linguist/blob/main/docs/overrides.md
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_RULES = 500
LONGEST_LINE = 2_000
MOST_PARTS = 20
_ASKED = ("linguist-generated", "linguist-vendored", "diff")
_MACRO = re.compile(r"\[attr\](?P<name>[\w.-]+)\s+(?P<words>\S.*)")
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


@dataclass(frozen=True)
class _Rule:
    """``parts`` are patterns of names; None stands for any names."""

    folder: tuple[str, ...]
    parts: tuple[re.Pattern[str] | None, ...]
    values: Mapping[str, bool | None]


@dataclass(frozen=True)
class Attributes:
    """The rules of a repository, lowest first: those of a deeper folder, and later lines, decide."""

    rules: tuple[_Rule, ...] = field(default=())

    def of(self, path: str) -> dict[str, bool]:
        """What is said of a path: ``linguist-generated``, ``linguist-vendored`` and ``diff``, where anything is."""
        names = tuple(path.split("/"))
        found: dict[str, bool] = {}
        for rule in self.rules:
            if names[: len(rule.folder)] != rule.folder:
                continue
            if _matches(names[len(rule.folder) :], rule.parts):
                for name, value in rule.values.items():
                    if value is None:
                        found.pop(name, None)
                    else:
                        found[name] = value
        return found


def parse_attributes(files: Mapping[str, bytes]) -> Attributes:
    """The rules in .gitattributes files by their path, such as ``docs/.gitattributes``; what cannot be read is skipped.

    At most 500 rules in all: a list of exceptions that is longer is no help to a reader.
    """
    rules: list[_Rule] = []
    macros: dict[str, dict[str, bool | None]] = {}
    for path, content in sorted(files.items(), key=lambda one: (one[0].count("/"), one[0])):
        folder = tuple(path.split("/")[:-1])
        for line in content.decode("utf-8", "replace").split("\n"):
            if len(rules) >= MOST_RULES:
                break
            macro = _MACRO.fullmatch(line.strip()[:LONGEST_LINE])
            # git takes definitions from the root alone: https://git-scm.com/docs/gitattributes#_defining_macro_attributes
            if macro is not None and not folder:
                macros[macro["name"]] = _parse_words(macro["words"], macros)
            rule = _parse_rule(line.strip(), folder, macros)
            if rule is not None:
                rules.append(rule)
    return Attributes(tuple(rules))


def _parse_rule(line: str, folder: tuple[str, ...], macros: Mapping[str, Mapping[str, bool | None]]) -> _Rule | None:
    # A pattern in quotes may hold spaces; a macro's definition and a negative pattern are nothing for a path.
    match = re.match(r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>(?!\[attr\])[^#"!\s]\S*))\s+(?P<words>\S.*)', line)
    if match is None or len(line) > LONGEST_LINE:
        return None
    pattern = match["plain"] or re.sub(r"\\(.)", r"\1", match["quoted"] or "")
    values = _parse_words(match["words"], macros)
    parts = pattern.removeprefix("/").split("/")
    if not values or pattern.endswith("/") or len(parts) > MOST_PARTS:
        return None
    names = parts if "/" in pattern else ["**", pattern]
    # fnmatch writes atomic groups, so that a name is looked at once for each star.
    patterns = (None if name == "**" else re.compile(fnmatch.translate(name)) for name in names)
    return _Rule(folder, tuple(patterns), values)


def _parse_words(words: str, macros: Mapping[str, Mapping[str, bool | None]]) -> dict[str, bool | None]:
    """What the words of a line set, the later ones over the earlier; a macro stands for what it was defined as."""
    values: dict[str, bool | None] = {}
    for word in words.split():
        values |= macros[word] if word in macros else _parse_word(word)
    return values


def _parse_word(word: str) -> dict[str, bool | None]:
    if word in ("binary", "-text") or word.startswith("diff="):
        return {"diff": False} if word == "binary" else {}
    name, _, value = word.lstrip("-!").partition("=")
    if name not in _ASKED:
        return {}
    if word.startswith("!"):
        return {name: None}
    if word.startswith("-") or value.lower() in _FALSE:
        return {name: False}
    return {name: True} if not value or value.lower() in _TRUE else {}


def _matches(names: tuple[str, ...], parts: tuple[re.Pattern[str] | None, ...]) -> bool:
    """Whether the parts of a pattern cover the parts of a path: row by row, so never exponential."""
    open_at = {0}
    for number, part in enumerate(parts):
        if part is None:
            # At the end it stands for what is in the folder, so for one name at least.
            least = min(open_at, default=len(names) + 1) + (number == len(parts) - 1)
            open_at = set(range(least, len(names) + 1))
        else:
            open_at = {at + 1 for at in open_at if at < len(names) and part.match(names[at])}
        if not open_at:
            return False
    return len(names) in open_at
