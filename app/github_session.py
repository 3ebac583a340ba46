"""Requests to GitHub under one credential: retried, renewed once, and their refusals in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol, TypeVar

from github.Auth import Auth

from app.github_retry import Attempts
from app.github_wire import GRAPHQL, Answer, Unclear, Wire
from workflows.services import BrokenWorld

T = TypeVar("T")

Verb = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
PAGES_CAP = 100


class Credential(Protocol):
    """What a session signs its requests with."""

    def auth(self) -> Auth:
        """The present credential. Raises BrokenWorld when there can be none."""

    def renew(self, refused: Auth) -> bool:
        """GitHub answered 401 to ``refused``: whether there is now another one to try."""

    def advice(self) -> str:
        """What an operator does when GitHub refuses the credential for good."""


class Session:
    """One credential on one wire. Safe for many threads."""

    def __init__(self, wire: Wire, attempts: Attempts, credential: Credential) -> None:
        self._wire = wire
        self._attempts = attempts
        self._credential = credential

    def send(
        self,
        verb: Verb,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Any = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """One definite answer, refusals other than 401 included.

        ``repeatable``: doing it twice is the same as once (None: true of everything but POST). Raises BrokenWorld when
        GitHub cannot be reached, limits us for too long or refuses the credential; Unclear only when not repeatable.
        """
        again = verb != "POST" if repeatable is None else repeatable

        def attempt(auth: Auth) -> Answer:
            return self._attempts.send(
                verb,
                lambda: self._wire.exchange(verb, path, auth=auth, parameters=parameters, body=body),
                repeatable=again,
            )

        try:
            auth = self._credential.auth()
            answer = attempt(auth)
            if answer.status == 401 and self._credential.renew(auth):
                answer = attempt(self._credential.auth())
        except Unclear as unclear:
            if not again:
                raise
            raise unreachable(f"{verb} {path}", unclear) from None
        if answer.status == 401:
            raise BrokenWorld(
                "github", f"GitHub refused our credentials ({answer.message}). {self._credential.advice()}"
            )
        return answer

    def query(self, what: str, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """GraphQL's ``data``, in which what does not exist is None; a mutation must be one that may be done twice.

        Raises BrokenWorld, which names ``what``, for every error but NOT_FOUND.
        """
        answer = self.send("POST", GRAPHQL, body={"query": query, "variables": dict(variables)}, repeatable=True)
        if not answer.ok or answer.data.get("data") is None or set(answer.error_types) - {"NOT_FOUND"}:
            raise refusal(what, answer)
        found: dict[str, Any] = answer.data["data"]
        return found

    def download(self, what: str, url: str, *, limit: int) -> str | None:
        """The last ``limit`` bytes of a text that GitHub pointed to; None: gone or far too long. Raises BrokenWorld."""
        try:
            answer = self._attempts.send("GET", lambda: self._wire.download(url, limit=limit), repeatable=True)
        except Unclear as unclear:
            raise unreachable(what, unclear) from None
        return str(answer.data) if answer.ok else None

    def find_or_create(self, what: str, look: Callable[[], T | None], create: Callable[[], T]) -> T:
        """What ``look`` finds, else what ``create`` makes, looked for again after an unclear outcome.

        Raises BrokenWorld, which names ``what``, when it stays unclear.
        """
        try:
            return self._attempts.find_or_create(look, create)
        except Unclear as unclear:
            raise unreachable(what, unclear) from None

    def next_page(self, answer: Answer) -> dict[str, str] | None:
        """The query of the page after ``answer``, or None. Raises BrokenWorld when it lies on another host."""
        return self._wire.next_page(answer)


def read_pages(
    fetch: Callable[[Mapping[str, str]], Answer],
    following: Callable[[Answer], Mapping[str, str] | None],
    parameters: Mapping[str, str],
    *,
    item: str | None = None,
) -> Iterator[dict[str, Any]]:
    """The entries of all pages of a list; ``item`` names the key they lie under when the answer is an object.

    Raises BrokenWorld after PAGES_CAP pages.
    """
    query: Mapping[str, str] | None = {**parameters, "per_page": "100"}
    for _ in range(PAGES_CAP):
        if query is None:
            return
        answer = fetch(query)
        yield from answer.data[item] if item else answer.data
        query = following(answer)
    if query is not None:
        raise BrokenWorld(
            "github", f"A list on GitHub has more than {PAGES_CAP} pages. Close the issue and open a new one."
        )


def unreachable(what: str, unclear: Unclear) -> BrokenWorld:
    """GitHub gave no usable answer, many times."""
    return BrokenWorld(
        "github",
        f"GitHub gave no usable answer to {what}, several times ({unclear.reason}). "
        "See https://www.githubstatus.com and the network of this machine, then start the job again.",
    )


def refusal(what: str, answer: Answer) -> BrokenWorld:
    """GitHub understood and refused; what to do about it."""
    said = f"GitHub answered {answer.status} to {what}" + (f": {answer.message}." if answer.message else ".")
    lower = answer.message.lower()
    if "suspended" in lower:
        advice = "Unsuspend the App in the account's settings, under Installed GitHub Apps."
    elif "archived" in lower:
        advice = "Unarchive the repository first."
    elif answer.status == 403 or "FORBIDDEN" in answer.error_types:
        wanted = answer.headers.get("x-accepted-github-permissions")
        needed = f" ({wanted})" if wanted else ""
        advice = f"Grant the App the missing permission{needed} in its settings, and accept it on the installation."
    elif answer.status in {404, 410} or answer.moved:
        advice = "It was deleted or moved, or the App may no longer see it: check the App's repository access."
    else:
        advice = "Mend what GitHub names, then start the job again."
    return BrokenWorld("github", f"{said} {advice}")
