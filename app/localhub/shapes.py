"""Records as GitHub's JSON: accounts, Apps, repositories, issues, comments, labels, reactions."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from app.localhub.records import (
    App,
    Comment,
    Installation,
    Issue,
    Json,
    Label,
    LabelEvent,
    Reaction,
    Repository,
    Role,
    Token,
    User,
)
from app.localhub.store import has_role, role_of


@dataclass(frozen=True)
class Links:
    """Where things live: ``api`` is the REST root of the caller (with or without ``/api/v3``), ``html`` the pages'."""

    api: str
    html: str

    def repo(self, repo: Repository) -> str:
        """The REST address of a repository."""
        return f"{self.api}/repos/{repo.full_name}"

    def page(self, repo: Repository) -> str:
        """The page of a repository."""
        return f"{self.html}/{repo.full_name}"

    def issue_page(self, repo: Repository, issue: Issue) -> str:
        """The page of an issue or a pull request."""
        return f"{self.page(repo)}/{'pull' if issue.pull else 'issues'}/{issue.number}"


def stamp(moment: datetime) -> str:
    """GitHub's time: ``2026-01-02T03:04:05Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_or_none(moment: datetime | None) -> str | None:
    """The time, or None."""
    return stamp(moment) if moment else None


def node_id(kind: str, number: object) -> str:
    """An opaque global id."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def user_json(links: Links, user: User) -> Json:
    """A simple user; a bot's page is its App's."""
    url = f"{links.api}/users/{quote(user.login)}"
    page = f"{links.html}/apps/{user.app_slug}" if user.app_slug else f"{links.html}/{user.login}"
    return {
        "login": user.login,
        "id": user.id,
        "node_id": node_id(user.type, user.id),
        "avatar_url": f"{links.html}/avatars/{user.id}",
        "gravatar_id": "",
        "url": url,
        "html_url": page,
        "followers_url": f"{url}/followers",
        "following_url": f"{url}/following{{/other_user}}",
        "gists_url": f"{url}/gists{{/gist_id}}",
        "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{url}/subscriptions",
        "organizations_url": f"{url}/orgs",
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events{{/privacy}}",
        "received_events_url": f"{url}/received_events",
        "type": user.type,
        "user_view_type": "public",
        "site_admin": False,
    }


def app_json(links: Links, app: App) -> Json:
    """An App as ``performed_via_github_app`` and in check runs."""
    return {
        "id": app.id,
        "client_id": app.client_id,
        "slug": app.slug,
        "node_id": node_id("App", app.id),
        "owner": user_json(links, app.owner),
        "name": app.name,
        "description": "",
        "external_url": links.html,
        "html_url": f"{links.html}/apps/{app.slug}",
        "created_at": stamp(app.created_at),
        "updated_at": stamp(app.created_at),
        "permissions": app.permissions,
        "events": list(app.events),
    }


def installation_json(links: Links, installation: Installation) -> Json:
    """An installation as its App sees it."""
    app = installation.app
    return {
        "id": installation.id,
        "client_id": app.client_id,
        "account": user_json(links, installation.account),
        "repository_selection": "all" if installation.repositories is None else "selected",
        "access_tokens_url": f"{links.api}/app/installations/{installation.id}/access_tokens",
        "repositories_url": f"{links.api}/installation/repositories",
        "html_url": f"{links.html}/settings/installations/{installation.id}",
        "app_id": app.id,
        "app_slug": app.slug,
        "target_id": installation.account.id,
        "target_type": installation.account.type,
        "permissions": installation.permissions,
        "events": list(app.events),
        "created_at": stamp(installation.created_at),
        "updated_at": stamp(installation.created_at),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": None,
        "suspended_at": None,
    }


