"""How good a reviewer is on the seeded-bug set: precision, recall, and how much it says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.review_set.cases import Case

NEAR = 3
"""A comment as many lines away still points a reader at the defect."""


@dataclass(frozen=True)
class Said:
    """One comment of a reviewer: the lines that it is on (``line`` is the last), 1-based, in the changed file."""

    path: str
    line: int
    start_line: int | None = None
    title: str = ""


@dataclass(frozen=True)
class Score:
    """What was found. ``hits`` are defects that a comment points at, ``comments`` are all, ``clean_comments`` those on
    clean changes, ``quiet`` the clean changes on which nothing was said."""

    defects: int
    clean: int
    hits: int
    comments: int
    clean_comments: int
    quiet: int
    missed: tuple[str, ...] = ()

    @property
    def precision(self) -> float:
        """The part of the comments that point at a defect; a second comment on the same defect does not count."""
        return self.hits / self.comments if self.comments else 1.0

    @property
    def recall(self) -> float:
        """The part of the defects that a comment points at."""
        return self.hits / self.defects if self.defects else 1.0

    @property
    def comments_per_pull(self) -> float:
        """How many comments a pull request gets."""
        return self.comments / max(1, self.defects + self.clean)


def score(cases: Sequence[Case], said: Mapping[str, Sequence[Said]]) -> Score:
    """The score of what was said by case id; a case that is not there got no comment."""
    hits = comments = clean_comments = quiet = 0
    missed = []
    for case in cases:
        told = said.get(case.id, ())
        comments += len(told)
        if case.defect is None:
            clean_comments += len(told)
            quiet += not told
        elif any(points_at(one, case) for one in told):
            hits += 1
        else:
            missed.append(case.id)
    defects = sum(case.defect is not None for case in cases)
    return Score(defects, len(cases) - defects, hits, comments, clean_comments, quiet, tuple(missed))


def points_at(said: Said, case: Case) -> bool:
    """Whether a comment is on the defect's lines or at most three away."""
    defect = case.defect
    if defect is None or said.path != defect.path:
        return False
    first = said.line if said.start_line is None else min(said.start_line, said.line)
    return first - NEAR <= defect.line <= max(said.line, first) + NEAR


def render_score(result: Score, *, model: str, recorded: bool) -> str:
    """The score in a few lines; a recorded model's is named as such, because it says nothing of a model's ability."""
    name = f"{model} (recorded: it shows that the scaffolding counts, not how good a model is)" if recorded else model
    rates = f"precision {result.precision:.2f}, recall {result.recall:.2f}"
    return "\n".join(
        [
            f"reviewer: {name}",
            f"changes: {result.defects} with a defect, {result.clean} clean",
            f"{rates}, comments per pull request {result.comments_per_pull:.2f}",
            f"clean changes without a comment: {result.quiet} of {result.clean}",
            *([f"missed: {', '.join(result.missed)}"] if result.missed else []),
        ]
    )
