"""Reviews of pull requests and comments on lines of their diff; a line outside the diff is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.localhub import bare
from app.localhub.acts import Actor, check_texts, touch
from app.localhub.answers import Refusal, validation_failed
from app.localhub.events import announce, links_of
from app.localhub.patches import PatchLine, find_line, hunk_of, hunk_text, parse_patch
from app.localhub.records import Issue, Json, Pull, Repository, Review, ReviewComment, Side
from app.localhub.shapes import node_id
from app.localhub.shapes_pulls import base_commit, pull_of, review_comment_json, review_json, simple_pull_json
from app.localhub.store import Store

EVENTS: dict[str, Literal["COMMENTED", "APPROVED", "CHANGES_REQUESTED"]] = {
    "COMMENT": "COMMENTED",
    "APPROVE": "APPROVED",
    "REQUEST_CHANGES": "CHANGES_REQUESTED",
}
NOT_IN_DIFF = "Pull request review thread line must be part of the diff"
BAD_START = "Pull request review thread start line must be part of the same hunk as the line."
START_AFTER = "Pull request review thread start line must precede the end line."
# GitHub's words after a force-push: wandersoncferreira/code-review#210.
NOT_A_COMMIT = "Start commit oid is not part of the pull request"
NO_HUNK = "Pull request review thread diff hunk can't be blank"


class OutsideDiff(Exception):
    """A wanted comment does not lie in the diff; ``reasons`` are GitHub's sentences."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(", ".join(reasons))
        self.reasons = reasons

    @property
    def sentence(self) -> str:
        """The reasons in one string, as GitHub joins them (kinkie's log in parkerbxyz/suggest-changes#64)."""
        *first, last = self.reasons
        if not first:
            return last
        return f"{', '.join(first)}{',' if len(first) > 1 else ''} and {last}"


@dataclass(frozen=True)
class Wanted:
    """A line comment as asked for: by ``line`` and ``side``, by the older ``position``, or on the whole file."""

    path: str
    body: str
    line: int | None = None
    side: Side = "RIGHT"
    start_line: int | None = None
    start_side: Side | None = None
    position: int | None = None
    whole_file: bool = False


def parse_wanted(given: Json) -> Wanted:
    """The comment that a body describes. Raises Refusal 422 for a missing path or body, or a bad side."""
    resource = "PullRequestReviewComment"
    for name in ("path", "body"):
        if not isinstance(given.get(name), str) or not given[name]:
            raise validation_failed(resource, code="missing_field", field=name)
    for name in ("side", "start_side"):
        if given.get(name) not in (None, "LEFT", "RIGHT", "side"):
            raise validation_failed(resource, code="invalid", field=name)
    side: Side = "LEFT" if given.get("side") == "LEFT" else "RIGHT"
    start: Side | None = None
    if given.get("start_line") is not None:
        start = "LEFT" if given.get("start_side") == "LEFT" else side if given.get("start_side") is None else "RIGHT"
    return Wanted(
        given["path"],
        given["body"],
        line=given.get("line"),
        side=side,
        start_line=given.get("start_line"),
        start_side=start,
        position=given.get("position"),
        whole_file=given.get("subject_type") == "file",
    )


def place(repo: Repository, issue: Issue, wanted: Wanted, commit: str | None = None) -> tuple[PatchLine | None, str]:
    """The patch line at a commit (the head unless given) that a comment is for, and its hunk. Raises OutsideDiff."""
    pull = pull_of(issue)
    files = bare.diff_files(repo.path, base_commit(repo, pull), commit or pull.head_sha)
    return place_in(files, wanted)


def place_in(files: Sequence[bare.FileDiff], wanted: Wanted) -> tuple[PatchLine | None, str]:
    """The same in the changed files of a pull request: GitHub's rules on where a comment can stand, by themselves."""
    found = next((entry for entry in files if entry.path == wanted.path), None)
    if found is None:
        raise OutsideDiff("Path could not be resolved")
    lines = parse_patch(found.patch) if found.patch else []
    if wanted.whole_file:
        return None, found.patch.split("\n", 1)[0] if found.patch else ""
    if wanted.line is not None:
        line = find_line(lines, wanted.line, wanted.side)
    else:
        line = next((one for one in lines if one.position == wanted.position and one.kind != "hunk"), None)
    if line is None:
        reasons = [NOT_IN_DIFF, BAD_START, NO_HUNK] if wanted.start_line is not None else [NOT_IN_DIFF, NO_HUNK]
        raise OutsideDiff(*reasons)
    if wanted.start_line is not None:
        first = find_line(lines, wanted.start_line, wanted.start_side or wanted.side)
        if first is None or hunk_of(lines, first) is not hunk_of(lines, line):
            raise OutsideDiff(BAD_START)
        if first.position >= line.position:
            raise OutsideDiff(START_AFTER)
    return line, hunk_text(lines, line)


