"""The GitHub App: hands out repositories seen through its installations, and answers for the App as a whole."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Any
from urllib.parse import quote

from github.Auth import Auth, Token

from app.github_auth import AppCredential, InstallationCredential, InstallationTokens, Minted, Scope, granted_of
from app.github_calls import AppIdentity
from app.github_repository import RepositoryClient
from app.github_retry import Attempts, Gate, RetryRules
from app.github_session import Session, read_pages, refusal
from app.github_wire import Answer, Limited, Unclear, Wire, parse_api_url, read_sent_at
from app.keyed_locks import KeyedLocks, Taken
from workflows.services import BrokenWorld
from workflows.types import RepositoryRef


@dataclass(frozen=True)
class Delivery:
    """One entry of GitHub's log of webhook deliveries; ``guid`` stays the same when it is delivered again."""

    id: int
    guid: str
    event: str
    action: str | None
    delivered_at: datetime
    status_code: int
    redelivery: bool


class GitHubApp:
    """One GitHub App on one GitHub. Safe for many threads; shows neither key nor token.

    ``timeouts`` are seconds for connecting and for each read. ``ca_file`` replaces the trusted certificate authorities.
    Raises BrokenWorld for a key that is none, and ValueError for an ``api_url`` that is none.
    """

    def __init__(
        self,
        app_id: int | str,
        private_key_pem: str,
        *,
        api_url: str = "https://api.github.com",
        rules: RetryRules | None = None,
        timeouts: tuple[float, float] = (10.0, 30.0),
        ca_file: str | None = None,
    ) -> None:
        self._rules = rules or RetryRules()
        self._wire = Wire(parse_api_url(api_url), user_agent=_user_agent(), timeouts=timeouts, ca_file=ca_file)
        self._credential = AppCredential(app_id, private_key_pem)
        self._own_gate = Gate(self._rules)
        self._session = self._session_by(self._rules)
        self._tokens = InstallationTokens(self._mint, self._rules.clock)
        self._locks = KeyedLocks()
        self._guard = threading.Lock()
        self._gates: dict[int, Gate] = {}
        self._identity: AppIdentity | None = None

    @property
    def known_slug(self) -> str | None:
        """The App's name in URLs, without asking: None before GitHub has said it."""
        return self._identity.slug if self._identity is not None else None

    def identity(self, *, patience: float | None = None) -> AppIdentity:
        """Who we are, asked of GitHub once. Raises BrokenWorld; ``patience``: see :meth:`for_repository`."""
        rules = self._rules_within(patience)
        if self._identity is None:
            try:
                # Who asks just now may wait for GitHub with more patience.
                with self._locks.hold("identity", patience=patience):
                    self._identity = self._identity or self._ask_identity(self._session_by(rules))
            except Taken:
                raise rules.give_up(rules.patience) from None
        return self._identity

    def _ask_identity(self, session: Session) -> AppIdentity:
        answer = session.send("GET", "/app")
        if not answer.ok:
            raise refusal("asking who the App is", answer)
        return AppIdentity(id=answer.data["id"], slug=answer.data["slug"])

    def for_repository(
        self,
        ref: RepositoryRef,
        permissions: Mapping[str, str],
        *,
        optional: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> RepositoryClient:
        """The repository, with a token that holds it alone and exactly these permissions (``{"issues": "write"}``).

        ``optional`` ones the token holds as far as the installation has been granted them. ``patience``: a job that
        GitHub would hold back for more seconds than that leaves its thread (JobPostponed). Raises BrokenWorld when
        GitHub cannot say who we are, ValueError for no permissions.
        """
        rules = self._rules_within(patience)
        scope = Scope.of(ref.installation_id, ref.id, permissions, optional=optional)
        credential = InstallationCredential(self._tokens, scope, rules)
        attempts = Attempts(rules, self._gate(ref.installation_id))
        return RepositoryClient(
            ref,
            session=Session(self._wire, attempts, credential),
            credential=credential,
            identity=self.identity(patience=patience),
            locks=self._locks,
            clock=self._rules.clock,
        )

    def leave_while_held(self, installation_id: int, *, patience: float) -> None:
        """Raise JobPostponed while GitHub is known to hold an installation back for more seconds than ``patience``."""
        seconds = self._gate(installation_id).left()
        if seconds > patience:
            raise self._rules_within(patience).give_up(seconds)

    def installation_for(self, full_name: str) -> int | None:
        """The id of the installation that holds a repository (``owner/name``), or None. Raises BrokenWorld."""
        answer = self._session.send("GET", f"/repos/{quote(full_name)}/installation")
        if answer.status == 404:
            return None
        if not answer.ok:
            raise refusal(f"looking for the installation on {full_name}", answer)
        return int(answer.data["id"])

    def reference_to(self, full_name: str) -> RepositoryRef | None:
        """The repository with this name (``owner/name``), or None when the App is not installed on it."""
        installation = self.installation_for(full_name)
        if installation is None:
            return None
        # Only an installation token can read a private repository, and minting one names the repositories it holds.
        path = f"/app/installations/{installation}/access_tokens"
        body = {"repositories": [full_name.partition("/")[2]], "permissions": {"metadata": "read"}}
        answer = self._session.send("POST", path, body=body, repeatable=True)
        if not answer.ok:
            raise refusal(f"looking for {full_name}", answer)
        self._revoke(Token(answer.data["token"]))
        found = answer.data["repositories"][0]
        return RepositoryRef(installation_id=installation, id=found["id"], full_name=found["full_name"])

    def check(self) -> tuple[bool, str]:
        """Whether GitHub knows us, asked once and without patience, and a sentence that says so or what to do.

        From then on it is known who we are.
        """
        session = Session(self._wire, Attempts(self._rules.once(), Gate(self._rules)), self._credential)
        try:
            answer = session.send("GET", "/app")
        except BrokenWorld as broken:
            return False, broken.message
        if not answer.ok:
            return False, refusal("asking who the App is", answer).message
        self._identity = self._identity or AppIdentity(id=answer.data["id"], slug=answer.data["slug"])
        return True, f"{self._wire.api_url} knows the App {answer.data['slug']} (id {answer.data['id']})"

    def recent_deliveries(self, since: datetime) -> list[Delivery]:
        """GitHub's log of deliveries to us, newest first, back to ``since`` (it keeps few days). Raises BrokenWorld."""
        found: list[Delivery] = []
        for data in read_pages(self._fetch_deliveries, self._session.next_page, {}):
            delivery = _parse_delivery(data)
            if delivery.delivered_at < since:
                break
            found.append(delivery)
        return found

    def redeliver(self, delivery_id: int) -> None:
        """Have GitHub deliver once more; our receiver knows it again by its guid. Raises BrokenWorld."""
        answer = self._session.send("POST", f"/app/hook/deliveries/{delivery_id}/attempts", repeatable=True)
        if not answer.ok:
            raise refusal(f"asking for delivery {delivery_id} again", answer)

    def close(self) -> None:
        """Revoke the tokens in use, if GitHub answers, and close the connections."""
        for token in self._tokens.drain():
            self._revoke(token)
        self._wire.close()

    def _fetch_deliveries(self, query: Mapping[str, str]) -> Answer:
        answer = self._session.send("GET", "/app/hook/deliveries", parameters=query)
        if not answer.ok:
            raise refusal("reading the log of deliveries", answer)
        return answer

    def _rules_within(self, patience: float | None) -> RetryRules:
        return self._rules if patience is None else self._rules.within(patience)

    def _session_by(self, rules: RetryRules) -> Session:
        """Requests in the App's own name."""
        return Session(self._wire, Attempts(rules, self._own_gate), self._credential)

    def _mint(self, scope: Scope, rules: RetryRules) -> Minted:
        session = self._session_by(rules)
        permissions = {**self._granted(session, scope), **dict(scope.permissions)}
        body = {"repository_ids": [scope.repository_id], "permissions": permissions}
        path = f"/app/installations/{scope.installation_id}/access_tokens"
        answer = session.send("POST", path, body=body, repeatable=True)
        if answer.status == 422:
            wanted = ", ".join(f"{name}: {level}" for name, level in sorted(permissions.items()))
            raise BrokenWorld(
                "github",
                f"GitHub gives no token for this repository with {wanted} ({answer.message}). Grant the App these "
                "permissions and this repository, and accept the change on the installation.",
            )
        if not answer.ok:
            raise refusal("asking for an installation token", answer)
        expires = datetime.fromisoformat(answer.data["expires_at"]).timestamp()
        return Minted(answer.data["token"], expires - read_sent_at(answer.headers))

    def _granted(self, session: Session, scope: Scope) -> dict[str, str]:
        """Which optional permissions the installation has now: its owner accepts or declines each change of the App."""
        if not scope.optional:
            return {}
        answer = session.send("GET", f"/app/installations/{scope.installation_id}")
        if not answer.ok:
            raise refusal("reading what the installation may do", answer)
        return granted_of(scope.optional, answer.data["permissions"])

    def _revoke(self, token: Auth) -> None:
        try:
            self._wire.exchange("DELETE", "/installation/token", auth=token)
        except (Unclear, Limited):
            return  # it expires by itself within the hour

    def _gate(self, installation_id: int) -> Gate:
        with self._guard:
            return self._gates.setdefault(installation_id, Gate(self._rules))


def _user_agent() -> str:
    try:
        return f"forgehand/{metadata.version('forgehand')}"
    except metadata.PackageNotFoundError:  # run from a checkout that was not installed
        return "forgehand"


def _parse_delivery(data: dict[str, Any]) -> Delivery:
    return Delivery(
        id=data["id"],
        guid=data["guid"],
        event=data["event"],
        action=data.get("action"),
        delivered_at=datetime.fromisoformat(data["delivered_at"]),
        status_code=data["status_code"],
        redelivery=data["redelivery"],
    )
