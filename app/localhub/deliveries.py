"""Sending webhooks: signed, from a thread of its own, at most ten seconds each, never again by itself."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
import time
from dataclasses import replace

import requests

from app.localhub.records import Delivery, Json
from app.localhub.shapes import stamp
from app.localhub.store import Store

SECONDS = 10.0  # GitHub's own: docs.github.com/webhooks/using-webhooks/handling-webhook-deliveries


class Postman:
    """The worker that sends queued deliveries one after the other and writes down what came back."""

    def __init__(self, store: Store, *, seconds: float = SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self._queue: queue.Queue[Delivery | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="localhub-webhooks", daemon=True)
        self._idle = threading.Condition()
        self._open = 0
        store.send = self.send

    def start(self) -> None:
        """Begin to send what was queued so far."""
        self._thread.start()

    def stop(self) -> None:
        """End after the delivery under way; what is still queued stays pending in the log."""
        self._queue.put(None)
        self._thread.join(timeout=self._seconds + 1)

    def send(self, delivery: Delivery) -> None:
        """Queue a delivery."""
        with self._idle:
            self._open += 1
        self._queue.put(delivery)

    def wait(self, timeout: float) -> bool:
        """Whether every queued delivery was sent within ``timeout`` seconds."""
        with self._idle:
            return self._idle.wait_for(lambda: self._open == 0, timeout)

    def _work(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # a webhook goes straight to its address, past any proxy of the machine
            # A server may close a kept connection just as the next delivery goes out on it, and that one would be lost.
            session.headers["Connection"] = "close"
            while (delivery := self._queue.get()) is not None:
                post(self._store, delivery, session=session, seconds=self._seconds)
                with self._idle:
                    self._open -= 1
                    self._idle.notify_all()


def headers_of(delivery: Delivery) -> dict[str, str]:
    """The request headers, in GitHub's names."""
    app = delivery.app
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/localhub",
        "X-GitHub-Delivery": delivery.guid,
        "X-GitHub-Event": delivery.event,
        "X-GitHub-Hook-ID": str(app.id),
        "X-GitHub-Hook-Installation-Target-ID": str(app.id),
        "X-GitHub-Hook-Installation-Target-Type": "integration",
    }
    if app.webhook_secret:
        key = app.webhook_secret.encode()
        headers["X-Hub-Signature"] = "sha1=" + hmac.new(key, delivery.payload, hashlib.sha1).hexdigest()
        headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(key, delivery.payload, hashlib.sha256).hexdigest()
    return headers


def post(store: Store, delivery: Delivery, *, session: requests.Session, seconds: float) -> None:
    """Send one delivery, waiting ``seconds`` for the answer, and note the outcome in its record."""
    headers = headers_of(delivery)
    status, code, received, text = "OK", 0, dict[str, str](), ""
    begun = time.monotonic()
    try:
        answer = session.post(
            delivery.app.webhook_url or "",
            data=delivery.payload,
            headers=headers,
            timeout=seconds,
            allow_redirects=False,
        )
        code, received, text = answer.status_code, dict(answer.headers), answer.text[:65536]
        if not 200 <= code < 300:
            status = f"Invalid HTTP Response: {code}"
    except requests.Timeout:
        status, code = "timed out", 504
    except requests.RequestException:
        status, code = "failed to connect to host", 502
    with store.lock:
        delivery.request_headers, delivery.duration = headers, round(time.monotonic() - begun, 3)
        delivery.status, delivery.status_code = status, code
        delivery.response_headers, delivery.response_body = received, text
        delivery.done = True


def redeliver(store: Store, delivery: Delivery) -> Delivery:
    """Send the same payload with the same GUID once more, as a new row of the log."""
    again = replace(
        delivery,
        id=store.new_id(),
        delivered_at=store.now(),
        redelivery=True,
        done=False,
        status="pending",
        status_code=0,
    )
    store.deliveries[again.id] = again
    store.send(again)
    return again


def delivery_item_json(delivery: Delivery) -> Json:
    """A row of the delivery log."""
    return {
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": stamp(delivery.delivered_at),
        "redelivery": delivery.redelivery,
        "duration": delivery.duration,
        "status": delivery.status,
        "status_code": delivery.status_code,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": delivery.installation_id,
        "repository_id": delivery.repository_id,
        "throttled_at": None,
    }


def delivery_json(delivery: Delivery) -> Json:
    """A delivery with its request and response."""
    response = {"headers": delivery.response_headers, "payload": delivery.response_body}
    request = {"headers": delivery.request_headers, "payload": json.loads(delivery.payload)}
    return {
        **delivery_item_json(delivery),
        "url": delivery.app.webhook_url or "",
        "request": request,
        "response": response,
    }
