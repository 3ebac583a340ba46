"""How log lines are made: one event a line, no secret in it, and no text that could forge another line."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog

from app.redaction import Redactor

_CHATTY = ("httpx", "httpcore", "urllib3", "openai", "docker", "asyncio", "sqlalchemy", "github")
"""Libraries that write requests, bodies or statements at lower levels."""
_OWN_HANDLERS = ("dbos", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff\ud800-\udfff]")
_DEPTH = 8


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
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                Scrub(redactor),
                _renderer(as_json, colors=output.isatty()),
            ],
        )
    )
    _route_everything_to(handler, level.upper())


class Scrub:
    """The processor before the renderer: redacts every value, nested ones too, and makes control characters visible."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """The event with safe values."""
        safe: dict[str, Any] = self._scrub(dict(event), _DEPTH)
        return safe

    def _scrub(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return _UNSAFE.sub(_escape, self._redactor.redact(value))
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
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
