"""The threads under our own findings: which finding each is about, whether it is resolved, and what people answered."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import get_args

from workflows.review.findings import Severity
from workflows.review.render import parse_finding_marker
from workflows.types import Noun, ReviewComment, ReviewThread, Side

LONGEST_REPLY = 8_000
_HEAD = re.compile(r"\*\*(?P<severity>[A-Z][a-z]+)\*\* \((?P<category>[a-z ]{1,30})\): (?P<title>[^\n]{1,400})")


class ThreadReply(Noun):
    """What a person answered in a thread; ``id`` is the comment's. ``writer``: the person has write permission."""

    id: int
    author: str
    text: str
    writer: bool = True


class FindingThread(Noun):
    """A thread that begins with a finding of ours. ``thread`` is its node id, ``comment`` our first comment.

    ``line`` is None once its lines changed. ``replies`` are people's, oldest first; ``answered`` is the last of them
    that we answered, 0 without one. ``said`` is our comment. ``by_reader``: who resolved it has no write permission.
    """

    finding: str
    comment: int
    thread: str = ""
    resolved: bool = False
    by_reader: bool = False
    path: str
    line: int | None = None
    side: Side = "RIGHT"
    severity: Severity = "minor"
    category: str = "other"
    title: str = ""
    said: str = ""
    replies: tuple[ThreadReply, ...] = ()
    answered: int = 0


def gather_finding_threads(
    comments: Sequence[ReviewComment],
    threads: Sequence[ReviewThread],
    *,
    ours: str,
    writers: Collection[str],
    author: str = "",
) -> tuple[FindingThread, ...]:
    """The threads of our findings. ``ours`` is our App's login; only the words of ``writers``, the logins of those with
    write permission, and of the change's ``author`` are heard.

    A finding's name in somebody else's comment names nothing: markers can be copied.
    """
    known = {number: thread for thread in threads for number in thread.comments}
    people = _People(ours.casefold(), author.casefold(), frozenset(login.casefold() for login in writers))
    talks: defaultdict[int, list[ReviewComment]] = defaultdict(list)
    for comment in sorted(comments, key=lambda one: (one.created_at, one.id)):
        talks[comment.in_reply_to or comment.id].append(comment)
    found = []
    for root, talk in talks.items():
        first = talk[0]
        if first.id != root or first.author.login.casefold() != people.ours:
            continue
        finding = parse_finding_marker(first.body)
        if finding is not None:
            found.append(_thread(finding, talk, known.get(root), people))
    return tuple(found)


@dataclass(frozen=True)
class _People:
    """Whose words are whose: logins in lower case."""

    ours: str
    author: str
    writers: Collection[str]


def _thread(finding: str, talk: Sequence[ReviewComment], thread: ReviewThread | None, people: _People) -> FindingThread:
    first, *others = talk
    head = _HEAD.match(first.body)
    severity = head["severity"].lower() if head else "minor"
    replies: list[ThreadReply] = []
    answered = 0
    for comment in others:
        login = comment.author.login.casefold()
        writer = login in people.writers
        if login == people.ours:
            answered = replies[-1].id if replies else answered
        elif comment.author.type == "User" and (writer or login == people.author) and comment.body.strip():
            text = comment.body[:LONGEST_REPLY]
            replies.append(ThreadReply(id=comment.id, author=comment.author.login, text=text, writer=writer))
    resolver = thread.resolved_by.casefold() if thread else ""
    return FindingThread(
        finding=finding,
        comment=first.id,
        thread=thread.id if thread else "",
        resolved=thread.resolved if thread else False,
        by_reader=resolver != "" and resolver not in people.writers,
        path=first.path,
        line=first.line,
        side=first.side,
        severity=next((one for one in get_args(Severity) if one == severity), "minor"),
        category=head["category"] if head else "other",
        title=head["title"][:140] if head else "",
        said=first.body[:LONGEST_REPLY],
        replies=tuple(replies),
        answered=answered,
    )
