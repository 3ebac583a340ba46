"""What each tool may be asked, and the sentences that teach a caller who asked otherwise."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Argument:
    """One argument of a tool: its type, and whether the call makes sense without it."""

    def __init__(self, kind: type, required: bool = True) -> None:
        self.kind = kind
        self.required = required


class BadArguments(Exception):
    """The call cannot be understood; the message shows how it should look."""


TOOLS: dict[str, dict[str, Argument]] = {
    "read_file": {"path": Argument(str), "offset": Argument(int, False), "limit": Argument(int, False)},
    "grep": {
        "pattern": Argument(str),
        "path": Argument(str, False),
        "glob": Argument(str, False),
        "limit": Argument(int, False),
    },
    "glob": {"pattern": Argument(str), "path": Argument(str, False)},
    "edit": {
        "path": Argument(str),
        "old_string": Argument(str),
        "new_string": Argument(str),
        "replace_all": Argument(bool, False),
    },
    "write_file": {"path": Argument(str), "content": Argument(str)},
}
_OF_COMMANDS = frozenset({"pattern", "glob"})  # they become arguments of a program
_WORDS = {str: "text", int: "a whole number", bool: "true or false"}


def parse_arguments(tool: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a known tool, checked; absent and null optional ones are left out. Raises BadArguments."""
    expected = TOOLS[tool]
    unknown = sorted(set(given) - set(expected))
    if unknown:
        raise BadArguments("{} has no argument {}. {}".format(tool, ", ".join(map(repr, unknown)), _usage(tool)))
    parsed: dict[str, Any] = {}
    for name, argument in expected.items():
        value = given.get(name)
        if value is None:
            if argument.required:
                raise BadArguments(f"{tool} needs the argument {name!r}. {_usage(tool)}")
            continue
        problem, parsed[name] = _fit(value, argument.kind)
        if problem:
            raise BadArguments(
                f"{tool}: {name!r} must be {_WORDS[argument.kind]}, but it was {problem}. {_usage(tool)}"
            )
        if name in _OF_COMMANDS and "\0" in value:
            raise BadArguments(f"{tool}: {name!r} holds a NUL character, which no search can take. {_usage(tool)}")
    return parsed


def _fit(value: Any, kind: type) -> tuple[str, Any]:
    """A problem in words (empty when there is none), and the value as ``kind``."""
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not kind:
        return f"{type(value).__name__} {value!r:.80}", value
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            return f"text with the broken character {value[error.start]!r} at {error.start}", value
    return "", value


def _usage(tool: str) -> str:
    parts = ["{}{}: {}".format(name, "" if a.required else "?", _WORDS[a.kind]) for name, a in TOOLS[tool].items()]
    return "Expected: {} {{{}}}".format(tool, ", ".join(parts))
