"""Replacing one text by another in a file's text: which passes may match, and never a guess between two places.

Four passes, first hit wins, each of them unique: exact, Unicode punctuation as ASCII, lines without trailing blanks,
lines shifted by one uniform indent. Nothing is matched by similarity, and no line may be left out.
"""

from __future__ import annotations

import bisect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ASCII = {
    **dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-"),
    **dict.fromkeys(range(0x2018, 0x201C), "'"),
    **dict.fromkeys(range(0x201C, 0x2020), '"'),
    **dict.fromkeys([0x00A0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " "),
}
_NEAREST_LINES = 5_000
_MOST_COMPARED = 1_000_000  # lines, in places that may be those of old_string and are not
_MOST_PLACES = 100_000  # of one edit: each is remembered, and the container's memory is small
_BYTE_ORDER_MARK = "\ufeff"


class Span:
    """Characters ``start`` to ``end`` of a text, and the ``text`` that takes their place."""

    def __init__(self, start: int, end: int, text: str) -> None:
        self.start = start
        self.end = end
        self.text = text


class Edited:
    """``content`` is None when nothing was changed; ``error`` then names why, in one word, and ``explanation`` in full.

    ``lines`` are the first 1-based lines where a change starts, or where the candidates are; ``places`` says how
    many were changed, ``spans`` which characters of the old content were replaced, as (start, end): no other was.
    """

    def __init__(
        self,
        content: str | None,
        error: str = "",
        explanation: str = "",
        lines: Sequence[int] = (),
        *,
        places: int = 0,
        spans: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.content = content
        self.error = error
        self.explanation = explanation
        self.lines = tuple(lines)
        self.places = places
        self.spans = tuple(spans)


def replace_text(content: str, old: str, new: str, *, replace_all: bool = False) -> Edited:
    """``content`` with ``old`` replaced by ``new``, keeping BOM, line endings and the end of the file as they are."""
    old, new = _bare(old), _bare(new)
    if not old:
        return Edited(
            None, "empty_old", "old_string is empty. Give the text to replace, or use write_file to create a file."
        )
    if old == new:
        return Edited(None, "no_change", "old_string and new_string are the same, so there is nothing to change.")
    mark = content[: content.startswith(_BYTE_ORDER_MARK)]
    content = content[len(mark) :]
    text = content.replace("\r\n", "\n")
    for find in (_exact, _punctuation, _trimmed, _shifted):
        spans = find(text, old, new)
        if len(spans) > _MOST_PLACES:
            explanation = (
                f"old_string is found more than {_MOST_PLACES:,} times. Change so many places with bash: sed -i."
            )
            return Edited(None, "too_many", explanation)
        if len(spans) > 1 and not replace_all:
            lines = _lines_of(text, spans)
            named = ", ".join(map(str, dict.fromkeys(lines)))
            return Edited(
                None,
                "not_unique",
                f"old_string is found {len(spans)} times, at lines {named}. Add surrounding lines "
                "until it names one place, or set replace_all to change every one.",
                lines,
            )
        if spans:
            chosen = _without_overlap(spans)
            changed, places = _splice(content, text, chosen)
            if changed == content:
                return Edited(None, "no_change", "The file already reads like that, so nothing was changed.")
            spans_before = [(start + len(mark), end + len(mark)) for start, end in places]
            return Edited(mark + changed, lines=_lines_of(text, chosen), places=len(chosen), spans=spans_before)
    return _not_found(text, old, new)


def _bare(text: str) -> str:
    """Line endings as they are compared, and no byte order mark: the file's own stays in its place."""
    return text.replace("\r\n", "\n")[text.startswith(_BYTE_ORDER_MARK) :]


def _exact(text: str, old: str, new: str) -> list[Span]:
    return _substrings(text, text, old, new)


def _punctuation(text: str, old: str, new: str) -> list[Span]:
    # The table maps one character to one, so places in the plain text are places in the text.
    return _substrings(text, _plain(text), _plain(old), new)


def _substrings(text: str, searched: str, old: str, new: str) -> list[Span]:
    places: list[int] = []
    at = searched.find(old)
    while at >= 0 and len(places) <= _MOST_PLACES:
        places.append(at)
        at = searched.find(old, at + len(old))
    if len(places) == 1 and searched.find(old, places[0] + 1) >= 0:
        places.append(searched.find(old, places[0] + 1))  # overlapping, so it is not unique either
    spans = [_whole_lines(text, Span(at, at + len(old), new)) for at in places]
    # The file ends without the last newline that old_string has: both lose it.
    if not spans and old.endswith("\n") and len(old) > 1 and searched.endswith(old[:-1]):
        start = len(text) - len(old) + 1
        if start == 0 or old[0] == "\n" or text[start - 1] == "\n":
            spans.append(_whole_lines(text, Span(start, len(text), new[:-1] if new.endswith("\n") else new)))
    return spans


def _plain(text: str) -> str:
    return text if text.isascii() else text.translate(_ASCII)


def _whole_lines(text: str, span: Span) -> Span:
    """A deleted line takes its newline with it, and the last line of a file keeps its own."""
    if span.text and span.end == len(text) and text.endswith("\n") and not span.text.endswith("\n"):
        return Span(span.start, span.end, span.text + "\n")
    starts_line = span.start == 0 or text[span.start - 1] == "\n"
    if (
        span.text
        or not starts_line
        or text[span.start : span.end].endswith("\n")
        or text[span.end : span.end + 1] != "\n"
    ):
        return span
    return Span(span.start, span.end + 1, "")


def _trimmed(text: str, old: str, new: str) -> list[Span]:
    return _line_windows(text, old, _runs, lambda lines, wanted: new)


def _shifted(text: str, old: str, new: str) -> list[Span]:
    # A blank first line is a habit of models, not of files.
    while old.startswith("\n") and old.strip():
        old = old[1:]
        new = new[1:] if new.startswith("\n") else new
    return _line_windows(text, old, _stepped_runs, lambda lines, wanted: _shift(lines, wanted, new))


def _runs(lines: Sequence[str], wanted: Sequence[str]) -> Iterator[int]:
    """Where ``wanted`` stands in ``lines``, overlapping places too, in time linear in both (Knuth, Morris, Pratt)."""
    falls = [0]
    for line in wanted[1:]:
        matched = falls[-1]
        while matched and wanted[matched] != line:
            matched = falls[matched - 1]
        falls.append(matched + (wanted[matched] == line))
    matched = 0
    for index, line in enumerate(lines):
        while matched and wanted[matched] != line:
            matched = falls[matched - 1]
        matched += wanted[matched] == line
        if matched == len(wanted):
            yield index - matched + 1
            matched = falls[-1]


def _stepped_runs(lines: Sequence[str], wanted: Sequence[str]) -> Iterator[int]:
    """Where ``wanted`` may stand under another indent: every place where it does, and hardly any other."""
    head = next(index for index, line in enumerate(wanted) if line)
    tail = _steps(wanted)[head + 1 :]  # up to its first word, how deep a line is says nothing
    sought = wanted[head].lstrip()
    for at in _runs(_steps(lines), tail) if tail else range(head + 1, len(lines) + 1):
        if at > head and lines[at - 1].endswith(sought):
            yield at - head - 1


def _steps(lines: Sequence[str]) -> list[str]:
    """Each line without its indent, but with how much deeper it is than the one before: no shift changes that."""
    steps, last = [], 0
    for line in lines:
        bare = line.lstrip()
        indent = len(line) - len(bare)
        steps.append(f"{indent - last} {bare}" if bare else "")
        last = indent if bare else last
    return steps


def _shift(lines: Sequence[str], wanted: Sequence[str], new: str) -> str | None:
    """``new`` with the one indent that turns ``wanted`` into ``lines``; None when there is no such indent."""
    added: str | None = None
    removed: str | None = None
    for index, line in enumerate(lines):
        want = wanted[index]
        if not want or not line:
            if line != want:
                return None
        elif line.endswith(want) and not line[: -len(want)].strip() and removed in (None, ""):
            here = line[: -len(want)]
            if added not in (None, here):
                return None
            added, removed = here, ""
        elif want.endswith(line) and not want[: -len(line)].strip() and added in (None, ""):
            here = want[: -len(line)]
            if removed not in (None, here):
                return None
            added, removed = "", here
        else:
            return None
    out = []
    for line in new.split("\n"):
        if removed and line.strip() and not line.startswith(removed):
            return None
        out.append(((added or "") + line[len(removed or "") :]) if line.strip() else line)
    return "\n".join(out)


def _line_windows(
    text: str,
    old: str,
    find: Callable[[Sequence[str], Sequence[str]], Iterator[int]],
    fit: Callable[[Sequence[str], Sequence[str]], str | None],
) -> list[Span]:
    """Whole lines that equal the lines of ``old`` up to trailing blanks and punctuation.

    ``find`` tells where they may begin; ``fit`` what takes their place, None: they are others after all. A place that
    overlaps the one before it counts when there is no other, for then that one is not unique. Nothing is found where
    too many places do not fit.
    """
    lines = text.split("\n")
    plain = [line.rstrip() for line in _plain(text).split("\n")]
    wanted = [line.rstrip() for line in _plain(old).split("\n")]
    ends_line = wanted[-1] == "" and len(wanted) > 1 and old.endswith("\n")
    if ends_line:
        wanted.pop()
    if not any(wanted):
        return []
    if not lines[-1]:
        plain.pop()  # what follows the last newline is no line
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    spans: list[Span] = []
    free, spare = 0, max(100, _MOST_COMPARED // len(wanted))
    for first in find(plain, wanted):
        last = first + len(wanted)
        overlaps = first < free
        if len(spans) > _MOST_PLACES:
            break
        if overlaps and len(spans) > 1:
            continue
        replacement = fit(plain[first:last], wanted)
        if replacement is None:
            spare -= 1
            if spare < 0:
                return []
            continue
        end = starts[last] - 1
        if ends_line and end < len(text):
            end += 1
        elif ends_line and replacement.endswith("\n"):
            replacement = replacement[:-1]
        spans.append(_whole_lines(text, Span(starts[first], end, replacement)))
        free = free if overlaps else last
    return spans


def _without_overlap(spans: Sequence[Span]) -> list[Span]:
    kept: list[Span] = []
    for span in spans:
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def _splice(content: str, text: str, spans: Sequence[Span]) -> tuple[str, list[tuple[int, int]]]:
    """The spans of ``text`` (newlines only) replaced in ``content``, whose untouched lines keep their own endings.

    Also where they are in ``content``.
    """
    newlines = content.count("\n")
    returns: list[int] = []  # places in ``text`` of the newlines that are CRLF in ``content``
    at = content.find("\r\n")
    while at >= 0:
        returns.append(at - len(returns))
        at = content.find("\r\n", at + 2)
    crlf = len(returns) * 2 > newlines
    parts, places, done = [], [], 0
    for span in spans:
        start = span.start + bisect.bisect_left(returns, span.start)
        end = span.end + bisect.bisect_left(returns, span.end)
        parts += [content[done:start], span.text.replace("\n", "\r\n") if crlf else span.text]
        places.append((start, end))
        done = end
    return "".join([*parts, content[done:]]), places


def _not_found(text: str, old: str, new: str) -> Edited:
    if new.strip() and text.count(new) == 1:
        line = _line_of(text, text.index(new))
        return Edited(
            None,
            "already_applied",
            f"old_string is not in the file, but new_string is, at line {line}: the edit seems to be applied already.",
            (line,),
        )
    near = _nearest(text, old)
    explanation = "old_string is not in the file. Read the file again and copy the text exactly, blanks included."
    if any(line.strip() in ("...", "…") for line in old.split("\n")):
        explanation += " Nothing may be left out: a line '...' stands for itself alone."
    if near:
        explanation += " The nearest lines are:\n" + "\n".join(f"{n:6}\t{line[:300]}" for n, line in near)
    return Edited(None, "not_found", explanation, tuple(number for number, _ in near))


def _nearest(text: str, old: str) -> list[tuple[int, str]]:
    """Up to three lines like the most telling line of ``old``, for the reader's eye alone."""
    probe = max((line.strip() for line in old.split("\n")), key=len)
    lines = text.split("\n")
    same = [(number, line) for number, line in enumerate(lines, 1) if probe and line.strip() == probe]
    if same or not probe:
        return same[:3]
    import difflib  # for the rare edit that fails: it is slow to load

    candidates = {line.strip() for line in lines[:_NEAREST_LINES] if line.strip()}
    close = difflib.get_close_matches(probe[:300], [line[:300] for line in candidates], n=3, cutoff=0.6)
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()[:300] in close][:3]


def _lines_of(text: str, spans: Sequence[Span]) -> tuple[int, ...]:
    return tuple(_line_of(text, span.start) for span in spans[:20])


def _line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
