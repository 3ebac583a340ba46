"""How good a reviewer is on the seeded-bug set: precision, recall, and how much it says. Pure.

The rule: a point *finds* a defect when it is on the defect's file, and its lines, or those at most two away, hold one
of the lines on which the defect shows. Whatever it says there counts; how many of them also *name* it, by the case's
own words, is told beside it, and so is how often a comment on any changed line would be taken for a find.
A second point on the same defect, and every point on a clean change, is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.review_set.cases import Case, Defect, names_defect

NEAR = 2
"""A comment as many lines away still points a reader at the defect."""
_95 = 1.959964


@dataclass(frozen=True)
class Said:
    """One point of a reviewer: its lines (``line`` is the last), 1-based, in the changed file, and its words."""

    path: str
    line: int
    start_line: int | None = None
    words: str = ""
    severity: str = ""


@dataclass(frozen=True)
class Share:
    """``part`` of ``whole``, such as the defects that were found."""

    part: int
    whole: int

    @property
    def rate(self) -> float | None:
        """The share, 0 to 1; None of nothing."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's score interval at 95 %, which holds for few trials and for shares near 0 and 1. None of nothing."""
        if not self.whole:
            return None
        n, rate, z = self.whole, self.part / self.whole, _95
        middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
        spread = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
        return max(0.0, middle - spread), min(1.0, middle + spread)


@dataclass(frozen=True)
class Score:
    """What was found.

    ``precision`` is of the points, ``recall`` of the defects, ``named`` are the defects that a find also names, and
    ``worded`` those that any point names, wherever it stands; ``silent`` is of the clean changes. ``comments`` are all
    points, of ``changes`` pull requests. ``missed`` are ids.
    """

    precision: Share
    recall: Share
    named: Share
    worded: Share
    silent: Share
    comments: int
    changes: int
    missed: tuple[str, ...] = ()

    @property
    def comments_per_pull(self) -> float:
        """How many points a pull request gets."""
        return self.comments / max(1, self.changes)


def score(cases: Sequence[Case], said: Mapping[str, Sequence[Said]]) -> Score:
    """The score of what was said by case id; a case that is not there got no word."""
    found = named = worded = comments = silent = 0
    missed = []
    for case in cases:
        told = said.get(case.id, ())
        comments += len(told)
        if case.defect is None:
            silent += not told
            continue
        finds = [one for one in told if finds_defect(one, case.defect)]
        found += bool(finds)
        named += any(names_defect(one.words, case.defect) for one in finds)
        worded += any(names_defect(one.words, case.defect) for one in told)
        missed += [] if finds else [case.id]
    defects = sum(case.defect is not None for case in cases)
    return Score(
        precision=Share(found, comments),
        recall=Share(found, defects),
        named=Share(named, defects),
        worded=Share(worded, defects),
        silent=Share(silent, len(cases) - defects),
        comments=comments,
        changes=len(cases),
        missed=tuple(missed),
    )


def finds_defect(said: Said, defect: Defect) -> bool:
    """Whether a point is on one of the defect's lines or at most two away."""
    first, last = sorted((said.line if said.start_line is None else said.start_line, said.line))
    return any(path == said.path and first - NEAR <= line <= last + NEAR for path, line in defect.places)


def by_severity_said(cases: Sequence[Case], said: Mapping[str, Sequence[Said]]) -> dict[str, Share]:
    """The precision of the points of each severity, as the reviewer gave it."""
    right: dict[str, int] = {}
    every: dict[str, int] = {}
    for case in cases:
        open_defects = [case.defect] if case.defect is not None else []
        for one in said.get(case.id, ()):
            every[one.severity] = every.get(one.severity, 0) + 1
            if open_defects and finds_defect(one, open_defects[0]):
                right[one.severity] = right.get(one.severity, 0) + 1
                open_defects = []
    return {severity: Share(right.get(severity, 0), whole) for severity, whole in sorted(every.items())}


def chance(cases: Iterable[Case]) -> float:
    """How likely a comment on one changed line, whichever, is taken for a find: the mean over the defects, 0 to 1."""
    likely = []
    for case in cases:
        if case.defect is None:
            continue
        changed = changed_lines(case)
        hits = sum(finds_defect(Said(path, line), case.defect) for path, line in changed)
        likely.append(hits / len(changed))
    return sum(likely) / len(likely) if likely else 0.0


def changed_lines(case: Case) -> list[tuple[str, int]]:
    """The lines of the changed files that are not in the file before, by path and number."""
    return [
        (path, number)
        for path, text in case.changed.items()
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and line not in case.base.get(path, "").split("\n")
    ]
