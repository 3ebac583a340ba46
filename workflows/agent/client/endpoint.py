"""One exchange with a model endpoint over HTTP: the answer, put together, or what was wrong with it."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import Any, cast

import httpx2
from openai import APIConnectionError, APIResponse, APIStatusError, APITimeoutError, DefaultHttpx2Client, OpenAI

from workflows.agent.client.completions import NotACompletion, Said, parse_completion
from workflows.agent.client.encoding import encode_request
from workflows.agent.client.refusals import (
    ModelUnavailable,
    Refusal,
    Refused,
    Transient,
    parse_error_inside,
    parse_refusal,
)
from workflows.agent.client.streaming import ErrorInStream, StreamedCompletion
from workflows.agent.client.watch import Watch, cut_connection

CONNECT_SECONDS = 10.0
LARGEST_BODY = 16 * 1024 * 1024
LEAST_SECONDS = 0.1
END_SECONDS = 1.0
AT_ONCE_SECONDS = 1.0
HUNG_UP = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
"""A connection that ended before any answer."""
AS_IT_COMES = {"X-Stainless-Raw-Response": "stream"}
"""What the openai package's with_streaming_response sets: the answer itself, its body not yet read."""


@dataclass(frozen=True)
class Patience:
    """How long an answer may take, in seconds.

    ``first``: to the first event of a stream and between its events (comments that only keep the connection alive are
    none), or to the end of an answer that is not streamed. ``idle``: without a byte once a stream has begun.
    """

    first: float = 300.0
    idle: float = 60.0


