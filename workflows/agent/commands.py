"""What a shell command is for, guessed from its words: it is never run for it, and nothing is permitted by it."""

from __future__ import annotations

import re
from typing import Literal

CommandKind = Literal["look", "read", "test", "other"]

LONGEST = 4_000
_PARTS = re.compile(r"&&|\|\||[;|\n&]")
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")
_HARMLESS_REDIRECT = re.compile(r"[0-9&]?>+\s*(?:/dev/null|&[0-9])")
_LEADING = re.compile(
    r"\s*(?:[({!]\s*|[A-Za-z_]\w*=\S*\s+|(?:sudo|time|env|command|exec|nice|xvfb-run|timeout\s+(?:-\S+\s+)*\S+)\s+)*"
)
_TEST = re.compile(
    r"(?:\S*/)?(?:(?:uv|poetry|pipenv|pdm|hatch|rye)\s+run\s+|(?:npx|bunx|bundle\s+exec|pnpm\s+exec|yarn\s+exec)\s+)?(?:\S*/)?"
    r"(?:(?:pytest|py\.test|tox|nox|jest|vitest|mocha|ava|rspec|phpunit|ctest|bats)(?![\w-])"
    r"|python[\d.]*\s+(?:-\w+\s+)*-m\s+(?:pytest|unittest|nose2?|doctest|tox|nox)\b|python[\d.]*\s+\S*(?:manage|setup)\.py\s+test\b"
    r"|python[\d.]*\s+\S*(?:run_?tests?|test_\w+)\.py\b"
    r"|(?:npm|pnpm|yarn|bun|deno)\s+(?:run\s+)?(?:test|t)(?![\w-])|(?:npm|pnpm|yarn|bun)\s+(?:run\s+)?test[:\w-]*"
    r"|node\s+(?:-\S+\s+)*--test\b|(?:go|dotnet|swift|mix|flutter|dart|rake|rails|lein|sbt|zig\s+build)\s+(?:test|spec)\b"
    r"|cargo\s+(?:\+\S+\s+)?(?:test|nextest)\b|(?:make|just|task|gmake|ninja)\s+(?:-\S+\s+)*(?:\w+[-_])?(?:tests?|check|spec)\b"
    r"|(?:mvn|mvnw|gradle|gradlew)\s+(?:\S+\s+)*?(?:test|verify|check)\b|\S*run[-_]?tests?(?:\.\w+)?(?:\s|$))"
)
_LOOK = re.compile(
    r"(?:ls|tree|find|fd|pwd|du|df|wc|file|stat|which|type|ps|pgrep|jobs|date|uname|id|whoami|env|printenv|cd|pushd|popd|echo"
    r"|printf|sleep|true|false|wait|realpath|dirname|basename|test|\[|export|set"
    r"|git\s+(?:-\S+\s+)*(?:status|log|branch|remote|rev-parse|ls-files|describe|tag|shortlog|stash\s+list))(?:\s|$)"
)
_READ = re.compile(
    r"(?:cat|head|tail|less|more|nl|tac|grep|egrep|fgrep|rg|ag|ack|awk|sed|cut|sort|uniq|tr|column|diff|cmp|comm|jq|xxd|od"
    r"|hexdump|strings|md5sum|sha256sum|git\s+(?:-\S+\s+)*(?:show|diff|blame|grep|cat-file))(?:\s|$)"
)
# Of those that look and read, what they write with.
_WRITES = re.compile(
    r"sed\b.*\s(?:-[A-Za-z]*i|--in-place)|awk\b.*\s(?:-i|--include)[\s=]*inplace|find\b.*\s-(?:delete|exec|execdir|ok|fprint)\b"
    r"|sort\b.*\s-o\b|git\b.*\s--output\b|git\s+(?:-\S+\s+)*(?:branch|tag)\s.*-(?:[dDmMcCf]\b|-(?:delete|move|copy|force)\b)"
)


def classify_command(command: str) -> CommandKind:
    """Whether a command looks around, reads, runs tests, or does anything else; the first 4,000 characters decide.

    "look" and "read" change nothing as far as their words go; one part that does something else makes it "other".
    """
    parts = _parts(command)
    if any(_TEST.match(part) for part in parts):
        return "test"
    if any(map(_may_write, parts)):
        return "other"
    return "read" if any(_READ.match(part) for part in parts) else "look"


def is_read_only(command: str) -> bool:
    """Whether every part of a command only looks or reads, as far as its words tell."""
    return classify_command(command) in {"look", "read"}


def may_write(command: str) -> bool:
    """Whether a part of a command may change files, as far as its words tell; what a test run leaves behind is none."""
    return any(_may_write(part) for part in _parts(command) if not _TEST.match(part))


def _parts(command: str) -> list[str]:
    """The simple commands that a line is made of, without what stands before their names; what was quoted is ``_``."""
    text = _HARMLESS_REDIRECT.sub(" ", _QUOTED.sub("_", command[:LONGEST]))
    parts = (part[leading.end() :].strip() for part in _PARTS.split(text) if (leading := _LEADING.match(part)))
    return [part for part in parts if part]


def _may_write(part: str) -> bool:
    if ">" in part or "<<" in part or _WRITES.match(part):
        return True
    return not (_READ.match(part) or _LOOK.match(part))
