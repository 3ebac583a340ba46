"""The points of a review: what one is, and which are said where people see them first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, Protocol

from workflows.review.anchors import Anchor
from workflows.review.suggestions import Suggestion, SuggestionCheck
from workflows.types import Noun

Severity = Literal["critical", "important", "minor"]
Threshold = Literal["never", "critical", "important"]
SEVERITIES: tuple[Severity, ...] = ("critical", "important", "minor")
CATEGORIES = (
    *("bug", "security", "data loss", "concurrency", "error handling", "performance", "compatibility"),
    *("requirement", "test", "maintainability", "other"),
)
MOST_INLINE = 5
LEAST_CONFIDENCE = 0.5
"""What its own reviewer believes less, and nothing shows, is no comment on a line."""


class RecordedRun(Noun):
    """A command that the harness ran, with the digest of its whole output and the end of it."""

    command: str
    exit_code: int | None
    sha256: str
    excerpt: str = ""


class Evidence(Noun):
    """What shows a finding: a run that was recorded, never a model's account of one, or the path of reasoning."""

    run: RecordedRun | None = None
    reasoning: str = ""


class Finding(Noun):
    """One point of a review. ``id`` is the same after a push that leaves code and title alone.

    ``confidence`` is 0 to 1. Without an ``anchor``, or with one outside the diff, where GitHub takes no comment, it is
    told in the summary. ``check`` is set once the suggestion was tried.
    """

    id: str
    severity: Severity
    category: str
    confidence: float
    title: str
    body: str
    path: str
    anchor: Anchor | None = None
    evidence: Evidence = Evidence()
    suggestion: Suggestion | None = None
    check: SuggestionCheck | None = None


def rank(findings: Sequence[Finding]) -> list[Finding]:
    """The findings by severity, then those that a run shows, then by confidence, then by place."""
    return sorted(
        findings,
        key=lambda one: (
            SEVERITIES.index(one.severity),
            one.evidence.run is None,
            -one.confidence,
            one.path,
            one.anchor.line if one.anchor else 0,
            one.id,
        ),
    )


def pick_inline(
    findings: Sequence[Finding], *, most: int = MOST_INLINE, least: Severity = "important"
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Those to say on their lines, at most ``most`` and none below ``least``, and the rest for the summary; ranked."""
    ranked = rank(findings)
    allowed = SEVERITIES[: SEVERITIES.index(least) + 1]
    sure = [one for one in ranked if one.severity in allowed and not is_doubtful(one)]
    inline = [one for one in sure if one.anchor is not None and not one.anchor.outside][: max(0, most)]
    return tuple(inline), tuple(one for one in ranked if one not in inline)


def count_severities(findings: Sequence[Point]) -> dict[Severity, int]:
    """How many there are of each severity that occurs, the worst first."""
    counts = Counter(one.severity for one in findings)
    return {severity: counts[severity] for severity in SEVERITIES if counts[severity]}


def matters(findings: Sequence[Finding]) -> bool:
    """Whether there is anything for which people should be disturbed."""
    return any(one.severity != "minor" and not is_doubtful(one) for one in findings)


def is_doubtful(finding: Finding) -> bool:
    """Whether it is a mere suspicion; of a critical one people hear all the same."""
    shown = finding.evidence.run is not None
    return finding.severity != "critical" and not shown and finding.confidence < LEAST_CONFIDENCE


class Point(Protocol):
    """A point of a review, whether it is new or in the ledger: what it is compared by, and shown by."""

    @property
    def id(self) -> str:
        """The finding's name."""

    @property
    def severity(self) -> Severity:
        """How bad it is."""

    @property
    def category(self) -> str:
        """Its kind."""

    @property
    def title(self) -> str:
        """What is wrong."""

    @property
    def path(self) -> str:
        """The file."""

    @property
    def anchor(self) -> Anchor | None:
        """Where it stands."""
