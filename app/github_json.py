"""GitHub's JSON as our nouns."""

from __future__ import annotations

from typing import Any, get_args

from app.github_text import scrub
from workflows.services import Permission
from workflows.types import Actor, Comment, Issue, PullRequest, Repository, RepositoryRef

GHOST = Actor(id=10137, login="ghost")
"""The account in whose name GitHub shows what deleted accounts left."""


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
        labels=tuple(scrub(each if isinstance(each, str) else each["name"]) for each in data["labels"]),
        html_url=data["html_url"],
        is_pull_request=data.get("pull_request") is not None,
    )


def parse_comment(data: dict[str, Any]) -> Comment:
    """An issue comment."""
    return Comment(
        id=data["id"],
        author=parse_actor(data.get("user")),
        body=scrub(data.get("body") or ""),
        created_at=data["created_at"],
        updated_at=data["updated_at"],
    )


def parse_pull_request(data: dict[str, Any]) -> PullRequest:
    """A pull request."""
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
