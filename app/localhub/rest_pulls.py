"""REST: pull requests, their files and commits, reviews and line comments."""

from __future__ import annotations

from app.localhub import bare
from app.localhub.acts import edit_issue
from app.localhub.acts_pulls import edit_pull, merge_pull, open_pull, request_review, withdraw_request
from app.localhub.answers import Answer, Refusal, invalid_request, no_rights, not_found, validation_failed
from app.localhub.records import Issue, Json, Review, ReviewComment, User
from app.localhub.rest import Call, Routes
from app.localhub.rest_repos import diff_answer
from app.localhub.reviews import (
    add_line_comment,
    delete_line_comment,
    delete_pending_review,
    dismiss_review,
    edit_line_comment,
    parse_wanted,
    reply,
    submit_review,
)
from app.localhub.shapes import user_json
from app.localhub.shapes_git import commit_json, file_json
from app.localhub.shapes_pulls import (
    base_commit,
    pull_json,
    pull_of,
    review_comment_json,
    review_json,
    simple_pull_json,
)
from app.localhub.store import find_review_comment, has_role

routes = Routes()
PULLS = "/repos/{owner}/{repo}/pulls"
PULL = PULLS + "/{number:int}"
REVIEW = PULL + "/reviews/{review_id:int}"
REVIEWERS = PULL + "/requested_reviewers"
COMMENT = PULLS + "/comments/{comment_id:int}"
PERMISSION = "pull_requests"


@routes.add("GET", PULLS, permission=PERMISSION, docs="pulls/pulls#list-pull-requests")
def list_pulls(call: Call) -> Answer:
    """Pull requests, newest first; filters ``state``, ``head`` (``owner:branch``) and ``base``."""
    state, head, base = call.query.get("state", "open"), call.query.get("head"), call.query.get("base")
    prefix = f"{call.repo.owner.login}:".lower()

    def wanted(issue: Issue) -> bool:
        pull = issue.pull
        if not pull or state not in ("all", issue.state) or (base and pull.base != base):
            return False
        # GitHub ignores a head filter that is not "owner:branch".
        return (
            not head
            or ":" not in head
            or (prefix + pull.head) == head.split(":")[0].lower() + ":" + head.split(":", 1)[1]
        )

    found = [issue for issue in call.repo.issues.values() if wanted(issue)]
    found.sort(key=lambda issue: issue.number, reverse=call.query.get("direction", "desc") == "desc")
    return call.page(found, lambda issue: simple_pull_json(call.links, call.repo, issue))


@routes.add("POST", PULLS, permission=PERMISSION, role="read", docs="pulls/pulls#create-a-pull-request")
def create_pull(call: Call) -> Answer:
    """Open a pull request."""
    issue = open_pull(
        call.store,
        call.repo,
        call.actor,
        head=call.needed("head"),
        base=call.needed("base"),
        title=call.needed("title"),
        body=call.text("body"),
        draft=bool(call.body.get("draft")),
    )
    return Answer(201, _pull(call, issue), {"Location": f"{call.links.repo(call.repo)}/pulls/{issue.number}"})


def _pull(call: Call, issue: Issue) -> Json:
    return pull_json(call.links, call.repo, issue)


@routes.add("GET", PULL, permission=PERMISSION, docs="pulls/pulls#get-a-pull-request")
def get_pull(call: Call) -> Answer:
    """One pull request, or its diff by media type."""
    issue = call.pull
    if call.accepts("diff"):
        return diff_answer(call, base_commit(call.repo, pull_of(issue)), pull_of(issue).head_sha)
    return Answer(200, _pull(call, issue))


@routes.add("PATCH", PULL, permission=PERMISSION, role="read", docs="pulls/pulls#update-a-pull-request")
def update_pull(call: Call) -> Answer:
    """Change title, body, state or base."""
    issue, token = call.pull, call.caller.token
    person = token.user if token and not token.installation else None
    if person and person is not issue.author and not has_role(call.repo, person, "write"):
        raise no_rights()
    changes: Json = {name: call.text(name) for name in ("title", "body", "state") if call.body.get(name) is not None}
    if changes.get("state") not in (None, "open", "closed"):
        raise invalid_request(f'{changes["state"]} is not a member of ["open", "closed"].')
    if base := call.text("base"):
        edit_pull(call.store, call.repo, issue, actor=call.actor, base=base)
    edit_issue(call.store, call.repo, issue, actor=call.actor, changes=changes)
    return Answer(200, _pull(call, issue))


@routes.add("GET", PULL + "/files", permission=PERMISSION, docs="pulls/pulls#list-pull-requests-files")
def list_files(call: Call) -> Answer:
    """The changed files with their patches, from the real branches."""
    pull = pull_of(call.pull)
    files = bare.diff_files(call.repo.path, base_commit(call.repo, pull), pull.head_sha)
    return call.page(files, lambda entry: file_json(call.links, call.repo, entry, head=pull.head_sha))


