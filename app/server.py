"""The HTTP edge: a webhook is answered 2xx only after its delivery and its job are on the disk."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import structlog
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.bodies import SMALL_BODY_BYTES, BodyBudget, BodyShare, read_body
from app.connections import HeadDeadlineProtocol
from app.dispatch import Audience, Cancel, Ignore, Signal, Start, dispatch
from app.readiness import Check, Readiness
from app.receipts import Receipts
from app.webhook import Event, Refused, check_headers, check_signature, parse_event, verify
from workflows.durable.queue import Delivery, Queue, QueueUnavailable, Receipt, Submission
from workflows.types import Job

log = structlog.get_logger(__name__)

BODY_SECONDS = 8.0
"""GitHub gives up after ten seconds; the commit needs some of them."""
HEAD_SECONDS = 10
LINGER_SECONDS = 2.0
RETRY_SECONDS = 10
CONNECTIONS = 800
"""With the spare ones, below the 1,024 open files that a process usually may have."""


def create_app(
    *,
    queue: Queue,
    secrets: Sequence[str],
    audience: Audience,
    checks: Mapping[str, Callable[[], Check]],
    waits: Callable[[int, int], bool] = lambda repository_id, number: False,
    slug: Callable[[], str | None] = lambda: None,
    body_seconds: float = BODY_SECONDS,
    budget: BodyBudget | None = None,
) -> FastAPI:
    """The web application: ``POST /webhook``, ``GET /healthz`` (live) and ``GET /readyz`` (every check passes).

    Anybody may ask ``/readyz``, so it gives no reasons: those are in the log.
    ``waits`` says whether a thread (repository's id, number) waits for people's answer to a question, ``slug`` by which
    name GitHub knows us, once that is known, if ``audience`` does not.
    ``secrets``: the webhook's secret; several while it is being replaced. The caller starts and stops ``queue``.
    ``budget``: what all large bodies together may hold (by default ``BUDGET_BYTES``); a body beyond is answered 503.
    """
    if not any(secrets):
        raise ValueError("The server needs a webhook secret: without one anybody could start jobs.")
    app = FastAPI(title="Forgehand", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    readiness = Readiness(checks)

    webhook = _Webhook(
        queue,
        secrets=secrets,
        audience=audience,
        waits=waits,
        slug=slug,
        body_seconds=body_seconds,
        budget=budget or BodyBudget(),
    )

    async def healthz(_: Request) -> Response:
        return JSONResponse({"ok": True})

    async def readyz(_: Request) -> Response:
        findings = await readiness.report()
        ready = all(finding.ok for finding in findings.values())
        checked = {name: {"ok": finding.ok, "seconds": finding.seconds} for name, finding in findings.items()}
        return JSONResponse({"ok": ready, "checks": checked}, status_code=200 if ready else 503)

    # Plain routes: FastAPI's own would read the body before it can be measured.
    app.add_route("/webhook", webhook.receive, methods=["POST"])
    app.add_route("/healthz", healthz, methods=["GET"])
    app.add_route("/readyz", readyz, methods=["GET"])
    return app


def make_server(
    app: FastAPI,
    *,
    host: str,
    port: int,
    drain_seconds: int = 10,
    head_seconds: int = HEAD_SECONDS,
    connections: int = CONNECTIONS,
) -> uvicorn.Server:
    """A uvicorn server for ``app``. It logs through structlog alone, and says nothing about itself in headers.

    A connection is closed after ``head_seconds`` without a complete request head. From ``connections`` open ones on,
    requests are answered 503.

    Its ``run`` returns after SIGTERM or SIGINT, so that the caller can stop the queue.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=HeadDeadlineProtocol,
        ws="none",
        h11_max_incomplete_event_size=64 * 1024,
        server_header=False,
        access_log=False,
        log_config=None,
        lifespan="off",
        timeout_keep_alive=head_seconds,
        limit_concurrency=connections,
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
    """The way of one POST: signature's form, size and time, signature, shape, decision, record."""

    def __init__(
        self,
        queue: Queue,
        *,
        secrets: Sequence[str],
        audience: Audience,
        waits: Callable[[int, int], bool],
        slug: Callable[[], str | None],
        body_seconds: float,
        budget: BodyBudget,
    ) -> None:
        self._queue = queue
        self._receipts = Receipts(queue.submit_all)
        self._secrets = [secret for secret in secrets if secret]
        self._audience = audience
        self._waits = waits
        self._slug = slug
        self._body_seconds = body_seconds
        self._budget = budget

    async def receive(self, request: Request) -> Response:
        with self._budget.share() as share:
            event = await self._read(request, share)
        return event if isinstance(event, Response) else await self._record(event)

    async def _read(self, request: Request, share: BodyShare) -> Event | Response:
        received_at = datetime.now(UTC)
        signature = _raw_header(request, b"x-hub-signature-256")
        refused = check_signature(signature) or check_headers(request.headers)
        if refused:
            return _refuse(refused, unread=True)
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await read_body(request, share)
        except TimeoutError:
            return _refuse(Refused(408, f"The body did not arrive within {self._body_seconds:g} s."))
        except ClientDisconnect:
            return _refuse(Refused(400, "The connection ended before the body did."))
        if isinstance(body, Refused):
            return _refuse(body, unread=True)
        if len(body) <= SMALL_BODY_BYTES:
            event = self._trust(request.headers, body, signature, received_at)
        else:
            event = await asyncio.to_thread(self._trust, request.headers, body, signature, received_at)
        return _refuse(event) if isinstance(event, Refused) else event

    def _trust(
        self, headers: Mapping[str, str], body: bytes, signature: bytes, received_at: datetime
    ) -> Event | Refused:
        if not verify(body, signature, self._secrets):
            return Refused(401, "X-Hub-Signature-256 does not sign the body with the webhook's secret.")
        return parse_event(headers, body, received_at)

    async def _record(self, event: Event) -> Response:
        try:
            submission = await self._decide(event)
            receipt = await self._receipts.store(submission)
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

    async def _decide(self, event: Event) -> Submission:
        """What is stored with the delivery. Raises QueueUnavailable and SQLAlchemyError."""
        audience = self._audience if self._audience.app_slug else replace(self._audience, app_slug=self._slug())
        decided = dispatch(event, audience)
        if isinstance(decided, Cancel):
            return await asyncio.to_thread(self._cancel, event, decided)
        if isinstance(decided, Signal):
            job = decided.job
            waits = await asyncio.to_thread(self._waits, job.repository.id, job.number)
            decided = Start((job,)) if waits else Ignore(decided.otherwise)
        if isinstance(decided, Ignore):
            return _submission(event, f"Ignored: {decided.reason}")
        started = ", ".join(job.id for job in decided.jobs)
        return _submission(event, f"Started {'job' if len(decided.jobs) == 1 else 'jobs'} {started}.", decided.jobs)

    def _cancel(self, event: Event, decided: Cancel) -> Submission:
        """The jobs are cancelled before this is stored: after a crash in between, the redelivery does so again."""
        queue, repository_id, number = self._queue, decided.repository_id, decided.number
        if queue.delivery(event.delivery_id) is not None:
            # Delivered again, perhaps days later: what was asked for since is not meant.
            return _submission(event, f"{decided.reason} It was acted on before.")
        ended = queue.cancel_issue(repository_id, number, label=decided.label, before=decided.before)
        said = f"{decided.reason} {len(ended)} running job(s) cancelled."
        # Those that a crash left unsaid are among the cancelled.
        unsaid = ended or any(one.state == "cancelled" for one in queue.thread(repository_id, number))
        return _submission(event, said, (decided.job,) if unsaid and decided.job else ())


def _raw_header(request: Request, name: bytes) -> bytes:
    return next((bytes(value) for key, value in request.scope["headers"] if key == name), b"")


def _submission(event: Event, decision: str, jobs: tuple[Job, ...] = ()) -> Submission:
    number = jobs[0].number if jobs else event.issue.number if event.issue else None
    delivery = Delivery(
        guid=event.delivery_id,
        event=event.name,
        action=event.action,
        repository=event.repository.full_name if event.repository else "",
        repository_id=event.repository.id if event.repository else None,
        number=number,
        received_at=event.received_at,
        digest=event.digest,
    )
    return Submission(delivery, decision, jobs)


def _answer(receipt: Receipt) -> dict[str, Any]:
    return {"job": receipt.job_id, "decision": receipt.decision, "duplicate": receipt.duplicate}


class _UnreadRefusal(JSONResponse):
    """An answer to a body that was not read: said at once, and then the body's bytes are dropped for a moment.

    A close with bytes unread would reset the connection, and its peer might never see the answer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _refuse(refused: Refused, *, unread: bool = False) -> Response:
    log.warning("delivery_refused", status=refused.status, reason=refused.reason)
    # The rest of a body that we will not read must not be taken for the next request.
    headers = {"connection": "close"}
    if refused.status == 503:
        headers["retry-after"] = str(RETRY_SECONDS)
    answer = _UnreadRefusal if unread else JSONResponse
    return answer({"error": refused.reason}, status_code=refused.status, headers=headers)
