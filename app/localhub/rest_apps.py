"""REST: the App itself, its installations and tokens, its delivery log, rate limit, and accounts."""

from __future__ import annotations

from datetime import timedelta

from app.localhub.answers import Answer, Refusal, no_access, not_found
from app.localhub.auth import LEVELS
from app.localhub.deliveries import delivery_item_json, delivery_json, redeliver
from app.localhub.records import Delivery, Installation, Json, Repository
from app.localhub.rest import Call, Routes
from app.localhub.shapes import (
    app_json,
    installation_json,
    permission_json,
    repo_json,
    token_json,
    user_json,
)

routes = Routes()
TOKEN_LIFE = timedelta(hours=1)
RATE_LIMIT = 5000


@routes.add("GET", "/app", access="app", docs="apps/apps#get-the-authenticated-app")
def get_app(call: Call) -> Answer:
    """The App behind the JWT."""
    app = call.caller.app
    assert app
    count = sum(found.app is app for found in call.store.installations.values())
    return Answer(200, {**app_json(call.links, app), "installations_count": count})


@routes.add("GET", "/app/installations", access="app", docs="apps/apps#list-installations-for-the-authenticated-app")
def list_installations(call: Call) -> Answer:
    """The App's installations."""
    found = [i for i in call.store.installations.values() if i.app is call.caller.app]
    return call.page(found, lambda installation: installation_json(call.links, installation))


def _installation(call: Call) -> Installation:
    found = call.store.installations.get(int(call.params["installation_id"]))
    if found is None or found.app is not call.caller.app:
        raise not_found()
    return found


@routes.add("GET", "/app/installations/{installation_id:int}", access="app", docs="apps/apps#get-an-installation")
def get_installation(call: Call) -> Answer:
    """One installation."""
    return Answer(200, installation_json(call.links, _installation(call)))


@routes.add("GET", "/repos/{owner}/{repo}/installation", access="app", docs="apps/apps#get-a-repository-installation")
def get_repository_installation(call: Call) -> Answer:
    """The App's installation on a repository."""
    repo = call.store.find_repository(f"{call.params['owner']}/{call.params['repo']}")
    found = call.store.installation_for(call.caller.app, repo) if repo and call.caller.app else None
    if found is None:
        raise not_found()
    return Answer(200, installation_json(call.links, found))


@routes.add(
    "POST",
    "/app/installations/{installation_id:int}/access_tokens",
    access="app",
    docs="reference/apps#create-an-installation-access-token-for-an-app",
)
def create_token(call: Call) -> Answer:
    """Mint a token, for all or for a subset of repositories and permissions.

    No permissions, or an empty object, means all that the installation has. Recorded:
    Authentication.testAppAuthAuthentication (``{"permissions": {}}`` gave the full set).
    """
    installation = _installation(call)
    permissions = _wanted_permissions(call, installation)
    chosen = _wanted_repositories(call, installation)
    token = call.store.add_token(installation.app.bot, installation=installation)
    token.permissions = permissions
    token.expires_at = call.store.now() + TOKEN_LIFE
    token.repositories = frozenset(repo.id for repo in chosen) if chosen is not None else None
    shown = None if chosen is None else [repo_json(call.links, repo) for repo in chosen]
    return Answer(201, token_json(call.links, token, shown))


def _wanted_permissions(call: Call, installation: Installation) -> dict[str, str]:
    """Recorded: GithubIntegration.testGetAccessTokenWithInvalidPermissions (422), …WithInvalidData (400)."""
    wanted = call.body.get("permissions") or {}
    if not isinstance(wanted, dict):
        raise Refusal(400, "Problems parsing JSON")
    for name, level in wanted.items():
        has = installation.permissions.get(name, "none")
        if level not in LEVELS or LEVELS.index(level) > LEVELS.index(has):
            raise Refusal(422, "The permissions requested are not granted to this installation.")
    return {**wanted, "metadata": "read"} if wanted else dict(installation.permissions)


def _wanted_repositories(call: Call, installation: Installation) -> list[Repository] | None:
    names, ids = call.body.get("repositories"), call.body.get("repository_ids")
    here = [
        repo
        for repo in call.store.repositories.values()
        if call.store.installation_for(installation.app, repo) is installation
    ]
    if not names and not ids:
        return None if installation.repositories is None else here
    by_key: dict[object, Repository] = {repo.id: repo for repo in here} | {repo.name.lower(): repo for repo in here}
    wanted = [str(name).lower() for name in names or []] + list(ids or [])
    chosen = [repo for repo in here if any(by_key.get(key) is repo for key in wanted)]
    if any(key not in by_key for key in wanted):
        raise Refusal(
            422,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        )
    return chosen


