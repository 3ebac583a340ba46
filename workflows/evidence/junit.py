"""JUnit XML as test cases: pytest's, Node's, Vitest's, Surefire's, Gradle's and go-junit-report's dialects."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from typing import Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from workflows.texts.untrusted import show_hidden
from workflows.types import TestCase

MAX_BYTES = 10_000_000
# A parser that returns more of them has stopped early: the caller must not take them for all.
MAX_CASES = 20_000
MAX_EVENTS = 400_000
MAX_DEPTH = 64
MAX_MESSAGE = 1_000
MAX_ID = 300
LONGEST_NAME = 1_000

Outcome = Literal["passed", "failed", "error", "skipped"]
# Surefire's flakyFailure and rerunFailure stand beside a test that passed in the end, or beside its failure.
_OUTCOMES: dict[str, Outcome] = {"failure": "failed", "error": "error", "skipped": "skipped"}


def parse_junit(data: bytes) -> tuple[TestCase, ...] | None:
    """The test cases of one report in its order; None when it is hostile, broken, too large or something else.

    It reads no further than one case above :data:`MAX_CASES`.
    """
    if len(data) > MAX_BYTES:
        return None
    try:
        cases = _cases(data)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        # LookupError: an encoding that nobody knows.
        return None
    return None if cases is None else number_duplicates(cases)


def number_duplicates(cases: Iterable[TestCase]) -> tuple[TestCase, ...]:
    """The cases with ids made unique: the second of a name gets ``#2``, and so on."""
    seen: dict[str, int] = {}
    unique: dict[str, TestCase] = {}
    for case in cases:
        number = seen.get(case.id, 0) + 1
        while (name := case.id if number == 1 else f"{case.id}#{number}") in unique:
            number += 1
        seen[case.id] = number
        unique[name] = case if name == case.id else case.model_copy(update={"id": name})
    return tuple(unique.values())


def clean_id(text: str, limit: int = MAX_ID) -> str:
    """A test's id as one line of at most ``limit`` characters with nothing hidden in it.

    A long one ends with a digest of the whole, so that ids with the same beginning stay apart in every run.
    """
    # Names are the tested code's words, and they are put into sentences of ours.
    if len(text) > LONGEST_NAME:
        text = text[:LONGEST_NAME] + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    line = " ".join(show_hidden(text).split())
    if len(line) <= limit:
        return line
    digest = hashlib.sha256(line.encode()).hexdigest()[:12]
    return f"{line[: limit - len(digest) - 1]}…{digest}"


class _Pieces(io.BytesIO):
    """Large pieces for the parser, which begins an unfinished attribute anew with each."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(None if size is None or size < 0 else max(size, 1 << 21))


def _cases(data: bytes) -> list[TestCase] | None:
    cases: list[TestCase] = []
    open_elements: list[Element] = []
    for number, (event, element) in enumerate(iterparse(_Pieces(data), events=("start", "end"), forbid_dtd=True)):
        if number > MAX_EVENTS:
            return None
        if event == "start":
            if not open_elements and _name(element) not in {"testsuites", "testsuite"}:
                return None
            open_elements.append(element)
            if len(open_elements) > MAX_DEPTH:
                return None
            continue
        open_elements.pop()
        if _name(element) == "testcase":
            cases.append(_case(element, [_title(suite) for suite in open_elements]))
            if len(cases) > MAX_CASES:
                return cases
        if open_elements and not any(_name(parent) == "testcase" for parent in open_elements):
            # What has been read is let go, so that a large report does not become a large tree. Taking it out of its
            # parent would move all that follow it.
            element.clear()
    return cases


def _case(element: Element, suites: list[str]) -> TestCase:
    # Node names the class "test" for every test: there the suites, which it nests, say more.
    place = element.get("classname") or ""
    if place == "test":
        place = " > ".join(suite for suite in suites if suite)
    outcome: Outcome = "passed"
    message = ""
    for child in element:
        found = _OUTCOMES.get(_name(child))
        if found is not None:
            outcome = found
            message = _message(child)
            break
    return TestCase(
        id=clean_id(f"{place}::{element.get('name') or ''}"),
        outcome=outcome,
        seconds=_seconds(element.get("time")),
        message=message,
    )


def _message(element: Element) -> str:
    attribute = (element.get("message") or "").strip()
    text = "".join(element.itertext()).strip()
    return _clean(text if attribute in text else f"{attribute}\n{text}".strip(), MAX_MESSAGE)


def _clean(text: str, limit: int) -> str:
    # A lone surrogate would not survive the checkpoint's JSON.
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"


def _seconds(text: str | None) -> float:
    # Surefire writes thousands with a comma.
    plain = (text or "").replace(",", "")
    return float(plain) if re.fullmatch(r"\d{1,9}(?:\.\d{1,12})?", plain) else 0.0


def _title(element: Element) -> str:
    # Each of a suite's cases repeats it.
    return (element.get("name") or "")[:MAX_ID] if _name(element) == "testsuite" else ""


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