def token_json(links: Links, token: Token, repositories: Sequence[Json] | None) -> Json:
    """A minted installation token; the repositories are listed when a subset was asked for."""
    body: Json = {
        "token": token.value,
        "expires_at": stamp_or_none(token.expires_at),
        "permissions": token.permissions,
        "repository_selection": "all" if repositories is None else "selected",
    }
    return body if repositories is None else {**body, "repositories": list(repositories)}


REPOSITORY_PARTS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}


def repo_json(links: Links, repo: Repository, *, viewer: User | None = None) -> Json:
    """A repository in the middle form that REST lists, pull requests and webhooks share."""
    url, page = links.repo(repo), links.page(repo)
    open_issues = sum(issue.state == "open" for issue in repo.issues.values())
    body: Json = {
        "id": repo.id,
        "node_id": node_id("Repository", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
        "visibility": "private" if repo.private else "public",
        "owner": user_json(links, repo.owner),
        "html_url": page,
        "description": repo.description,
        "fork": False,
        "url": url,
        **{name: url + part for name, part in REPOSITORY_PARTS.items()},
        "created_at": stamp(repo.created_at),
        "updated_at": stamp(repo.pushed_at),
        "pushed_at": stamp(repo.pushed_at),
        "git_url": f"{page}.git",
        "ssh_url": f"{page}.git",
        "clone_url": f"{page}.git",
        "svn_url": page,
        "homepage": None,
        "mirror_url": None,
        "language": None,
        "license": None,
        "default_branch": repo.default_branch,
        "open_issues": open_issues,
        "open_issues_count": open_issues,
        "archived": repo.archived,
        "topics": [],
        **dict.fromkeys(("disabled", "is_template", "has_pages", "has_discussions", "has_wiki"), False),
        **dict.fromkeys(("has_issues", "has_projects", "has_downloads", "allow_forking"), True),
        **dict.fromkeys(("size", "stargazers_count", "watchers", "watchers_count", "forks", "forks_count"), 0),
        "web_commit_signoff_required": False,
    }
    if viewer:
        levels: tuple[tuple[str, Role], ...] = (
            ("admin", "admin"),
            ("maintain", "maintain"),
            ("push", "write"),
            ("triage", "triage"),
            ("pull", "read"),
        )
        body["permissions"] = {word: has_role(repo, viewer, role) for word, role in levels}
    return body


def full_repo_json(links: Links, repo: Repository, *, viewer: User | None = None) -> Json:
    """A repository as ``GET /repos/{owner}/{repo}`` gives it."""
    return {**repo_json(links, repo, viewer=viewer), "network_count": 0, "subscribers_count": 0}


def label_json(links: Links, repo: Repository, label: Label) -> Json:
    """A label."""
    return {
        "id": label.id,
        "node_id": node_id("Label", label.id),
        "url": f"{links.repo(repo)}/labels/{quote(label.name)}",
        "name": label.name,
        "color": label.color,
        "default": False,
        "description": label.description,
    }


REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")


def reaction_json(links: Links, reaction: Reaction) -> Json:
    """A reaction."""
    return {
        "id": reaction.id,
        "node_id": node_id("Reaction", reaction.id),
        "user": user_json(links, reaction.user),
        "content": reaction.content,
        "created_at": stamp(reaction.created_at),
    }


def rollup(url: str, reactions: Sequence[Reaction]) -> Json:
    """The counted reactions of an issue or comment."""
    counts = {name: sum(r.content == name for r in reactions) for name in REACTIONS}
    return {"url": f"{url}/reactions", "total_count": len(reactions), **counts}


def association(repo: Repository, user: User) -> str:
    """The author's relation to the repository, in GitHub's words."""
    if user is repo.owner:
        return "OWNER"
    return "COLLABORATOR" if repo.roles.get(user.login.lower(), "none") != "none" else "NONE"


def issue_json(links: Links, repo: Repository, issue: Issue) -> Json:
    """An issue; a pull request has a ``pull_request`` part."""
    url, page = f"{links.repo(repo)}/issues/{issue.number}", links.issue_page(repo, issue)
    people = [user_json(links, user) for user in issue.assignees]
    body: Json = {
        "url": url,
        "repository_url": links.repo(repo),
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "timeline_url": f"{url}/timeline",
        "html_url": page,
        "id": issue.id,
        "node_id": node_id("Issue", issue.id),
        "number": issue.number,
        "title": issue.title,
        "user": user_json(links, issue.author),
        "labels": [label_json(links, repo, label) for label in issue.labels],
        "state": issue.state,
        "state_reason": issue.state_reason,
        "locked": False,
        "active_lock_reason": None,
        "assignee": people[0] if people else None,
        "assignees": people,
        "milestone": None,
        "comments": len(issue.comments),
        "created_at": stamp(issue.created_at),
        "updated_at": stamp(issue.updated_at),
        "closed_at": stamp_or_none(issue.closed_at),
        "closed_by": user_json(links, issue.closed_by) if issue.closed_by else None,
        "author_association": association(repo, issue.author),
        "body": issue.body,
        "reactions": rollup(url, issue.reactions),
        "performed_via_github_app": app_json(links, issue.app) if issue.app else None,
    }
    if issue.pull:
        body["draft"] = issue.pull.draft
        body["pull_request"] = {
            "url": f"{links.repo(repo)}/pulls/{issue.number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": stamp_or_none(issue.pull.merged_at),
        }
    return body


def comment_json(links: Links, repo: Repository, issue: Issue, *, comment: Comment) -> Json:
    """A comment of the conversation."""
    url = f"{links.repo(repo)}/issues/comments/{comment.id}"
    return {
        "url": url,
        "html_url": f"{links.issue_page(repo, issue)}#issuecomment-{comment.id}",
        "issue_url": f"{links.repo(repo)}/issues/{issue.number}",
        "id": comment.id,
        "node_id": node_id("IssueComment", comment.id),
        "user": user_json(links, comment.author),
        "created_at": stamp(comment.created_at),
        "updated_at": stamp(comment.updated_at),
        "author_association": association(repo, comment.author),
        "body": comment.body,
        "reactions": rollup(url, comment.reactions),
        "performed_via_github_app": app_json(links, comment.app) if comment.app else None,
    }


def label_event_json(links: Links, repo: Repository, event: LabelEvent) -> Json:
    """A ``labeled`` or ``unlabeled`` among the events of an issue."""
    return {
        "id": event.id,
        "node_id": node_id("LabeledEvent" if event.action == "labeled" else "UnlabeledEvent", event.id),
        "url": f"{links.repo(repo)}/issues/events/{event.id}",
        "actor": user_json(links, event.actor),
        "event": event.action,
        "commit_id": None,
        "commit_url": None,
        "created_at": stamp(event.created_at),
        "label": {"name": event.label.name, "color": event.label.color},
        "performed_via_github_app": app_json(links, event.app) if event.app else None,
    }


def permission_json(links: Links, repo: Repository, user: User) -> Json:
    """A collaborator's permission: four coarse words in ``permission``, the role itself in ``role_name``."""
    role = role_of(repo, user)
    coarse = {"maintain": "write", "triage": "read"}.get(role, role)
    names = ("pull", "triage", "push", "maintain", "admin")
    roles: tuple[Role, ...] = ("read", "triage", "write", "maintain", "admin")
    person: Json = {
        **user_json(links, user),
        "permissions": {name: has_role(repo, user, wanted) for name, wanted in zip(names, roles, strict=True)},
        "role_name": role,
    }
    return {"permission": coarse, "user": person, "role_name": role}


def accounts_by_email(users: dict[str, Any], email: str) -> User | None:
    """The account of a commit's e-mail address: ``ID+LOGIN@users.noreply…`` or ``LOGIN@…``."""
    found: User | None = users.get(email.partition("@")[0].rpartition("+")[2].lower())
    return found
