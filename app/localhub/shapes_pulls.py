"""Pull requests, reviews and review comments as GitHub's JSON."""

from __future__ import annotations

from app.localhub import bare
from app.localhub.records import Issue, Json, Pull, Repository, Review, ReviewComment
from app.localhub.shapes import (
    Links,
    association,
    label_json,
    node_id,
    repo_json,
    rollup,
    stamp,
    stamp_or_none,
    user_json,
)


def pull_of(issue: Issue) -> Pull:
    """The pull request part of an issue that is one."""
    assert issue.pull is not None
    return issue.pull


def base_commit(repo: Repository, pull: Pull) -> str:
    """Where the head left the base branch: the commit that the three-dot diff starts from."""
    tip = bare.branch_sha(repo.path, pull.base) if not pull.merged_at else None
    base = tip or pull.base_sha
    return bare.merge_base(repo.path, base, pull.head_sha) or bare.NO_TREE


def simple_pull_json(links: Links, repo: Repository, issue: Issue) -> Json:
    """A pull request as lists give it."""
    pull, page = pull_of(issue), links.issue_page(repo, issue)
    url, issue_url = f"{links.repo(repo)}/pulls/{issue.number}", f"{links.repo(repo)}/issues/{issue.number}"
    people = [user_json(links, user) for user in issue.assignees]
    addresses = {
        "self": url,
        "html": page,
        "issue": issue_url,
        "comments": f"{issue_url}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{links.repo(repo)}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{links.repo(repo)}/statuses/{pull.head_sha}",
    }
    return {
        "url": url,
        "id": pull.id,
        "node_id": node_id("PullRequest", pull.id),
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        **{f"{name}_url": addresses[name] for name in addresses if name not in ("self", "html")},
        "number": issue.number,
        "state": issue.state,
        "locked": False,
        "active_lock_reason": None,
        "title": issue.title,
        "user": user_json(links, issue.author),
        "body": issue.body,
        "labels": [label_json(links, repo, label) for label in issue.labels],
        "milestone": None,
        "created_at": stamp(issue.created_at),
        "updated_at": stamp(issue.updated_at),
        "closed_at": stamp_or_none(issue.closed_at),
        "merged_at": stamp_or_none(pull.merged_at),
        "merge_commit_sha": pull.merge_commit_sha,
        "assignee": people[0] if people else None,
        "assignees": people,
        "requested_reviewers": [user_json(links, user) for user in pull.requested_reviewers],
        "requested_teams": [],
        "head": _side(links, pull.fork or repo, branch=pull.head, sha=pull.head_sha),
        "base": _side(links, repo, branch=pull.base, sha=pull.base_sha),
        "author_association": association(repo, issue.author),
        "auto_merge": None,
        "draft": pull.draft,
        "_links": {name: {"href": href} for name, href in addresses.items()},
    }


def _side(links: Links, repo: Repository, *, branch: str, sha: str) -> Json:
    return {
        "label": f"{repo.owner.login}:{branch}",
        "ref": branch,
        "sha": sha,
        "user": user_json(links, repo.owner),
        "repo": repo_json(links, repo),
    }


def pull_json(links: Links, repo: Repository, issue: Issue) -> Json:
    """A pull request by itself: with counts, and whether it can be merged, from the real branches."""
    pull = pull_of(issue)
    start = base_commit(repo, pull)
    files = bare.diff_files(repo.path, start, pull.head_sha)
    span = pull.head_sha if start == bare.NO_TREE else f"{start}..{pull.head_sha}"
    tip = bare.branch_sha(repo.path, pull.base)
    mergeable = bool(tip and bare.merge_tree(repo.path, tip, pull.head_sha)) if issue.state == "open" else None
    state = "unknown" if mergeable is None else "dirty" if not mergeable else "draft" if pull.draft else "clean"
    return {
        **simple_pull_json(links, repo, issue),
        "merged": pull.merged_at is not None,
        "merged_by": user_json(links, pull.merged_by) if pull.merged_by else None,
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": state,
        "comments": len(issue.comments),
        "review_comments": len(pull.comments),
        "maintainer_can_modify": False,
        "commits": len(bare.read_commits(repo.path, span)),
        "additions": sum(entry.additions for entry in files),
        "deletions": sum(entry.deletions for entry in files),
        "changed_files": len(files),
    }


