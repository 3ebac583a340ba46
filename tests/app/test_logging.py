"""No secret reaches a log line in any spelling, and no text can forge a second line."""

from __future__ import annotations

import base64
import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
import structlog

from app.logging import configure_logging
from app.redaction import BLOT, Redactor

SENTINEL = "wh/Sentinel+4711=&ü-real-secret"
KEY_LINES = "MIIEsentinelAAAAAAAAAAAAAAAA+/\nBBBBsentinelBBBBBBBBBBBB=="
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_LINES}\n-----END RSA PRIVATE KEY-----\n"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxMjM0NSJ9.c2VudGluZWwtc2lnbmF0dXJl"
TOKENS = [
    "ghs_" + "A1b2C3d4" * 5, "ghs_12345_" + JWT, "ghp_" + "z" * 36, "gho_" + "z" * 36, "github_pat_" + "11ABC_x" * 8,
    "sk-proj-" + "q" * 40, JWT, PEM, PEM.replace("\n", "\\n"),
]  # fmt: skip

Log = Callable[[], str]


@pytest.fixture(params=["json", "console"])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """What was logged so far; the logging of the test run is put back afterwards."""
    root = logging.getLogger()
    before, level, hook = root.handlers[:], root.level, threading.excepthook
    stream = io.StringIO()
    configure_logging(style=request.param, level="info", redactor=Redactor([SENTINEL, PEM]), stream=stream)
    yield stream.getvalue
    root.handlers[:] = before
    root.setLevel(level)
    threading.excepthook = hook
    logging.captureWarnings(False)
    structlog.reset_defaults()


def encode_within(before: bytes, secret: bytes, after: bytes) -> tuple[str, str]:
    """The base64 of a text around the secret, and the letters of it that the secret alone decides."""
    whole = base64.b64encode(before + secret + after).decode()
    return whole, whole[-(-len(before) * 8 // 6) : (len(before) + len(secret)) * 8 // 6]


def spellings(secret: str) -> list[tuple[str, str]]:
    """Texts that hold the secret, each with the part of it that must not be seen."""
    raw = secret.encode()
    plain = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), raw.hex(), raw.hex().upper()]
    around = [(b"", b""), (b"x-access-token:", b""), (b"u:", b"!"), (b"abc", b"de"), (b"a", b"bc")]
    encoded = [encode_within(before, raw, after) for before, after in around]
    safe = [tuple(part.replace("+", "-").replace("/", "_") for part in pair) for pair in encoded]
    return [*((text, text) for text in plain), *encoded, *safe]  # type: ignore[list-item]


def leaks(text: str, secret: str) -> list[str]:
    """Runs of the secret's spellings, long enough to matter, that the text holds."""
    return [run for _, part in spellings(secret) for run in windows(part) if run in text]


def windows(text: str, width: int = 12) -> list[str]:
    return [text[start : start + width] for start in range(len(text) - width + 1)]


@pytest.mark.parametrize(("text", "part"), spellings(SENTINEL))
def test_a_registered_secret_is_blotted_out_in_every_spelling(log: Log, text: str, part: str) -> None:
    """Raw, url-encoded, hex, and base64 at any offset: in the event, a value, a nested value and a key."""
    logger = structlog.get_logger("test")
    logger.info(f"said {text} aloud", value=text, nested={"list": [{text: (text,)}], "raw": text.encode()})
    assert BLOT in log()
    assert not [run for run in windows(part) if run in log()]


def test_an_exceptions_text_is_redacted(log: Log) -> None:
    """Messages, causes and notes in a traceback are redacted like everything else."""
    try:
        try:
            raise ValueError(f"cannot reach https://x-access-token:{TOKENS[0]}@github.com with {SENTINEL}")
        except ValueError as error:
            raise RuntimeError(f"Authorization: Bearer {TOKENS[1]}") from error
    except RuntimeError:
        structlog.get_logger("test").exception("broken")
        logging.getLogger("some.library").exception("broken %s", SENTINEL)
    assert "RuntimeError" in log()
    assert "Traceback" in log()
    for secret in (SENTINEL, TOKENS[0], TOKENS[1]):
        assert not leaks(log(), secret)


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:14])
def test_what_looks_like_a_secret_is_blotted_out(log: Log, token: str) -> None:
    """Tokens of GitHub and of model providers, JWTs and private keys are redacted without being registered."""
    structlog.get_logger("test").info("seen", text=f"before {token} after")
    assert not [part for part in windows(token.strip(), 24) if part in log()]
    assert "before" in log()


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc123def456ghi", "authorization: token abc123def456ghi",
        "'Authorization': 'abc123def456ghi'",
        '{"Authorization": "Basic abc123def456ghi"}', "https://user:abc123def456ghi@example.com/x",
        "https://x-access-token:abc123def456ghi@github.com/o/r.git",
        "http.extraheader=AUTHORIZATION: basic abc123def456ghi",
        "postgresql://me:abc123def456ghi@db/x",
    ],
)  # fmt: skip
def test_credentials_are_known_by_their_place(log: Log, text: str) -> None:
    """Authorization headers and credentials in URLs are redacted whatever they are."""
    structlog.get_logger("test").info("seen", text=text)
    assert "abc123def456ghi" not in log()