@routes.add("GET", PULL + "/commits", permission=PERMISSION, docs="pulls/pulls#list-commits-on-a-pull-request")
def list_commits(call: Call) -> Answer:
    """The commits that the head has on top of the base, oldest first."""
    pull = pull_of(call.pull)
    start = base_commit(call.repo, pull)
    span = pull.head_sha if start == bare.NO_TREE else f"{start}..{pull.head_sha}"
    found = bare.read_commits(call.repo.path, "--reverse", span)
    return call.page(found, lambda commit: commit_json(call.links, call.repo, commit, users=call.store.users))


@routes.add("GET", PULL + "/merge", permission=PERMISSION, docs="pulls/pulls#check-if-a-pull-request-has-been-merged")
def get_merged(call: Call) -> Answer:
    """204 when merged; recorded otherwise: PullRequest.testMerge (404)."""
    if pull_of(call.pull).merged_at is None:
        raise not_found()
    return Answer(204)


@routes.add("PUT", PULL + "/merge", permission="contents", docs="pulls/pulls#merge-a-pull-request")
def merge(call: Call) -> Answer:
    """Merge with a merge commit, or squash; 409 when ``sha`` is not the head."""
    issue, sha = call.pull, call.text("sha")
    if sha and sha != pull_of(issue).head_sha:
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    squash = call.text("merge_method") == "squash"
    merged = merge_pull(call.store, call.repo, issue, actor=call.actor, squash=squash)
    return Answer(200, {"sha": merged, "merged": True, "message": "Pull Request successfully merged"})


def _reviewers(call: Call) -> list[User]:
    """The accounts that the body names. Raises Refusal 422 for a bot, which can be asked in the page at most."""
    names = [str(login) for login in call.body.get("reviewers") or []]
    found = [call.store.users.get(name.lower()) for name in names]
    if any(user is None or user.type != "User" for user in found):
        raise validation_failed("PullRequest", code="invalid", field="reviewers")
    return [user for user in found if user]


@routes.add(
    "GET",
    REVIEWERS,
    permission=PERMISSION,
    docs="pulls/review-requests#get-all-requested-reviewers-for-a-pull-request",
)
def list_requested_reviewers(call: Call) -> Answer:
    """Who was asked and has not answered yet."""
    people = [user_json(call.links, user) for user in pull_of(call.pull).requested_reviewers]
    return Answer(200, {"users": people, "teams": []})


@routes.add("POST", REVIEWERS, permission=PERMISSION, docs="pulls/review-requests#request-reviewers-for-a-pull-request")
def request_reviewers(call: Call) -> Answer:
    """Ask people for a review; whoever was asked already stays asked."""
    request_review(call.store, call.repo, call.pull, actor=call.actor, reviewers=_reviewers(call))
    return Answer(201, simple_pull_json(call.links, call.repo, call.pull))


@routes.add(
    "DELETE",
    REVIEWERS,
    permission=PERMISSION,
    docs="pulls/review-requests#remove-requested-reviewers-from-a-pull-request",
)
def remove_requested_reviewers(call: Call) -> Answer:
    """Ask them no longer."""
    for user in _reviewers(call):
        withdraw_request(call.store, call.repo, call.pull, actor=call.actor, reviewer=user)
    return Answer(200, simple_pull_json(call.links, call.repo, call.pull))


def _review(call: Call, issue: Issue, review: Review) -> Json:
    return review_json(call.links, call.repo, issue, review=review)


def _visible(call: Call, review: Review, viewer: User | None) -> bool:
    return review.state != "PENDING" or review.author is viewer


@routes.add("GET", PULL + "/reviews", permission=PERMISSION, docs="pulls/reviews#list-reviews-for-a-pull-request")
def list_reviews(call: Call) -> Answer:
    """The reviews, oldest first; pending ones are for their author alone."""
    issue = call.pull
    viewer = call.caller.token.user if call.caller.token else None
    found = [review for review in pull_of(issue).reviews if _visible(call, review, viewer)]
    return call.page(found, lambda review: _review(call, issue, review))


@routes.add(
    "POST",
    PULL + "/reviews",
    permission=PERMISSION,
    role="read",
    docs="pulls/reviews#create-a-review-for-a-pull-request",
)
def create_review(call: Call) -> Answer:
    """Review a pull request, with comments on lines of the diff; one bad line refuses the whole review."""
    issue = call.pull
    review = submit_review(
        call.store,
        call.repo,
        issue,
        actor=call.actor,
        event=call.text("event"),
        body=call.text("body") or "",
        comments=[parse_wanted(item) for item in call.body.get("comments") or []],
        commit_id=call.text("commit_id"),
    )
    return Answer(200, _review(call, issue, review))


def _found_review(call: Call) -> tuple[Issue, Review]:
    issue = call.pull
    for review in pull_of(issue).reviews:
        if review.id == int(call.params["review_id"]):
            return issue, review
    raise not_found()


