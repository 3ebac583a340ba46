"""Who may do what: App JWTs, installation tokens, users."""

from __future__ import annotations

import time

import jwt
import pytest
from github import Auth, Github, GithubException

from app.localhub.server import LocalHub
from tests.localhub.conftest import REPO, Rest, integration, mint, person

DAY = 86400


def signed(hub: LocalHub, **claims: object) -> Rest:
    """REST with a JWT of our own making."""
    now = int(time.time())
    given = {"iat": now - 60, "exp": now + 300, "iss": hub.app_id, **claims}
    given["iss"] = str(given["iss"])
    return Rest(hub.api_url, jwt.encode(given, hub.private_key_pem, "RS256"))


def installation_id(hub: LocalHub) -> int:
    return integration(hub).get_repo_installation("octo", "calc").id


def test_app_reads_itself(hub: LocalHub) -> None:
    """GET /app answers for a JWT whose issuer is the App's id or its client id."""
    for issuer in (hub.app_id, hub.app.client_id):
        answer = signed(hub, iss=issuer)("GET", "/app")
        assert (answer.status_code, answer.json()["slug"]) == (200, "forgehand")
    assert len(list(integration(hub).get_installations())) == 1
    assert integration(hub).get_app_installation(installation_id(hub)).app_id == hub.app_id


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": int(time.time()) - 5}, "'Expiration time' claim ('exp') must be a numeric value"),
        ({"exp": int(time.time()) + DAY}, "'Expiration time' claim ('exp') is too far in the future"),
        ({"iat": int(time.time()) + DAY}, "'Issued at' claim ('iat')"),
        ({"exp": "soon"}, "'Expiration time' claim ('exp') must be a numeric value"),
    ],
)
def test_bad_times_are_401(hub: LocalHub, claims: dict[str, object], words: str) -> None:
    """A JWT that is expired, or lives longer than ten minutes, is refused in GitHub's words."""
    answer = signed(hub, **claims)("GET", "/app")
    assert answer.status_code == 401
    assert answer.json()["message"].startswith(words)


def test_wrong_key_is_401(hub: LocalHub) -> None:
    """A JWT signed by somebody else's key is refused; so is one with a symmetric algorithm."""
    other = hub.create_app("other")
    now = int(time.time())
    claims = {"iat": now - 60, "exp": now + 300, "iss": str(hub.app_id)}
    forged = jwt.encode(claims, other.private_key, "RS256")
    symmetric = jwt.encode(claims, "x" * 32, "HS256")
    for token in (forged, symmetric):
        answer = Rest(hub.api_url, token)("GET", "/app")
        assert (answer.status_code, answer.json()["message"]) == (401, "A JSON web token could not be decoded")


def test_unknown_token_is_401(hub: LocalHub) -> None:
    """A token that nobody minted reads nothing, not even a public repository."""
    hub.create_repository("octo/open", files={"a": "b"}, private=False)
    for repo in (REPO, "octo/open"):
        answer = Rest(hub.api_url, "ghs_" + "x" * 36)("GET", f"/repos/{repo}")
        assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")
    assert Rest(hub.api_url)("GET", "/repos/octo/open").status_code == 200
    assert Rest(hub.api_url)("GET", f"/repos/{REPO}").status_code == 404


def test_empty_permissions_are_all_of_them(hub: LocalHub) -> None:
    """PyGithub's ``{"permissions": {}}`` mints the full set, as recorded from api.github.com."""
    token = integration(hub).get_access_token(installation_id(hub))
    assert token.permissions == hub.app.permissions
    seconds = (
        token.expires_at - integration(hub).get_app_installation(installation_id(hub)).created_at
    ).total_seconds()
    assert 3590 <= seconds <= 3610


def test_ungranted_permission_is_422(hub: LocalHub) -> None:
    """A permission beyond the installation's, or an unknown one, is 422; a wrong shape is 400."""
    path = f"/app/installations/{installation_id(hub)}/access_tokens"
    for wanted in ({"workflows": "write"}, {"metadata": "write"}, {"test-permissions": "read"}):
        answer = signed(hub)("POST", path, {"permissions": wanted})
        assert answer.status_code == 422
        assert answer.json()["message"] == "The permissions requested are not granted to this installation."
    answer = signed(hub)("POST", path, {"permissions": "invalid_data"})
    assert (answer.status_code, answer.json()["message"]) == (400, "Problems parsing JSON")
    assert signed(hub)("POST", "/app/installations/1/access_tokens").status_code == 404
    assert signed(hub)("POST", path, {"repositories": ["nothing"]}).status_code == 422