def test_ordinary_text_stays(log: Log) -> None:
    """Commits, paths, URLs and prose are not blotted out."""
    text = "commit 3390ae0f2b7c1d4e5f60718293a4b5c6d7e8f901 of https://github.com/octo/hello: skin-deep.py, risk-free"
    structlog.get_logger("test").info("seen", text=text)
    assert text in log()
    assert BLOT not in log()


@pytest.mark.parametrize(
    "text",
    [
        "a\nforged line",
        "a\r\nb",
        "a\x1b[2Jb",
        "a\x9b31mb",
        "a\u2028b",
        "a\u202eb",
        "a\x00b",
        "a\x85b",
        "a\ud800b",
        "a\x08b",
    ],
)
def test_no_text_forges_a_line(log: Log, text: str) -> None:
    """Line breaks, terminal escapes, bidi marks and lone surrogates are made visible: one event stays one line."""
    structlog.get_logger("test").info(text, value=text, nested=[{text: text}])
    logging.getLogger("uvicorn.error").warning("%s", text)
    assert len(log().splitlines()) == 2
    assert all(character.isprintable() or character == "\n" for character in log())
    assert not [line for line in log().split("\n") if line.startswith("forged")]


def test_a_traceback_cannot_forge_a_line(log: Log) -> None:
    """A message with line breaks inside a traceback never looks like an event of its own."""
    try:
        raise ValueError("x\n2026-11-23T00:00:00Z [info     ] job_ended")
    except ValueError:
        structlog.get_logger("test").exception("broken")
    lines = log().splitlines()
    assert len(lines) == 1 or all(line.startswith("  | ") for line in lines[1:])


def test_ids_are_bound_to_every_line(log: Log) -> None:
    """Within a job, our own lines and those of libraries carry its id and its delivery's."""
    with structlog.contextvars.bound_contextvars(job="gh-1", delivery="guid-2"):
        structlog.get_logger("test").info("ours")
        logging.getLogger("dbos").error("theirs")
    for line in log().splitlines():
        assert "gh-1" in line
        assert "guid-2" in line
    structlog.get_logger("test").info("later")
    assert "gh-1" not in log().splitlines()[-1]


@pytest.mark.parametrize(
    "name", ["uvicorn", "uvicorn.error", "dbos", "urllib3.connectionpool", "openai", "root", "anything"]
)
def test_libraries_log_through_us(log: Log, name: str) -> None:
    """Warnings of every library come through the same scrubbing, once; their chatter below does not."""
    logging.getLogger(name).warning("key %s", SENTINEL, extra={"more": SENTINEL})
    assert log().count(BLOT) == 1
    assert not leaks(log(), SENTINEL)
    logging.getLogger("urllib3.connectionpool").debug("GET /secret")
    logging.getLogger("openai").info("request body")
    assert len(log().splitlines()) == 1


def test_a_threads_bug_is_logged_and_redacted(log: Log) -> None:
    """An exception that ends a thread is an event like others, not a print to the terminal."""

    def fail() -> None:
        raise ValueError(f"broken {SENTINEL}")

    thread = threading.Thread(target=fail, name="keeper")
    thread.start()
    thread.join()
    assert "thread_bug" in log()
    assert "keeper" in log()
    assert not leaks(log(), SENTINEL)


def test_a_json_line_is_one_object() -> None:
    """JSON lines have the event, level, time and values as they are; odd values are told by their text."""
    stream = io.StringIO()
    configure_logging(style="auto", level="warning", redactor=Redactor(), stream=stream)
    structlog.get_logger("test").info("too quiet")
    structlog.get_logger("test").warning("said", number=3, none=None, flag=True, when=ValueError("odd"), big="ü" * 3)
    structlog.reset_defaults()
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["logger"]) == ("said", "warning", "test")
    assert (line["number"], line["none"], line["flag"], line["when"], line["big"]) == (3, None, True, "odd", "üüü")
    assert line["timestamp"].endswith("Z")


def test_a_short_word_is_not_taken_for_a_secret() -> None:
    """A secret of a few letters is not looked for: it would blot out the words around it."""
    assert Redactor(["abc"]).redact("abcdef") == "abcdef"


def test_a_late_secret_is_known_from_then_on() -> None:
    """A token that is minted while we run is redacted once it is registered."""
    redactor = Redactor()
    redactor.register("late-secret-value")
    assert redactor.redact("x late-secret-value y") == f"x {BLOT} y"


def test_long_texts_are_redacted_in_linear_time() -> None:
    """Megabytes that look like the beginning of a secret cost no more than other megabytes."""
    redactor = Redactor([SENTINEL])
    for text in (
        "-----BEGIN PRIVATE KEY-----" * 40_000,
        "eyJ" * 300_000,
        "://" * 300_000,
        "authorization " * 80_000,
        "a:" * 500_000,
    ):
        redactor.redact(text)


@pytest.mark.parametrize(
    "piece", ["-eyJ", "eyJ", "-eyJaaaaaaaa.", "-sk-", "gho_", "://a:", "-----BEGIN PRIVATE KEY-----"]
)
def test_a_long_text_is_redacted_quickly(piece: str) -> None:
    """No repetition in a message of 40,000 characters makes the redaction slow."""
    hostile = (piece * 40_000)[:40_000]
    started = time.thread_time()
    Redactor().redact(hostile)
    assert time.thread_time() - started < 0.5