@routes.add("GET", REVIEW, permission=PERMISSION, docs="pulls/reviews#get-a-review-for-a-pull-request")
def get_review(call: Call) -> Answer:
    """One review."""
    return Answer(200, _review(call, *_found_review(call)))


@routes.add("DELETE", REVIEW, permission=PERMISSION, docs="pulls/reviews#delete-a-pending-review-for-a-pull-request")
def delete_review(call: Call) -> Answer:
    """Delete a review that its author has not submitted yet."""
    issue, review = _found_review(call)
    shown = _review(call, issue, review)
    delete_pending_review(issue, review=review, actor=call.actor)
    return Answer(200, shown)


@routes.add(
    "PUT", REVIEW + "/dismissals", permission=PERMISSION, docs="pulls/reviews#dismiss-a-review-for-a-pull-request"
)
def dismiss(call: Call) -> Answer:
    """Make a review count no longer."""
    issue, review = _found_review(call)
    call.needed("message")
    dismiss_review(call.store, call.repo, issue, review=review, actor=call.actor)
    return Answer(200, _review(call, issue, review))


def _comment(call: Call, issue: Issue, comment: ReviewComment) -> Json:
    return review_comment_json(call.links, call.repo, issue, comment=comment)


@routes.add(
    "GET", REVIEW + "/comments", permission=PERMISSION, docs="pulls/reviews#list-comments-for-a-pull-request-review"
)
def list_comments_of_review(call: Call) -> Answer:
    """The comments of one review; this list names positions and no lines, as on GitHub."""
    issue, review = _found_review(call)
    found = [comment for comment in pull_of(issue).comments if comment.review_id == review.id]
    return call.page(found, lambda comment: _comment(call, issue, comment))


@routes.add(
    "GET", PULL + "/comments", permission=PERMISSION, docs="pulls/comments#list-review-comments-on-a-pull-request"
)
def list_review_comments(call: Call) -> Answer:
    """All line comments of a pull request, oldest first."""
    issue = call.pull
    return call.page(pull_of(issue).comments, lambda comment: _comment(call, issue, comment))


@routes.add(
    "POST",
    PULL + "/comments",
    permission=PERMISSION,
    role="read",
    docs="pulls/comments#create-a-review-comment-for-a-pull-request",
)
def create_review_comment(call: Call) -> Answer:
    """One line comment, or with ``in_reply_to`` an answer to one."""
    issue = call.pull
    if call.body.get("in_reply_to"):
        parent = _parent(call, issue, int(call.body["in_reply_to"]))
        made = reply(call.store, call.repo, issue, actor=call.actor, parent=parent, body=call.needed("body"))
    else:
        commit = call.needed("commit_id")
        wanted = parse_wanted(call.body)
        made = add_line_comment(call.store, call.repo, issue, actor=call.actor, wanted=wanted, commit_id=commit)
    return Answer(201, _comment(call, issue, made), {"Location": _comment(call, issue, made)["url"]})


def _parent(call: Call, issue: Issue, comment_id: int) -> ReviewComment:
    found = find_review_comment(call.repo, comment_id)
    if found is None or found[0] is not issue:
        raise not_found()
    return found[1]


@routes.add(
    "POST",
    PULL + "/comments/{comment_id:int}/replies",
    permission=PERMISSION,
    role="read",
    docs="pulls/comments#create-a-reply-for-a-review-comment",
)
def create_reply(call: Call) -> Answer:
    """Answer a line comment."""
    issue = call.pull
    parent = _parent(call, issue, int(call.params["comment_id"]))
    made = reply(call.store, call.repo, issue, actor=call.actor, parent=parent, body=call.needed("body"))
    return Answer(201, _comment(call, issue, made), {"Location": _comment(call, issue, made)["url"]})


def _found_comment(call: Call) -> tuple[Issue, ReviewComment]:
    found = find_review_comment(call.repo, int(call.params["comment_id"]))
    if found is None:
        raise not_found()
    return found


@routes.add("GET", COMMENT, permission=PERMISSION, docs="pulls/comments#get-a-review-comment-for-a-pull-request")
def get_review_comment(call: Call) -> Answer:
    """One line comment."""
    return Answer(200, _comment(call, *_found_comment(call)))


@routes.add("PATCH", COMMENT, permission=PERMISSION, docs="pulls/comments#update-a-review-comment-for-a-pull-request")
def update_review_comment(call: Call) -> Answer:
    """Edit a line comment in place."""
    issue, comment = _found_comment(call)
    edit_line_comment(call.store, call.repo, issue, comment=comment, actor=call.actor, body=call.needed("body"))
    return Answer(200, _comment(call, issue, comment))


@routes.add("DELETE", COMMENT, permission=PERMISSION, docs="pulls/comments#delete-a-review-comment-for-a-pull-request")
def remove_review_comment(call: Call) -> Answer:
    """Delete a line comment."""
    issue, comment = _found_comment(call)
    delete_line_comment(call.store, call.repo, issue, comment=comment, actor=call.actor)
    return Answer(204)
