"""One exchange with a server that answers rudely: what is definite, what is unclear, and where nothing ever goes."""

from __future__ import annotations

import logging

import pytest
from github.Auth import Token

from app.github_wire import Answer, Limited, Unclear, Wire
from tests.app.rude_server import RESET, SILENCE, RudeServer, answer, rude_server
from workflows.services import BrokenWorld

SENTINEL = "ghs_SENTINELtokenSENTINEL"


def ask(server: RudeServer, verb: str = "GET", path: str = "/x", **more: object) -> Answer:
    wire = Wire(server.url, user_agent="forgehand/test", timeouts=(2.0, 0.3))
    try:
        return wire.exchange(verb, path, auth=Token(SENTINEL), **more)  # type: ignore[arg-type]
    finally:
        wire.close()


def test_request_says_who_and_what() -> None:
    """Each request carries our user agent, the API version and the token in a header, never in the address."""
    with rude_server(answer(200, {"a": 1})) as server:
        got = ask(server, "POST", "/repos/o/r/issues", parameters={"page": "2"}, body={"title": "é"})
        head, body = server.requests[0].decode().split("\r\n\r\n")
    assert (got.status, got.data) == (200, {"a": 1})
    assert head.startswith("POST /repos/o/r/issues?page=2 HTTP/1.1\r\n")
    assert SENTINEL not in head.split("\r\n")[0]
    for line in (
        "user-agent: forgehand/test",
        "x-github-api-version: 2022-11-28",
        f"authorization: token {SENTINEL}",
        "accept: application/vnd.github+json",
    ):
        assert line.lower() in head.lower().split("\r\n")
    assert body == '{"title": "\\u00e9"}'


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(RESET, id="connection cut"),
        pytest.param(SILENCE, id="no answer in time"),
        pytest.param(answer(500, {"message": "x"}), id="500"),
        pytest.param(answer(502, text="<html>Bad gateway</html>"), id="502 in HTML"),
        pytest.param(answer(200, text="<html>Unicorn!</html>"), id="200 in HTML"),
        pytest.param(answer(200, text='{"id": 1, "bo'), id="truncated JSON, right length"),
        pytest.param(answer(200, {"id": 1, "body": "long"})[:-9], id="truncated JSON, cut connection"),
        pytest.param(answer(201, {"id": 1})[:20], id="cut in the headers"),
        pytest.param(answer(200, text=""), id="empty"),
        pytest.param(answer(202), id="not ready"),
    ],
)
def test_unclear_answers(reply: bytes) -> None:
    """An answer that does not say what happened is Unclear, asked once here, and tells nothing of the token."""
    with rude_server(reply) as server:
        with pytest.raises(Unclear) as unclear:
            ask(server)
        assert len(server.requests) == 1
    assert SENTINEL not in f"{unclear.value!r} {unclear.value} {unclear.value.__cause__!r}"


def test_nobody_listens() -> None:
    """A refused connection is Unclear and says where it was."""
    with rude_server() as server:
        pass
    with pytest.raises(Unclear, match=r"127\.0\.0\.1"):
        ask(server)


def test_503_asks_for_patience() -> None:
    """The pause that a 503 asks for is kept."""
    with rude_server(answer(503, Retry_After="17")) as server, pytest.raises(Unclear) as unclear:
        ask(server)
    assert unclear.value.pause == 17


def test_limited() -> None:
    """A secondary limit is told apart from a refusal."""
    with rude_server(answer(403, {"message": "no"}, Retry_After="60"), answer(403, {"message": "no"})) as server:
        with pytest.raises(Limited):
            ask(server)
        assert ask(server).message == "no"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_never_followed(status: int) -> None:
    """A redirect is an answer, on our own host or on another: nobody else gets the request or the token."""
    with rude_server() as foreign, rude_server(answer(status, Location=f"{foreign.url}/x")) as server:
        assert ask(server).moved
        assert (len(server.requests), len(foreign.requests)) == (1, 0)


def test_next_page_stays_on_our_host() -> None:
    """Of a link to the next page only the query is taken, and a link to another host is refused aloud."""
    wire = Wire("https://ghe.example/api/v3", user_agent="x", timeouts=(1.0, 1.0))
    own = '<https://ghe.example/api/v3/repositories/1/issues?page=2&per_page=100>; rel="next", <https://x>; rel="last"'
    assert wire.next_page(Answer(200, {"link": own})) == {"page": "2", "per_page": "100"}
    assert wire.next_page(Answer(200, {"link": '<https://ghe.example/api/v3/a?page=1>; rel="prev"'})) is None
    assert wire.next_page(Answer(200, {})) is None
    for foreign in (
        "https://evil.example/api/v3/a?page=2",
        "http://ghe.example/api/v3/a?page=2",
        "//evil.example/?page=2",
    ):
        with pytest.raises(BrokenWorld, match="was not fetched"):
            wire.next_page(Answer(200, {"link": f'<{foreign}>; rel="next"'}))


@pytest.mark.parametrize(
    "path", ["/repos/o/r/issues/1/labels/..", "/repos/o/r/issues/1/labels/%2E", "/contents/a/../b"]
)
def test_paths_that_would_become_others(path: str) -> None:
    """A label named '..' must not make us delete something else: such a path is not sent."""
    with rude_server() as server:
        with pytest.raises(BrokenWorld):
            ask(server, "DELETE", path)
        assert server.requests == []


def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With all logging on, neither the token we send nor the one in a body is written out."""
    # Each by its name: a process that has logged as a service does keeps these quiet.
    for name in ("", "urllib3", "github", "github.Requester"):
        caplog.set_level(logging.DEBUG, logger=name)
    with rude_server(answer(201, {"token": SENTINEL})) as server:
        ask(server, "POST", "/app/installations/1/access_tokens", body={})
    assert caplog.records  # urllib3's own lines show that logging was on
    assert SENTINEL not in caplog.text


def test_refusal_quotes_github() -> None:
    """GitHub's own words, with the details of a validation error, on one short line."""
    body = {
        "message": "Validation Failed",
        "errors": [{"message": "No commits\nbetween a and b"}, {"field": "base", "code": "invalid"}, "x"],
    }
    assert Answer(422, {}, body).message == "Validation Failed; No commits between a and b; base invalid; x"
    assert len(Answer(422, {}, {"message": "y" * 9999}).message) == 300
    assert Answer(404, {}, None).message == ""
