"""The range of a release as people write it: ``v1.2.0..v1.3.0``, or ``v1.2.0..`` up to the default branch's tip."""

from __future__ import annotations

import re

from workflows.types import Noun

# https://git-scm.com/docs/git-check-ref-format, and nothing that needs quoting; commit ids are such names too.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_./@+-]{0,198}[A-Za-z0-9_+-])?")


class VersionRange(Noun):
    """Everything after ``base`` up to ``head``: tags, branches or commits. ``head`` None: the default branch's tip."""

    base: str
    head: str | None = None

    def __str__(self) -> str:
        return f"{self.base}..{self.head or ''}"


class RangeMistake(Noun):
    """Why a text is no range: a sentence for people."""

    message: str


def parse_version_range(text: str) -> VersionRange | RangeMistake:
    """The range in ``text``; three dots count as two."""
    plain = text.strip().strip("`").strip()
    base, dots, head = plain.replace("...", "..").partition("..")
    base, head = base.strip(), head.strip()
    if not dots or not base:
        return RangeMistake(message="Say from where to where, such as `v1.2.0..v1.3.0`, or `v1.2.0..` up to now.")
    for name in (base, head):
        if name and not _is_name(name):
            return RangeMistake(message="A range names two tags, branches or commits, such as `v1.2.0..v1.3.0`.")
    if base == head:
        return RangeMistake(message="Both ends of the range are the same: there is nothing between them.")
    return VersionRange(base=base, head=head or None)


def _is_name(name: str) -> bool:
    forbidden = ("..", "//", "@{", "/.", ".lock/")
    return bool(_NAME.fullmatch(name)) and not any(part in name for part in forbidden) and not name.endswith(".lock")
