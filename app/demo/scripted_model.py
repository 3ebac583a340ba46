"""A scripted OpenAI-compatible server: it plays a session file, so that everything but the model's words is real."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from app.demo.scripted_stream import Events, render_stream

MODEL_NAME = "scripted-session"
LONGEST_HANG = 120.0
CHARACTERS_A_TOKEN = 4

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it arrived; ``client`` is the address and port of its connection's other end."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    client: tuple[str, int] = ("", 0)

    @property
    def json(self) -> dict[str, Any]:
        """The parsed body."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass(frozen=True)
class _Answer:
    """What is sent: ``wait`` seconds late, ``drip`` seconds between bytes, ``cut`` after so many; status 0: nothing.

    With ``events`` it goes out in their writes, each a chunk of its own, and ``body`` is all of them. Nothing goes out
    before ``held`` is set.
    """

    status: int
    body: bytes
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    held: threading.Event | None = None
    drip: float = 0.0
    cut: int | None = None
    events: Events | None = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may hang up whenever it likes; anything else is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class ScriptedModel:
    """The server, in a thread on a free port of 127.0.0.1.

    ``session`` is a list of replies, or a JSON file that holds one. A reply has ``content``, ``tool_calls`` (a list of
    ``{"name", "arguments"}``, the arguments an object or raw text), ``usage`` (null leaves it out), ``finish_reason``,
    ``delay`` (seconds), ``held`` (a threading.Event that it waits for) and ``faults``, which are answered first, each
    once (``"times": -1``: for ever):
    ``{"status", "body", "retry_after", "location"}``, ``{"hang": seconds}``, ``{"drip": seconds between bytes}``,
    ``{"cut": bytes}``, ``{"hang_up": true}``, ``{"malformed": true}``, ``{"html": true}``; in a stream also
    ``{"cut_events": events}`` (``"politely": true``: as if that were the end), ``{"stall": events, "seconds"}``
    (``"alive": seconds``: with nothing but comments so far apart), ``{"error_event": events, "body"}``,
    ``{"junk_event": events}``.

    A request with ``stream`` gets a stream: :func:`app.demo.scripted_stream.render_stream` says which keys of a reply
    shape it. ``streams`` False: such a request is answered whole; "refused": with a 400. ``refuses`` names fields of
    a request that are answered with a 400. ``models`` is the model list in some other form, ``pages`` are further
    addresses with their JSON.

    The reply is chosen by the number of assistant messages in the request, so a repeated turn gets the same answer.
    Replies with a ``match`` are a list of their own, for requests whose system prompt or last user message holds it.
    """

    def __init__(
        self,
        session: Path | Sequence[Entry],
        *,
        api_key: str | None = None,
        tls: ssl.SSLContext | None = None,
        name: str = MODEL_NAME,
        streams: bool | Literal["refused"] = True,
        refuses: Sequence[str] = (),
        models: Any = None,
        pages: Mapping[str, Any] | None = None,
    ) -> None:
        self._entries: Sequence[Entry] = json.loads(session.read_text()) if isinstance(session, Path) else session
        self._key = api_key
        self._name = name
        self._streams = streams
        self._refuses = refuses
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "script"}]
        self._pages = {"/v1/models": models or {"object": "list", "data": listed}, **(pages or {})}
        self._served: Counter[tuple[int, int]] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.requests: list[RecordedRequest] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https" if tls else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL is set to."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/v1"

    def start(self) -> ScriptedModel:
        """Begin to serve."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and end hanging answers; may be called twice."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> ScriptedModel:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def completions(self) -> list[RecordedRequest]:
        """The requests for a completion, oldest first."""
        return [request for request in self.requests if request.path.endswith("/chat/completions")]

    def answer(self, request: RecordedRequest) -> _Answer:
        """What is sent for a request."""
        if self._key is not None and request.headers.get("authorization") != f"Bearer {self._key}":
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            return _error(401, f"Incorrect API key provided: {given}")  # some endpoints do quote the key
        if request.path in self._pages:
            return _Answer(200, _json(self._pages[request.path]))
        if not request.path.endswith("/chat/completions"):
            return _error(404, f"There is no {request.path}")
        payload = request.json
        wrong = find_fault(payload["messages"]) or self._refusal(payload)
        return _error(400, wrong) if wrong else self._reply(payload)

    def _refusal(self, payload: Mapping[str, Any]) -> str | None:
        field = next((field for field in self._refuses if field in payload), None)
        if field:
            return f"Unrecognized request argument supplied: {field}"
        if payload.get("stream") and self._streams == "refused":
            return "Streaming is not supported by this endpoint."
        return None

    def _reply(self, payload: Mapping[str, Any]) -> _Answer:
        messages = payload["messages"]
        chosen = self._choose(messages)
        if chosen is None:
            turn = sum(message["role"] == "assistant" for message in messages) + 1
            return _error(400, f"The scripted session has no reply for turn {turn}.")
        place, entry = chosen
        fault = self._due_fault(place, entry)
        completion = _completion(entry, payload, self._name)
        answer = _Answer(200, _json(completion), wait=float(entry.get("delay", 0.0)), held=entry.get("held"))
        if payload.get("stream") and self._streams is True:
            events = render_stream(entry, completion, payload, fault)
            body = b"".join(events.writes)
            answer = replace(answer, body=body, kind="text/event-stream; charset=utf-8", events=events)
        return answer if fault is None else _faulty(fault, answer)

    def _choose(self, messages: Sequence[Mapping[str, Any]]) -> tuple[int, Entry] | None:
        system = next((m["content"] for m in messages if m["role"] == "system"), "")
        user = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
        words = [entry["match"] for entry in self._entries if "match" in entry]
        match = next((word for word in words if word in system or word in user), None)
        turn = sum(message["role"] == "assistant" for message in messages)
        group = [(place, entry) for place, entry in enumerate(self._entries) if entry.get("match") == match]
        return group[turn] if turn < len(group) else None

    def _due_fault(self, place: int, entry: Entry) -> Entry | None:
        with self._lock:
            for number, fault in enumerate(entry.get("faults", ())):
                times = fault.get("times", 1)
                if times < 0 or self._served[place, number] < times:
                    self._served[place, number] += 1
                    return fault  # type: ignore[no-any-return]
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer on a kept connection waits 40 ms for an acknowledgement

            def do_GET(self) -> None:
                self._serve(b"")

            def do_POST(self) -> None:
                self._serve(self.rfile.read(int(self.headers.get("content-length", 0))))

            def log_message(self, format: str, *args: Any) -> None:
                """Requests are recorded, not printed."""

            def _serve(self, body: bytes) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = RecordedRequest(self.path, headers, body, self.client_address)
                script.requests.append(request)
                answer = script.answer(request)
                if answer.wait:
                    script._stopping.wait(answer.wait)
                while answer.held is not None and not script._stopping.is_set() and not answer.held.wait(0.05):
                    pass
                try:
                    self._send(answer)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _send(self, answer: _Answer) -> None:
                _send_answer(self, answer, script._stopping)

        return Handler


def _send_answer(handler: BaseHTTPRequestHandler, answer: _Answer, stopping: threading.Event) -> None:
    if not answer.status:
        handler.close_connection = True
        return
    handler.send_response(answer.status)
    for name, value in {"Content-Type": answer.kind, **answer.headers}.items():
        handler.send_header(name, value)
    if answer.events is not None:
        _send_events(handler, answer.events, stopping)
        return
    handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    if answer.drip:
        for place in range(len(answer.body)):
            handler.wfile.write(answer.body[place : place + 1])
            stopping.wait(answer.drip)
    else:
        handler.wfile.write(answer.body[: answer.cut])
    if answer.cut is not None:
        handler.close_connection = True


def _send_events(handler: BaseHTTPRequestHandler, events: Events, stopping: threading.Event) -> None:
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for place, piece in enumerate(events.writes):
        stopping.wait(events.pauses.get(place, 0.0))
        if piece:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    stopping.wait(events.pauses.get(len(events.writes), 0.0))
    if events.abort:
        handler.close_connection = True
    else:
        handler.wfile.write(b"0\r\n\r\n")


def find_fault(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """What a strict server refuses about a conversation, in OpenAI's sense, or None."""
    open_ids: list[str] = []
    for message in messages:
        role = message["role"]
        if role == "tool":
            if message["tool_call_id"] not in open_ids:
                return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            open_ids.remove(message["tool_call_id"])
            continue
        if open_ids:
            return f"An assistant message with 'tool_calls' must be followed by tool messages: {', '.join(open_ids)}"
        if role == "assistant":
            calls = message.get("tool_calls") or []
            if not calls and not message.get("content"):
                return "An assistant message needs content or tool_calls."
            for call in calls:
                if not _is_object(call["function"]["arguments"]):
                    return "The arguments of a tool call must be a JSON object."
            open_ids = [call["id"] for call in calls]
    return f"No tool output found for: {', '.join(open_ids)}" if open_ids else None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _completion(entry: Entry, payload: Mapping[str, Any], name: str) -> dict[str, Any]:
    calls = [
        {
            "id": call.get("id", f"call_{number}"),
            "type": "function",
            "function": {"name": call["name"], "arguments": _arguments(call.get("arguments", {}))},
        }
        for number, call in enumerate(entry.get("tool_calls", ()))
    ]
    message: dict[str, Any] = {"role": "assistant", "content": entry.get("content")}
    if entry.get("reasoning"):
        message[str(entry.get("reasoning_field", "reasoning_content"))] = entry["reasoning"]
    if calls:
        message["tool_calls"] = calls
    reason = entry.get("finish_reason", "tool_calls" if calls else "stop")
    prompt, said = len(json.dumps(payload)) // CHARACTERS_A_TOKEN, len(json.dumps(message)) // CHARACTERS_A_TOKEN
    usage = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}
    answer = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": name,
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
        "usage": entry.get("usage", usage),
    }
    return {key: value for key, value in answer.items() if key != "usage" or value is not None}