@routes.add(
    "GET",
    "/installation/repositories",
    access="installation",
    docs="apps/installations#list-repositories-accessible-to-the-app-installation",
)
def list_installation_repositories(call: Call) -> Answer:
    """The repositories that the token reaches."""
    token = call.caller.token
    assert token
    assert token.installation
    found = [
        repo
        for repo in call.store.repositories.values()
        if call.store.installation_for(token.installation.app, repo) is token.installation
        and (token.repositories is None or repo.id in token.repositories)
    ]
    page = call.page(found, lambda repo: repo_json(call.links, repo))
    chosen = "all" if token.installation.repositories is None else "selected"
    body: Json = {"total_count": len(found), "repository_selection": chosen, "repositories": page.body}
    return Answer(200, body, page.headers)


def _delivery(call: Call) -> Delivery:
    found = call.store.deliveries.get(int(call.params["delivery_id"]))
    if found is None or found.app is not call.caller.app:
        raise not_found()
    return found


@routes.add("GET", "/app/hook/deliveries", access="app", docs="apps/webhooks#list-deliveries-for-an-app-webhook")
def list_deliveries(call: Call) -> Answer:
    """The delivery log, newest first. Paged by ``cursor``, the id of the first row of the next page."""
    log = [d for d in call.store.deliveries.values() if d.app is call.caller.app and d.done]
    log.sort(key=lambda delivery: delivery.id, reverse=True)
    if "status" in call.query:
        log = [d for d in log if (d.status == "OK") == (call.query["status"] == "success")]
    cursor = call.query.get("cursor", "")
    if cursor.isdigit():
        log = [delivery for delivery in log if delivery.id <= int(cursor)]
    size = int(call.query.get("per_page", "30"))
    headers = {}
    if len(log) > size:
        where = f"{call.links.api}/app/hook/deliveries?per_page={size}&cursor={log[size].id}"
        headers["Link"] = f'<{where}>; rel="next"'
    return Answer(200, [delivery_item_json(delivery) for delivery in log[:size]], headers)


@routes.add(
    "GET",
    "/app/hook/deliveries/{delivery_id:int}",
    access="app",
    docs="apps/webhooks#get-a-delivery-for-an-app-webhook",
)
def get_delivery(call: Call) -> Answer:
    """One delivery with request and response."""
    return Answer(200, delivery_json(_delivery(call)))


@routes.add(
    "POST",
    "/app/hook/deliveries/{delivery_id:int}/attempts",
    access="app",
    docs="apps/webhooks#redeliver-a-delivery-for-an-app-webhook",
)
def redeliver_delivery(call: Call) -> Answer:
    """Send it again under the same GUID."""
    redeliver(call.store, _delivery(call))
    return Answer(202, {})


@routes.add(
    "GET", "/rate_limit", access="anyone", docs="rate-limit/rate-limit#get-rate-limit-status-for-the-authenticated-user"
)
def get_rate_limit(call: Call) -> Answer:
    """The limits; this never counts against them, and nothing here is counted."""
    reset = int(call.store.now().timestamp()) + 3600
    core: Json = {"limit": RATE_LIMIT, "used": 0, "remaining": RATE_LIMIT, "reset": reset}
    search: Json = {"limit": 30, "used": 0, "remaining": 30, "reset": reset}
    return Answer(200, {"resources": {"core": core, "search": search}, "rate": core})


@routes.add(
    "DELETE",
    "/installation/token",
    access="installation",
    docs="apps/installations#revoke-an-installation-access-token",
)
def revoke_installation_token(call: Call) -> Answer:
    """End the token that signs this request."""
    token = call.caller.token
    assert token
    del call.store.tokens[token.value]
    return Answer(204)


@routes.add("GET", "/user", access="token", docs="users/users#get-the-authenticated-user")
def get_user(call: Call) -> Answer:
    """The user behind a user's token; 403 for an installation's."""
    return Answer(200, _public_user(call, call.actor.user.login))


@routes.add("GET", "/users/{username}", access="anyone", docs="users/users#get-a-user")
def get_account(call: Call) -> Answer:
    """Any account."""
    return Answer(200, _public_user(call, call.params["username"]))


def _public_user(call: Call, login: str) -> Json:
    user = call.store.users.get(login.lower())
    if user is None:
        raise not_found()
    nothing: Json = dict.fromkeys(("bio", "company", "email", "hireable", "location", "name"))
    counts: Json = dict.fromkeys(("followers", "following", "public_gists", "public_repos"), 0)
    since = "2026-01-01T00:00:00Z"
    return {**user_json(call.links, user), **nothing, **counts, "blog": "", "created_at": since, "updated_at": since}


@routes.add(
    "GET",
    "/repos/{owner}/{repo}/collaborators/{username}/permission",
    role="write",
    docs="collaborators/collaborators#get-repository-permissions-for-a-user",
)
def get_permission(call: Call) -> Answer:
    """A user's permission on the repository.

    Bots are "not a user" (quoted in many public trackers); recorded for users without push:
    Repository.testCollaboratorPermissionNoPushAccess.
    """
    user = call.store.users.get(call.params["username"].lower())
    if user is None or user.type != "User":
        raise Refusal(404, f"{call.params['username']} is not a user")
    if call.caller.token is None:
        raise no_access()
    return Answer(200, permission_json(call.links, call.repo, user))
