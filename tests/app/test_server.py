"""The HTTP edge on a real socket: 2xx means it is on the disk, and no body can stop the others."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.bodies import BodyBudget
from app.connections import SPARE_CONNECTIONS
from app.dispatch import Audience
from app.readiness import Check
from app.server import create_app
from app.webhook import MAX_BODY_BYTES
from tests.app.served import SECRET, deliver, delivery_headers, request, serve, sign
from tests.ports import ReservedPort
from workflows.durable.database import open_engine
from workflows.durable.queue import Queue

ROOT = Path(__file__).parents[2]
LABELED = (Path(__file__).parent / "payloads" / "issues.labeled.json").read_bytes()
BODY_SECONDS = 30.0
"""Enough for any body, on a busy machine too."""


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    queue = Queue(f"sqlite:///{tmp_path / 'queue.sqlite3'}", worker=False)
    queue.start()
    yield queue
    queue.stop()


@pytest.fixture
def port(queue: Queue) -> Iterator[int]:
    app = create_app(
        queue=queue, secrets=["new-secret", SECRET], audience=Audience(), checks={}, body_seconds=BODY_SECONDS
    )
    with serve(app) as port:
        yield port


def jobs(queue: Queue) -> list[str]:
    return [record.job.id for record in queue.jobs(limit=1000)]


def test_a_label_is_stored_with_its_job_before_the_answer(queue: Queue, port: int) -> None:
    """202 names a job that is already in the database, and the delivery is on record with the decision."""
    guid = str(uuid.uuid4())
    answer = deliver(port, LABELED, guid=guid)
    assert answer.status == 202
    assert answer.json["job"] == f"gh-{guid}"
    assert jobs(queue) == [f"gh-{guid}"]
    stored = queue.delivery(guid)
    assert stored is not None
    assert (stored.event, stored.action, stored.job_id) == ("issues", "labeled", f"gh-{guid}")


def test_a_redelivery_makes_no_second_job(queue: Queue, port: int) -> None:
    """The same delivery id again is answered 2xx with the first one's job."""
    guid = str(uuid.uuid4())
    first, second = deliver(port, LABELED, guid=guid), deliver(port, LABELED, guid=guid)
    assert (first.status, second.status) == (202, 202)
    assert second.json == first.json | {"duplicate": True}
    assert len(jobs(queue)) == 1


def test_fifty_copies_at_once_make_one_job(queue: Queue, port: int) -> None:
    """Fifty connections with one delivery id: all 202, one job."""
    guid = str(uuid.uuid4())
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: deliver(port, LABELED, guid=guid), range(50)))
    assert {answer.status for answer in answers} == {202}
    assert Counter(answer.json["duplicate"] for answer in answers) == {False: 1, True: 49}
    assert jobs(queue) == [f"gh-{guid}"]


@pytest.mark.parametrize(("event", "body"), [("ping", b"{}"), ("gollum", b"{}"), ("issues", b'{"action":"pinned"}')])
def test_what_is_ignored_is_recorded_with_a_reason(queue: Queue, port: int, event: str, body: bytes) -> None:
    """Pings, unknown events and unknown actions are answered 2xx and can be looked up."""
    guid = str(uuid.uuid4())
    answer = deliver(port, body, event=event, guid=guid)
    assert answer.status == 202
    assert answer.json["job"] is None
    stored = queue.delivery(guid)
    assert stored is not None
    assert stored.decision == answer.json["decision"]
    assert stored.decision.startswith("Ignored: ")
    assert jobs(queue) == []


def test_closing_the_issue_cancels_its_job(queue: Queue, port: int) -> None:
    """issues.closed cancels the waiting job of that issue."""
    job = deliver(port, LABELED).json["job"]
    closed = json.dumps(json.loads(LABELED) | {"action": "closed"}).encode()
    answer = deliver(port, closed)
    assert answer.status == 202
    assert "1 running job(s) cancelled" in answer.json["decision"]
    assert [record.job.id for record in queue.jobs(states=["cancelled"])] == [job]


def test_a_closing_delivered_again_ends_nothing_that_came_after(queue: Queue, port: int) -> None:
    """Redelivered, or delivered hours late: what was asked for since goes on."""
    closed = json.dumps(json.loads(LABELED) | {"action": "closed"}).encode()
    guid = str(uuid.uuid4())
    deliver(port, closed, guid=guid)
    job = deliver(port, LABELED).json["job"]
    assert deliver(port, closed, guid=guid).json["duplicate"]
    late = json.loads(LABELED) | {"action": "closed"}
    late["issue"]["closed_at"] = "2019-05-15T15:20:18Z"
    assert "0 running job(s) cancelled" in deliver(port, json.dumps(late).encode()).json["decision"]
    assert [record.job.id for record in queue.jobs(states=["queued"])] == [job]


