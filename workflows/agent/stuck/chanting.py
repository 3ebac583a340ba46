"""Tells text that a model repeats without end from text that is only regular, such as code, tables and data."""

from __future__ import annotations

import re

TAIL = 12_000
PROBE = 50
STRIDE = 250
LONGEST_UNIT = 2_500
FEWEST_UNITS = 4
SPOKEN_REGION = 1_000
# Padding, zeros and empty cells may well go on for a while: without words only a very long region is a chant.
DATA_REGION = 8_000
SENTENCE_TIMES = 10
SHORTEST_SENTENCE = 45
SPOKEN_MARKS = ".,!?'’。，！？、"
_WORD = re.compile(r"[^\W\d_]+")
_SPOKEN_WORD = re.compile(r"[(\"“‘]?[^\W\d_]+(?:['’-][^\W\d_]+)*[)\"”’.,;:!?…]*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)


def is_chanting(text: str) -> bool:
    """Whether the last 12,000 characters of ``text`` say one thing over and over; the time is bounded by them.

    True for a region of one repeated unit (1,000 characters and four units of words; 8,000 of anything else), and for
    a sentence of at least 45 characters that stands there ten times with at most twice as much between.
    """
    tail = text[-TAIL:]
    return _has_periodic_region(tail) or _has_refrain(tail)


def _has_periodic_region(text: str) -> bool:
    at = 0
    while at + PROBE < len(text):
        start, end = at, at
        probe = text[at : at + PROBE]
        found = at
        for _ in range(3):  # the probe may also recur within the unit
            found = text.find(probe, found + 1, at + LONGEST_UNIT + PROBE)
            if found < 0:
                break
            period = found - at
            start, end = _region(text, at, period)
            if _is_chant(text[at : at + period], end - start):
                return True
        at = max(at + STRIDE, end - PROBE)
    return False


def _region(text: str, at: int, period: int) -> tuple[int, int]:
    """Where the repetition with this period that includes ``at`` begins and ends."""
    start, end = at, at + period
    while text[end : end + PROBE] == text[end - period : end - period + PROBE] and end + PROBE <= len(text):
        end += PROBE
    while end < len(text) and text[end] == text[end - period]:
        end += 1
    while start > 0 and text[start - 1] == text[start - 1 + period]:
        start -= 1
    return start, end


def _is_chant(unit: str, length: int) -> bool:
    if length < max(SPOKEN_REGION, FEWEST_UNITS * len(unit)):
        return False
    return length >= DATA_REGION or _is_spoken(unit)


def _is_spoken(unit: str) -> bool:
    """Whether the unit is made of words rather than of numbers, rules, cells or literals."""
    letters = [letter for letter in unit.lower() if letter.isalpha()]
    marks = [sign for sign in unit if not sign.isalpha() and not sign.isspace() and sign not in SPOKEN_MARKS]
    if "|" in marks or not set(letters) - set("abcdef"):
        return False
    if not marks and "," not in unit and len(letters) > 1:
        return True
    words = {word.lower() for word in _WORD.findall(unit)}
    return (len(words) >= 3 or len(set(letters)) >= 10) and len(letters) >= 3 * len(marks)


def _has_refrain(text: str) -> bool:
    """Whether one sentence comes again and again, with little between; code between fences is left out."""
    spoken = _FENCED.sub("\n", text)
    at: dict[str, list[int]] = {}
    start = 0
    for part in _SENTENCE_END.split(spoken):
        start = spoken.index(part, start)
        at.setdefault(part.strip(), []).append(start)
        start += len(part)
    for sentence, places in at.items():
        if len(places) < SENTENCE_TIMES or len(sentence) < SHORTEST_SENTENCE:
            continue
        span = places[-1] + len(sentence) - places[-SENTENCE_TIMES]
        if SENTENCE_TIMES * len(sentence) * 3 >= span and _is_sentence(sentence):
            return True
    return False


def _is_sentence(text: str) -> bool:
    """Whether at least six words and hardly anything else stand in it: a line of code has names and signs instead."""
    parts = text.split()
    words = sum(1 for part in parts if _SPOKEN_WORD.fullmatch(part))
    return words >= 6 and words * 10 >= len(parts) * 9
