"""The HTTP edge: a webhook is answered 2xx only after its delivery and its job are on the disk."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import structlog
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from app.dispatch import Audience, Cancel, Ignore, Start, dispatch
from app.readiness import Check, Readiness
from app.receipts import Receipts
from app.webhook import MAX_BODY_BYTES, Event, Refused, check_headers, parse_event, verify
from workflows.queue import Delivery, Queue, QueueUnavailable, Receipt, Submission

log = structlog.get_logger(__name__)

BODY_SECONDS = 8.0
"""GitHub gives up after ten seconds; the commit needs some of them."""
INLINE_PARSE_BYTES = 64 * 1024
"""A body up to this size is parsed in less time than a change of threads takes to pay off."""


def create_app(
    *,
    queue: Queue,
    secrets: Sequence[str],
    audience: Audience,
    checks: Mapping[str, Callable[[], Check]],
    body_seconds: float = BODY_SECONDS,
) -> FastAPI:
    """The web application: ``POST /webhook``, ``GET /healthz`` (live) and ``GET /readyz`` (every check passes).

    ``secrets``: the webhook's secret; several while it is being replaced. The caller starts and stops ``queue``.
    """
    if not any(secrets):
        raise ValueError("The server needs a webhook secret: without one anybody could start jobs.")
    app = FastAPI(title="Forgehand", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    readiness = Readiness(checks)

    webhook = _Webhook(queue, secrets, audience, body_seconds)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"ok": True})

    async def readyz(_: Request) -> Response:
        findings = await readiness.report()
        ready = all(finding.ok for finding in findings.values())
        checked = {name: asdict(finding) for name, finding in findings.items()}
        return JSONResponse({"ok": ready, "checks": checked}, status_code=200 if ready else 503)

    # Plain routes: FastAPI's own would read the body before it can be measured.
    app.add_route("/webhook", webhook.receive, methods=["POST"])
    app.add_route("/healthz", healthz, methods=["GET"])
    app.add_route("/readyz", readyz, methods=["GET"])
    return app


def make_server(app: FastAPI, *, host: str, port: int, drain_seconds: int = 10) -> uvicorn.Server:
    """A uvicorn server for ``app``. It logs through structlog alone, and says nothing about itself in headers.

    Its ``run`` returns after SIGTERM or SIGINT, so that the caller can stop the queue.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http="h11",
        h11_max_incomplete_event_size=64 * 1024,
        server_header=False,
        access_log=False,
        log_config=None,
        lifespan="off",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=drain_seconds,
        backlog=1024,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """uvicorn raises the signal that ended it once more, which would end the process before the queue is stopped."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Webhook:
    """The way of one POST: size and time, signature, shape, decision, record."""

    def __init__(self, queue: Queue, secrets: Sequence[str], audience: Audience, body_seconds: float) -> None:
        self._queue = queue
        self._receipts = Receipts(queue.submit_all)
        self._secrets = [secret for secret in secrets if secret]
        self._audience = audience
        self._body_seconds = body_seconds

    async def receive(self, request: Request) -> Response:
        received_at = datetime.now(UTC)
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await _read_body(request)
        except TimeoutError:
            return _refuse(Refused(408, f"The body did not arrive within {self._body_seconds:g} s."))
        except ClientDisconnect:
            return Response(status_code=400)
        if isinstance(body, Refused):
            return _refuse(body)
        if not verify(body, _raw_header(request, b"x-hub-signature-256"), self._secrets):
            return _refuse(Refused(401, "X-Hub-Signature-256 does not sign the body with the webhook's secret."))
        event = check_headers(request.headers) or await _parse(request.headers, body, received_at)
        if isinstance(event, Refused):
            return _refuse(event)
        return await self._record(event)

    async def _record(self, event: Event) -> Response:
        decided = dispatch(event, self._audience)
        try:
            if isinstance(decided, Cancel):
                # Before the record: after a crash in between, the redelivery cancels again, which changes nothing.
                ended = await asyncio.to_thread(self._queue.cancel_issue, decided.repository_id, decided.number)
                decided = Ignore(f"{decided.reason} {len(ended)} running job(s) cancelled.")
            receipt = await self._receipts.store(_submission(event, decided))
        except (QueueUnavailable, sa.exc.SQLAlchemyError) as error:
            log.error("delivery_not_stored", delivery=event.delivery_id, reason=str(error).splitlines()[0])
            return _refuse(Refused(503, "The delivery could not be stored: redeliver it later."))
        log.info(
            "delivery",
            delivery=event.delivery_id,
            webhook=event.name,
            action=event.action,
            decision=receipt.decision,
            duplicate=receipt.duplicate,
        )
        return JSONResponse(_answer(receipt), status_code=202)


def _raw_header(request: Request, name: bytes) -> bytes:
    return next((bytes(value) for key, value in request.scope["headers"] if key == name), b"")


async def _read_body(request: Request) -> bytes | Refused:
    too_large = Refused(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        return too_large
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > MAX_BODY_BYTES:
            return too_large
        body += chunk
    return bytes(body)


async def _parse(headers: Mapping[str, str], body: bytes, received_at: datetime) -> Event | Refused:
    if len(body) <= INLINE_PARSE_BYTES:
        return parse_event(headers, body, received_at)
    return await asyncio.to_thread(parse_event, headers, body, received_at)


def _submission(event: Event, decided: Start | Ignore) -> Submission:
    delivery = _make_delivery(event)
    if isinstance(decided, Start):
        return Submission(delivery, f"Started job {decided.job.id}.", decided.job)
    return Submission(delivery, f"Ignored: {decided.reason}")


def _make_delivery(event: Event) -> Delivery:
    return Delivery(
        guid=event.delivery_id,
        event=event.name,
        action=event.action,
        repository=event.repository.full_name if event.repository else "",
        repository_id=event.repository.id if event.repository else None,
        number=event.issue.number if event.issue else None,
        received_at=event.received_at,
        digest=event.digest,
    )


def _answer(receipt: Receipt) -> dict[str, Any]:
    return {"job": receipt.job_id, "decision": receipt.decision, "duplicate": receipt.duplicate}


def _refuse(refused: Refused) -> Response:
    log.warning("delivery_refused", status=refused.status, reason=refused.reason)
    # The rest of a body that we will not read must not be taken for the next request.
    return JSONResponse({"error": refused.reason}, status_code=refused.status, headers={"connection": "close"})
