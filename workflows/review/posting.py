"""A review on GitHub: one, with all its comments at once; what GitHub refuses a line for is said in the summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from workflows.requests.job_services import JobServices
from workflows.review.anchors import draft_comment
from workflows.review.findings import Finding, Threshold
from workflows.review.render import Told, render_inline, render_review
from workflows.review.verdict import reaches
from workflows.services import BrokenWorld, GitHub, ReviewEvent
from workflows.types import DraftComment, Noun


class Posted(Noun):
    """The review that was made, and the ids of the findings that stand on lines of it."""

    review: int
    inline: tuple[str, ...] = ()
    event: ReviewEvent = "COMMENT"


@dataclass(frozen=True)
class Poster:
    """Posts one review of one pull request. ``marker`` is its hidden name, by which it is found again.

    ``follow`` gives what is told as it stands on the head that is there now: the reviewed one may have been pushed
    away, and ``commit`` is empty when it is there still. ``prefix`` is offered to have a finding fixed, where we can
    push. ``threshold`` is from where on what is said on lines requests changes.
    """

    github: GitHub
    services: JobServices
    number: int
    marker: str
    follow: Callable[[Told], Told]
    prefix: str = ""
    threshold: Threshold = "never"

    def post(self, told: Told, event: ReviewEvent = "COMMENT") -> Posted:
        """Make the review, or find it. Raises BrokenWorld when GitHub refuses it without a comment on a line, too."""
        if event == "APPROVE":
            # An approval is of the head that was read, as long as that is the head.
            told = self.follow(told)
            event = self._still(event, told)
        made = self._make(told, event)
        if made is None:
            told = self.follow(told)
            refused = self.github.find_refused(
                self.number, commit=told.commit or told.head, comments=self._drafts(told.inline)
            )
            kept = tuple(one for index, one in enumerate(told.inline) if index not in refused)
            moved = tuple(one for index, one in enumerate(told.inline) if index in refused)
            told = replace(told, inline=kept, folded=(*moved, *told.folded))
            event = self._still(event, told)
            made = self._make(told, event)
        if made is None and event != "COMMENT":
            event = "COMMENT"
            made = self._make(told, event)
        if made is None:
            # Comments that pass alone can be refused together: what was found is said all the same.
            told = replace(told, inline=(), folded=(*told.inline, *told.folded))
            made = self._make(told, event)
        if made is None:
            raise BrokenWorld("github", "GitHub refuses the review, without a comment on a line too. Ask again.")
        return Posted(review=made, inline=tuple(one.id for one in told.inline), event=event)

    def _still(self, event: ReviewEvent, told: Told) -> ReviewEvent:
        """The verdict once it is known where the points stand: none on a head that nobody read, or without a thread."""
        if event == "APPROVE" and told.commit:
            return "COMMENT"
        if event == "REQUEST_CHANGES" and not any(reaches(self.threshold, one.severity) for one in told.inline):
            return "COMMENT"
        return event

    def _make(self, told: Told, event: ReviewEvent) -> int | None:
        body = render_review(told, marker=self.marker, secrets=self.services.secrets, hosts=self.services.hosts)
        return self.github.find_or_create_review(
            self.number,
            commit=told.commit or told.head,
            marker=self.marker,
            body=body,
            comments=self._drafts(told.inline),
            event=event,
        )

    def _drafts(self, findings: Sequence[Finding]) -> list[DraftComment]:
        drafts = []
        for finding in findings:
            assert finding.anchor is not None, "what has no line is not said on one"
            body = render_inline(
                finding,
                secrets=self.services.secrets,
                hosts=self.services.hosts,
                prefix=self.prefix,
            )
            drafts.append(draft_comment(finding.anchor, body))
        return drafts
