"""The model client: one whole reply from an OpenAI-compatible endpoint, or a BrokenWorld that says what to do."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from workflows.agent.client.completions import CUT_OFF, Said, read_reply
from workflows.agent.client.concessions import Concessions
from workflows.agent.client.listing import parse_model_list
from workflows.agent.client.presets import Preset, find_preset, sampling_for, window_for
from workflows.agent.client.refusals import ModelUnavailable, Refusal, Refused, Transient
from workflows.agent.client.usage import Prices, estimate_usage
from workflows.beside import begin_beside
from workflows.services import BrokenWorld, ContextTooLong
from workflows.types import Reply, Usage

if TYPE_CHECKING:
    from workflows.agent.client.endpoint import Endpoint

__all__ = ["OpenAIModel", "Prices"]

log = structlog.get_logger()

ATTEMPTS = 10
RESAMPLES = 2
LONGEST_WAIT = 60.0
DEADLINE = 600.0


@dataclass
class _Call:
    """What the attempts of one ``complete`` share: the request, its end on the clock, and what lost attempts cost."""

    payload: Mapping[str, Any]
    ends: float
    cancelled: Event = field(default_factory=Event)
    lost: Usage = field(default_factory=Usage)
    resampled: int = 0
    attempts: int = 0


class OpenAIModel:
    """A chat model behind an OpenAI-compatible endpoint. Thread-safe; the API key appears in no text it produces.

    ``preset`` None: found by the address. ``sampling`` is merged into each request as it is (``temperature``,
    ``top_p``, ``top_k``, ``max_tokens`` …); None takes the model card's, empty leaves the endpoint's own defaults.
    ``request_timeout`` is the seconds to the first token, or to the end of an answer that is not streamed;
    ``idle_timeout`` those without a byte in a stream. ``context_window`` None: what is known of the model.
    ``attempts`` bounds the tries of one ``complete``.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        model: str,
        prices: Prices | None = None,
        preset: Preset | None = None,
        request_timeout: float = 300.0,
        idle_timeout: float = 60.0,
        stream: bool = True,
        sampling: Mapping[str, Any] | None = None,
        context_window: int | None = None,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._key = api_key
        self._name = model
        self._prices = prices or Prices()
        self._attempts = attempts
        self._sleep, self._clock, self._jitter = sleep, clock, jitter
        self.preset = find_preset(base_url) if preset is None else preset
        self.sampling = sampling_for(model, self.preset) if sampling is None else dict(sampling)
        self._window = context_window or window_for(model, self.preset)
        patience = {"first": request_timeout, "idle": idle_timeout}
        connect = partial(_connect, base_url, api_key, model=model, clock=clock, **patience)
        # No daemon: a process that ends while a package is being loaded may crash.
        self._endpoint = begin_beside(connect, name="model-endpoint", daemon=False)
        self.concessions = Concessions(model=model, streams=stream and self.preset.streams)

    def __repr__(self) -> str:
        return f"OpenAIModel({self.endpoint.where!r}, model={self._name!r})"

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint; waits until the package that speaks with it is loaded."""
        return self._endpoint.result()

    @property
    def name(self) -> str:
        """The model's name as sent to the endpoint."""
        return self._name

    @property
    def context_window(self) -> int:
        """How many tokens a request and its reply may have together."""
        return self._window

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        cancelled: Event | None = None,
    ) -> Reply:
        """One whole reply within ``deadline`` seconds, retries included. Raises BrokenWorld("model", …).

        Of its subclasses, ContextTooLong when the conversation is what is too large, and ModelUnavailable when another
        endpoint may answer what this one does not. An empty reply is asked for again twice and then returned as it is.
        A reply that repeats itself without end is cut, with the finish reason "chanting". ``Reply.usage`` covers lost
        attempts too. ``cancelled`` cuts a stream and is the end of the attempts; waiting for its first byte goes on.
        """
        started = self._clock()
        call = _Call(
            payload=self._payload(messages, tools),
            ends=started + (DEADLINE if deadline is None else deadline),
            cancelled=cancelled or Event(),
        )
        retrying = Retrying(
            sleep=self._sleep,
            wait=self._wait,
            stop=lambda state: (
                state.attempt_number >= self._attempts
                or self._clock() + state.upcoming_sleep >= call.ends
                or call.cancelled.is_set()
            ),
            retry=retry_if_exception_type(Transient),
            reraise=True,
        )
        try:
            reply: Reply = retrying(self._attempt, call)
        except Transient as error:
            message = (
                f"The model endpoint {self.endpoint.where} gave no usable answer in {call.attempts} attempts; "
                f"the last: {self.scrub(str(error))}. Check the endpoint and OPENAI_BASE_URL, then start the job again."
            )
            raise ModelUnavailable(message, usage=call.lost) from None
        except ModelUnavailable as error:
            raise ModelUnavailable(error.message, usage=call.lost) from None
        return reply.model_copy(update={"usage": call.lost + reply.usage, "seconds": self._clock() - started})

    def check(self, *, call: bool = False, deadline: float = 5.0) -> tuple[bool, str]:
        """Whether the endpoint answers for this model, and a sentence about it, within about ``deadline`` seconds.

        Asks for the list of models, which is free; for one token (``call=True``, or when the list does not settle it).
        """
        try:
            if not call and self._listed(deadline):
                return True, f"{self.endpoint.where} offers the model {self._name}"
            payload = self._payload([{"role": "user", "content": "Say: ok"}], ()) | {"max_tokens": 1}
            self._request(_Call(payload=payload, ends=self._clock() + deadline))
        except Transient as error:
            return False, self.scrub(f"The model endpoint {self.endpoint.where} does not answer: {error}")
        except BrokenWorld as error:
            return False, error.message
        return True, f"{self.endpoint.where} answers for the model {self._name}"

    def scrub(self, text: str) -> str:
        """The text without the API key: some endpoints quote the key that they refuse."""
        return text.replace(self._key, "[API key]") if self._key else text

    def _payload(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        payload: dict[str, Any] = {"messages": list(messages), "stream": True}
        if self.preset.stream_usage:
            payload["stream_options"] = {"include_usage": True}
        if tools:
            payload |= {"tools": list(tools), **self.preset.with_tools}
        return {**payload, **self.preset.extra, **self.sampling}

    def _listed(self, deadline: float) -> bool:
        try:
            return any(
                entry.id == self._name for entry in parse_model_list(self.endpoint.fetch("models", seconds=deadline))
            )
        except Refused as error:
            if error.refusal.status in {404, 405, 501}:
                return False
            raise self._refused(error.refusal) from None
        except ValueError:  # a list in some other form says nothing
            return False

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wished = error.retry_after if isinstance(error, Transient) else None
        jittered = self._jitter(0.0, min(LONGEST_WAIT, 2.0**state.attempt_number))
        return jittered if wished is None else wished + min(jittered, 1.0)

    def _attempt(self, call: _Call) -> Reply:
        call.attempts += 1
        try:
            reply = self._request(call)
        except Transient as error:
            log.warning("model attempt failed", model=self._name, reason=self.scrub(str(error)))
            raise
        if reply.finish_reason == "content_filter" and not reply.tool_calls:
            raise BrokenWorld(
                "model",
                "The provider's content filter refused to answer. Reword the issue, or change FORGEHAND_MODEL.",
            )
        if _is_empty(reply) and call.resampled < RESAMPLES:
            call.resampled += 1
            call.lost += reply.usage
            raise Transient("the reply was empty", retry_after=0.0)
        return reply

    def _request(self, call: _Call) -> Reply:
        """One exchange; a field or a stream that the endpoint refuses is left out and the rest sent again at once."""
        while True:
            sent = self.concessions.apply(call.payload)
            try:
                said = self._exchange(sent, call)
            except Refused as error:
                if self.concessions.give_way(error.refusal, sent):
                    continue
                raise self._refused(error.refusal) from None
            return read_reply(said, call.payload, prices=self._prices)

    def _exchange(self, sent: Mapping[str, Any], call: _Call) -> Said:
        try:
            said, streamed = self.endpoint.exchange(sent, ends=call.ends, cancelled=call.cancelled)
        except Transient as error:
            if error.billed:
                call.lost += estimate_usage(call.payload, "", prices=self._prices)
            if error.broken_stream:
                self.concessions.stream_was_broken()
            raise
        if streamed:
            self.concessions.stream_was_whole()
        return said

    def _refused(self, refusal: Refusal) -> Exception:
        message = self.scrub(refusal.message)
        if refusal.transient:
            return Transient(message, retry_after=refusal.retry_after)
        if refusal.too_long:
            return ContextTooLong(message)
        return ModelUnavailable(message) if refusal.unavailable else BrokenWorld("model", message)


def _connect(
    base_url: str, api_key: str, *, model: str, first: float, idle: float, clock: Callable[[], float]
) -> Endpoint:
    # The openai package is a third of all that we load, and needed only when the first request is sent.
    from workflows.agent.client.endpoint import Endpoint, Patience

    return Endpoint(base_url, api_key, model=model, patience=Patience(first=first, idle=idle), clock=clock)


def _is_empty(reply: Reply) -> bool:
    """Whether the reply holds nothing to go on with; a promise of calls without any is nothing."""
    if reply.tool_calls or reply.incomplete or reply.finish_reason in CUT_OFF:
        return False
    return not reply.content.strip() or reply.finish_reason == "tool_calls"
