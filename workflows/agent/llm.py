"""The model client: one whole reply from an OpenAI-compatible endpoint, or a BrokenWorld that says what to do."""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import structlog
from openai import APIConnectionError, APIStatusError, APITimeoutError, DefaultHttpx2Client, OpenAI
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from workflows.agent.completions import NotACompletion, Prices, estimate_usage, parse_completion
from workflows.agent.refusals import Refusal, parse_error_inside, parse_refusal
from workflows.services import BrokenWorld
from workflows.types import Reply, Usage

__all__ = ["OpenAIModel", "Prices"]

log = structlog.get_logger()

ATTEMPTS = 10
RESAMPLES = 2
LONGEST_WAIT = 60.0
DEADLINE = 600.0
CONNECT_SECONDS = 10.0
LARGEST_BODY = 16 * 1024 * 1024


class _Transient(Exception):
    """This attempt failed and the next one may not; ``retry_after`` in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass
class _Call:
    """What the attempts of one ``complete`` share: the request, its end on the clock, and what lost attempts cost."""

    payload: Mapping[str, Any]
    ends: float
    lost: Usage = field(default_factory=Usage)
    resampled: int = 0
    attempts: int = 0


class OpenAIModel:
    """A chat model behind an OpenAI-compatible endpoint. Thread-safe; the API key appears in no text it produces.

    ``request_timeout`` bounds one attempt in seconds, generation included. ``sampling`` is merged into each request as
    it is (``temperature``, ``top_p``, ``top_k``, ``max_tokens`` …); empty leaves the endpoint's own defaults.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        model: str,
        prices: Prices | None = None,
        request_timeout: float = 300.0,
        sampling: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._key = api_key
        self._name = model
        self._where = str(httpx2.URL(base_url).copy_with(username=None, password=None))
        self._prices = prices or Prices()
        self._request_timeout = request_timeout
        self._sampling = dict(sampling or {})
        self._sleep, self._clock, self._jitter = sleep, clock, jitter
        # A local server wants no key, but the package refuses an empty one. Redirects would carry the prompt elsewhere.
        http_client = DefaultHttpx2Client(follow_redirects=False)
        self._client = OpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0, http_client=http_client)

    def __repr__(self) -> str:
        return f"OpenAIModel({self._where!r}, model={self._name!r})"

    @property
    def name(self) -> str:
        """The model's name as sent to the endpoint."""
        return self._name

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
    ) -> Reply:
        """One whole reply within ``deadline`` seconds, retries included. Raises BrokenWorld("model", …).

        An empty reply is asked for again twice and then returned as it is. ``Reply.usage`` covers lost attempts too.
        """
        started = self._clock()
        payload: dict[str, Any] = {"messages": [_encodable(message) for message in messages], **self._sampling}
        if tools:
            payload["tools"] = list(tools)
        call = _Call(payload=payload, ends=started + (DEADLINE if deadline is None else deadline))
        retrying = Retrying(
            sleep=self._sleep,
            wait=self._wait,
            stop=lambda state: state.attempt_number >= ATTEMPTS or self._clock() + state.upcoming_sleep >= call.ends,
            retry=retry_if_exception_type(_Transient),
            reraise=True,
        )
        try:
            reply: Reply = retrying(self._attempt, call)
        except _Transient as error:
            raise BrokenWorld(
                "model",
                f"The model endpoint {self._where} gave no usable answer in {call.attempts} attempts; the last: "
                f"{self._scrub(str(error))}. Check that the endpoint is up, then start the job again.",
            ) from None
        return reply.model_copy(update={"usage": call.lost + reply.usage, "seconds": self._clock() - started})

    def check(self, *, call: bool = False, deadline: float = 5.0) -> tuple[bool, str]:
        """Whether the endpoint answers for this model, and a sentence about it, within about ``deadline`` seconds.

        Asks for the list of models, which is free; for one token (``call=True``, or when the list does not settle it).
        """
        try:
            listed = None if call else self._listed(deadline)
            if listed:
                return True, f"{self._where} offers the model {self._name}"
            payload = {**self._sampling, "messages": [{"role": "user", "content": "Say: ok"}], "max_tokens": 1}
            self._request(_Call(payload=payload, ends=self._clock() + deadline))
        except _Transient as error:
            return False, self._scrub(f"The model endpoint {self._where} does not answer: {error}")
        except BrokenWorld as error:
            return False, error.message
        return True, f"{self._where} answers for the model {self._name}"

    def _listed(self, deadline: float) -> bool:
        try:
            return any(entry.id == self._name for entry in self._client.models.list(timeout=deadline).data)
        except APIConnectionError as error:
            raise _unreachable(error) from None
        except APIStatusError as error:
            if error.status_code in {404, 405, 501}:
                return False
            refusal = parse_refusal(error.status_code, "", error.response.headers, model=self._name)
            raise self._refused(refusal) from None
        except (ValueError, TypeError, AttributeError):  # a list in some other form says nothing
            return False

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wished = error.retry_after if isinstance(error, _Transient) else None
        jittered = self._jitter(0.0, min(LONGEST_WAIT, 2.0**state.attempt_number))
        return jittered if wished is None else wished + min(jittered, 1.0)

    def _attempt(self, call: _Call) -> Reply:
        call.attempts += 1
        try:
            reply = self._request(call)
        except _Transient as error:
            log.warning("model attempt failed", model=self._name, reason=self._scrub(str(error)))
            raise
        if reply.finish_reason == "content_filter" and not reply.tool_calls:
            raise BrokenWorld(
                "model",
                "The provider's content filter refused to answer. Reword the issue, or change FORGEHAND_MODEL.",
            )
        empty = not reply.content.strip() and not reply.tool_calls and reply.finish_reason != "length"
        if empty and call.resampled < RESAMPLES:
            call.resampled += 1
            call.lost += reply.usage
            raise _Transient("the reply was empty", retry_after=0.0)
        return reply

    def _request(self, call: _Call) -> Reply:
        left = call.ends - self._clock()
        timeout = httpx2.Timeout(_within(left, self._request_timeout), connect=_within(left, CONNECT_SECONDS))
        create = self._client.chat.completions.with_streaming_response.create
        try:
            # extra_body goes out as it is; typed parameters are walked field by field, 0.1 s for 400 messages.
            with create(messages=(), model=self._name, extra_body=call.payload, timeout=timeout) as response:
                ends = min(call.ends, self._clock() + self._request_timeout)
                body = self._read(response.iter_bytes(), ends)
                kind = response.headers.get("content-type", "")
        except APIStatusError as error:
            body_text = error.response.text if error.response.is_closed else ""
            refusal = parse_refusal(error.status_code, body_text, error.response.headers, model=self._name)
            raise self._refused(refusal) from None
        except (APIConnectionError, httpx2.HTTPError, _Transient) as error:
            if not isinstance(error, APIConnectionError) or isinstance(error, APITimeoutError):
                call.lost += estimate_usage(call.payload, "", prices=self._prices)  # it was sent, so it is billed
            raise _unreachable(error) from None
        return self._parse(body, kind, call)

    def _read(self, chunks: Any, ends: float) -> bytes:
        """The whole body; a server that drips bytes for ever is cut off at ``ends`` on the clock."""
        body = bytearray()
        for chunk in chunks:
            body += chunk
            if self._clock() > ends:
                raise _Transient("the answer did not end in time")
            if len(body) > LARGEST_BODY:
                raise _Transient("the answer is larger than 16 MB")
        return bytes(body)

    def _parse(self, body: bytes, kind: str, call: _Call) -> Reply:
        if "html" in kind or body.lstrip()[:1] == b"<":
            raise BrokenWorld(
                "model",
                f"{self._where} answered with a web page instead of JSON. "
                "Set OPENAI_BASE_URL to the API's address; it usually ends in /v1.",
            )
        try:
            answer = json.loads(body)
            refusal = parse_error_inside(answer, model=self._name)
            if refusal is None:
                return parse_completion(answer, call.payload, prices=self._prices)
        except (ValueError, AttributeError, RecursionError, NotACompletion) as error:
            call.lost += estimate_usage(call.payload, "", prices=self._prices)
            reason = str(error) if isinstance(error, NotACompletion) else "the answer was cut off or is not JSON"
            raise _Transient(reason) from None
        raise self._refused(refusal)

    def _refused(self, refusal: Refusal) -> Exception:
        if refusal.transient:
            return _Transient(refusal.message, retry_after=refusal.retry_after)
        return BrokenWorld("model", self._scrub(refusal.message))

    def _scrub(self, text: str) -> str:
        """Some endpoints quote the key that they refuse."""
        return text.replace(self._key, "[API key]") if self._key else text


def _within(left: float, most: float) -> float:
    return max(0.1, min(left, most))


def _unreachable(error: Exception) -> Exception:
    if isinstance(error, _Transient):
        return error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return BrokenWorld(
                "model",
                "The model endpoint's TLS certificate is not trusted. Set SSL_CERT_FILE to a bundle that holds your "
                "certificate authority and restart.",
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, APITimeoutError | httpx2.TimeoutException):
        return _Transient("no answer in time")
    reason = error.__cause__ or error
    if isinstance(reason, httpx2.UnsupportedProtocol):
        return BrokenWorld("model", "OPENAI_BASE_URL must begin with http:// or https://. Correct it and restart.")
    return _Transient(f"connection failed ({type(reason).__name__}: {reason})")


def _encodable(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message with lone surrogates replaced: they cannot be sent as UTF-8, and an issue's title may hold one."""
    content = message.get("content")
    if not isinstance(content, str) or content.isascii():
        return dict(message)
    return {**message, "content": content.encode("utf-8", "replace").decode()}
