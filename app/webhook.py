"""One webhook POST: verified over its raw bytes, and only then read into a typed event."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jiter

from workflows.types import Actor, CommentKind, Ends, Noun, RepositoryRef

MAX_BODY_BYTES = 25 * 1024 * 1024
"""GitHub sends no more (https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap)."""
MAX_PARSED_BYTES = 2 * 1024 * 1024
"""No event that we act on comes near: its texts are at most 65,536 characters each."""

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SIGNATURE = re.compile(rb"sha256=[0-9a-f]{64}")
_EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)
_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_ACTOR_TYPES = ("User", "Bot", "Organization", "Mannequin")


@dataclass(frozen=True)
class Refused:
    """A request that is not a delivery: the HTTP status and one sentence for its sender."""

    status: int
    reason: str


class EventIssue(Noun):
    """The issue or pull request that an event is about; ``closed_at`` is None while it is open."""

    number: int
    title: str = ""
    body: str = ""
    state: str = ""
    author: Actor | None = None
    is_pull_request: bool = False
    merged: bool = False
    head_sha: str | None = None
    closed_at: datetime | None = None


class EventComment(Noun):
    """The comment or the review that an event is about; ``app_id`` is the GitHub App's by which it was written.

    ``state`` is a review's: approved, changes_requested, commented or dismissed.
    ``reply_to`` is the first comment of a thread on lines in which this one is an answer.
    """

    id: int
    kind: CommentKind = "issue"
    body: str = ""
    author: Actor | None = None
    app_id: int | None = None
    state: str = ""
    reply_to: int | None = None


class EventChecks(Noun):
    """The check suite that an event is about: all checks of one App on one commit; ``pulls`` hold that commit."""

    app_id: int | None = None
    head_sha: str
    conclusion: str = ""
    pulls: tuple[int, ...] = ()


class Event(Noun):
    """A delivery, as far as we act on it. What is absent, null or of another shape in the payload is None.

    ``reviewer`` is whose review was asked for, ``left`` what a pull request was moved away from. ``digest`` is the
    SHA-256 of the raw body in hex. ``unread`` says why a payload was not looked into.
    """

    name: str
    action: str = ""
    delivery_id: str
    received_at: datetime
    digest: str
    repository: RepositoryRef | None = None
    installation_id: int | None = None
    sender: Actor | None = None
    issue: EventIssue | None = None
    label: str | None = None
    comment: EventComment | None = None
    checks: EventChecks | None = None
    reviewer: str = ""
    left: Ends = Ends()
    unread: str | None = None


def verify(body: bytes, signature: bytes, secrets: Sequence[str]) -> bool:
    """Whether ``signature`` (the raw X-Hub-Signature-256 header) signs the raw body with one of the secrets.

    https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    # Bytes: compare_digest raises on a str that is not ASCII, and headers come from anyone.
    found = False
    for secret in secrets:
        expected = b"sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()
        found |= bool(secret) and hmac.compare_digest(expected, signature)
    return found


def check_signature(signature: bytes) -> Refused | None:
    """Refuse, before there is a body, a raw X-Hub-Signature-256 header that could sign none."""
    if not _SIGNATURE.fullmatch(signature):
        return Refused(401, "X-Hub-Signature-256 is missing or malformed: set the webhook's secret on GitHub.")
    return None


def check_headers(headers: Mapping[str, str]) -> Refused | None:
    """Refuse what GitHub would not send: another content type or encoding, no event name, no delivery id."""
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        return Refused(415, "Set the webhook's content type to application/json.")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        return Refused(415, "Send the body without compression.")
    if not _GUID.fullmatch(headers.get("x-github-delivery", "")):
        return Refused(400, "X-GitHub-Delivery must be the delivery's GUID.")
    if not _EVENT.fullmatch(headers.get("x-github-event", "")):
        return Refused(400, "X-GitHub-Event must be the event's name.")
    return None


