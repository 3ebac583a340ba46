"""The model client against a real server on loopback that misbehaves on demand."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.workflows.agent.conftest import Naps, Serve
from workflows.agent.client.llm import ATTEMPTS, OpenAIModel
from workflows.agent.client.usage import Prices
from workflows.services import BrokenWorld

Connect = Callable[..., OpenAIModel]

KEY = "sk-sentinel-1f6b"
HELLO = [{"role": "system", "content": "You help."}, {"role": "user", "content": "Hello"}]
REPLY = {"content": "Good day.", "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}}


def faulty(*faults: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**REPLY, "faults": list(faults)}]


def test_a_reply_is_taken_whole(serve: Serve, connect: Connect) -> None:
    """Content, calls with their raw arguments, finish reason and usage arrive as the endpoint sent them."""
    call = {"id": "a1", "name": "bash", "arguments": '{"command": "ls"'}
    server = serve([{"content": "I look.", "tool_calls": [call], "finish_reason": "length"}])
    reply = connect(server).complete(HELLO)
    assert (reply.content, reply.finish_reason) == ("I look.", "length")
    assert [(c.id, c.name, c.arguments) for c in reply.tool_calls] == [("a1", "bash", '{"command": "ls"')]


def test_the_request_holds_what_was_asked(serve: Serve, connect: Connect) -> None:
    """Model, messages, tools and sampling are sent as they are; an empty tool list is not sent at all."""
    server = serve([REPLY])
    tool = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object", "properties": {}}}}
    connect(server, sampling={"temperature": 0.7, "top_k": 20}).complete(HELLO, tools=[tool])
    connect(server).complete(HELLO)
    first, second = (request.json for request in server.completions())
    plain = {"messages": HELLO, "model": "scripted-session", "stream": True, "stream_options": {"include_usage": True}}
    assert first == {**plain, "temperature": 0.7, "top_k": 20, "tools": [tool]}
    assert second == plain


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 502, "html": True},
        {"status": 529},
        {"status": 408},
        {"status": 429},
        {"cut": 0},
        {"cut": 100},
        {"malformed": True},
        {"body": {"error": {"message": "upstream broke", "code": 502}}},
        {"body": {"error": "overloaded"}},
        {"body": {"choices": []}},
        {"body": {"choices": [{"message": {"content": "half"}, "finish_reason": "error"}]}},
        {"body": []},
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again(serve: Serve, connect: Connect, naps: Naps, fault: dict[str, Any]) -> None:
    """Server errors, rate limits, cut answers and errors inside a 200 are retried, and nothing of them is kept."""
    server = serve(faulty(fault, fault))
    reply = connect(server).complete(HELLO)
    assert reply.content == "Good day."
    assert len(server.completions()) == 3
    assert len(naps.taken) == 2


def test_an_answer_cut_anywhere_is_discarded(serve: Serve, connect: Connect) -> None:
    """Whatever the byte at which the connection breaks, no half reply comes out."""
    server = serve([{**REPLY, "faults": [{"cut": place} for place in range(0, 300, 37)]}])
    assert connect(server).complete(HELLO).content == "Good day."
    assert len(server.completions()) == 10


def test_retry_after_is_obeyed(serve: Serve, connect: Connect, naps: Naps) -> None:
    """The wait is what the endpoint asked for, and a little more so that many clients do not return at once."""
    server = serve(faulty({"status": 429, "retry_after": 17}))
    connect(server).complete(HELLO)
    assert naps.taken == [18.0]


def test_waits_grow_and_are_jittered(serve: Serve, connect: Connect, naps: Naps) -> None:
    """Without Retry-After the wait is drawn from zero to a doubling bound of at most a minute."""
    server = serve(faulty(*[{"status": 503}] * 8))
    drawn: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    connect(server, jitter=jitter).complete(HELLO)
    assert drawn == [(0.0, bound) for bound in (2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0)]


def test_attempts_are_bounded(serve: Serve, connect: Connect) -> None:
    """An endpoint that stays broken is left after ten attempts, with its last words."""
    server = serve(faulty({"status": 503, "times": -1}))
    with pytest.raises(BrokenWorld, match=r"no usable answer in 10 attempts.*HTTP 503.*scripted fault") as broken:
        connect(server).complete(HELLO)
    assert broken.value.kind == "model"
    assert len(server.completions()) == ATTEMPTS


def test_a_wait_beyond_the_deadline_is_not_begun(serve: Serve, connect: Connect, naps: Naps) -> None:
    """When the endpoint asks for more patience than there is, the answer comes at once."""
    server = serve(faulty({"status": 429, "retry_after": 3600}))
    with pytest.raises(BrokenWorld, match="1 attempts"):
        connect(server).complete(HELLO, deadline=60.0)
    assert naps.taken == []


@pytest.mark.parametrize("fault", [{"hang": 30}, {"drip": 0.05}], ids=str)
def test_the_deadline_ends_an_answer_that_never_comes(serve: Serve, connect: Connect, fault: dict[str, Any]) -> None:
    """Silence, and a server that sends a byte now and then, end with the deadline and not with the server."""
    server = serve(faulty({**fault, "times": -1}))
    started = time.monotonic()
    with pytest.raises(BrokenWorld, match="in time"):
        connect(server).complete(HELLO, deadline=0.5)
    assert time.monotonic() - started < 20.0


def test_a_hang_is_tried_again(serve: Serve, connect: Connect) -> None:
    """One attempt that hangs does not use up the deadline, and what it cost is counted as an estimate."""
    server = serve(faulty({"hang": 30}))
    reply = connect(server, request_timeout=0.3).complete(HELLO, deadline=60.0)
    assert reply.content == "Good day."
    assert reply.usage.estimated
    assert reply.usage.input_tokens > 100


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ({"status": 401}, "Set OPENAI_API_KEY"),
        ({"status": 402}, "out of credit"),
        ({"status": 429, "body": {"error": {"code": "insufficient_quota", "message": "quota"}}}, "out of credit"),
        ({"status": 403}, "Ask the provider for access"),
        ({"status": 404}, "Check OPENAI_BASE_URL"),
        ({"status": 307}, "Set OPENAI_BASE_URL to the final address"),
        ({"status": 400, "body": {"error": {"message": "unknown field top_k"}}}, "unknown field top_k"),
        ({"status": 400, "body": {"error": {"code": "context_length_exceeded"}}}, "larger context"),
        ({"status": 413, "body": {"message": "the prompt is too long"}}, "larger context"),
        ({"body": {"error": {"code": 401, "message": "no"}}}, "Set OPENAI_API_KEY"),
        ({"html": True}, "web page instead of JSON"),
        ({"body": {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}}, "content filter"),
    ],
    ids=str,
)
def test_what_cannot_pass_is_not_tried_again(
    serve: Serve, connect: Connect, fault: dict[str, Any], advice: str
) -> None:
    """A wrong key, address or model, an empty account and a full context end at once with what to do about it."""
    server = serve(faulty({**fault, "times": -1}))
    with pytest.raises(BrokenWorld, match=advice) as broken:
        connect(server).complete(HELLO)
    assert broken.value.kind == "model"
    assert len(server.completions()) == 1


def test_redirects_are_not_followed(serve: Serve, connect: Connect) -> None:
    """The issue and the code go to the address that was set, and nowhere else."""
    elsewhere = serve([REPLY])
    server = serve(faulty({"status": 307, "location": f"{elsewhere.url}/chat/completions", "times": -1}))
    with pytest.raises(BrokenWorld, match="final address"):
        connect(server).complete(HELLO)
    assert elsewhere.requests == []


def test_a_kept_connection_that_is_closed_is_no_failure(serve: Serve, connect: Connect, naps: Naps) -> None:
    """The same request goes out on another connection at once: no attempt is lost, and nobody waits."""
    server = serve(faulty({"hang_up": True}))
    assert connect(server, attempts=1).complete(HELLO).content == "Good day."
    first, second = server.completions()
    assert first.client != second.client
    assert naps.taken == []


def test_a_server_that_always_hangs_up_is_a_failure(serve: Serve, connect: Connect, naps: Naps) -> None:
    """Then the attempts and their waits are as for any other broken connection."""
    server = serve(faulty({"hang_up": True, "times": -1}))
    with pytest.raises(BrokenWorld, match=r"in 3 attempts.*connection failed"):
        connect(server, attempts=3).complete(HELLO)
    assert len(server.completions()) == 6
    assert len(naps.taken) == 2


def test_nobody_listens(connect: Connect, serve: Serve) -> None:
    """A refused connection is retried, and then says where nobody was."""
    server = serve([REPLY])
    server.stop()
    with pytest.raises(BrokenWorld, match=r"127\.0\.0\.1.*connection failed"):
        connect(server).complete(HELLO)
    server.__exit__ = lambda *_: None  # type: ignore[method-assign]


def test_the_key_appears_in_no_text(serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """Not in the message, the repr, the chained exceptions or the log, even when the endpoint quotes the key."""
    caplog.set_level(logging.DEBUG)
    server = serve([REPLY], api_key="another")
    model = connect(server)
    with structlog.testing.capture_logs() as events, pytest.raises(BrokenWorld) as broken:
        model.complete(HELLO)
    echo = {"error": {"message": f"Bad gateway for Bearer {KEY}"}}
    quoting = connect(serve(faulty({"status": 500, "body": echo, "times": -1})))
    with structlog.testing.capture_logs() as more, pytest.raises(BrokenWorld) as again:
        quoting.complete(HELLO)
    texts = [str(broken.value), repr(model), str(model.check()), str(again.value), str(events), str(more), caplog.text]
    assert more, "the attempts are logged"
    assert not [text for text in texts if KEY in text]
    assert broken.value.__suppress_context__


def test_money_is_counted(serve: Serve, connect: Connect) -> None:
    """Cached input has its own price; a provider's own figure wins."""
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 800}}
    server = serve([{**REPLY, "usage": usage}])
    prices = Prices(input=2.0, cached_input=0.5, output=10.0)
    spent = connect(server, prices=prices).complete(HELLO).usage
    assert (spent.input_tokens, spent.cached_tokens, spent.output_tokens) == (1_000, 800, 100)
    assert spent.usd == pytest.approx((200 * 2.0 + 800 * 0.5 + 100 * 10.0) / 1_000_000)
    assert not spent.estimated
    charged = connect(serve([{**REPLY, "usage": {**usage, "cost": 0.25}}])).complete(HELLO).usage
    assert charged.usd == 0.25


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": "many"}])
def test_missing_usage_is_estimated(serve: Serve, connect: Connect, usage: Any) -> None:
    """A provider that is silent about usage, or says zero, does not make a session free."""
    server = serve([{"content": "word " * 100, "usage": usage}])
    spent = connect(server, prices=Prices(input=1.0, output=1.0)).complete(HELLO).usage
    assert spent.estimated
    assert spent.input_tokens > 10
    assert spent.output_tokens == 125
    assert spent.usd > 0


