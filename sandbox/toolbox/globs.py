"""Globs as regular expressions: * and ? stay in one folder, ** crosses folders, {a,b} and [abc] choose."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_WILD = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*"}
_DEEPEST = 20


def compile_glob(pattern: str) -> Callable[[str], object]:
    """A test for relative paths; a pattern without a slash matches at any depth. Raises re.error, for braces in braces
    in braces without end too.
    """
    pattern = pattern[2:] if pattern.startswith("./") else pattern
    if "/" not in pattern:
        pattern = "**/" + pattern
    expression, at, depth = "", 0, 0
    while at < len(pattern):
        char = pattern[at]
        wild = next((sign for sign in _WILD if pattern.startswith(sign, at)), "")
        if wild:
            # The same once more adds nothing, but for ways to try in vain.
            expression += "" if expression.endswith(_WILD[wild]) else _WILD[wild]
            at += len(wild)
            continue
        closing = pattern.find("]", at + 2) if char == "[" else -1
        if closing > 0:
            inside = pattern[at + 1 : closing].replace("\\", "\\\\")
            expression += "[" + ("^" + inside[1:] if inside[0] in "!^" else inside) + "]"
            at = closing + 1
            continue
        if char == "{" and depth == _DEEPEST:
            raise re.error(f"more than {_DEEPEST} braces within each other")
        if char == "{":
            expression, depth = expression + "(?:", depth + 1
        elif char == "}" and depth:
            expression, depth = expression + ")", depth - 1
        elif char == "," and depth:
            expression += "|"
        else:
            expression += "[^/]" if char == "?" else re.escape(char)
        at += 1
    return re.compile("(?s:" + expression + r")\Z").match
