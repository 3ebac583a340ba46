"""What a REST call answers: the answer value, the refusals in GitHub's recorded words, and paging.

The wordings follow exchanges recorded from api.github.com (PyGithub 2.10.0's sdist, tests/ReplayData), named beside
each, or, where there is no recording, bodies that users of GitHub quoted in public issues.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from app.localhub.records import Json

T = TypeVar("T")
DOCS = "https://docs.github.com/rest"


@dataclass(frozen=True)
class Answer:
    """A REST answer. ``body`` is JSON, or bytes of the type ``media``, or None for an empty body."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    media: str = "application/json; charset=utf-8"

    def content(self) -> bytes:
        """The body's bytes; lone surrogates survive as JSON escapes."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Refusal(Exception):
    """A call that ends in an error answer; ``errors`` are the items of a validation failure."""

    def __init__(
        self, status: int, message: str, *, errors: Sequence[Json | str] = (), headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = list(errors)
        self.headers = headers or {}

    def answer(self, docs: str = "") -> Answer:
        """The error body, with the keys of the recorded Repository.testTransferOwnershipInvalidOwner."""
        body: Json = {"message": self.message}
        if self.errors:
            body["errors"] = self.errors
        body["documentation_url"] = f"{DOCS}/{docs}" if docs else DOCS
        body["status"] = str(self.status)
        return Answer(self.status, body, self.headers)


def bad_credentials() -> Refusal:
    """Recorded: Exceptions.testBadAuthentication, SpecificExceptions.testBadCredentials."""
    return Refusal(401, "Bad credentials")


def not_found() -> Refusal:
    """Recorded: Exceptions.testUnknownObject, GithubIntegration.testGetAccessTokenForNoInstallation."""
    return Refusal(404, "Not Found")


def no_access() -> Refusal:
    """An App without the permission. The message is GitHub's in its "Troubleshooting the REST API" page."""
    return Refusal(403, "Resource not accessible by integration")


def no_rights() -> Refusal:
    """A user without the role. Recorded: WorkflowRun.test_cancel."""
    return Refusal(403, "Must have admin rights to Repository.")


def validation_failed(resource: str, *, code: str, field: str | None = None, message: str | None = None) -> Refusal:
    """One failed field. Recorded: Exceptions.testInvalidInput; the keys stand in the order of newer answers."""
    error: Json = {"resource": resource, "code": code}
    if field:
        error["field"] = field
    if message:
        error["message"] = message
    return Refusal(422, "Validation Failed", errors=[error])


def invalid_request(reason: str) -> Refusal:
    """A body that GitHub's own schema refuses. Recorded: Branch.testEditRequiredPullRequestReviewsWithTooLarge….

    The reason stands on a line of its own: ``Invalid request.\\n\\n9 must be less than or equal to 6.``
    """
    return Refusal(422, f"Invalid request.\n\n{reason}")


def too_long(resource: str, field: str = "body", limit: int = 65536) -> Refusal:
    """A text above GitHub's limit of characters."""
    return validation_failed(
        resource, code="custom", field=field, message=f"{field} is too long (maximum is {limit} characters)"
    )


def paged(items: Sequence[T], query: dict[str, str], *, url: str, render: Callable[[T], Any]) -> tuple[list[Any], str]:
    """One page of items, rendered, and its ``Link`` header (empty when there is one page)."""
    per_page = min(max(_number(query.get("per_page"), 30), 1), 100)
    page = max(_number(query.get("page"), 1), 1)
    last = max(1, -(-len(items) // per_page))
    wanted: dict[str, int] = {}
    if page > 1:
        wanted |= {"prev": min(page - 1, last), "first": 1}
    if page < last:
        wanted |= {"next": page + 1, "last": last}
    links = [f'<{url}?{urlencode({**query, "page": str(number)})}>; rel="{rel}"' for rel, number in wanted.items()]
    return [render(item) for item in items[(page - 1) * per_page : page * per_page]], ", ".join(links)


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else default
