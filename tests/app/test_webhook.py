"""A webhook is trusted for its signature alone, and nothing in its body can do more than be refused."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.webhook import MAX_PARSED_BYTES, Event, Refused, check_headers, parse_event, verify
from workflows.types import Ends

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
HEADERS = {"content-type": "application/json", "x-github-event": "issues", "x-github-delivery": GUID}
PAYLOADS = Path(__file__).parent / "payloads"


def sign(body: bytes, secret: str = "s3cret") -> bytes:
    return b"sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()


def parse(body: bytes, **headers: str) -> Event | Refused:
    return parse_event({**HEADERS, **headers}, body, NOW)


def parsed(body: bytes, **headers: str) -> Event:
    event = parse(body, **headers)
    assert isinstance(event, Event), event
    return event


def test_githubs_own_example_verifies() -> None:
    """The vector on GitHub's page on validating deliveries is accepted."""
    signature = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert verify(b"Hello, World!", signature, ["It's a Secret to Everybody"])


GOOD = sign(b"{}")


@pytest.mark.parametrize(
    "signature",
    [
        b"", b"sha256=", GOOD[:-1], GOOD + b"0", GOOD.upper(), b"sha256=" + GOOD[7:].upper(), sign(b"{}", "other"),
        b"sha1=" + hmac.new(b"s3cret", b"{}", "sha1").hexdigest().encode(), "sha256=é".encode() + b"0" * 63,
        b"\xff" * 71, GOOD[7:], b" " + GOOD,
    ],
)  # fmt: skip
def test_any_other_signature_is_refused(signature: bytes) -> None:
    """Missing, cut, long, upper-case, SHA-1, foreign and non-ASCII signatures are refused without an error."""
    assert not verify(b"{}", signature, ["s3cret"])


@pytest.mark.parametrize("body", [b"{} ", b"{}\n", b"{]", b""])
def test_a_changed_body_is_refused(body: bytes) -> None:
    """One byte more, less or other than what was signed is refused."""
    assert not verify(body, GOOD, ["s3cret"])


def test_the_raw_bytes_are_signed() -> None:
    """Escapes, odd spacing and UTF-8 in the body are verified as they came."""
    body = '{ "a":\t"\\u00e9 \\/ é" }'.encode()
    assert verify(body, sign(body), ["s3cret"])


def test_old_and_new_secret_are_good_while_one_is_replaced() -> None:
    """Each of several secrets verifies; an empty one never does."""
    assert verify(b"{}", GOOD, ["new", "s3cret"])
    assert verify(b"{}", sign(b"{}", "new"), ["new", "s3cret"])
    assert not verify(b"{}", GOOD, ["new"])
    assert not verify(b"{}", sign(b"{}", ""), [""])
    assert not verify(b"{}", GOOD, [])


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_content_types_are_taken(content_type: str) -> None:
    """application/json is taken, with parameters and in any case."""
    assert check_headers({**HEADERS, "content-type": content_type}) is None


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("content-type", "application/x-www-form-urlencoded", 415), ("content-type", "text/plain", 415),
        ("content-type", "", 415), ("content-type", "application/jsonp", 415), ("content-encoding", "gzip", 415),
        ("x-github-delivery", "", 400), ("x-github-delivery", "x" * 10_000, 400),
        ("x-github-delivery", GUID + "\n", 400), ("x-github-delivery", "'; DROP TABLE jobs; --", 400),
        ("x-github-event", "", 400), ("x-github-event", "issues\nforged", 400), ("x-github-event", "ISSUES", 400),
    ],
)  # fmt: skip
def test_headers_that_github_does_not_send_are_refused(header: str, value: str, status: int) -> None:
    """Another content type, compression, or a delivery id or event name of another shape is refused."""
    refused = check_headers({**HEADERS, header: value})
    assert refused is not None
    assert refused.status == status


