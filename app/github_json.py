"""GitHub's JSON as our nouns."""

from __future__ import annotations

from typing import Any, get_args

from app.github_text import scrub
from workflows.services import Permission
from workflows.types import (
    GHOST,
    Actor,
    Annotation,
    CheckRun,
    Comment,
    Issue,
    LabelAct,
    MergedPull,
    PullRequest,
    Release,
    Repository,
    RepositoryRef,
    Review,
    ReviewComment,
)


def parse_actor(data: dict[str, Any] | None) -> Actor:
    """A user, bot or organization; a deleted account is the ghost."""
    if data is None:
        return GHOST
    kind = data.get("type")
    return Actor(
        id=data["id"], login=data["login"], type=kind if kind in {"Bot", "Organization", "Mannequin"} else "User"
    )


def parse_repository(data: dict[str, Any], installation_id: int) -> Repository:
    """A repository, seen through an installation."""
    return Repository(
        ref=RepositoryRef(installation_id=installation_id, id=data["id"], full_name=data["full_name"]),
        default_branch=data["default_branch"],
        clone_url=data["clone_url"],
        html_url=data["html_url"],
        private=data["private"],
        archived=data.get("archived", False),
    )


def parse_issue(data: dict[str, Any]) -> Issue:
    """An issue, or the issue side of a pull request."""
    return Issue(
        number=data["number"],
        title=scrub(data["title"]),
        body=scrub(data.get("body") or ""),
        author=parse_actor(data.get("user")),
        state=data["state"],
        labels=_parse_labels(data["labels"]),
        html_url=data["html_url"],
        is_pull_request=data.get("pull_request") is not None,
    )


def _parse_labels(labels: list[Any]) -> tuple[str, ...]:
    return tuple(scrub(each if isinstance(each, str) else each["name"]) for each in labels)


def parse_comment(data: dict[str, Any]) -> Comment:
    """An issue comment."""
    return Comment(
        id=data["id"],
        author=parse_actor(data.get("user")),
        body=scrub(data.get("body") or ""),
        created_at=data["created_at"],
        updated_at=data["updated_at"],
    )


def parse_label_act(data: dict[str, Any]) -> LabelAct:
    """An issue event ``labeled`` or ``unlabeled``."""
    return LabelAct(
        label=scrub(data["label"]["name"]), on=data["event"] == "labeled", actor=parse_actor(data.get("actor"))
    )


def parse_pull_request(data: dict[str, Any]) -> PullRequest:
    """A pull request, from a list (which does not say whether it can be merged) or by itself."""
    return PullRequest(
        number=data["number"],
        title=scrub(data["title"]),
        body=scrub(data.get("body") or ""),
        head=data["head"]["ref"],
        base=data["base"]["ref"],
        head_sha=data["head"]["sha"],
        draft=data.get("draft", False),
        state=data["state"],
        html_url=data["html_url"],
        author=parse_actor(data.get("user")),
        head_repository=(data["head"].get("repo") or {}).get("full_name"),
        base_sha=data["base"]["sha"],
        merged=data.get("merged_at") is not None,
        mergeable=data.get("mergeable"),
        labels=_parse_labels(data.get("labels") or []),
        requested_reviewers=tuple(each["login"] for each in data.get("requested_reviewers") or []),
    )


def parse_review(data: dict[str, Any]) -> Review:
    """A review."""
    return Review(
        id=data["id"],
        author=parse_actor(data.get("user")),
        state=data["state"].lower(),
        body=scrub(data.get("body") or ""),
        commit_id=data.get("commit_id") or "",
        submitted_at=data.get("submitted_at"),
    )


def parse_review_comment(data: dict[str, Any]) -> ReviewComment:
    """A comment on lines of a diff."""
    return ReviewComment(
        id=data["id"],
        review_id=data.get("pull_request_review_id"),
        in_reply_to=data.get("in_reply_to_id"),
        author=parse_actor(data.get("user")),
        body=scrub(data.get("body") or ""),
        path=scrub(data["path"]),
        line=data.get("line"),
        start_line=data.get("start_line"),
        side=data.get("side") or "RIGHT",
        diff_hunk=scrub(data.get("diff_hunk") or ""),
        commit_id=data["commit_id"],
        created_at=data["created_at"],
        updated_at=data["updated_at"],
    )


def parse_check_run(data: dict[str, Any]) -> CheckRun:
    """A check run."""
    output = data.get("output") or {}
    return CheckRun(
        id=data["id"],
        name=scrub(data["name"]),
        head_sha=data["head_sha"],
        status=data["status"],
        conclusion=data.get("conclusion"),
        app_slug=(data.get("app") or {}).get("slug") or "",
        details_url=data.get("details_url") or "",
        title=scrub(output.get("title") or ""),
        summary=scrub(output.get("summary") or ""),
        text=scrub(output.get("text") or ""),
        annotations=output.get("annotations_count") or 0,
        completed_at=data.get("completed_at"),
        external_id=data.get("external_id") or "",
    )


def parse_annotation(data: dict[str, Any]) -> Annotation:
    """An annotation of a check run."""
    return Annotation(
        path=scrub(data["path"]),
        start_line=data["start_line"],
        end_line=data["end_line"],
        level=data.get("annotation_level") or "notice",
        message=scrub(data.get("message") or ""),
        title=scrub(data.get("title") or ""),
    )


def parse_merged_pull(data: dict[str, Any]) -> MergedPull:
    """A pull request that was merged."""
    return MergedPull(
        number=data["number"],
        title=scrub(data["title"]),
        author=parse_actor(data.get("user")),
        labels=_parse_labels(data.get("labels") or []),
        merge_commit=data.get("merge_commit_sha") or "",
        merged_at=data["merged_at"],
        html_url=data["html_url"],
        body=scrub(data.get("body") or ""),
    )


def parse_release(data: dict[str, Any]) -> Release:
    """A release."""
    return Release(
        id=data["id"],
        tag=data["tag_name"],
        name=scrub(data.get("name") or ""),
        draft=data["draft"],
        html_url=data["html_url"],
    )


def parse_permission(data: dict[str, Any]) -> Permission:
    """The role where GitHub knows it; what a custom role builds on otherwise; "none" for anything unknown.

    ``permission`` alone would show maintain as write and triage as read.
    https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
    """
    for word in (data.get("role_name"), data.get("permission")):
        for permission in get_args(Permission):
            if word == permission:
                return permission  # type: ignore[no-any-return]
    return "none"
