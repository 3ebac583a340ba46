"""A change that a finding proposes in place of its lines: applied as data, and written so that GitHub can commit it.

https://docs.github.com/en/pull-requests/collaborating-with-pull-requests/reviewing-changes-in-pull-requests/incorporating-feedback-in-your-pull-request
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from workflows.git.patch import patch_file
from workflows.review.anchors import Anchor, digest_line
from workflows.texts.untrusted import show_hidden
from workflows.types import Noun, Patch

MOST_LINES = 100
MOST_CHARACTERS = 10_000


class Suggestion(Noun):
    """The lines to stand in place of an anchor's, without line ends; none: the anchor's lines are to be deleted."""

    lines: tuple[str, ...]


class SuggestionMistake(Noun):
    """Why a suggestion cannot be made: a sentence for the model, or for the log."""

    message: str


class SuggestionCheck(Noun):
    """What the sandbox said of a suggestion: whether its tests ran, and how many passed. ``reason`` is why not.

    ``failed`` are those that fail without it too.
    """

    status: Literal["tested", "failed", "untested"]
    passed: int = 0
    failed: int = 0
    command: str = ""
    reason: str = ""


def parse_suggestion(text: str) -> Suggestion | SuggestionMistake:
    """The lines that a model wrote, out of the fence in which it may have put them; an empty fence deletes."""
    lines = _unfenced(text.replace("\r\n", "\n").removesuffix("\n").removesuffix("\r"))
    plain = "\n".join(lines)
    if len(lines) > MOST_LINES or len(plain) > MOST_CHARACTERS:
        return SuggestionMistake(message=f"The suggestion is longer than {MOST_LINES} lines: describe it in words.")
    if show_hidden(plain) != plain:
        return SuggestionMistake(message="The suggestion holds invisible or control characters.")
    return Suggestion(lines=lines)


def without_marks(suggestion: Suggestion, replaced: Sequence[str]) -> Suggestion:
    """The new lines alone where all have the marks of a diff, and the ``replaced`` lines do not begin with such."""
    signs = {line[:1] for line in suggestion.lines if line.strip()}
    if "+" not in signs or not signs <= {"+", "-"} or any(line[:1] in ("+", "-") for line in replaced):
        return suggestion
    return Suggestion(lines=tuple(line[1:] for line in suggestion.lines if not line.startswith("-")))


def apply_suggestion(content: bytes, anchor: Anchor, suggestion: Suggestion) -> bytes | SuggestionMistake:
    """The head's file with the suggestion in place of the anchor's lines; their line ends, or none at the end, stay.

    A mistake when the file does not hold there what the anchor remembers.
    """
    if anchor.side == "LEFT":
        return SuggestionMistake(message="Lines that the change removes cannot be replaced.")
    lines = content.split(b"\n")
    bare = lines[-1] != b""
    if not bare:
        lines.pop()
    if not 1 <= anchor.first <= anchor.line <= len(lines):
        return SuggestionMistake(message=f"The file has {len(lines)} lines: there is no line {anchor.line}.")
    old = lines[anchor.first - 1 : anchor.line]
    known = anchor.fingerprint.code
    if tuple(digest_line(line.decode("utf-8", "replace")) for line in old[: len(known)]) != known:
        return SuggestionMistake(message="The file does not hold the commented code at these lines.")
    returned = _ends_with_return(old, lines, bare=bare and anchor.line == len(lines))
    new = [line.encode("utf-8", "surrogatepass") + (b"\r" if returned else b"") for line in suggestion.lines]
    at_the_end = anchor.line == len(lines)
    if at_the_end and bare and new:
        new[-1] = new[-1].removesuffix(b"\r") if returned else new[-1]
    kept = [*lines[: anchor.first - 1], *new, *lines[anchor.line :]]
    # Without the last line, the line before it is the last, and keeps its end.
    ends_bare = bare and not (at_the_end and not new)
    changed = b"\n".join(kept) + (b"" if ends_bare or not kept else b"\n")
    return changed if changed != content else SuggestionMistake(message="The suggestion changes nothing.")


def patch_suggestions(
    base: str, files: Mapping[str, tuple[str, bytes]], chosen: Sequence[tuple[Anchor, Suggestion]]
) -> Patch | SuggestionMistake:
    """The suggestions as one patch on the head ``base``; ``files`` are mode and content there, by path.

    A mistake when one cannot be applied, or two are for the same lines.
    """
    contents: dict[str, bytes] = {}
    above: dict[str, int] = {}
    # From the bottom up, so that no line number moves before it is used.
    for anchor, suggestion in sorted(chosen, key=lambda one: (one[0].path, -one[0].line)):
        path = anchor.path
        if path not in files or files[path][0] not in ("100644", "100755"):
            return SuggestionMistake(message=f"{path} is no plain file of the head.")
        if anchor.line >= above.get(path, anchor.line + 1):
            return SuggestionMistake(message=f"Two suggestions are for line {anchor.line} of {path}.")
        changed = apply_suggestion(contents.get(path, files[path][1]), anchor, suggestion)
        if isinstance(changed, SuggestionMistake):
            return changed
        contents[path], above[path] = changed, anchor.first
    return Patch(
        base=base, files=tuple(patch_file(path, files[path][0], content) for path, content in sorted(contents.items()))
    )


def render_suggestion(suggestion: Suggestion) -> str:
    """The block that GitHub offers to commit, in a fence that the lines cannot close."""
    longest = max((len(run) for line in suggestion.lines for run in re.findall("`+", line)), default=0)
    marks = "`" * max(3, longest + 1)
    return "\n".join([f"{marks}suggestion", *suggestion.lines, marks])


def render_check(check: SuggestionCheck) -> str:
    """What became of a suggestion when it was tried, in a sentence of ours. A runner may not say how many passed."""
    if check.status == "tested":
        before = f", {check.failed:,} failed as before" if check.failed else ""
        return f"Applied and tested: {check.passed:,} passed{before}." if check.passed else "Applied and tested."
    if check.status == "failed":
        return "Applied, and it broke something."
    return f"Not tested: {check.reason.rstrip('.')}." if check.reason else "Not tested."


def _unfenced(text: str) -> tuple[str, ...]:
    """The lines of the block of code that a text is; else its own. In linear time, as a model wrote it."""
    first, *inner = text.strip().split("\n")
    fence = re.match(r"`{3,}|~{3,}", first)
    if fence is None or not inner:
        return tuple(text.split("\n"))
    last = inner.pop().strip()
    closed = len(last) >= len(fence[0]) and not last.strip(fence[0][0])
    return tuple(inner) if closed else tuple(text.split("\n"))


def _ends_with_return(old: Sequence[bytes], lines: Sequence[bytes], *, bare: bool) -> bool:
    """Whether the lines end with CR LF; a single last line without an end is taken to be as the rest of the file."""
    ended = old[:-1] if bare else old
    around = ended or lines[:-1]
    return bool(around) and sum(line.endswith(b"\r") for line in around) * 2 > len(around)