def test_the_delivery_id_has_one_spelling() -> None:
    """A GUID in upper case is the same delivery."""
    assert parsed(b"{}", **{"x-github-delivery": GUID.upper()}).delivery_id == GUID


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b'"text"', b"1", b"null", b"{", b'{"a":1}{"b":2}', b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b'{"id":' + b"1" * 5_000 + b"}", b'{"a":NaN}', b'{"a":-Infinity}',
        b'{"action":"created","action":"deleted"}', '{"a":1}'.encode("utf-16"), b'\xef\xbb\xbf{"a":1}', b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}', b'{"a":"\x00"}', b'{"a":"\\x00"}', b"{'a':1}",
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_what_is_not_one_json_object_is_refused(body: bytes) -> None:
    """Deep nesting, huge integers, NaN, duplicate keys, UTF-16 and bad UTF-8 are 400, quickly, and never an error."""
    started = time.thread_time()
    refused = parse(body)
    assert isinstance(refused, Refused)
    assert refused.status == 400
    assert time.thread_time() - started < 1


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (r"a\ud800b", "a\ufffdb"), (r"\udc00\ud800", "\ufffd\ufffd"), (r"\ud83d\ude42", "\U0001f642"),
        (r"\\ud800", r"\ud800"), (r"\\\ud800", "\\\ufffd"), (r"\ud83d\ud83d\ude42", "\ufffd\U0001f642"),
        (r"nul\u0000 bell\u0007 esc\u001b[31m", "nul bell esc[31m"), (r"line\nfeed\ttab", "line\nfeed\ttab"),
    ],
)  # fmt: skip
def test_texts_are_storable(title: str, expected: str) -> None:
    """Lone surrogates become U+FFFD, control characters go, real pairs and escaped backslashes stay."""
    event = parsed(b'{"issue":{"number":1,"title":"' + title.encode() + b'"}}')
    assert event.issue is not None
    assert event.issue.title == expected
    event.model_dump_json().encode("utf-8")


def test_the_payload_of_a_label_is_read() -> None:
    """GitHub's example of issues.labeled gives repository, actor, issue and label."""
    body = (PAYLOADS / "issues.labeled.json").read_bytes()
    payload = json.loads(body)
    event = parsed(body)
    assert event.digest == hashlib.sha256(body).hexdigest()
    assert event.received_at == NOW
    assert event.repository is not None
    assert event.repository.id == payload["repository"]["id"]
    assert event.repository.installation_id == payload["installation"]["id"]
    assert event.sender is not None
    assert event.sender.login == payload["sender"]["login"]
    assert event.issue is not None
    assert (event.issue.number, event.issue.state) == (payload["issue"]["number"], payload["issue"]["state"])
    assert not event.issue.is_pull_request
    assert event.label == payload["label"]["name"]


def test_what_a_pull_request_was_moved_away_from_is_read() -> None:
    """The head before a push, and the base before an edit of it; a push to a branch is about no pull request."""
    pushed = b'{"action":"synchronize","before":"%s","pull_request":{"number":1}}' % (b"a" * 40)
    assert parsed(pushed).left == Ends(head="a" * 40)
    edited = b'{"action":"edited","changes":{"base":{"ref":{"from":"below"}}},"pull_request":{"number":1}}'
    assert parsed(edited).left == Ends(base="below")
    assert parsed(b'{"before":"%s"}' % (b"a" * 40)).left == Ends()
    assert parsed(b'{"changes":{"base":{"ref":"below"}},"before":7,"pull_request":{}}').left == Ends()


WRONG = [None, 0, -1, 2**70, 1.5, True, "x", [], {}, [None], {"id": None}, {"id": "1", "login": 2, "number": {}}]


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize("key", ["action", "comment", "sender", "installation", "repository", "issue", "label"])
def test_null_and_odd_fields_are_absent(key: str, value: object) -> None:
    """Ghosts, nulls and fields of another type are taken for absent: never an error, never a half-read value."""
    payload = json.loads((PAYLOADS / "issues.labeled.json").read_bytes()) | {key: value}
    event = parsed(json.dumps(payload).encode())
    if key in ("comment", "sender", "repository", "issue", "label"):
        assert getattr(event, key) is None
    payload["issue"] = {"number": 1, "user": value, "title": value}
    assert parsed(json.dumps(payload).encode()).issue is not None


def test_an_unknown_kind_of_account_is_a_bot() -> None:
    """Who is neither a user nor anything else we know may not pass for a person."""
    event = parsed(b'{"sender":{"id":1,"login":"x","type":"Superuser"}}')
    assert event.sender is not None
    assert event.sender.type == "Bot"


def test_a_huge_payload_is_not_read() -> None:
    """A body beyond every event we act on is recorded without being parsed, however many keys it has."""
    body = b'{"action":"labeled","x":"' + b"x" * MAX_PARSED_BYTES + b'"}'
    event = parsed(body)
    assert event.unread
    assert event.action == ""


def test_the_largest_payload_that_is_read_is_read_quickly() -> None:
    """The most expensive body below the limit costs the process well under a second."""
    for filler in (b'"k%06d":1,', b'"\\ud800\\n%06d":1,'):
        keys = b"".join(filler % number for number in range(MAX_PARSED_BYTES // 22))
        started = time.thread_time()
        parse(b"{" + keys + b'"action":"labeled"}')
        assert time.thread_time() - started < 1


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem)
def test_every_example_is_an_event(path: Path) -> None:
    """GitHub's examples are read without loss of their kind."""
    name, _, action = path.stem.partition(".")
    event = parsed(path.read_bytes(), **{"x-github-event": name})
    assert (event.name, event.action) == (name, action)
