"""The conversation of an issue or pull request: its texts, comments, reactions and labels."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from urllib.parse import quote

from app.github_calls import RepositoryCalls
from app.github_json import parse_comment, parse_issue, parse_label_act
from app.github_session import refusal
from app.github_text import fit_body
from app.keyed_locks import Taken
from workflows.services import Reaction
from workflows.types import Comment, CommentRef, Issue, LabelAct

LABEL_TEXT_LIMIT = 100
EDIT_SECONDS = 5.0
"""An edit that takes longer waits for GitHub's rate limit."""


class ConversationCalls(RepositoryCalls):
    """What GitHub's issues API does, for pull requests too."""

    def fetch_issue(self, number: int) -> Issue | None:
        """The issue or pull request; None when it was deleted, moved away, or is still unknown after a few seconds."""
        data = self._read_settled(f"/issues/{number}", f"reading #{number}")
        return parse_issue(data) if data is not None else None

    def fetch_comments(self, number: int) -> list[Comment]:
        """All comments, oldest first."""
        return sorted(map(parse_comment, self._pages(f"/issues/{number}/comments")), key=lambda comment: comment.id)

    def react(self, number: int, reaction: Reaction) -> None:
        """GitHub itself answers a second reaction with the first."""
        answer = self._send("POST", f"/issues/{number}/reactions", body={"content": reaction}, repeatable=True)
        self._accept(f"reacting to #{number}", answer)

    def react_to_comment(self, comment: CommentRef, number: int, reaction: Reaction) -> None:
        """React to the comment itself, once; nothing for a submitted review, or a comment that was deleted."""
        if comment.kind == "review":
            return
        where = "issues" if comment.kind == "issue" else "pulls"
        path = f"/{where}/comments/{comment.id}/reactions"
        answer = self._send("POST", path, body={"content": reaction}, repeatable=True)
        if answer.status not in {404, 410}:
            self._accept(f"reacting to a comment on #{number}", answer)

    def add_label(self, number: int, label: str, *, color: str, description: str) -> None:
        """Put the label on; the repository's is made with this colour and description when there is none."""
        what = f"putting the label {label} on #{number}"
        known = self._send("GET", f"/labels/{quote(label, safe='')}")
        if known.status == 404:
            self._create_label({"name": label, "color": color, "description": description[:LABEL_TEXT_LIMIT]})
        elif not known.ok:
            raise refusal(what, known)
        answer = self._send("POST", f"/issues/{number}/labels", body={"labels": [label]}, repeatable=True)
        self._accept(what, answer)

    def _create_label(self, new: dict[str, str]) -> None:
        # The name is unique, so a second time is refused: somebody, or a first try of ours, made it.
        answer = self._send("POST", "/labels", body=new, repeatable=True)
        if not (answer.status == 422 and "already_exists" in answer.message):
            self._accept(f"making the label {new['name']}", answer)

    def remove_label(self, number: int, label: str) -> None:
        """Take the label off; absent is fine."""
        answer = self._send("DELETE", f"/issues/{number}/labels/{quote(label, safe='')}")
        if answer.status not in {404, 410}:
            self._accept(f"removing the label {label} from #{number}", answer)

    def fetch_label_acts(self, number: int) -> list[LabelAct]:
        """GitHub's own order of them, oldest first: https://docs.github.com/en/rest/issues/events#list-issue-events"""
        events = (each for each in self._pages(f"/issues/{number}/events") if each["event"] in ("labeled", "unlabeled"))
        return list(map(parse_label_act, sorted(events, key=lambda each: int(each["id"]))))

    def find_or_create_comment(self, number: int, marker: str, body: str) -> int:
        """The id of our comment with this marker; a marker in anybody else's comment counts for nothing."""
        what = f"commenting on #{number}"
        path = f"/issues/{number}/comments"

        def look() -> int | None:
            for comment in self._pages(path):
                if marker in (comment.get("body") or "") and self._identity.wrote(comment):
                    return int(comment["id"])
            return None

        def create() -> int:
            answer = self._send("POST", path, body={"body": fit_body(body, keep=marker)})
            return int(self._accept(what, answer)["id"])

        with self._locks.hold((self._ref.id, "comment", number, marker)):
            return self._session.find_or_create(what, look, create)

    def update_comment(self, comment_id: int, body: str) -> None:
        """Edit our comment. Raises BrokenWorld when somebody deleted it."""
        with self._locks.hold(self._edit_of(comment_id)):
            self._edit(comment_id, body)

    def update_comment_if(self, comment_id: int, body: str, *, holds: Callable[[str], bool]) -> None:
        """Edit our comment where ``holds`` is true of its text: no edit of this process comes between look and edit.

        Nothing where it was deleted, or where another edit takes long: whoever makes that has the last word.
        """
        with suppress(Taken), self._locks.hold(self._edit_of(comment_id), patience=EDIT_SECONDS):
            answer = self._send("GET", f"/issues/comments/{comment_id}")
            if answer.status in {404, 410}:
                return
            found = self._accept("reading our comment", answer)
            if holds(found.get("body") or ""):
                self._edit(comment_id, body)

    def _edit_of(self, comment_id: int) -> Hashable:
        return (self._ref.id, "comment edit", comment_id)

    def _edit(self, comment_id: int, body: str) -> None:
        answer = self._send("PATCH", f"/issues/comments/{comment_id}", body={"body": fit_body(body)})
        self._accept("editing our comment", answer)