def test_repository_subset(hub: LocalHub) -> None:
    """A token for one repository does not see the other one, and says which it reaches."""
    other = hub.create_repository("octo/other", files={"a": "b"})
    path = f"/app/installations/{installation_id(hub)}/access_tokens"
    for chosen in ({"repositories": ["calc"]}, {"repository_ids": [hub.repository(REPO).id]}):
        minted = signed(hub)("POST", path, chosen).json()
        rest = Rest(hub.api_url, minted["token"])
        assert [repo["full_name"] for repo in minted["repositories"]] == [REPO]
        assert rest("GET", f"/repos/{REPO}").status_code == 200
        assert rest("GET", "/repos/octo/other").status_code == 404
        assert rest("GET", f"/repositories/{other.id}").status_code == 404
        assert [r["full_name"] for r in rest("GET", "/installation/repositories").json()["repositories"]] == [REPO]


def test_missing_permission_is_403(hub: LocalHub) -> None:
    """A token with read rights does not write, and one without a permission does not read a private repository."""
    reader = Rest(hub.api_url, mint(hub, contents="read"))
    assert reader("GET", f"/repos/{REPO}/contents/calc.py").status_code == 200
    refused = [
        reader("POST", f"/repos/{REPO}/issues", {"title": "x"}),
        reader("GET", f"/repos/{REPO}/issues"),
        reader("POST", f"/repos/{REPO}/git/refs", {"ref": "refs/heads/x", "sha": "0" * 40}),
    ]
    for answer in refused:
        assert (answer.status_code, answer.json()["message"]) == (403, "Resource not accessible by integration")
        assert answer.json()["documentation_url"].startswith("https://docs.github.com/rest/")


def test_user_endpoint(hub: LocalHub, rest: Rest) -> None:
    """GET /user knows people; an installation token is no user."""
    assert rest("GET", "/user").status_code == 403
    assert person(hub, "alice")("GET", "/user").json()["login"] == "alice"
    assert rest("GET", "/users/alice").json()["type"] == "User"
    assert rest("GET", "/users/nobody").status_code == 404


def test_revoked_token_is_401(hub: LocalHub, rest: Rest) -> None:
    """An installation token ends itself, and no other."""
    other = Rest(hub.api_url, mint(hub))
    assert rest("DELETE", "/installation/token").status_code == 204
    assert rest("GET", f"/repos/{REPO}").status_code == 401
    assert other("GET", f"/repos/{REPO}").status_code == 200


def test_expired_token_is_401(hub: LocalHub, github: Github) -> None:
    """When a token ends in the middle, the next call is 401 and a new token works."""
    github.get_repo(REPO)
    hub.expire_tokens()
    with pytest.raises(GithubException) as caught:
        github.get_repo(REPO)
    assert caught.value.status == 401
    assert Github(auth=Auth.Token(mint(hub)), base_url=hub.api_url).get_repo(REPO).name == "calc"


def test_permission_of_people(hub: LocalHub, rest: Rest) -> None:
    """The five roles come back as permission and role_name; a bot or an unknown login is 404."""
    expected = {
        "none": "none",
        "read": "read",
        "triage": "read",
        "write": "write",
        "maintain": "write",
        "admin": "admin",
    }
    for role, permission in expected.items():
        hub.set_permission(REPO, "mallory", role)  # type: ignore[arg-type]
        body = rest("GET", f"/repos/{REPO}/collaborators/mallory/permission").json()
        assert (body["permission"], body["role_name"]) == (permission, role)
    for login in ("forgehand[bot]", "ghost-of-nobody"):
        answer = rest("GET", f"/repos/{REPO}/collaborators/{login}/permission")
        assert (answer.status_code, answer.json()["message"]) == (404, f"{login} is not a user")


def test_people_need_their_role(hub: LocalHub) -> None:
    """A stranger does not see a private repository; a reader comments but does not label or write."""
    number = hub.create_issue(REPO, "alice", "a title").number
    assert person(hub, "mallory")("GET", f"/repos/{REPO}").status_code == 404
    hub.set_permission(REPO, "mallory", "read")
    reader = person(hub, "mallory")
    assert reader("POST", f"/repos/{REPO}/issues/{number}/comments", {"body": "hello"}).status_code == 201
    assert reader("POST", f"/repos/{REPO}/issues/{number}/labels", {"labels": ["qwen"]}).status_code == 403
    assert reader("PUT", f"/repos/{REPO}/contents/x", {"message": "m", "content": ""}).status_code == 403
    assert (
        person(hub, "alice")("POST", f"/repos/{REPO}/issues/{number}/labels", {"labels": ["qwen"]}).status_code == 200
    )


def test_both_prefixes(hub: LocalHub, rest: Rest) -> None:
    """REST answers at the root and under /api/v3, and each answers with its own addresses."""
    root = Rest(hub.html_url, rest.token)
    assert root("GET", f"/repos/{REPO}").json()["url"] == f"{hub.html_url}/repos/{REPO}"
    assert rest("GET", f"/repos/{REPO}").json()["url"] == f"{hub.html_url}/api/v3/repos/{REPO}"
    answer = rest("GET", "/nothing/here")
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")