def test_an_empty_reply_is_asked_for_again(serve: Serve, connect: Connect) -> None:
    """Twice, then it is returned as it is; what the lost ones cost is counted."""
    empty = {"choices": [{"message": {"content": " "}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7}}
    once = serve(faulty({"body": empty}))
    reply = connect(once).complete(HELLO)
    assert (reply.content, reply.usage.input_tokens) == ("Good day.", 107)
    always = serve(faulty({"body": empty, "times": -1}))
    assert connect(always).complete(HELLO).content == " "
    assert len(always.completions()) == 3


def test_lone_surrogates_can_be_sent_and_received(serve: Serve, connect: Connect) -> None:
    """Half a character in an issue's title, or in a reply, becomes a question mark."""
    body = {"choices": [{"message": {"content": "a\ud800b"}}]}
    server = serve(faulty({"body": {"choices": [{"message": {"content": "ok"}}]}}))
    assert connect(server).complete([{"role": "user", "content": "\ud83d broken ü"}]).content == "ok"
    assert server.completions()[0].json["messages"][0]["content"] == "? broken ü"
    assert connect(serve(faulty({"body": _escaped(body)}))).complete(HELLO).content == "a?b"


def _escaped(body: dict[str, Any]) -> Any:
    return body


def test_many_threads_share_one_client(serve: Serve, connect: Connect) -> None:
    """Jobs of one worker use one client at the same time."""
    server = serve([REPLY])
    model = connect(server)
    contents: list[str] = []
    threads = [threading.Thread(target=lambda: contents.append(model.complete(HELLO).content)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents == ["Good day."] * 8


def test_check_tells_the_truth(serve: Serve, connect: Connect) -> None:
    """A listed model is fine without a completion; an unlisted one is asked for one token; a dead endpoint is not."""
    server = serve([REPLY])
    assert connect(server).check()[0]
    assert server.completions() == []
    assert connect(server, model="another").check()[0]
    assert server.completions()[0].json["max_tokens"] == 1
    locked = serve([REPLY], api_key="another")
    assert connect(locked).check() == (
        False,
        "The model endpoint refused the API key (401). Set OPENAI_API_KEY to a valid key and restart.",
    )
    dead = serve(faulty({"hang": 30, "times": -1}))
    started = time.monotonic()
    assert connect(dead).check(call=True, deadline=0.3) == (
        False,
        f"The model endpoint {dead.url} does not answer: no answer in time",
    )
    assert time.monotonic() - started < 20.0


def test_a_private_authority_is_trusted_through_ssl_cert_file(
    serve: Serve, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a company's proxy, SSL_CERT_FILE is enough; without it the message names it."""
    certificate, key = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = serve([REPLY], tls=context)
    with pytest.raises(BrokenWorld, match="SSL_CERT_FILE"):
        connect(server).complete(HELLO)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert connect(server).complete(HELLO).content == "Good day."


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    address = x509.IPAddress(__import__("ipaddress").ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem, key = folder / "authority.pem", folder / "authority.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    unprotected = serialization.NoEncryption()
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unprotected))
    return pem, key
