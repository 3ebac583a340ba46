"""Who we are to GitHub: the App's signature, and installation tokens that can do no more than was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import jwt
from github.Auth import AppAuth, Auth, Token

from app.github_retry import Clock, RetryRules
from app.keyed_locks import KeyedLocks, Taken
from workflows.services import BrokenWorld

SPARE_SECONDS = 330.0
"""A token is handed out only while it lives at least so long: five minutes, and a little for the way."""

LEVELS = ("read", "write", "admin")
ALGORITHM = "RS256"

APP_ADVICE = (
    "Check the App's id and private key (a new key can be made on the App's settings page), "
    "and that this machine's clock is right."
)


class AppCredential:
    """The App itself: a fresh RS256 signature for each request, dated back 60 s and good for five minutes.

    Raises BrokenWorld when ``private_key_pem`` is not an RSA private key. Line ends written as ``\\n`` are understood.
    """

    def __init__(self, app_id: int | str, private_key_pem: str) -> None:
        if not str(app_id).strip():
            raise BrokenWorld("github", "The App's id is empty. It stands on the App's settings page.")
        try:
            # Read once: OpenSSL looks anew at the primes of a key each time that it is given as text.
            key = jwt.get_algorithm_by_name(ALGORITHM).prepare_key(private_key_pem.replace("\\n", "\n").strip())
            self._auth = AppAuth(app_id, sign_func=lambda claims: jwt.encode(claims, key, ALGORITHM))
            self._auth.create_jwt()
        except (ValueError, TypeError, AttributeError, jwt.PyJWTError):  # a public key cannot sign: it has no sign()
            raise BrokenWorld(
                "github",
                "The App's private key is not an RSA private key in PEM form (its first line says BEGIN RSA PRIVATE "
                "KEY). Make a new one on the App's settings page and give that file.",
            ) from None

    def auth(self) -> Auth:
        """Signs each request anew."""
        return self._auth

    def renew(self, refused: Auth) -> bool:
        """There is no other key."""
        return False

    def advice(self) -> str:
        """About the key and the clock."""
        return APP_ADVICE


@dataclass(frozen=True)
class Scope:
    """What a token may do: one repository of one installation, with exactly these permissions.

    ``optional`` ones are asked for as far as the installation has been granted them.
    """

    installation_id: int
    repository_id: int
    permissions: tuple[tuple[str, str], ...]
    optional: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls,
        installation_id: int,
        repository_id: int,
        permissions: Mapping[str, str],
        *,
        optional: Mapping[str, str] | None = None,
    ) -> Scope:
        """Raises ValueError for no permissions: GitHub would then give all that the installation has."""
        if not permissions:
            raise ValueError("name the permissions that the token needs, such as {'issues': 'write'}")
        return cls(
            installation_id,
            repository_id,
            tuple(sorted(permissions.items())),
            tuple(sorted((optional or {}).items())),
        )


def granted_of(optional: Iterable[tuple[str, str]], granted: Mapping[str, str]) -> dict[str, str]:
    """The optional permissions that an installation has, each at the level wanted or the lower one granted."""
    return {
        name: min(level, granted[name], key=LEVELS.index)
        for name, level in optional
        if level in LEVELS and granted.get(name) in LEVELS
    }


@dataclass(frozen=True)
class Minted:
    """A new token and how many seconds it lives."""

    token: str = field(repr=False)
    lifetime: float


@dataclass(frozen=True)
class _Kept:
    auth: Token
    until: float


class InstallationTokens:
    """The tokens in use, each minted by one thread at a time and kept until shortly before it expires."""

    def __init__(self, mint: Callable[[Scope, RetryRules], Minted], clock: Clock) -> None:
        self._mint = mint
        self._clock = clock
        self._minting = KeyedLocks()
        self._guard = threading.Lock()
        self._kept: dict[Scope, _Kept] = {}

    def fetch(self, scope: Scope, rules: RetryRules) -> Token:
        """A token that lives at least SPARE_SECONDS. Raises BrokenWorld when GitHub gives none."""
        # Who mints it just now may wait for GitHub with more patience.
        patience = rules.patience if rules.postpones else None
        try:
            with self._minting.hold(scope, patience=patience):
                kept = self._read(scope) or self._fill(scope, rules)
                return kept.auth
        except Taken:
            raise rules.give_up(rules.patience) from None

    def _fill(self, scope: Scope, rules: RetryRules) -> _Kept:
        before = self._clock.seconds()
        minted = self._mint(scope, rules)
        kept = _Kept(Token(minted.token), before + minted.lifetime)
        with self._guard:
            self._kept[scope] = kept
        return kept

    def forget(self, scope: Scope, refused: Auth) -> None:
        """Drop a token that GitHub refused, unless another thread has replaced it already."""
        with self._guard:
            kept = self._kept.get(scope)
            if kept is not None and kept.auth is refused:
                del self._kept[scope]

    def drain(self) -> list[Token]:
        """Forget all tokens and return those that still live, to be revoked."""
        with self._guard:
            kept, self._kept = list(self._kept.values()), {}
        return [each.auth for each in kept if each.until > self._clock.seconds()]

    def _read(self, scope: Scope) -> _Kept | None:
        with self._guard:
            now = self._clock.seconds()
            self._kept = {key: kept for key, kept in self._kept.items() if kept.until - SPARE_SECONDS > now}
            return self._kept.get(scope)


class InstallationCredential:
    """One repository of an installation, with one set of permissions; ``rules`` are the patience for a new token."""

    def __init__(self, tokens: InstallationTokens, scope: Scope, rules: RetryRules) -> None:
        self._tokens = tokens
        self._scope = scope
        self._rules = rules

    def auth(self) -> Token:
        """The token in use; minted when there is none."""
        return self._tokens.fetch(self._scope, self._rules)

    def renew(self, refused: Auth) -> bool:
        """Drops the refused token, so that the next one is minted: it expired or was revoked in the middle of a job."""
        self._tokens.forget(self._scope, refused)
        return True

    def advice(self) -> str:
        """About the installation."""
        return "Check that the App is still installed on the repository, then start the job again."
