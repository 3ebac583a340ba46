"""What becomes of earlier findings on GitHub: threads of fixed ones are resolved, people's answers are answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from workflows.review.ledger import Entry, Ledger, answer_rebuttal
from workflows.review.rebutting import Judged
from workflows.review.standing import Standing
from workflows.services import BrokenWorld, GitHub
from workflows.texts.outbound import code_span

log = structlog.get_logger()

BLOCKS = "It blocks, so it stays open until its code changes, or until somebody with write permission"
WITHDRAWN = "The finding is withdrawn."
AGREED = f"{BLOCKS} agrees here or resolves this."
RESOLVED = f"This was resolved by somebody without write permission. {BLOCKS} says here that it is settled."


@dataclass(frozen=True)
class Settler:
    """Speaks in the threads of one pull request; each word is found again by its hidden name."""

    github: GitHub
    number: int
    standing: Standing
    clean: Callable[[str], str]

    def settle(self, fixed: Sequence[Entry], judged: Sequence[Judged], kept: Sequence[Entry] = ()) -> int:
        """Say it in the threads and resolve what is done. How many were settled; one that is gone stops no other.

        ``kept`` are open though somebody without write permission resolved them.
        """
        settled = 0
        for entry in fixed:
            sha, word = entry.sha[:12], "changed" if entry.unread else "fixed"
            text = f"Fixed in {code_span(sha)}."
            if entry.unread:
                text = f"Its lines are changed in {code_span(sha)}; whether that mends it, the next review sees."
            settled += self._say(entry.id, text, name=f"{word}={entry.id} sha={sha}", resolve=not entry.unread)
        for one in (one for one in judged if not one.later):
            end = f"\n\n{WITHDRAWN if one.counts else AGREED}" if one.accepted else ""
            name = f"rebuttal={one.finding} reply={one.reply}"
            settled += self._say(one.finding, f"{self.clean(one.say)}{end}", name=name, resolve=one.closed is not None)
        answered = {one.finding for one in judged if one.closed or not one.later}
        for entry in (one for one in kept if one.id not in answered):
            settled += self._say(entry.id, RESOLVED, name=f"kept={entry.id}", resolve=False)
        return settled

    def _say(self, finding: str, text: str, *, name: str, resolve: bool) -> bool:
        thread = self.standing.thread(finding)
        if thread is None or (thread.resolved and resolve):
            return False
        mark = f"<!-- forgehand:{name} -->"
        try:
            self.github.find_or_create_reply(self.number, thread.comment, mark, f"{text}\n\n{mark}")
            if resolve and thread.thread:
                self.github.resolve_thread(thread.thread)
        except BrokenWorld as broken:
            log.warning("thread of a finding not settled", finding=finding, reason=broken.message)
            return False
        return True


def with_judgements(ledger: Ledger, judged: Sequence[Judged]) -> Ledger:
    """The ledger once these were judged and answered."""
    for one in judged:
        ledger = answer_rebuttal(ledger, one.finding, reply=one.reply, closed=one.closed)
    return ledger