def test_what_a_crash_left_unsaid_is_said_after_the_redelivery(queue: Queue, port: int) -> None:
    """The process died after it had cancelled and before the delivery was stored: the redelivery has it said."""
    job = deliver(port, LABELED).json["job"]
    queue.cancel(job)
    closed = json.dumps(json.loads(LABELED) | {"action": "closed"}).encode()
    tidy = deliver(port, closed).json["job"]
    assert tidy is not None
    assert tidy in jobs(queue)


def test_our_name_is_used_as_soon_as_it_is_known(queue: Queue) -> None:
    """GitHub could not say it at the start: a comment to us by name is read as one once it has."""
    known: list[str] = []
    app = create_app(
        queue=queue, secrets=[SECRET], audience=Audience(), checks={}, slug=lambda: known[0] if known else None
    )
    comment = {"id": 3, "body": "@forgehand fix", "user": {"id": 5, "login": "mona", "type": "User"}}
    body = json.dumps(json.loads(LABELED) | {"action": "created", "comment": comment}).encode()
    with serve(app) as port:
        assert deliver(port, body, event="issue_comment").json["job"] is None
        known.append("forgehand")
        assert deliver(port, body, event="issue_comment").json["job"] is not None


def test_a_rotated_secret_is_good_meanwhile(queue: Queue, port: int) -> None:
    """Both secrets are accepted while one replaces the other."""
    assert deliver(port, LABELED, X_Hub_Signature_256=sign(LABELED, "new-secret")).status == 202
    assert deliver(port, LABELED, X_Hub_Signature_256=sign(LABELED, "older-secret")).status == 401


def test_an_app_without_a_secret_is_not_made(queue: Queue) -> None:
    """A server that would take unsigned deliveries does not start."""
    for secrets in ([], [""]):
        with pytest.raises(ValueError, match="webhook secret"):
            create_app(queue=queue, secrets=secrets, audience=Audience(), checks={})


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b'{"a":"\xff"}'],
    ids=["[", "{", "ff"],
)
def test_nothing_is_parsed_before_it_is_verified(queue: Queue, port: int, body: bytes) -> None:
    """A hostile body with a forged signature is 401; signed it is 400; the server lives on."""
    assert deliver(port, body, X_Hub_Signature_256=sign(body, "forged")).status == 401
    assert deliver(port, body).status == 400
    assert deliver(port, LABELED).status == 202
    assert queue.deliveries()[0].event == "issues"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "text/plain"}, 415), ({"Content_Encoding": "gzip"}, 415), ({"X_GitHub_Delivery": "1"}, 400),
        ({"X_GitHub_Event": "a b"}, 400),
    ],
)  # fmt: skip
def test_wrong_headers_are_refused(queue: Queue, port: int, headers: dict[str, str], status: int) -> None:
    """A signed body with headers that GitHub does not send is refused in words, and not stored."""
    answer = deliver(port, LABELED, **headers)
    assert answer.status == status
    assert answer.json["error"].endswith(".")
    assert queue.deliveries() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/webhook", 405), ("PUT", "/webhook", 405), ("DELETE", "/webhook", 405), ("POST", "/healthz", 405),
        ("GET", "/", 404), ("GET", "/docs", 404), ("GET", "/openapi.json", 404), ("GET", "/redoc", 404),
        ("POST", "/webhook/", 404),
    ],
)  # fmt: skip
def test_other_ways_are_closed(port: int, method: str, path: str, status: int) -> None:
    """Other methods are 405, other paths 404 (a slash is not redirected), and no answer says what serves it."""
    answer = request(port, method, path)
    assert answer.status == status
    assert b"Traceback" not in answer.body
    assert "server" not in answer.headers


# Raw sockets


def talk(port: int, *parts: bytes) -> bytes:
    """What the server says to these bytes until it closes or has answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as peer:
        try:
            for part in parts:
                peer.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer_of(peer)


def answer_of(peer: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := peer.recv(65536):
            received += chunk
    except (ConnectionResetError, TimeoutError):
        pass
    return received


def head(**headers: str) -> bytes:
    """The head of a delivery that is signed in form; ``headers`` replace (underscores stand for hyphens)."""
    replaced = delivery_headers(b"") | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in replaced.items() if value)
    return f"POST /webhook HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode("latin-1")


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert found, answer[:200]
    return int(found[1])


def test_a_signature_that_is_not_ascii_is_refused(port: int) -> None:
    """Bytes above 127 in the signature are 401 and not an error of ours."""
    answer = talk(port, head(Content_Length="2", Connection="close", X_Hub_Signature_256="sha256=é" + "0" * 63), b"{}")
    assert status_of(answer) == 401


@pytest.mark.parametrize("signature", ["", "sha256=", "sha256=" + "A" * 64, "sha1=" + "0" * 40, "sha256=" + "0" * 65])
def test_a_body_without_a_signature_is_refused_unread(port: int, signature: str) -> None:
    """A signature that could sign nothing is 401 before a byte of the body has come."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as peer:
        peer.sendall(head(Content_Length=str(MAX_BODY_BYTES), X_Hub_Signature_256=signature))
        assert status_of(peer.recv(65536)) == 401