def _arguments(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _faulty(fault: Entry, answer: _Answer) -> _Answer:
    """The answer with the fault in it; those of a stream are in its events already."""
    if not fault.keys().isdisjoint(("cut_events", "stall", "error_event", "junk_event")):
        return answer
    whole = replace(answer, events=None)
    if "hang" in fault:
        return replace(whole, wait=min(LONGEST_HANG, float(fault["hang"])))
    if "drip" in fault:
        return replace(whole, drip=float(fault["drip"]))
    if "cut" in fault:
        return replace(whole, cut=int(fault["cut"]))
    if "hang_up" in fault:
        return replace(whole, status=0)
    if "malformed" in fault:
        return replace(whole, body=answer.body[: len(answer.body) // 2])
    status = int(fault.get("status", 200))
    named = {"Retry-After": fault.get("retry_after"), "Location": fault.get("location")}
    headers = {name: str(value) for name, value in named.items() if value is not None}
    if "html" in fault:
        page = b"<!DOCTYPE html><html><body><h1>A web page</h1></body></html>"
        return _Answer(status, page, kind="text/html", headers=headers)
    body = fault.get("body", {"error": {"message": f"scripted fault {status}", "type": "scripted", "code": None}})
    return _Answer(status, _json(body), headers=headers)


def _error(status: int, message: str) -> _Answer:
    return _Answer(status, _json({"error": {"message": message, "type": "invalid_request_error", "code": None}}))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
