"""Which foreign files are plain enough to be parsed, and the parsing of those formats whose parsers can be stalled."""

from __future__ import annotations

import configparser
import re
import tomllib
from typing import Any

MAX_BYTES = 200_000
LONGEST_LINE = 2_000
UNFIT = f"larger than {MAX_BYTES // 1000} kB, or with a line above {LONGEST_LINE:,} characters"

_QUOTED = re.compile(r"\"(?:\\.|[^\"\\\n])*\"?|'[^'\n]*'?")
_DEEP_KEY = re.compile(r"(?:\.[ \t]*[\w-]+[ \t]*){16}")


def fit_to_parse(content: bytes | None) -> bytes | None:
    """The same bytes; None when they are absent, more than 200 kB, or have a line above 2,000 characters.

    Only a newline ends a line here: other patterns of ours go on over a carriage return.
    """
    if content is None or len(content) > MAX_BYTES:
        return None
    longest = max(map(len, content.decode("utf-8", "replace").split("\n")))
    return content if longest <= LONGEST_LINE else None


def parse_toml(text: str) -> dict[str, Any]:
    """A TOML text's table; empty when it is broken, or has a key of more than 16 parts, which take quadratic time."""
    if _DEEP_KEY.search(_QUOTED.sub("q", text)):
        return {}
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}


def parse_ini(text: str) -> configparser.ConfigParser | None:
    """The sections of an INI file, without interpolation; None when it is broken.

    Runs of spaces become one, but for the indent: the parser tries each of them against each.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string("\n".join(map(_squeezed, text.split("\n"))))
    except configparser.Error:
        return None
    return parser


def _squeezed(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return indent + " ".join(line.split())
