"""How the scripted server streams: a completion as server-sent events, and everything that goes wrong with streams."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Entry = Mapping[str, Any]

PIECE = 12


@dataclass(frozen=True)
class Events:
    """The writes of a stream: ``pauses`` are seconds of silence before a write, by its place.

    ``abort``: the connection breaks after the last write instead of ending as HTTP says.
    """

    writes: tuple[bytes, ...]
    pauses: Mapping[int, float]
    abort: bool = False


def render_stream(entry: Entry, completion: Mapping[str, Any], payload: Entry, fault: Entry | None) -> Events:
    """A reply as a stream, with the fault in it.

    Of the reply's own keys these count: ``sse`` (the body as it is, text), ``deltas`` (in place of the ones made from
    the reply), ``piece`` (characters a delta, default 12), ``reasoning_field``, ``newline``, ``comments`` (before each
    event), ``finish`` (False: without a finish reason), ``done`` (False: without ``[DONE]``), ``write`` (bytes a
    write: the body is cut into such pieces, whatever they hold).
    """
    newline = str(entry.get("newline", "\n"))
    if "sse" in entry:
        events = [str(entry["sse"]).encode()]
    else:
        events = [_event(data, newline) for data in _chunks(entry, completion, payload)]
        if entry.get("done", True):
            events.append(_event("[DONE]", newline))
        if entry.get("comments"):
            events = [part for event in events for part in (f": KEEP ALIVE{newline}{newline}".encode(), event)]
    events, pauses, abort = _with_fault(events, fault or {}, newline)
    if "write" in entry:
        size, body = int(entry["write"]), b"".join(events)
        events = [body[place : place + size] for place in range(0, len(body), size)]
    return Events(tuple(events), pauses, abort)


def _with_fault(events: list[bytes], fault: Entry, newline: str) -> tuple[list[bytes], dict[int, float], bool]:
    if "cut_events" in fault:
        return events[: int(fault["cut_events"])], {}, not fault.get("politely", False)
    if "stall" in fault:
        place = int(fault["stall"])
        if fault.get("alive"):
            alive = [f": KEEP ALIVE{newline}{newline}".encode()] * 1000
            return events[:place] + alive, dict.fromkeys(range(place, place + 1000), float(fault["alive"])), True
        return events, {place: float(fault.get("seconds", 60.0))}, False
    if "error_event" in fault:
        body = fault.get("body", {"error": {"message": "scripted error in the stream", "code": 502}})
        events = [*events[: int(fault["error_event"])], _event(json.dumps(body), newline), _event("[DONE]", newline)]
        return events, {}, False
    if "junk_event" in fault:
        place = int(fault["junk_event"])
        return [*events[:place], _event("{half of", newline), *events[place:]], {}, False
    return events, {}, False


def _chunks(entry: Entry, completion: Mapping[str, Any], payload: Entry) -> list[str]:
    choice = completion["choices"][0]
    deltas = entry.get("deltas")
    if deltas is None:
        deltas = _deltas(entry, choice["message"])
    head = {"id": completion["id"], "object": "chat.completion.chunk", "created": 0, "model": completion["model"]}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    if entry.get("finish", True):
        chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    wanted = (payload.get("stream_options") or {}).get("include_usage") or entry.get("usage_always")
    if wanted and "usage" in completion:
        chunks.append({**head, "choices": [], "usage": completion["usage"]})
    return [json.dumps(chunk, ensure_ascii=False) for chunk in chunks]


def _deltas(entry: Entry, message: Mapping[str, Any]) -> list[dict[str, Any]]:
    size = int(entry.get("piece", PIECE))
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    field = str(entry.get("reasoning_field", "reasoning_content"))
    deltas += [{field: piece} for piece in _pieces(message.get(field) or "", size)]
    deltas += [{"content": piece} for piece in _pieces(message.get("content") or "", size)]
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        opened = {"index": index, "id": call["id"], "type": "function"}
        deltas.append({"tool_calls": [{**opened, "function": {"name": function["name"], "arguments": ""}}]})
        for piece in _pieces(function["arguments"], size):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    return deltas


def _pieces(text: str, size: int) -> Sequence[str]:
    return [text[place : place + size] for place in range(0, len(text), size)]


def _event(data: str, newline: str) -> bytes:
    return f"data: {data}{newline}{newline}".encode()