class Endpoint:
    """An OpenAI-compatible endpoint. Thread-safe."""

    def __init__(
        self, base_url: str, api_key: str, *, model: str, patience: Patience, clock: Callable[[], float]
    ) -> None:
        url = httpx2.URL(base_url)
        self.where = str(url.copy_with(username=None, password=None))
        self._model = model
        self._patience = patience
        self._clock = clock
        # A local server wants no key, but the package refuses an empty one. Redirects would carry the prompt elsewhere.
        # Over http nobody shows a certificate, and reading the authorities takes longer than all else here.
        trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.scheme == "http" else True
        http_client = DefaultHttpx2Client(follow_redirects=False, verify=trusted)
        self._client = OpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0, http_client=http_client)

    def exchange(self, payload: Mapping[str, Any], *, ends: float, cancelled: Event | None = None) -> tuple[Said, bool]:
        """What the endpoint said until ``ends`` on the clock, and whether it came as a stream.

        A stream is cut when ``cancelled`` is set. Raises Transient, Refused, and ModelUnavailable when the address can
        be no model's.
        """
        left = ends - self._clock()
        timeout = httpx2.Timeout(within(left, self._patience.first), connect=within(left, CONNECT_SECONDS))
        try:
            # Not chat.completions.create, which walks its typed parameters field by field and writes all of them again.
            with self._post(encode_request({"model": self._model, **payload}), timeout) as response:
                kind = response.headers.get("content-type", "")
                if "event-stream" in kind:
                    return self._read_stream(response.http_response, ends, cancelled), True
                body = self._read_whole(response.iter_bytes(), min(ends, self._clock() + self._patience.first))
        except APIStatusError as error:
            raise Refused(self._judge(error)) from None
        except (APIConnectionError, httpx2.HTTPError) as error:
            sent = not isinstance(error, APIConnectionError) or isinstance(error, APITimeoutError)
            raise _unreachable(error, billed=sent) from None
        return self._parse_whole(body, kind), False

    def _post(self, body: bytes, timeout: httpx2.Timeout) -> closing[APIResponse[object]]:
        began = self._clock()
        try:
            return self._send(body, timeout)
        except APIConnectionError as error:
            # A kept connection may be closed at the moment that it is used again, and llama.cpp closes each one after a
            # stream though it says otherwise. That is no failure of the server, and nothing to wait for.
            if not isinstance(error.__cause__, HUNG_UP) or self._clock() - began > AT_ONCE_SECONDS:
                raise
        return self._send(body, timeout)

    def _send(self, body: bytes, timeout: httpx2.Timeout) -> closing[APIResponse[object]]:
        options: Any = {"headers": AS_IT_COMES, "timeout": timeout}
        response = self._client.post("/chat/completions", cast_to=object, content=body, options=options)
        return closing(cast("APIResponse[object]", response))

    def fetch(self, path: str, *, seconds: float) -> Any:
        """The JSON at a path below the base URL, or, with a leading slash, below the server's root.

        Raises Transient and Refused; ValueError when it is no JSON.
        """
        address = str(httpx2.URL(self.where).join(path)) if path.startswith("/") else path
        try:
            return self._client.get(address, cast_to=httpx2.Response, options={"timeout": seconds}).json()
        except APIStatusError as error:
            raise Refused(parse_refusal(error.status_code, "", error.response.headers, model=self._model)) from None
        except APIConnectionError as error:
            raise _unreachable(error, billed=False) from None

    def _judge(self, error: APIStatusError) -> Refusal:
        body = error.response.text if error.response.is_closed else ""
        return parse_refusal(error.status_code, body, error.response.headers, model=self._model)

    def _read_stream(self, response: httpx2.Response, ends: float, cancelled: Event | None) -> Said:
        stream = StreamedCompletion()
        until = min(ends, self._clock() + self._patience.first)
        watch = Watch(lambda: cut_connection(response), clock=self._clock, until=until, cancelled=cancelled)
        try:
            with watch:
                self._feed(stream, response.iter_bytes(), watch=watch, ends=ends)
            return stream.said()
        except ErrorInStream as error:
            refusal = parse_error_inside(error.answer, model=self._model)
            raise Refused(refusal or Refusal(str(error), transient=True)) from None
        except (NotACompletion, httpx2.HTTPError) as error:
            if stream.whole and isinstance(error, httpx2.HTTPError):
                return stream.said()  # only the figures after the end are lost
            late = watch.fired or isinstance(error, httpx2.TimeoutException)
            if late and not stream.begun:
                raise Transient("no answer in time", billed=True) from None
            reason = "the stream stood still, or did not end in time" if late else str(error)
            # A stream that was cut because nobody wants it any more says nothing about the endpoint.
            broken = not (cancelled is not None and cancelled.is_set()) and (not late or ends > self._clock())
            raise Transient(reason or type(error).__name__, billed=True, broken_stream=broken) from None

    def _feed(self, stream: StreamedCompletion, chunks: Iterator[bytes], *, watch: Watch, ends: float) -> None:
        """Feed the stream until it is over; ``watch`` ends the connection when nothing comes for too long."""
        received = 0
        event_due = self._clock() + self._patience.first
        for chunk in chunks:
            received += len(chunk)
            if received > LARGEST_BODY:
                raise NotACompletion("the answer is larger than 16 MB")
            now = self._clock()
            if stream.over:
                continue
            if stream.feed(chunk):
                event_due = now + self._patience.first
            if stream.over and stream.cut_short:
                return
            if stream.over:
                watch.expect_end(min(ends, now + END_SECONDS))  # read to its end, the connection can be used again
                continue
            byte_due = now + self._patience.idle if stream.begun else event_due
            watch.expect(min(ends, event_due, byte_due))

    def _read_whole(self, chunks: Iterator[bytes], ends: float) -> bytes:
        """The whole body; a server that drips bytes for ever is cut off at ``ends`` on the clock."""
        body = bytearray()
        for chunk in chunks:
            body += chunk
            if self._clock() > ends:
                raise Transient("the answer did not end in time", billed=True)
            if len(body) > LARGEST_BODY:
                raise Transient("the answer is larger than 16 MB", billed=True)
        return bytes(body)

    def _parse_whole(self, body: bytes, kind: str) -> Said:
        if "html" in kind or body.lstrip()[:1] == b"<":
            raise ModelUnavailable(
                f"{self.where} answered with a web page instead of JSON. "
                "Set OPENAI_BASE_URL to the API's address; it usually ends in /v1.",
            )
        try:
            answer = json.loads(body)
            refusal = parse_error_inside(answer, model=self._model)
            if refusal is None:
                return parse_completion(answer)
        except (ValueError, AttributeError, RecursionError, NotACompletion) as error:
            reason = str(error) if isinstance(error, NotACompletion) else "the answer was cut off or is not JSON"
            raise Transient(reason, billed=True) from None
        raise Refused(refusal)


def within(left: float, most: float) -> float:
    """A time-out that neither outlasts what is left nor is too short to be one, in seconds."""
    return max(LEAST_SECONDS, min(left, most))


def _unreachable(error: Exception, *, billed: bool) -> Exception:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return ModelUnavailable(
                "The model endpoint's TLS certificate is not trusted. Set SSL_CERT_FILE to a bundle that holds your "
                "certificate authority and restart.",
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, APITimeoutError | httpx2.TimeoutException):
        return Transient("no answer in time", billed=billed)
    reason = error.__cause__ or error
    if isinstance(reason, httpx2.UnsupportedProtocol):
        return ModelUnavailable("OPENAI_BASE_URL must begin with http:// or https://. Correct it and restart.")
    return Transient(f"connection failed ({type(reason).__name__}: {reason})", billed=billed)