def submit_review(
    store: Store,
    repo: Repository,
    issue: Issue,
    *,
    actor: Actor,
    event: str | None,
    body: str,
    comments: Sequence[Wanted],
    commit_id: str | None = None,
) -> Review:
    """Make a review with its line comments, all or nothing. Without an event it stays pending."""
    pull = pull_of(issue)
    check_texts("PullRequestReview", body=body)
    if any(one.state == "PENDING" and one.author is actor.user for one in pull.reviews):
        raise Refusal(422, "Unprocessable Entity", errors=["User can only have one pending review per pull request"])
    if event is not None and event not in EVENTS:
        raise Refusal(
            422, "Unprocessable Entity", errors=["Variable $event of type PullRequestReviewEvent was invalid"]
        )
    if commit_id is not None and not _is_part(repo, pull, commit_id):
        raise Refusal(422, "Unprocessable Entity", errors=[NOT_A_COMMIT])
    if event in ("APPROVE", "REQUEST_CHANGES") and issue.author is actor.user:
        what = "approve your own" if event == "APPROVE" else "request changes on your own"
        raise Refusal(422, "Unprocessable Entity", errors=[f"Review Can not {what} pull request"])
    if event in ("COMMENT", "REQUEST_CHANGES") and not body and not comments:
        raise Refusal(422, "Unprocessable Entity", errors=["Body can't be blank"])
    try:
        placed = [(wanted, *place(repo, issue, wanted, commit_id)) for wanted in comments]
    except OutsideDiff as outside:
        raise Refusal(422, "Unprocessable Entity", errors=[outside.sentence]) from outside
    state = EVENTS[event] if event else "PENDING"
    when = store.now() if event else None
    review = Review(store.new_id(), actor.user, body, state, commit_id or pull.head_sha, when)
    pull.reviews.append(review)
    made = [_new_comment(store, issue, review, wanted=w, line=line, hunk=hunk) for w, line, hunk in placed]
    if event:
        pull.requested_reviewers = [user for user in pull.requested_reviewers if user is not actor.user]
        announce_review(store, repo, issue, review=review, comments=made, actor=actor)
    return review


def _is_part(repo: Repository, pull: Pull, commit: str) -> bool:
    """Whether a commit is one of the pull request's: a force-push takes those away that it replaces."""
    known = bare.resolve(repo.path, commit) is not None
    return known and bare.is_ancestor(repo.path, commit, pull.head_sha)


def _new_comment(
    store: Store, issue: Issue, review: Review, *, wanted: Wanted, line: PatchLine | None, hunk: str
) -> ReviewComment:
    now = store.now()
    side = wanted.side if wanted.line is not None else "LEFT" if line and line.new is None else "RIGHT"
    comment = ReviewComment(
        store.new_id(),
        review.id,
        review.author,
        wanted.body,
        wanted.path,
        commit_id=review.commit_id,
        diff_hunk=hunk,
        position=line.position if line else 1,
        created_at=now,
        updated_at=now,
        line=line.on(side) if line else None,
        side=side,
        start_line=wanted.start_line,
        start_side=wanted.start_side,
        subject_type="file" if wanted.whole_file else "line",
    )
    pull_of(issue).comments.append(comment)
    touch(store, issue)
    return comment


def announce_review(
    store: Store,
    repo: Repository,
    issue: Issue,
    *,
    review: Review,
    comments: Sequence[ReviewComment],
    actor: Actor,
    action: str = "submitted",
) -> None:
    """A ``pull_request_review``, then one ``pull_request_review_comment.created`` for each comment."""
    links = links_of(store)
    shown: Json = review_json(links, repo, issue, review=review)
    shown["state"] = shown["state"].lower()
    details: Json = {"review": shown, "pull_request": simple_pull_json(links, repo, issue)}
    announce(store, repo, "pull_request_review", action=action, sender=actor.user, details=details)
    for comment in comments:
        _announce_comment(store, repo, issue, comment=comment, actor=actor, action="created")


def _announce_comment(
    store: Store,
    repo: Repository,
    issue: Issue,
    *,
    comment: ReviewComment,
    actor: Actor,
    action: str,
    changes: Json | None = None,
) -> None:
    links = links_of(store)
    details: Json = {
        "comment": review_comment_json(links, repo, issue, comment=comment),
        "pull_request": simple_pull_json(links, repo, issue),
    }
    if changes is not None:
        details["changes"] = changes
    announce(store, repo, "pull_request_review_comment", action=action, sender=actor.user, details=details)


def delete_pending_review(issue: Issue, *, review: Review, actor: Actor) -> None:
    """Take away a review, with its comments, that was not submitted. Raises Refusal 422 for any other."""
    if review.state != "PENDING" or review.author is not actor.user:
        raise Refusal(422, "Unprocessable Entity", errors=["Can not delete a non-pending pull request review"])
    pull = pull_of(issue)
    pull.reviews.remove(review)
    pull.comments = [comment for comment in pull.comments if comment.review_id != review.id]


