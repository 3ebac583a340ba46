"""Several models as one: the first that can answer does, and stays for a while so that its prompt cache is used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from workflows.agent.client.llm import DEADLINE, OpenAIModel
from workflows.agent.client.refusals import ModelUnavailable
from workflows.services import ContextTooLong
from workflows.types import Reply, Usage

log = structlog.get_logger()

STICKY_SECONDS = 600.0


class FallbackModel:
    """The models in their order of preference. Thread-safe.

    The next one is asked when a model's attempts are spent, or when its key, money, address or model is what is wrong;
    a request that is refused for its own sake is refused by all. A conversation that is too long for a model goes to
    those with a larger window, if there are any. Whoever answered is asked first for ``sticky`` seconds.
    """

    def __init__(
        self,
        models: Sequence[OpenAIModel],
        *,
        sticky: float = STICKY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not models:
            raise ValueError("a fallback list needs at least one model")
        self.models = tuple(models)
        self._sticky = sticky
        self._clock = clock
        self._lock = threading.Lock()
        self._chosen = 0
        self._until = float("-inf")

    def __repr__(self) -> str:
        return f"FallbackModel({list(self.models)!r})"

    @property
    def name(self) -> str:
        """The name of the model of choice."""
        return self.models[0].name

    @property
    def context_window(self) -> int:
        """The window of the model that would be asked now, in tokens."""
        return self.models[self._first()].context_window

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        cancelled: threading.Event | None = None,
    ) -> Reply:
        """One whole reply within ``deadline`` seconds; ``Reply.model`` names who answered when it was not the first.

        Raises ModelUnavailable when none can answer, and what a model raises for the request's own sake.
        """
        started = self._clock()
        ends = started + (DEADLINE if deadline is None else deadline)
        lost, failures = Usage(), list[str]()
        too_long: ContextTooLong | None = None
        too_small = 0
        first = self._first()
        order = [first, *(place for place in range(len(self.models)) if place != first)]
        for number, place in enumerate(order):
            model = self.models[place]
            if model.context_window <= too_small:
                continue
            left = ends - self._clock()
            if number and (left <= 0 or (cancelled is not None and cancelled.is_set())):
                break
            # The one before the last leaves time for it: attempts can take as long as they are let.
            share = left if number == len(order) - 1 else left / 2
            try:
                reply = model.complete(messages, tools=tools, deadline=share, cancelled=cancelled)
            except ModelUnavailable as error:
                lost += error.usage
                failures.append(f"{model.name}: {error.message}")
                log.warning("model unavailable", model=model.name, reason=error.message)
            except ContextTooLong as error:
                too_long, too_small = error, max(too_small, model.context_window)
            else:
                return self._answered(place, reply, lost=lost, seconds=self._clock() - started)
        if too_long is not None:
            raise too_long
        raise ModelUnavailable(" ".join(failures), usage=lost)

    def check(self, *, call: bool = False, deadline: float = 5.0) -> tuple[bool, str]:
        """Whether any of the models answers, and a sentence about each that was asked: the first that does is the last.

        Each has an equal share of ``deadline`` seconds.
        """
        said = []
        for model in self.models:
            answers, reason = model.check(call=call, deadline=deadline / len(self.models))
            said.append(reason)
            if answers:
                return True, " ".join(said)
        return False, " ".join(said)

    def _first(self) -> int:
        with self._lock:
            return self._chosen if self._clock() < self._until else 0

    def _answered(self, place: int, reply: Reply, *, lost: Usage, seconds: float) -> Reply:
        with self._lock:
            if place != 0 and (place != self._chosen or self._clock() >= self._until):
                self._until = self._clock() + self._sticky
            if place == 0:
                self._until = float("-inf")
            self._chosen = place
        name = "" if place == 0 else self.models[place].name
        return reply.model_copy(update={"usage": lost + reply.usage, "seconds": seconds, "model": name})
