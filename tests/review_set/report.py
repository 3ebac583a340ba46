"""What a run over the seeded-bug set came to, for people and for programs. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.review_set.cases import LANGUAGES, Case
from tests.review_set.score import NEAR, Said, Score, Share, by_severity_said, chance, score
from workflows.types import Usage

STAGES: Mapping[str, str] = {
    "handed": "as the reviewer handed it over",
    "read": "after reading: placed by the quoted code, said once, no praise or mere advice",
    "stood": "after the second reader, who tries to disprove each point",
    "posted": "as comments on lines, what people see: critical and important, at most five",
}
RULE = (
    f"A point finds a defect when its lines, or those at most {NEAR} away, hold a line on which the defect shows. A "
    "second point on it, and any point on a clean change, is wrong. In brackets: 95 % interval (Wilson)."
)


@dataclass(frozen=True)
class Reviewed:
    """One review that came to its end. ``said`` are its points at each of STAGES.

    ``refused`` says what reading took away, and why. ``challenged``: the second reader's answer could be read.
    ``cited`` are the points that named a command, ``shown`` those whose command the harness had recorded. ``usage`` and
    ``requests`` are the model's, ``seconds`` wall time.
    """

    case: Case
    said: Mapping[str, Sequence[Said]]
    refused: tuple[str, ...] = ()
    challenged: bool = True
    cited: int = 0
    shown: int = 0
    usage: Usage = field(default_factory=Usage)
    requests: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Unscored:
    """A case that says nothing of the reviewer, because its review did not come to an end, and why."""

    case: Case
    reason: str


@dataclass(frozen=True)
class Report:
    """A whole run; ``recorded`` with replies that a script wrote."""

    model: str
    recorded: bool
    reviewed: tuple[Reviewed, ...]
    unscored: tuple[Unscored, ...] = ()
    seconds: float = 0.0

    @property
    def cases(self) -> list[Case]:
        """The cases that count."""
        return [one.case for one in self.reviewed]

    def said(self, stage: str) -> dict[str, Sequence[Said]]:
        """The points of a stage by case id."""
        return {one.case.id: one.said[stage] for one in self.reviewed}

    def score(self, stage: str, cases: Sequence[Case] | None = None) -> Score:
        """The score of a stage, of all cases or of some."""
        return score(self.cases if cases is None else cases, self.said(stage))

    @property
    def usage(self) -> Usage:
        """What the model used for all reviews that count."""
        return sum((one.usage for one in self.reviewed), Usage())


def render_report(report: Report) -> str:
    """The report as text; a recorded one says so where its figures are, because they say nothing of a model."""
    parts = [_head(report)]
    if report.reviewed:
        parts += [_stages(report), _details(report), _usage(report)]
    if report.unscored:
        why = [f"  {one.case.id}: {one.reason}" for one in report.unscored]
        parts.append("\n".join([f"NOT SCORED, for no fault of the reviewer's judgement: {len(why)}", *why]))
    return "\n\n".join(parts)


def _head(report: Report) -> str:
    defects = sum(case.defect is not None for case in report.cases)
    lines = [
        f"reviewer: {report.model}",
        f"changes: {defects} with a defect, {len(report.cases) - defects} clean; {len(report.unscored)} not scored",
        RULE,
    ]
    if report.recorded:
        lines += [
            "The script knows the answers: its recall is what it was written to find, and its wrong points are those",
            "that it was written to make. Only how the lines below differ is a result.",
        ]
    return "\n".join(lines)


def _stages(report: Report) -> str:
    lines = []
    for stage, title in STAGES.items():
        found = report.score(stage)
        lines += [
            title,
            f"  precision {_share(found.precision)}   recall {_share(found.recall)}",
            f"  defects that a find also names in words: {_share(found.named)}",
            f"  defects named in words, wherever they stand: {found.worded.part} of {found.worded.whole}",
            f"  {found.comments_per_pull:.2f} points a pull request",
            f"  clean changes without a word: {_share(found.silent)}",
        ]
    return "\n".join(lines)


def _details(report: Report) -> str:
    posted = report.score("posted")
    lines = ["of the comments on lines:"]
    for name, cases in _groups(report):
        found = report.score("posted", cases)
        precision = f"precision {_share(found.precision)}   " if name in LANGUAGES else ""
        comments = f"   {found.comments_per_pull:.2f} a pull request" if name in LANGUAGES else ""
        lines.append(f"  {name + ':':<24}{precision}recall {_share(found.recall)}{comments}")
    for severity, share in by_severity_said(report.cases, report.said("posted")).items():
        lines.append(f"  {f'said as {severity}:':<24}precision {_share(share)}")
    lines += [
        f"  a comment on any changed line would be taken for a find with probability {chance(report.cases):.2f}",
        f"  missed: {', '.join(posted.missed) or 'none'}",
    ]
    reasons = Counter(_plain(one.rpartition(": ")[2]) for item in report.reviewed for one in item.refused)
    lines += [f"  refused in reading: {count} because {reason}" for reason, count in reasons.most_common()]
    cited, shown = (sum(getattr(one, name) for one in report.reviewed) for name in ("cited", "shown"))
    lines.append(f"  points that cite a command: {cited}; those whose command the harness had recorded: {shown}")
    unread = [one.case.id for one in report.reviewed if not one.challenged]
    lines += [f"  not challenged by the second reader: {', '.join(unread)}"] if unread else []
    return "\n".join(lines)


def _plain(reason: str) -> str:
    """A reason without the title that it may quote."""
    return re.sub(r"“.*” says$", "another point says", reason)


def _groups(report: Report) -> Iterator[tuple[str, list[Case]]]:
    for language in LANGUAGES:
        cases = [case for case in report.cases if case.language == language]
        if cases:
            yield language, cases
    for severity in ("critical", "important"):
        cases = [case for case in report.cases if case.defect is not None and case.defect.severity == severity]
        if cases:
            yield f"{severity} defects", cases
    for kind in sorted({case.defect.kind for case in report.cases if case.defect is not None}):
        yield kind, [case for case in report.cases if case.defect is not None and case.defect.kind == kind]


def _usage(report: Report) -> str:
    usage, count = report.usage, len(report.reviewed)
    requests = sum(one.requests for one in report.reviewed)
    how = "about four characters each" if usage.estimated else "as the endpoint counted them"
    cost = f"; {usage.usd:.2f} USD" if usage.usd else ""
    whole = f"{usage.input_tokens:,} in ({usage.cached_tokens:,} cached), {usage.output_tokens:,} out"
    each = f"{usage.input_tokens // count:,} in, {usage.output_tokens // count:,} out"
    return (
        f"{count} reviews in {report.seconds:.0f} s, {requests} model requests\n"
        f"tokens, {how}: {whole}; a review {each}{cost}"
    )


def _share(share: Share) -> str:
    rate, interval = share.rate, share.interval
    if rate is None or interval is None:
        return "none (0 of 0)"
    return f"{rate:.2f} ({interval[0]:.2f}-{interval[1]:.2f}, {share.part} of {share.whole})"


def as_json(report: Report) -> dict[str, Any]:
    """The report for programs: shares as ``{part, whole, rate, low, high}``, and what was said of every case."""
    return {
        "model": report.model,
        "recorded": report.recorded,
        "rule": RULE,
        "stages": {stage: _score_json(report.score(stage)) for stage in STAGES},
        "groups": {name: _score_json(report.score("posted", cases)) for name, cases in _groups(report)},
        "severity_said": {
            name: _share_json(share) for name, share in by_severity_said(report.cases, report.said("posted")).items()
        },
        "chance": chance(report.cases),
        "seconds": report.seconds,
        "usage": report.usage.model_dump(),
        "cases": {one.case.id: _case_json(one) for one in report.reviewed},
        "unscored": {one.case.id: one.reason for one in report.unscored},
    }


def _score_json(found: Score) -> dict[str, Any]:
    shares = {name: _share_json(getattr(found, name)) for name in ("precision", "recall", "named", "worded", "silent")}
    return {**shares, "comments_per_pull": found.comments_per_pull, "missed": list(found.missed)}


def _share_json(share: Share) -> dict[str, Any]:
    low, high = share.interval or (None, None)
    return {"part": share.part, "whole": share.whole, "rate": share.rate, "low": low, "high": high}


def _case_json(one: Reviewed) -> dict[str, Any]:
    said = {stage: [vars(point) for point in points] for stage, points in one.said.items()}
    return {
        "said": said,
        "refused": list(one.refused),
        "challenged": one.challenged,
        "requests": one.requests,
        "usage": one.usage.model_dump(),
        "seconds": one.seconds,
    }
