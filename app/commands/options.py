"""The options of a command, ``key=value`` from an allow-list: each one's values, and the reading of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from workflows.types import CommandOptions

# A value in quotes may hold what it likes, but no space: words are told apart by spaces.
_PAIR = re.compile(r"""(?a:([A-Za-z][A-Za-z_-]{0,30})=("[^"]*"|'[^']*'|[^`"']*))""")
_BRANCH_FORBIDDEN = re.compile(r"\.\.|//|@\{|[\x00-\x20\x7f~^:?*\[\\]|(?:^|/)[.-]|[./]$|\.lock(?:/|$)")
MAX_PATHS = 20


@dataclass(frozen=True)
class Option:
    """One option. ``read`` gives the field's value, or None for a text that cannot be one; ``show`` is its inverse."""

    key: str
    field: str
    summary: str
    wanted: str
    read: Callable[[str], Any]
    show: Callable[[Any], str] = str


def parse_usd(text: str) -> float | None:
    """US dollars: ``2usd``, ``$2``, ``2`` or ``0.50``, above nothing."""
    found = re.fullmatch(r"(?ai)\$?(\d{1,6}(?:\.\d{1,4})?)|(\d{1,6}(?:\.\d{1,4})?)(?:usd|\$)", text)
    return (float(found[1] or found[2]) or None) if found else None


def parse_seconds(text: str) -> float | None:
    """A time in seconds: ``90s``, ``30m``, ``2h``, ``1h30m``. A number without its unit is none."""
    found = re.fullmatch(r"(?ai)(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", text)
    if not found:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds) or None


def parse_count(text: str) -> int | None:
    """A whole number above nothing."""
    return (int(text) or None) if re.fullmatch(r"(?a:\d{1,6})", text) else None


def parse_branch(text: str) -> str | None:
    """A branch's name as git allows it (https://git-scm.com/docs/git-check-ref-format)."""
    return text if 0 < len(text) <= 200 and text.isprintable() and not _BRANCH_FORBIDDEN.search(text) else None


def parse_paths(text: str) -> tuple[str, ...] | None:
    """Globs by commas, relative to the repository's root."""
    paths = tuple(dict.fromkeys(path for path in text.split(",") if path))
    return paths if 0 < len(paths) <= MAX_PATHS and all(map(_is_glob, paths)) else None


def _is_glob(path: str) -> bool:
    plain = len(path) <= 200 and path.isprintable() and not re.search(r"[\\\s:`]", path)
    return plain and not path.startswith(("/", "~", "-", "!")) and ".." not in path.split("/")


def _parse_model(text: str) -> str | None:
    return text if re.fullmatch(r"(?a:[A-Za-z0-9][\w.:/@+-]{0,99})", text) else None


def _parse_yes(text: str) -> bool | None:
    return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower())


def _show_seconds(seconds: float) -> str:
    whole = math.ceil(seconds)
    return next(f"{whole // size}{unit}" for unit, size in (("h", 3600), ("m", 60), ("s", 1)) if whole % size == 0)


OPTIONS = {
    option.key: option
    for option in (
        Option(
            "budget",
            "usd",
            "What the job may cost, in US dollars.",
            "an amount, such as `budget=2usd`",
            parse_usd,
            lambda usd: f"{usd:.4f}".rstrip("0").rstrip(".") + "usd",
        ),
        Option(
            "turns", "turns", "How many turns the agent may take.", "a whole number, such as `turns=80`", parse_count
        ),
        Option(
            "time",
            "seconds",
            "How long the agent may work.",
            "a time with its unit, such as `time=30m` or `time=2h`",
            parse_seconds,
            _show_seconds,
        ),
        Option("model", "model", "One of the models that the operator offers.", "a model's name", _parse_model),
        Option(
            "attempts",
            "attempts",
            "How many sessions try it at once; the best change is taken.",
            "a whole number, such as `attempts=3`",
            parse_count,
        ),
        Option("branch", "branch", "The branch to work from and to merge into.", "a branch's name", parse_branch),
        Option(
            "paths",
            "paths",
            "The only paths that may be changed or looked at, as globs by commas.",
            "globs below the repository's root, such as `paths=src/**,tests/**`",
            parse_paths,
            ",".join,
        ),
        Option(
            "draft",
            "draft",
            "Whether the result is opened as a draft.",
            "`draft=true` or `draft=false`",
            _parse_yes,
            lambda draft: str(draft).lower(),
        ),
    )
}


@dataclass(frozen=True)
class Pair:
    """``key=value`` as it was written; ``key`` is in lower case."""

    key: str
    value: str


def parse_pair(token: str) -> Pair | None:
    """The token as an option that may or may not be known; None for any other word."""
    found = _PAIR.fullmatch(token)
    if not found:
        return None
    value = found[2]
    return Pair(found[1].lower(), value[1:-1] if value[:1] in ('"', "'") else value)


def near_option(key: str) -> str | None:
    """The option that ``key`` was probably meant to be."""
    return next(iter(get_close_matches(key, OPTIONS, 1, 0.7)), None)


def read_options(pairs: list[Pair], allowed: tuple[str, ...], name: str) -> CommandOptions | str:
    """The options of the command ``name``, or the sentence that says what is wrong with the first bad one."""
    fields: dict[str, Any] = {}
    for pair in pairs:
        option = OPTIONS.get(pair.key)
        if option is None:
            near = near_option(pair.key)
            known = f"Did you mean `{near}=`?" if near else f"The options are {_list(tuple(OPTIONS))}."
            return f"There is no option `{pair.key}`. {known} To keep it as words, put it in backticks."
        if pair.key not in allowed:
            takes = f"It takes {_list(allowed)}." if allowed else "It takes no options."
            return f"`{name}` does not take `{pair.key}`. {takes}"
        if option.field in fields:
            return f"`{pair.key}` is said twice."
        value = option.read(pair.value)
        if value is None:
            return f"`{pair.key}` wants {option.wanted}."
        fields[option.field] = value
    return CommandOptions(**fields)


def render_options(options: CommandOptions) -> str:
    """The options as one would write them; reading them again gives ``options``."""
    said = ((option, getattr(options, option.field)) for option in OPTIONS.values())
    return " ".join(f"{option.key}={option.show(value)}" for option, value in said if value not in (None, ()))


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
