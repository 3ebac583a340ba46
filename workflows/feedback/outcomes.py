"""What became of each point of feedback: read from the agent's closing words, checked against what it changed."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Literal

from workflows.feedback.batch import FeedbackItem
from workflows.texts.outbound import HOSTS, clean_line, clean_words, code_span
from workflows.types import Noun

OutcomeKind = Literal["done", "claimed", "declined", "not_addressed"]
LONGEST_WORDS = 2_000
# "[F1] done: …", in the dress that models give it: bullets, bold, dashes, several points at once.
_LINE = re.compile(
    r"[^\w\n]{0,12}(?P<ids>F\d{1,4}\b(?:(?:[^\w\n]|and){1,8}F\d{1,4}\b){0,50})[^\w\n]{1,8}"
    r"(?P<word>not (?:done|addressed)|done|fixed|implemented|addressed|resolved|declined|rejected|skipped|won'?t fix)\b"
    r"[^\w\n`'\"(\[]{0,6}(?P<words>[^\n]*)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.;])[ \t]{1,4}(?=[*_]{0,3}\[F\d{1,4}\])")  # several answers on one line
_DONE = ("done", "fixed", "implemented", "addressed", "resolved")


class FeedbackOutcome(Noun):
    """What became of one point. "claimed" is a "done" that the change does not bear out; ``words`` are the agent's."""

    item: str
    kind: OutcomeKind
    words: str = ""


def parse_outcomes(
    text: str, items: Sequence[FeedbackItem], *, changed: Collection[str]
) -> tuple[FeedbackOutcome, ...]:
    """One outcome for each point, in their order; what the agent's ``text`` does not mention is not addressed.

    ``changed`` are the paths of the round's change: a "done" on a file that is not among them, or any "done" without a
    change, is only claimed. Said twice, the last counts.
    """
    said: dict[str, tuple[str, str]] = {}
    current: list[str] = []
    for line in _SENTENCE.sub("\n", text.replace("\r\n", "\n")).split("\n"):
        match = _LINE.match(line)
        if match:
            current = [name.upper() for name in re.findall(r"F\d{1,4}", match["ids"], re.IGNORECASE)]
            said.update((name, (match["word"].lower(), match["words"])) for name in current)
        elif line.strip():
            for name in current:
                said[name] = (said[name][0], f"{said[name][1]} {line.strip()}"[: 2 * LONGEST_WORDS])
        else:
            current = []
    return tuple(_outcome(item, said.get(item.id), changed) for item in items)


def render_reply(
    outcome: FeedbackOutcome,
    item: FeedbackItem,
    *,
    commit: str = "",
    secrets: Collection[str] = (),
    hosts: Collection[str] = HOSTS,
) -> str:
    """The answer in the point's thread. ``commit`` is the SHA with the round's change, empty when there is none."""
    words = clean_words(outcome.words, secrets, hosts=hosts, limit=LONGEST_WORDS).strip()
    where = f" in {commit[:12]}" if commit else ""
    if outcome.kind == "done":
        return f"Done{where}{': ' + words if words else '.'}"
    if outcome.kind == "claimed":
        told = f" What it says: {words}" if words else ""
        return f"The agent says that this is done, but {_unchanged(item)}: please look.{told}"
    if outcome.kind == "declined":
        return f"Declined: {words}" if words else "Declined; the agent gave no reason."
    return f"Not addressed in this round{': ' + words if words else '.'}"


def render_outcomes(
    outcomes: Sequence[FeedbackOutcome], items: Sequence[FeedbackItem], *, secrets: Collection[str] = ()
) -> str:
    """All outcomes as a list, for the comment on the round."""
    by_id = {item.id: item for item in items}
    lines = []
    for outcome in outcomes:
        item = by_id[outcome.item]
        words = clean_line(outcome.words, secrets, limit=LONGEST_WORDS)
        verdict = {
            "done": "done",
            "claimed": f"**claimed, but {_unchanged(item)}**",
            "declined": "declined",
            "not_addressed": "**not addressed**",
        }[outcome.kind]
        place = code_span(item.path) if item.path else f"{item.kind} by {code_span(item.author)}"
        lines.append(f"- {place}: {verdict}{': ' + words if words else ''}")
    return "\n".join(lines)


def _unchanged(item: FeedbackItem) -> str:
    return "nothing was changed" if item.path is None else "the file was not changed"


def _outcome(item: FeedbackItem, said: tuple[str, str] | None, changed: Collection[str]) -> FeedbackOutcome:
    if said is None:
        return FeedbackOutcome(item=item.id, kind="not_addressed")
    word, words = said
    words = words.strip(" *_")[:LONGEST_WORDS]
    if word.startswith("not "):
        return FeedbackOutcome(item=item.id, kind="not_addressed", words=words)
    if word not in _DONE:
        return FeedbackOutcome(item=item.id, kind="declined", words=words)
    kept = item.path in changed if item.path is not None else bool(changed)
    return FeedbackOutcome(item=item.id, kind="done" if kept else "claimed", words=words)
