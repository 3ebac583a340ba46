"""Requests below one repository: it is found by its id, a rename is followed, and who took its old name is nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.github_auth import InstallationCredential
from app.github_retry import Clock
from app.github_session import Session, Verb, read_pages, refusal
from app.github_wire import Answer
from app.keyed_locks import KeyedLocks
from workflows.services import BrokenWorld
from workflows.types import RepositoryRef

SETTLE_PAUSES = (1.0, 3.0)
"""Seconds before what an event just named is looked for again: reads lag behind events."""

FOUND_ELSEWHERE = 302
"""The answer is kept somewhere else, such as a log; a renamed repository is 301 or 307.

https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
"""


@dataclass(frozen=True)
class AppIdentity:
    """Our App as GitHub knows it."""

    id: int
    slug: str

    @property
    def login(self) -> str:
        """The account under which its writes appear. Nobody can register it: brackets are for Apps."""
        return f"{self.slug}[bot]"

    def wrote(self, data: Mapping[str, Any]) -> bool:
        """Whether a comment, pull request or release is by this App."""
        user = data.get("user") or data.get("author") or {}
        through = data.get("performed_via_github_app") or {}
        return user.get("type") == "Bot" and (user.get("login") == self.login or through.get("id") == self.id)


class RepositoryCalls:
    """One repository on GitHub under one credential. Safe for many threads; each theme of calls builds on it.

    Before the first request the repository's name is checked by its id, and a rename is followed.
    """

    def __init__(
        self,
        ref: RepositoryRef,
        *,
        session: Session,
        credential: InstallationCredential,
        identity: AppIdentity,
        locks: KeyedLocks,
        clock: Clock,
    ) -> None:
        self._ref = ref
        self._name = ref.full_name
        self._checked = False
        self._session = session
        self._credential = credential
        self._identity = identity
        self._locks = locks
        self._clock = clock
        self._naming = threading.Lock()

    def _read_settled(self, suffix: str, what: str) -> dict[str, Any] | None:
        """What an event may just have named; None when it was deleted, moved away, or stays unknown for seconds."""
        for pause in (*SETTLE_PAUSES, None):
            answer = self._send("GET", suffix)
            if answer.ok:
                found: dict[str, Any] = answer.data
                return found
            if answer.status == 410 or answer.moved:
                return None
            if answer.status != 404:
                raise refusal(what, answer)
            if pause is not None:
                self._clock.sleep(pause)
        return None

    def _pages(
        self, suffix: str, parameters: Mapping[str, str] | None = None, *, item: str | None = None
    ) -> Iterator[dict[str, Any]]:
        def fetch(query: Mapping[str, str]) -> Answer:
            answer = self._send("GET", suffix, parameters=query)
            self._accept(f"listing {suffix.strip('/')}", answer)
            return answer

        return read_pages(fetch, self._session.next_page, parameters or {}, item=item)

    def _send(
        self,
        verb: Verb,
        suffix: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Any = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """One request below the repository; when it was renamed in the meantime, once more under its new name."""
        name = self._present_name()
        while True:
            answer = self._session.send(
                verb, f"/repos/{name}{suffix}", parameters=parameters, body=body, repeatable=repeatable
            )
            if not answer.moved or answer.status == FOUND_ELSEWHERE:
                return answer
            with self._naming:
                self._find_by_id()
            if self._name == name:
                return answer
            name = self._name

    def _present_name(self) -> str:
        with self._naming:
            if not self._checked:
                self._find_by_id()
            return self._name

    def _find_by_id(self) -> dict[str, Any]:
        """Whatever now bears the old name may be somebody else's, so the id decides. Call with the naming lock held."""
        answer = self._session.send("GET", f"/repos/{self._name}")
        data: dict[str, Any] | None = answer.data if answer.ok and answer.data["id"] == self._ref.id else None
        if data is None and not (answer.ok or answer.moved or answer.status == 404):
            raise refusal(f"reading {self._name}", answer)
        if data is None:
            visible = read_pages(self._fetch_visible, self._session.next_page, {}, item="repositories")
            data = next((each for each in visible if each["id"] == self._ref.id), None)
        if data is None:
            raise BrokenWorld(
                "github",
                f"The App can no longer see {self._name}: it was deleted, or taken out of the installation. "
                "Add it to the App's repositories in the account's settings.",
            )
        self._name, self._checked = str(data["full_name"]), True
        return data

    def _fetch_visible(self, query: Mapping[str, str]) -> Answer:
        """What our token can see: this one repository, under its present name, because it was minted by id."""
        answer = self._session.send("GET", "/installation/repositories", parameters=query)
        self._accept("listing the installation's repositories", answer)
        return answer

    @staticmethod
    def _accept(what: str, answer: Answer) -> Any:
        if not answer.ok:
            raise refusal(what, answer)
        return answer.data