def test_the_refusal_of_a_body_is_seen_by_its_sender(port: int) -> None:
    """Who sends a large unsigned body still gets the answer, and not a reset connection."""
    body = b"x" * 8 * 1024 * 1024
    assert deliver(port, body, X_Hub_Signature_256="none").status == 401


def test_large_bodies_share_a_budget_and_small_ones_pass(queue: Queue) -> None:
    """While large bodies fill the budget another is 503 with Retry-After, a small one 202; then there is room again."""
    large = json.dumps(json.loads(LABELED) | {"filler": "x" * 200_000}).encode()
    budget = BodyBudget(1_000_000)
    app = create_app(queue=queue, secrets=[SECRET], audience=Audience(), checks={}, body_seconds=30, budget=budget)

    def until_free(low: int, high: int) -> None:
        deadline = time.monotonic() + 10
        while not low <= budget.free <= high:
            assert time.monotonic() < deadline, f"{budget.free} bytes are free"
            time.sleep(0.01)

    with serve(app) as serving:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", serving), timeout=15) as peer:
                peer.sendall(head(Content_Length="1000000") + b"x" * 900_000)
                until_free(0, 100_000)
                refused = deliver(serving, large)
                assert (refused.status, refused.headers["retry-after"]) == (503, "10")
                assert deliver(serving, LABELED).status == 202
            until_free(1_000_000, 1_000_000)
            assert deliver(serving, large).status == 202
        until_free(1_000_000, 1_000_000)


# Connections

HALF = b"POST /webhook HTTP/1.1\r\nHost: x\r\nX-A: "
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
EARLY = b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize("said", [b"", HALF, HEALTH, HEALTH + HALF, EARLY], ids=["-", "half", "idle", "next", "early"])
@pytest.mark.parametrize("drips", [False, True])
def test_a_head_has_a_deadline(queue: Queue, said: bytes, drips: bool) -> None:
    """A connection without its next complete head is closed at the deadline, even when bytes keep coming."""
    app = create_app(queue=queue, secrets=[SECRET], audience=Audience(), checks={})
    with serve(app, head_seconds=1) as port, socket.create_connection(("127.0.0.1", port), timeout=0.1) as peer:
        started = time.monotonic()
        peer.sendall(said)
        closed = False
        while not closed:
            assert time.monotonic() - started < 20, "the connection is still open"
            try:
                if drips and said not in (b"", HEALTH):
                    peer.sendall(b"x")
                closed = peer.recv(65536) == b""
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                closed = True
        assert time.monotonic() - started > 0.9


def test_the_deadline_of_the_head_is_not_one_of_the_body(queue: Queue) -> None:
    """A body that takes longer than a head may is cut by its own deadline, with an answer."""
    app = create_app(queue=queue, secrets=[SECRET], audience=Audience(), checks={}, body_seconds=2)
    with serve(app, head_seconds=1) as port:
        assert status_of(talk(port, head(Content_Length="1000"), b"{")) == 408


def test_connections_are_limited(queue: Queue) -> None:
    """At the limit requests are 503, beyond the spare ones connections are closed; freed, requests are served."""
    app = create_app(queue=queue, secrets=[SECRET], audience=Audience(), checks={})
    with serve(app, connections=5) as port, ExitStack() as opened:
        peers = [opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=15)) for _ in range(5)]
        assert request(port, "GET", "/healthz").status == 503
        for _ in range(SPARE_CONNECTIONS):
            peers.append(opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=15)))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
            assert peer.recv(1) == b""
        for peer in peers:
            peer.close()
        deadline = time.monotonic() + 10
        while request(port, "GET", "/healthz").status != 200:
            assert time.monotonic() < deadline


# Large and odd requests


def test_an_announced_giant_is_refused_unread(port: int) -> None:
    """A body announced above GitHub's cap is 413 before a byte of it is read."""
    assert status_of(talk(port, head(Content_Length=str(MAX_BODY_BYTES + 1)))) == 413