def line_now(repo: Repository, pull: Pull, comment: ReviewComment) -> int | None:
    """Where a commented line is in the head of today; None once it, or its whole range, was changed (outdated).

    Comments on removed lines stand on the base side and do not move here.
    """
    if comment.line is None or comment.side == "LEFT" or comment.commit_id == pull.head_sha:
        return comment.line
    first, shift = comment.start_line or comment.line, 0
    for hunk in bare.changed_lines(repo.path, comment.commit_id, pull.head_sha, file=comment.path):
        if hunk.old_start + hunk.old_count <= first and (hunk.old_count or hunk.old_start < first):
            shift += hunk.new_count - hunk.old_count
        elif hunk.old_start <= comment.line - (hunk.old_count == 0):
            return None
    return comment.line + shift


def is_outdated(repo: Repository, pull: Pull, comment: ReviewComment) -> bool:
    """Whether the commented lines changed since."""
    return comment.line is not None and line_now(repo, pull, comment) is None


def review_json(links: Links, repo: Repository, issue: Issue, *, review: Review) -> Json:
    """A review; a pending one has no ``submitted_at``."""
    page = f"{links.issue_page(repo, issue)}#pullrequestreview-{review.id}"
    pull_url = f"{links.repo(repo)}/pulls/{issue.number}"
    body: Json = {
        "id": review.id,
        "node_id": node_id("PullRequestReview", review.id),
        "user": user_json(links, review.author),
        "body": review.body,
        "state": review.state,
        "html_url": page,
        "pull_request_url": pull_url,
        "author_association": association(repo, review.author),
        "_links": {"html": {"href": page}, "pull_request": {"href": pull_url}},
        "commit_id": review.commit_id,
    }
    if review.submitted_at:
        body["submitted_at"] = stamp(review.submitted_at)
    return body


def review_comment_json(links: Links, repo: Repository, issue: Issue, *, comment: ReviewComment) -> Json:
    """A comment on a line of the diff."""
    url = f"{links.repo(repo)}/pulls/comments/{comment.id}"
    page = f"{links.issue_page(repo, issue)}#discussion_r{comment.id}"
    pull_url = f"{links.repo(repo)}/pulls/{issue.number}"
    body: Json = {
        "url": url,
        "pull_request_review_id": comment.review_id,
        "id": comment.id,
        "node_id": node_id("PullRequestReviewComment", comment.id),
        "diff_hunk": comment.diff_hunk,
        "path": comment.path,
        "commit_id": pull_of(issue).head_sha,
        "original_commit_id": comment.commit_id,
        "user": user_json(links, comment.author),
        "body": comment.body,
        "created_at": stamp(comment.created_at),
        "updated_at": stamp(comment.updated_at),
        "html_url": page,
        "pull_request_url": pull_url,
        "author_association": association(repo, comment.author),
        "_links": {"self": {"href": url}, "html": {"href": page}, "pull_request": {"href": pull_url}},
        "reactions": rollup(url, comment.reactions),
        "start_side": comment.start_side,
        "side": comment.side,
        "original_position": comment.position,
        "subject_type": comment.subject_type,
        **_lines_json(repo, pull_of(issue), comment),
    }
    if comment.in_reply_to:
        body["in_reply_to_id"] = comment.in_reply_to
    return body


def _lines_json(repo: Repository, pull: Pull, comment: ReviewComment) -> Json:
    """Where a comment stands now and stood first; ``line`` and ``position`` of an outdated one are null."""
    now, start = line_now(repo, pull, comment), None
    if now is not None and comment.line is not None and comment.start_line is not None:
        start = comment.start_line + now - comment.line
    body: Json = {"start_line": start, "original_start_line": comment.start_line}
    if comment.line is None:
        return {**body, "position": comment.position}
    return {**body, "line": now, "original_line": comment.line, "position": None if now is None else comment.position}
