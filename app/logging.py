"""How log lines are made: one event a line, no secret in it, and no text that could forge another line."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog

from app.redaction import Redactor

CHATTY = ("httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "openai", "docker", "asyncio", "sqlalchemy", "github")
"""Libraries that write requests, bodies or statements at lower levels."""
_OWN_HANDLERS = ("dbos", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff\ud800-\udfff]")
_DEPTH = 8
_PLAIN = frozenset({str, int, float, bool, type(None)})


def configure_logging(
    *, style: Literal["auto", "console", "json"], level: str, redactor: Redactor, stream: TextIO | None = None
) -> None:
    """Send structlog's and the standard library's logging to ``stream`` (standard error when None).

    ``auto`` is console on a terminal and JSON lines elsewhere. Job and delivery ids come from structlog's contextvars.
    """
    output = stream or sys.stderr
    as_json = style == "json" or (style == "auto" and not output.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    final: list[structlog.types.Processor] = [
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        Scrub(redactor),
        _renderer(as_json, colors=output.isatty()),
    ]
    structlog.configure(
        processors=[*shared, *final],
        logger_factory=lambda *names: _Lines(output, str(names[0]) if names else ""),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    without_record = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[without_record, *final])
    )
    _route_everything_to(handler, level.upper())


class _Lines(structlog.WriteLogger):
    """Our own events go straight to the stream: the way through the standard library costs three times as much."""

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self.name = name


class Scrub:
    """The processor before the renderer: redacts every value, nested ones too, and makes control characters visible."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """The event with safe values."""
        if all(type(value) in _PLAIN for value in event.values()):
            # Most events: what repr does not escape is printable, and what is clean as a whole is clean in its parts.
            text = repr(event)
            if "\\" not in text and self._redactor.is_clean(text):
                return event
        safe: dict[str, Any] = self._scrub(dict(event), _DEPTH)
        return safe

    def _scrub(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            safe = self._redactor.redact(value)
            return safe if safe.isprintable() else _UNSAFE.sub(_escape, safe)
        if depth and isinstance(value, Mapping):
            return {self._scrub(str(key), depth - 1): self._scrub(item, depth - 1) for key, item in value.items()}
        if depth and isinstance(value, list | tuple | set | frozenset):
            return [self._scrub(item, depth - 1) for item in value]
        if isinstance(value, bytes | bytearray):
            return self._scrub(bytes(value).decode("utf-8", "replace"), depth)
        return self._scrub(str(value), depth)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    named = {9: "\\t", 10: "\\n", 13: "\\r"}
    return named.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def _renderer(as_json: bool, *, colors: bool) -> structlog.types.Processor:
    if as_json:
        return structlog.processors.JSONRenderer(ensure_ascii=True)
    console = structlog.dev.ConsoleRenderer(colors=colors)

    def render(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        trace = event.pop("exception", None)
        line = str(console(logger, method, event))
        # Only the ends of lines that a traceback is made of come back, behind a mark that no event starts with.
        return line if trace is None else "\n  | ".join([line, *str(trace).split("\\n")])

    return render


def _route_everything_to(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        # A handler that does nothing keeps DBOS from adding its own.
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = True
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_bug


def _log_thread_bug(bug: threading.ExceptHookArgs) -> None:
    # Python's own hook writes past the handler above, secrets and all.
    if bug.exc_value is not None:
        name = bug.thread.name if bug.thread else ""
        structlog.get_logger(__name__).error("thread_bug", thread=name, exc_info=bug.exc_value)
