"""Reviews of a pull request: what was said on the diff, our answers in its threads, and the threads' state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import structlog

from app.github_calls import RepositoryCalls
from app.github_json import parse_review, parse_review_comment
from app.github_session import PAGES_CAP
from app.github_text import fit_body
from workflows.services import BrokenWorld, ReviewEvent
from workflows.types import DraftComment, Review, ReviewComment, ReviewThread

log = structlog.get_logger()

# fullDatabaseId, because the older databaseId is a 32-bit number, and the ids of today are larger.
THREADS = """
query Threads($pull: ID!, $after: String) {
  node(id: $pull) {
    ... on PullRequest {
      list: reviewThreads(first: 100, after: $after) {
        nodes {
          id isResolved isOutdated resolvedBy { login }
          comments(first: 100) { nodes { fullDatabaseId } pageInfo { ...Next } }
        }
        pageInfo { ...Next }
      }
    }
  }
}
fragment Next on PageInfo { hasNextPage endCursor }
"""

COMMENTS = """
query Comments($thread: ID!, $after: String) {
  node(id: $thread) {
    ... on PullRequestReviewThread {
      list: comments(first: 100, after: $after) { nodes { fullDatabaseId } pageInfo { hasNextPage endCursor } }
    }
  }
}
"""

RESOLVE = """
mutation Resolve($thread: ID!) { resolveReviewThread(input: {threadId: $thread}) { thread { id isResolved } } }
"""


PENDING = "PENDING"


class _Refused(Exception):
    """GitHub refuses a review as it is: for the place of a comment, its commit, or its event."""


class ReviewCalls(RepositoryCalls):
    """What GitHub's review APIs do. Only GraphQL knows threads; REST knows comments and what they answer."""

    def fetch_reviews(self, number: int) -> list[Review]:
        """All reviews, oldest first."""
        return sorted(map(parse_review, self._pages(f"/pulls/{number}/reviews")), key=lambda review: review.id)

    def fetch_review_comments(self, number: int) -> list[ReviewComment]:
        """All comments on the diff, oldest first."""
        found = map(parse_review_comment, self._pages(f"/pulls/{number}/comments"))
        return sorted(found, key=lambda comment: comment.id)

    def fetch_review_threads(self, number: int) -> list[ReviewThread]:
        """All threads, with the ids of all their comments."""
        pull = self._read_settled(f"/pulls/{number}", f"reading pull request #{number}")
        if pull is None:
            return []
        nodes = self._nodes(f"reading the review threads of #{number}", THREADS, {"pull": pull["node_id"]})
        return [self._parse_thread(node) for node in nodes]

    def find_or_create_review(
        self,
        number: int,
        *,
        commit: str,
        marker: str,
        body: str,
        comments: Sequence[DraftComment],
        event: ReviewEvent = "COMMENT",
    ) -> int | None:
        """The id of our review with this marker, or None when GitHub refuses it as it is (422).

        https://docs.github.com/en/rest/pulls/reviews#create-a-review-for-a-pull-request
        """
        what = f"reviewing #{number}"
        new: dict[str, Any] = {"commit_id": commit, "event": event, "body": fit_body(body, keep=marker)}
        new["comments"] = [_place(comment) for comment in comments]

        def look() -> int | None:
            ours = (each for each in self._pages(f"/pulls/{number}/reviews") if self._identity.wrote(each))
            said = (each for each in ours if each["state"] != PENDING and marker in (each.get("body") or ""))
            return next((int(each["id"]) for each in said), None)

        def create() -> int:
            answer = self._send("POST", f"/pulls/{number}/reviews", body=new)
            if answer.status == 422:
                raise _Refused(answer.message)
            return int(self._accept(what, answer)["id"])

        with self._locks.hold((self._ref.id, "review", number)):
            self._drop_pending(number)
            try:
                return self._session.find_or_create(what, look, create)
            except _Refused as refused:
                log.info("review_refused", number=number, verdict=event, reason=str(refused))
                return None

    def find_refused(self, number: int, *, commit: str, comments: Sequence[DraftComment]) -> tuple[int, ...]:
        """Try each comment in a pending review of its own, which is deleted again.

        Raises BrokenWorld, also when it stays unclear what became of a try.
        """
        refused = []
        with self._locks.hold((self._ref.id, "review", number)):
            for index, comment in enumerate(comments):
                if self._is_refused(number, {"commit_id": commit, "comments": [_place(comment)]}):
                    refused.append(index)
            self._drop_pending(number)
        return tuple(refused)

    def _is_refused(self, number: int, new: dict[str, Any]) -> bool:
        what = f"trying a comment on #{number}"

        def create() -> bool:
            answer = self._send("POST", f"/pulls/{number}/reviews", body=new)
            if answer.status != 422:
                self._accept(what, answer)
            return answer.status == 422

        # Not just sent again after an unclear outcome: GitHub would refuse the comment for what the first try left.
        return self._session.find_or_create(what, lambda: self._drop_pending(number), create)

    def _drop_pending(self, number: int) -> None:
        """Delete what a try left: there can be one pending review of ours, and nobody else sees it."""
        for each in list(self._pages(f"/pulls/{number}/reviews")):
            if each["state"] == PENDING and self._identity.wrote(each):
                answer = self._send("DELETE", f"/pulls/{number}/reviews/{each['id']}", repeatable=True)
                if answer.status != 404:
                    self._accept("deleting a pending review", answer)

    def dismiss_review(self, number: int, review_id: int, message: str) -> bool:
        """Dismiss it, unless it is dismissed.

        https://docs.github.com/en/rest/pulls/reviews#dismiss-a-review-for-a-pull-request
        """
        body = {"message": message, "event": "DISMISS"}
        path = f"/pulls/{number}/reviews/{review_id}/dismissals"
        answer = self._send("PUT", path, body=body, repeatable=True)
        if answer.status in {403, 422}:
            there = (each for each in self._pages(f"/pulls/{number}/reviews") if each["id"] == review_id)
            if any(each["state"] == "DISMISSED" for each in there):
                return True
            log.warning("review_not_dismissed", number=number, review=review_id, reason=answer.message)
            return False
        self._accept(f"dismissing a review of #{number}", answer)
        return True

    def resolve_thread(self, thread_id: str) -> None:
        """Resolve it; GitHub takes a second time for done, and a thread that was deleted needs no more."""
        self._session.query("resolving a review thread", RESOLVE, {"thread": thread_id})

    def find_or_create_reply(self, number: int, comment_id: int, marker: str, body: str) -> int:
        """The id of our answer with this marker in the thread; GitHub takes answers to a thread's first comment alone.

        Raises BrokenWorld when the thread was deleted.
        """
        what = f"answering a review comment on #{number}"
        top = comment_id

        def look() -> int | None:
            nonlocal top
            said = list(self._pages(f"/pulls/{number}/comments"))
            top = next((each.get("in_reply_to_id") or each["id"] for each in said if each["id"] == comment_id), top)
            answers = (each for each in said if each.get("in_reply_to_id") == top and self._identity.wrote(each))
            return next((int(each["id"]) for each in answers if marker in (each.get("body") or "")), None)

        def create() -> int:
            new = {"body": fit_body(body, keep=marker)}
            answer = self._send("POST", f"/pulls/{number}/comments/{top}/replies", body=new)
            return int(self._accept(what, answer)["id"])

        with self._locks.hold((self._ref.id, "reply", number, comment_id, marker)):
            return self._session.find_or_create(what, look, create)

    def _parse_thread(self, node: dict[str, Any]) -> ReviewThread:
        comments = list(node["comments"]["nodes"])
        if node["comments"]["pageInfo"]["hasNextPage"]:
            comments = list(self._nodes("reading a long review thread", COMMENTS, {"thread": node["id"]}))
        return ReviewThread(
            id=node["id"],
            resolved=node["isResolved"],
            resolved_by=(node["resolvedBy"] or {}).get("login", ""),
            outdated=node["isOutdated"],
            comments=tuple(int(each["fullDatabaseId"]) for each in comments),
        )

    def _nodes(self, what: str, query: str, variables: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The nodes of all pages of ``node.list``. Raises BrokenWorld after PAGES_CAP pages."""
        after: str | None = None
        for _ in range(PAGES_CAP):
            found = self._session.query(what, query, {**variables, "after": after})["node"]
            if not found:
                return
            yield from found["list"]["nodes"]
            after = found["list"]["pageInfo"]["endCursor"]
            if not found["list"]["pageInfo"]["hasNextPage"]:
                return
        raise BrokenWorld("github", f"GitHub has more than {PAGES_CAP} pages for {what}. Open a new pull request.")


def _place(comment: DraftComment) -> dict[str, Any]:
    placed: dict[str, Any] = comment.model_dump(include={"path", "body", "line", "side"})
    if comment.start_line is not None:
        placed |= {"start_line": comment.start_line, "start_side": comment.side}
    return placed
