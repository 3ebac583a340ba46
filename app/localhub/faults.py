"""The fault knob: what goes wrong on purpose, for which calls, and how often."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Literal

from app.localhub.answers import DOCS, Answer

BODY_SHOWN = 65_536
Kind = Literal["status", "timeout", "reset", "primary_limit", "secondary_limit"]


@dataclass
class Fault:
    """One rule. It strikes the calls number ``nth`` to ``nth + times - 1`` among those that match.

    ``method`` None matches all; ``path`` is searched as a regular expression in the path without ``/api/v3``.
    ``kind``: "status" answers ``status`` (502 unless given; the limits 403); "timeout" says nothing for ``seconds``
    and cuts the connection; "reset" cuts it at once; the limits answer as GitHub's rate limits do, with
    ``retry_after`` seconds. ``after_write``: the call is carried out first, so that the write has happened although
    the answer is the fault. ``struck`` counts. Subclasses may choose by the body, and do something when it strikes.
    """

    kind: Kind
    method: str | None = None
    path: str = ""
    nth: int = 1
    times: int = 1
    status: int | None = None
    seconds: float = 30.0
    after_write: bool = False
    retry_after: int | None = None
    seen: int = 0
    struck: int = 0

    def matches(self, method: str, path: str, body: bytes) -> bool:
        """Whether this is a call that the rule counts; ``body`` is the first BODY_SHOWN bytes of it."""
        return (self.method is None or self.method == method) and re.search(self.path, path) is not None

    def act(self) -> None:
        """What else happens when the rule strikes, before the answer; with ``after_write`` after the write."""


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Put a rule into force and return it, so that its counters can be read."""
        with self._lock:
            self._rules.append(fault)
        return fault

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._rules.clear()

    def strike(self, method: str, path: str, body: bytes = b"") -> Fault | None:
        """The rule that strikes this call, if one does; every matching rule counts the call."""
        with self._lock:
            hit = None
            for rule in self._rules:
                if rule.matches(method, path, body):
                    rule.seen += 1
                    if hit is None and rule.nth <= rule.seen < rule.nth + rule.times:
                        rule.struck += 1
                        hit = rule
            return hit


def fault_answer(fault: Fault, *, now: int) -> Answer:
    """The error answer of a fault. ``now``: seconds since 1970.

    Recorded: Retry.testRaisesRetryErrorAfterMaxRetries (502 with ``{"error": "Server Error"}``) and
    Exceptions.testNonJsonDataReturnedByGithub (503 with HTML). The limits' messages are those of GitHub's page
    "Rate limits for the REST API" and of KnpLabs/php-github-api#1070.
    """
    status = fault.status or (403 if fault.kind in ("primary_limit", "secondary_limit") else 502)
    if fault.kind == "secondary_limit":
        message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        docs = f"{DOCS}/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits"
        headers = {"Retry-After": str(60 if fault.retry_after is None else fault.retry_after)}
        return Answer(status, {"message": message, "documentation_url": docs}, headers)
    if fault.kind == "primary_limit":
        wait = 3600 if fault.retry_after is None else fault.retry_after
        message = "API rate limit exceeded for installation."
        docs = f"{DOCS}/using-the-rest-api/rate-limits-for-the-rest-api"
        headers = {"x-ratelimit-limit": "5000", "x-ratelimit-used": "5000", "x-ratelimit-remaining": "0"}
        headers |= {"x-ratelimit-reset": str(now + wait), "x-ratelimit-resource": "core"}
        return Answer(status, {"message": message, "documentation_url": docs}, headers)
    if status == 503:
        words = b"<h1>503 Service Unavailable</h1>\nNo server is available to handle this request."
        return Answer(503, b"<html><body>" + words + b"\n</body></html>", media="text/html")
    return Answer(status, {"error": "Server Error"})