def parse_event(headers: Mapping[str, str], body: bytes, received_at: datetime) -> Event | Refused:
    """The event of a verified body with checked headers; Refused(400) when the body is not one JSON object."""
    event = Event(
        name=headers["x-github-event"],
        delivery_id=headers["x-github-delivery"].lower(),
        received_at=received_at,
        digest=hashlib.sha256(body).hexdigest(),
    )
    if len(body) > MAX_PARSED_BYTES:
        return event.model_copy(
            update={"unread": f"its payload of {len(body) / 1e6:.1f} MB is larger than any we act on"}
        )
    try:
        payload = jiter.from_json(_mend_surrogates(body), allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        return Refused(400, f"The body is not JSON that GitHub would send: {_clean(str(error))[:200]}.")
    if not isinstance(payload, dict):
        return Refused(400, "The body must be one JSON object.")
    return event.model_copy(update=_parse_payload(payload))


def _parse_payload(payload: dict[str, Any]) -> dict[str, Any]:
    installation_id = _id(_object(payload, "installation").get("id"))
    return {
        "action": _text(payload.get("action")),
        "installation_id": installation_id,
        "repository": _parse_repository(_object(payload, "repository"), installation_id),
        "sender": _parse_actor(_object(payload, "sender")),
        "issue": _parse_issue(payload),
        "label": _text(_object(payload, "label").get("name")) or None,
        "comment": _parse_comment(payload),
        "reviewer": _text(_object(payload, "requested_reviewer").get("login")),
        "checks": _parse_checks(_object(payload, "check_suite")),
        "left": _parse_left(payload) if "pull_request" in payload else Ends(),
    }


def _parse_repository(repository: dict[str, Any], installation_id: int | None) -> RepositoryRef | None:
    number, name = _id(repository.get("id")), _text(repository.get("full_name"))
    if number is None or installation_id is None or not name:
        return None
    return RepositoryRef(installation_id=installation_id, id=number, full_name=name)


def _parse_issue(payload: dict[str, Any]) -> EventIssue | None:
    issue = _object(payload, "issue") or _object(payload, "pull_request")
    number = _id(issue.get("number"))
    if number is None:
        return None
    return EventIssue(
        number=number,
        title=_text(issue.get("title")),
        body=_text(issue.get("body")),
        state=_text(issue.get("state")),
        author=_parse_actor(_object(issue, "user")),
        is_pull_request="issue" not in payload or isinstance(issue.get("pull_request"), dict),
        merged=issue.get("merged") is True,
        head_sha=_text(_object(issue, "head").get("sha")) or None,
        closed_at=_parse_moment(issue.get("closed_at")),
    )


def _parse_comment(payload: dict[str, Any]) -> EventComment | None:
    """The comment, or the review when there is none: an event about a comment on a line may name its review too."""
    kinds: tuple[tuple[str, CommentKind], ...] = (
        ("comment", "review_comment" if "pull_request" in payload else "issue"),
        ("review", "review"),
    )
    for key, kind in kinds:
        comment = _object(payload, key)
        number = _id(comment.get("id"))
        if number is not None:
            return EventComment(
                id=number,
                kind=kind,
                body=_text(comment.get("body")),
                author=_parse_actor(_object(comment, "user")),
                app_id=_id(_object(comment, "performed_via_github_app").get("id")),
                state=_text(comment.get("state")).lower(),
                reply_to=_id(comment.get("in_reply_to_id")),
            )
    return None


def _parse_checks(suite: dict[str, Any]) -> EventChecks | None:
    head = _text(suite.get("head_sha"))
    if not _SHA.fullmatch(head):
        return None
    pulls = suite.get("pull_requests")
    numbers = [_id(_object({"pull": pull}, "pull").get("number")) for pull in pulls] if isinstance(pulls, list) else []
    return EventChecks(
        app_id=_id(_object(suite, "app").get("id")),
        head_sha=head,
        conclusion=_text(suite.get("conclusion")),
        pulls=tuple(number for number in numbers if number is not None),
    )


def _parse_left(payload: dict[str, Any]) -> Ends:
    """https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request: ``synchronize`` and ``edited``."""
    base = _object(_object(_object(payload, "changes"), "base"), "ref")
    return Ends(head=_text(payload.get("before")), base=_text(base.get("from")))


def _parse_actor(user: dict[str, Any]) -> Actor | None:
    number, login, kind = _id(user.get("id")), _text(user.get("login")), user.get("type")
    if number is None or not login:
        return None
    # A kind of account that we do not know may not command: it is taken for a bot.
    return Actor(id=number, login=login, type=kind if kind in _ACTOR_TYPES else "Bot")


def _parse_moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _object(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _id(value: object) -> int | None:
    # The databases hold 64 bits.
    return value if type(value) is int and 0 <= value < 2**63 else None


def _text(value: object) -> str:
    return _clean(value) if isinstance(value, str) else ""


def _clean(text: str) -> str:
    """Without NUL and the control characters that no text needs; line breaks and tabs stay."""
    return text.translate(_CONTROLS)


def _mend_surrogates(body: bytes) -> bytes:
    """Lone surrogates, which JSON can escape and UTF-8 cannot hold, become U+FFFD."""
    if not _SURROGATE.search(body):
        return body
    return _ESCAPE.sub(lambda match: rb"\ufffd" if match[2] else match[0], body)
