"""Who calls and what they may do: App JWTs, tokens, and the permissions of installations and users."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Literal

import jwt
from jwt.types import Options

from app.localhub.acts import Actor
from app.localhub.answers import Refusal, bad_credentials, no_access, no_rights, not_found
from app.localhub.records import App, Issue, Repository, Role, Token
from app.localhub.store import Store, has_role, role_of

JWT_SECONDS = 600
LEVELS = ("none", "read", "write", "admin")
EXPIRED = (
    "'Expiration time' claim ('exp') must be a numeric value representing the future time"
    " at which the assertion expires"
)
TOO_FAR = "'Expiration time' claim ('exp') is too far in the future"
BAD_ISSUED = "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
UNDECODED = "A JSON web token could not be decoded"
Level = Literal["read", "write"]


@dataclass(frozen=True)
class Caller:
    """Who calls: nobody (all None), an App by JWT (``app``), a user or an installation (``token``)."""

    app: App | None = None
    token: Token | None = None

    @property
    def actor(self) -> Actor:
        """The caller as the one who acts. Only for callers with a token."""
        assert self.token
        app = self.token.installation.app if self.token.installation else None
        return Actor(self.token.user, app)

    @property
    def name(self) -> str:
        """A name for the journal."""
        return self.token.user.login if self.token else f"app:{self.app.slug}" if self.app else "anonymous"


def credentials(header: str | None) -> str | None:
    """The token in an Authorization header: ``Bearer``, ``token``, or ``Basic`` with the token as either part."""
    if not header:
        return None
    scheme, _, value = header.strip().partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return user if password in ("", "x-oauth-basic") else password


def identify(store: Store, header: str | None) -> Caller:
    """The caller behind an Authorization header. Raises Refusal 401; an expired token is as unknown as a wrong one."""
    value = credentials(header)
    if value is None:
        return Caller()
    if value.count(".") == 2:
        return Caller(app=_app_of(store, value))
    token = store.tokens.get(value)
    if token is None or (token.expires_at and token.expires_at <= store.now()):
        raise bad_credentials()
    return Caller(token=token)


def _app_of(store: Store, encoded: str) -> App:
    """The App that signed a JWT.

    Recorded: GithubIntegration.testGetAccessTokenWithExpiredJWT; "too far in the future" is quoted in
    octokit/auth-app.js#698, and "could not be decoded" in the same tracker.
    """
    try:
        loose: dict[str, Any] = jwt.decode(encoded, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise Refusal(401, UNDECODED) from None
    issuer = str(loose.get("iss"))
    app = next((a for a in store.apps.values() if issuer in (str(a.id), a.client_id)), None)
    if app is None:
        raise Refusal(404, "Integration not found")
    checks: Options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}
    try:
        jwt.decode(encoded, app.public_key, algorithms=["RS256"], options=checks)
    except jwt.PyJWTError:
        raise Refusal(401, UNDECODED) from None
    now, exp, iat = store.now().timestamp(), loose.get("exp"), loose.get("iat")
    if not isinstance(exp, int | float) or exp <= now:
        raise Refusal(401, EXPIRED)
    if exp - now > JWT_SECONDS:
        raise Refusal(401, TOO_FAR)
    if not isinstance(iat, int | float) or iat > now + 1:
        raise Refusal(401, BAD_ISSUED)
    return app


def sees(caller: Caller, repo: Repository) -> bool:
    """Whether the repository exists for this caller."""
    return not repo.private or _reaches(caller, repo)


def _reaches(caller: Caller, repo: Repository) -> bool:
    token = caller.token
    if token is None:
        return False
    if token.installation is None:
        return role_of(repo, token.user) != "none"
    chosen = token.repositories if token.repositories is not None else token.installation.repositories
    return token.installation.account is repo.owner and (chosen is None or repo.id in chosen)


def granted(token: Token, permission: str, level: Level) -> bool:
    """Whether an installation token holds a permission; metadata is always readable."""
    has = token.permissions.get(permission, "read" if permission == "metadata" else "none")
    return LEVELS.index(has) >= LEVELS.index(level)


def require(caller: Caller, repo: Repository, *, permissions: tuple[str, ...], level: Level, role: Role) -> None:
    """Raise unless the caller may do it: one of ``permissions`` at ``level`` for an App, ``role`` for a user.

    401 for nobody, 404 for a private repository out of reach, 403 for a missing right.
    """
    if not sees(caller, repo):
        raise not_found()
    if level == "read" and not repo.private and role == "read":
        return
    if caller.token is None:
        raise no_access() if caller.app else Refusal(401, "Requires authentication")
    if caller.token.installation:
        if not _reaches(caller, repo) or not any(granted(caller.token, name, level) for name in permissions):
            raise no_access()
    elif not has_role(repo, caller.token.user, role):
        raise no_rights()


def conversation_permissions(issue: Issue | None) -> tuple[str, ...]:
    """What opens a conversation: ``issues``; for a pull request ``pull_requests`` will do as well."""
    return ("issues", "pull_requests") if issue is None or issue.pull else ("issues",)
