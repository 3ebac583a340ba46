"""A review on GitHub: one, with all its comments at once; what GitHub refuses a line for is said in the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workflows.requests.job_services import JobServices
from workflows.review.anchors import draft_comment
from workflows.review.findings import Finding
from workflows.review.render import Told, render_inline, render_review
from workflows.services import BrokenWorld, GitHub
from workflows.types import DraftComment, Noun


class Posted(Noun):
    """The review that was made, and the ids of the findings that stand on lines of it."""

    review: int
    inline: tuple[str, ...] = ()


@dataclass(frozen=True)
class Poster:
    """Posts one review of one pull request. ``marker`` is its hidden name, by which it is found again."""

    github: GitHub
    services: JobServices
    number: int
    marker: str

    def post(self, told: Told) -> Posted:
        """Make the review, or find it. Raises BrokenWorld when GitHub refuses it though no line is in the way."""
        made = self._make(told)
        if made is None:
            refused = self.github.find_refused(self.number, commit=told.head, comments=self._drafts(told.inline))
            kept = tuple(one for index, one in enumerate(told.inline) if index not in refused)
            moved = tuple(one for index, one in enumerate(told.inline) if index in refused)
            told = replace(told, inline=kept, folded=(*moved, *told.folded))
            made = self._make(told)
        if made is None:
            raise BrokenWorld("github", "GitHub refuses the comments together, and none of them alone. Ask again.")
        return Posted(review=made, inline=tuple(one.id for one in told.inline))

    def _make(self, told: Told) -> int | None:
        body = render_review(told, marker=self.marker, secrets=self.services.secrets, hosts=self.services.hosts)
        return self.github.find_or_create_review(
            self.number, commit=told.head, marker=self.marker, body=body, comments=self._drafts(told.inline)
        )

    def _drafts(self, findings: Sequence[Finding]) -> list[DraftComment]:
        drafts = []
        for finding in findings:
            assert finding.anchor is not None, "what has no line is not said on one"
            body = render_inline(
                finding,
                secrets=self.services.secrets,
                hosts=self.services.hosts,
                prefix=self.services.spoken.prefix,
            )
            drafts.append(draft_comment(finding.anchor, body))
        return drafts
