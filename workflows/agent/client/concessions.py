"""What an endpoint has shown that it does not bear, so that it is not asked for again while this process lives."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any

import structlog

from workflows.agent.client.refusals import Refusal

log = structlog.get_logger()

# A request does its work without any of these; another field that is refused is a setting to be mended.
DISPENSABLE = (
    "stream_options",
    "parallel_tool_calls",
    "top_k",
    "min_p",
    "repetition_penalty",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
)
BROKEN_STREAMS = 2
REFUSING_STATUSES = frozenset({400, 404, 405, 415, 422, 501})


class Concessions:
    """The fields that an endpoint refused, and whether its streams can be relied on. Thread-safe."""

    def __init__(self, *, model: str, streams: bool = True) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._streams = streams
        self._broken = 0
        self._dropped: set[str] = set()

    @property
    def streams(self) -> bool:
        """Whether answers are asked for as streams."""
        with self._lock:
            return self._streams

    @property
    def dropped(self) -> tuple[str, ...]:
        """The fields that are no longer sent, sorted."""
        with self._lock:
            return tuple(sorted(self._dropped))

    def apply(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The request without what is no longer asked for."""
        with self._lock:
            left_out = self._dropped if self._streams else self._dropped | {"stream", "stream_options"}
            return {name: value for name, value in payload.items() if name not in left_out}

    def give_way(self, refusal: Refusal, sent: Mapping[str, Any]) -> bool:
        """Whether the refused request is worth sending again, without what was named in the refusal."""
        if refusal.status not in REFUSING_STATUSES or refusal.too_long:
            return False
        fields = {name for name in DISPENSABLE if name in sent and re.search(rf"\b{name}\b", refusal.said)}
        if fields:
            with self._lock:
                self._dropped |= fields
            log.warning("model endpoint refuses fields; they are left out", model=self._model, fields=sorted(fields))
            return True
        if "stream" in sent and re.search(r"\bstream(ing|ed)?\b", refusal.said):
            self._stop_streaming("the endpoint refuses them")
            return True
        return False

    def stream_was_whole(self) -> None:
        """A stream came to its end."""
        with self._lock:
            self._broken = 0

    def stream_was_broken(self) -> None:
        """A stream began and did not come to its end: the second in a row was the last."""
        with self._lock:
            self._broken += 1
            enough = self._broken == BROKEN_STREAMS
        if enough:
            self._stop_streaming("two in a row broke off")

    def _stop_streaming(self, reason: str) -> None:
        with self._lock:
            self._streams = False
        log.warning("model answers are no longer streamed", model=self._model, reason=reason)
