"""Our approvals: each is of the head that was read, so a push takes it back."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.services import GitHub
from workflows.types import Review

MOVED = "The branch has moved on: what was pushed since then was not read."


def stands_approved(reviews: Sequence[Review], login: str, head: str) -> bool:
    """Whether our approval of this very head stands; ``login`` is our own."""
    return any(one.commit_id == head for one in _approved(reviews, login))


def overtaken(reviews: Sequence[Review], login: str, *heads: str) -> list[int]:
    """Our approvals that stand, of another head than one of these: what is told of the head may be late."""
    return [one.id for one in _approved(reviews, login) if any(one.commit_id != head for head in heads)]


def take_back_overtaken(github: GitHub, login: str, number: int, *heads: str) -> int:
    """Dismiss our approvals of what is not the head any more; how many. A second time changes nothing."""
    gone = overtaken(github.fetch_reviews(number), login, *heads)
    return sum(github.dismiss_review(number, review, MOVED) for review in gone)


def _approved(reviews: Sequence[Review], login: str) -> list[Review]:
    return [one for one in reviews if login and one.author.login == login and one.state == "approved"]