def dismiss_review(store: Store, repo: Repository, issue: Issue, *, review: Review, actor: Actor) -> None:
    """Make an approval or a request for changes count no longer. Raises Refusal 422 for any other review."""
    if review.state not in ("APPROVED", "CHANGES_REQUESTED"):
        raise Refusal(422, "Validation Failed", errors=["Can not dismiss a commented pull request review"])
    review.state = "DISMISSED"
    touch(store, issue)
    announce_review(store, repo, issue, review=review, comments=[], actor=actor, action="dismissed")


def edit_line_comment(
    store: Store, repo: Repository, issue: Issue, *, comment: ReviewComment, actor: Actor, body: str
) -> None:
    """Change a line comment's text."""
    check_texts("PullRequestReviewComment", body=body)
    changes: Json = {"body": {"from": comment.body}}
    comment.body, comment.updated_at = body, store.now()
    _announce_comment(store, repo, issue, comment=comment, actor=actor, action="edited", changes=changes)


def delete_line_comment(store: Store, repo: Repository, issue: Issue, *, comment: ReviewComment, actor: Actor) -> None:
    """Remove a line comment; its answers stay, as on GitHub."""
    pull_of(issue).comments.remove(comment)
    _announce_comment(store, repo, issue, comment=comment, actor=actor, action="deleted")


def threads_of(issue: Issue) -> dict[int, list[ReviewComment]]:
    """The threads of a pull request by the id of the first comment, each oldest first, without pending reviews."""
    pull = pull_of(issue)
    waiting = {review.id for review in pull.reviews if review.state == "PENDING"}
    found: dict[int, list[ReviewComment]] = {}
    for comment in pull.comments:
        if comment.review_id not in waiting:
            found.setdefault(comment.in_reply_to or comment.id, []).append(comment)
    return found


def thread_id(top: int) -> str:
    """The node id of the thread that begins with a comment."""
    return node_id("PullRequestReviewThread", top)


def resolve_thread(
    store: Store, repo: Repository, issue: Issue, *, top: int, actor: Actor, resolved: bool = True
) -> None:
    """Resolve the thread that begins with the comment ``top``, or take that back; a second time changes nothing."""
    pull, links = pull_of(issue), links_of(store)
    if (top in pull.resolved) == resolved:
        return
    if resolved:
        pull.resolved[top] = actor.user
    else:
        del pull.resolved[top]
    said = [review_comment_json(links, repo, issue, comment=each) for each in threads_of(issue)[top]]
    details: Json = {
        "thread": {"node_id": thread_id(top), "comments": said},
        "pull_request": simple_pull_json(links, repo, issue),
    }
    action = "resolved" if resolved else "unresolved"
    announce(store, repo, "pull_request_review_thread", action=action, sender=actor.user, details=details)


def add_line_comment(
    store: Store, repo: Repository, issue: Issue, *, actor: Actor, wanted: Wanted, commit_id: str
) -> ReviewComment:
    """One comment outside a larger review; GitHub wraps it into a review of its own.

    The refusal's fields are those quoted in many public trackers: ``pull_request_review_thread.line must be part…``.
    """
    if bare.resolve(repo.path, commit_id) is None:
        raise validation_failed(
            "PullRequestReviewComment", code="custom", field="commit_id", message="commit_id is invalid"
        )
    try:
        line, hunk = place(repo, issue, wanted)
    except OutsideDiff as outside:
        thread = "pull_request_review_thread"
        known = NOT_IN_DIFF in outside.reasons
        field = f"{thread}.line" if known else f"{thread}.path"
        what = f"{field} must be part of the diff" if known else f"{field} {outside.sentence}"
        blank: Json = {"resource": "PullRequestReviewComment", "code": "missing_field", "field": f"{thread}.diff_hunk"}
        first: Json = {"resource": "PullRequestReviewComment", "code": "custom", "field": field, "message": what}
        raise Refusal(422, "Validation Failed", errors=[first, blank]) from outside
    review = Review(store.new_id(), actor.user, "", "COMMENTED", commit_id, store.now())
    pull_of(issue).reviews.append(review)
    comment = _new_comment(store, issue, review, wanted=wanted, line=line, hunk=hunk)
    announce_review(store, repo, issue, review=review, comments=[comment], actor=actor)
    return comment


def reply(
    store: Store, repo: Repository, issue: Issue, *, actor: Actor, parent: ReviewComment, body: str
) -> ReviewComment:
    """Answer a line comment; a reply to a reply joins the same thread."""
    now = store.now()
    top = parent.in_reply_to or parent.id
    review = Review(store.new_id(), actor.user, "", "COMMENTED", parent.commit_id, now)
    pull = pull_of(issue)
    pull.reviews.append(review)
    comment = ReviewComment(
        store.new_id(),
        review.id,
        actor.user,
        body,
        parent.path,
        commit_id=parent.commit_id,
        diff_hunk=parent.diff_hunk,
        position=parent.position,
        created_at=now,
        updated_at=now,
        line=parent.line,
        side=parent.side,
        in_reply_to=top,
        subject_type=parent.subject_type,
    )
    pull.comments.append(comment)
    touch(store, issue)
    announce_review(store, repo, issue, review=review, comments=[comment], actor=actor)
    return comment
