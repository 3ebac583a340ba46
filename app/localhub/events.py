"""Webhook payloads: which Apps hear of what happened, and in which words."""

from __future__ import annotations

import json
import uuid
from typing import Any

from app.localhub import bare
from app.localhub.records import App, Delivery, Installation, Json, Repository, User
from app.localhub.shapes import Links, node_id, repo_json, user_json
from app.localhub.store import Store

API_PREFIX = "/api/v3"


def links_of(store: Store) -> Links:
    """The addresses that webhooks and the pages use."""
    return Links(api=store.origin + API_PREFIX, html=store.origin)


def announce(
    store: Store,
    repo: Repository,
    event: str,
    *,
    action: str | None,
    sender: User,
    details: dict[str, Any],
    only: App | None = None,
) -> None:
    """Queue one delivery for every App (or ``only`` this) that is installed here and subscribed to the event."""
    links = links_of(store)
    for app in store.apps.values():
        installation = store.installation_for(app, repo)
        if not installation or event not in app.events or not app.webhook_url or only not in (None, app):
            continue
        payload: Json = {"action": action} if action else {}
        payload |= details | {"repository": repo_json(links, repo), "sender": user_json(links, sender)}
        if repo.owner.type == "Organization":
            payload["organization"] = organization_json(links, repo.owner)
        payload["installation"] = {"id": installation.id, "node_id": node_id("Installation", installation.id)}
        queue(store, app, event, payload=payload, installation=installation, repo=repo)


def organization_json(links: Links, user: User) -> Json:
    """An organization as webhooks carry it."""
    url = f"{links.api}/orgs/{user.login}"
    parts = ("repos", "events", "hooks", "issues")
    return {
        "login": user.login,
        "id": user.id,
        "node_id": node_id("Organization", user.id),
        "url": url,
        **{f"{part}_url": f"{url}/{part}" for part in parts},
        "members_url": f"{url}/members{{/member}}",
        "public_members_url": f"{url}/public_members{{/member}}",
        "avatar_url": f"{links.html}/avatars/{user.id}",
        "description": "",
    }


def queue(
    store: Store,
    app: App,
    event: str,
    *,
    payload: Json,
    installation: Installation | None = None,
    repo: Repository | None = None,
) -> Delivery:
    """Store a delivery in the log and hand it to the worker."""
    delivery = Delivery(
        id=store.new_id(),
        guid=str(uuid.uuid4()),
        app=app,
        event=event,
        action=payload.get("action"),
        installation_id=installation.id if installation else None,
        repository_id=repo.id if repo else None,
        payload=json.dumps(payload, separators=(",", ":")).encode(),
        delivered_at=store.now(),
    )
    store.deliveries[delivery.id] = delivery
    store.send(delivery)
    return delivery


def ping(store: Store, app: App) -> Delivery:
    """GitHub's first call to a new webhook."""
    links = links_of(store)
    hook: Json = {
        "type": "App",
        "id": app.id,
        "name": "web",
        "active": True,
        "events": list(app.events),
        "config": {"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": app.webhook_url},
        "updated_at": store.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "created_at": store.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "app_id": app.id,
        "deliveries_url": f"{links.api}/app/hook/deliveries",
    }
    return queue(store, app, "ping", payload={"zen": "Keep it logically awesome.", "hook_id": app.id, "hook": hook})


def announce_push(store: Store, repo: Repository, ref: str, *, before: str, after: str, pusher: User) -> None:
    """The ``push`` event of one moved ref, with at most 2048 commits, oldest first."""
    links = links_of(store)
    gone, new = after == bare.ZERO, before == bare.ZERO
    found: list[bare.Commit] = []
    if not gone:
        span = [after, "--not", *_others(repo, ref)] if new else [f"{before}..{after}"]
        found = bare.read_commits(repo.path, "--reverse", "-2048", *span)
    commits = [_push_commit(links, repo, commit) for commit in found]
    head = None if gone else _push_commit(links, repo, bare.read_commit(repo.path, after))
    details: Json = {
        "ref": ref,
        "before": before,
        "after": after,
        "base_ref": None,
        "created": new,
        "deleted": gone,
        "forced": bool(not new and not gone and bare.merge_base(repo.path, before, after) != before),
        "compare": f"{links.page(repo)}/compare/{before[:12]}...{after[:12]}",
        "commits": commits,
        "head_commit": head,
        "pusher": {"name": pusher.login, "email": f"{pusher.login}@users.noreply.localhub.invalid"},
    }
    announce(store, repo, "push", action=None, sender=pusher, details=details)


def announce_deleted_ref(store: Store, repo: Repository, ref: str, *, actor: User) -> None:
    """The ``delete`` event of a branch or tag that is gone."""
    _, kind, name = ref.split("/", 2)
    details: Json = {"ref": name, "ref_type": "tag" if kind == "tags" else "branch", "pusher_type": "user"}
    announce(store, repo, "delete", action=None, sender=actor, details=details)


def _others(repo: Repository, ref: str) -> list[str]:
    return [name for name in bare.refs(repo.path, "refs/heads/") if name != ref]


def _push_commit(links: Links, repo: Repository, commit: bare.Commit) -> Json:
    base = commit.parents[0] if commit.parents else bare.NO_TREE
    files = bare.diff_files(repo.path, base, commit.sha)

    def people(person: bare.Person) -> Json:
        return {
            "name": person.name,
            "email": person.email,
            "username": person.email.partition("@")[0].rpartition("+")[2],
        }

    return {
        "id": commit.sha,
        "tree_id": commit.tree,
        "distinct": True,
        "message": commit.message,
        "timestamp": commit.committer.date,
        "url": f"{links.page(repo)}/commit/{commit.sha}",
        "author": people(commit.author),
        "committer": people(commit.committer),
        "added": [f.path for f in files if f.status in ("added", "renamed", "copied")],
        "removed": [f.old_path or f.path for f in files if f.status in ("removed", "renamed")],
        "modified": [f.path for f in files if f.status in ("modified", "changed")],
    }