def test_an_endless_body_is_cut_at_the_cap(port: int) -> None:
    """Chunks without end are 413 at the cap, and cost little memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    answer = talk(port, head(Transfer_Encoding="chunked"), *[chunk] * 40)
    # The server closes while we still send: the answer may be lost on the way, the connection is closed either way.
    assert answer == b"" or status_of(answer) == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000


def test_slow_bodies_are_cut_and_hold_up_nobody(queue: Queue) -> None:
    """Connections that never finish their body are 408 at the deadline, while a delivery passes them by."""
    app = create_app(queue=queue, secrets=[SECRET], audience=Audience(), checks={}, body_seconds=6)
    with serve(app) as port:
        peers = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(100)]
        started = time.monotonic()
        for peer in peers:
            peer.sendall(head(Content_Length="1000") + b"{")
        assert deliver(port, LABELED).status == 202
        assert time.monotonic() - started < 6
        for peer in peers:
            assert status_of(answer_of(peer)) == 408
            peer.close()
        assert time.monotonic() - started < 30


def test_a_peer_that_leaves_is_no_error(port: int) -> None:
    """A connection that ends within its body leaves nothing behind and no traceback in the log."""
    with capture_logs() as logs:
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(head(Content_Length="1000") + b"{")
        assert deliver(port, LABELED).status == 202
    assert not [entry for entry in logs if entry["log_level"] in ("error", "critical")]


def test_others_are_served_while_a_giant_is_read(port: int) -> None:
    """A signed body of 25 MB with a million keys is answered, and a ping beside it waits less than a second."""
    giant = b"{" + b",".join(b'"key%07d":"v"' % number for number in range(1_400_000)) + b"}"
    assert len(giant) <= MAX_BODY_BYTES
    slowest, done = 0.0, threading.Event()

    def ping() -> None:
        nonlocal slowest
        while not done.is_set():
            started = time.monotonic()
            assert request(port, "GET", "/healthz").status == 200
            slowest = max(slowest, time.monotonic() - started)

    pinger = threading.Thread(target=ping)
    pinger.start()
    started = time.monotonic()
    answer = deliver(port, giant)
    took = time.monotonic() - started
    done.set()
    pinger.join()
    assert answer.status == 202
    assert "Not read" in answer.json["decision"]
    assert took < 30
    assert slowest < max(1, took / 2), "a busy machine makes both slower"


def test_too_many_headers_are_refused(port: int) -> None:
    """A header section beyond any sensible size is cut off."""
    flood = b"POST /webhook HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * 200_000
    answer = talk(port, flood)
    assert answer == b"" or 400 <= status_of(answer) < 500


def test_bodies_and_signatures_stay_out_of_the_log(port: int) -> None:
    """Whatever happens to a delivery, the log has neither its body nor its signature."""
    body = json.dumps(json.loads(LABELED) | {"marker": "do-not-log-this"}).encode()
    with capture_logs() as logs:
        deliver(port, body)
        deliver(port, body, X_Hub_Signature_256=sign(body, "forged"))
        deliver(port, b'{"marker":"do-not-log-this"')
    assert logs
    assert "do-not-log-this" not in repr(logs)
    assert sign(body) not in repr(logs)


# A database that fails


def test_a_locked_database_is_503_and_never_2xx(queue: Queue, port: int, tmp_path: Path) -> None:
    """While the database takes no writes a delivery is 503; delivered again afterwards, it makes its one job."""
    guid = str(uuid.uuid4())
    with open_engine(f"sqlite:///{tmp_path / 'queue.sqlite3'}", wait_seconds=1).connect() as holder:
        holder.exec_driver_sql("BEGIN IMMEDIATE")
        started = time.monotonic()
        assert deliver(port, LABELED, guid=guid).status == 503
        assert time.monotonic() - started < 15
        assert request(port, "GET", "/healthz").status == 200
        holder.rollback()
    assert deliver(port, LABELED, guid=guid).json["duplicate"] is False
    assert jobs(queue) == [f"gh-{guid}"]


SERVER = """
import sys
from app.dispatch import Audience
from app.logging import configure_logging
from app.redaction import Redactor
from app.server import create_app, make_server
from workflows.durable.queue import Queue
configure_logging(style="json", level="error", redactor=Redactor())
queue = Queue(sys.argv[1], worker=False)
queue.start()
app = create_app(queue=queue, secrets=[sys.argv[2]], audience=Audience(), checks={})
print("ready", flush=True)
make_server(app, host="127.0.0.1", port=int(sys.argv[3])).run()
assert queue.stop()
"""


def start_server(url: str, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVER, url, SECRET, str(port)]
    server = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    until_connected(port)
    return server


def until_connected(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


@pytest.fixture
def kept() -> Iterator[int]:
    with ReservedPort() as reserved:
        yield reserved.number


def test_kill_9_while_deliveries_come_loses_none_that_were_answered(tmp_path: Path, kept: int) -> None:
    """Every delivery answered 2xx before kill -9 has its job afterwards; redelivering all makes exactly one each."""
    url = f"sqlite:///{tmp_path / 'queue.sqlite3'}"
    server = start_server(url, kept)
    guids = [str(uuid.uuid4()) for _ in range(200)]
    answered: list[str] = []

    def send(guid: str) -> None:
        try:
            if deliver(kept, LABELED, guid=guid).status == 202:
                answered.append(guid)
        except (OSError, HTTPException):
            pass
        if len(answered) >= 60:
            server.send_signal(signal.SIGKILL)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, guids))
    assert server.wait(10) == -signal.SIGKILL
    assert 60 <= len(answered) < 200
    queue = Queue(url, worker=False)
    queue.start()
    assert {f"gh-{guid}" for guid in answered} <= set(jobs(queue))
    for guid in jobs(queue):
        assert queue.delivery(guid.removeprefix("gh-")) is not None
    queue.stop()
    server = start_server(url, kept)
    with ThreadPoolExecutor(16) as pool:
        assert {answer.status for answer in pool.map(lambda guid: deliver(kept, LABELED, guid=guid), guids)} == {202}
    server.terminate()
    assert server.wait(20) == 0
    queue = Queue(url, worker=False)
    queue.start()
    assert sorted(jobs(queue)) == sorted(f"gh-{guid}" for guid in guids)
    queue.stop()


# Readiness


def ask_ready(queue: Queue, checks: dict[str, Callable[[], Check]], times: int = 1) -> tuple[int, Any, float]:
    with serve(create_app(queue=queue, secrets=[SECRET], audience=Audience(), checks=checks)) as port:
        for _ in range(times):
            started = time.monotonic()
            answer = request(port, "GET", "/readyz")
            took = time.monotonic() - started
        assert request(port, "GET", "/healthz").json == {"ok": True}
    return answer.status, answer.json, took


def test_ready_when_every_check_passes(queue: Queue) -> None:
    """All checks pass: 200, and each is told with its seconds."""
    status, body, _ = ask_ready(
        queue, {"database": lambda: Check(ok=True), "model": lambda: Check(ok=True, reason="qwen")}
    )
    assert status == 200
    assert body["ok"] is True
    assert body["checks"]["model"].keys() == {"ok", "seconds"}
    assert body["checks"]["database"]["seconds"] < 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_not_ready_says_what_and_logs_why(queue: Queue) -> None:
    """One failed check: 503, the others are told too, reasons are in the log alone; a check with a bug has failed."""
    checks = {
        "database": lambda: Check(ok=True),
        "github": lambda: Check(ok=False, reason="GitHub answers 401: check the App's key."),
        "model": lambda: Check(ok=bool(1 // 0)),
    }
    with capture_logs() as logged:
        status, body, _ = ask_ready(queue, checks, times=2)
    assert status == 503
    assert {name: check["ok"] for name, check in body["checks"].items()} == {
        "database": True, "github": False, "model": False,
    }  # fmt: skip
    assert "401" not in str(body)
    assert [(line["check"], line["reason"]) for line in logged if line["event"] == "not_ready"] == [
        ("github", "GitHub answers 401: check the App's key."),
        ("model", "The check itself failed: see the log."),
    ]


def test_a_hanging_check_is_reported_and_not_waited_for(queue: Queue) -> None:
    """An engine that hangs costs one thread and the deadline; answers are kept for a moment."""
    asked, release = Counter[str](), threading.Event()

    def hang() -> Check:
        asked["docker"] += 1
        release.wait(30)
        return Check(ok=True)

    def quick() -> Check:
        asked["database"] += 1
        return Check(ok=True)

    with capture_logs() as logged:
        status, body, took = ask_ready(queue, {"docker": hang, "database": quick}, times=3)
    release.set()
    assert status == 503
    assert body["checks"]["docker"]["ok"] is False
    assert any("No answer" in line.get("reason", "") for line in logged)
    assert body["checks"]["database"]["ok"] is True
    assert took < 1
    assert asked == {"docker": 1, "database": 1}


def test_headers_of_deliveries_are_what_the_tests_think() -> None:
    """The client of these tests signs as GitHub does."""
    assert delivery_headers(b"{}")["X-Hub-Signature-256"] == sign(b"{}")
