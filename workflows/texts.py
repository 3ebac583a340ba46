"""Every text of a finished change, composed once: title, body, commit message, evidence."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.pull_request import render_body, render_commit_message, render_title
from workflows.solve import Solution
from workflows.survey import Survey
from workflows.types import Issue, Job


@dataclass(frozen=True)
class Texts:
    """What people read of a change; not yet through the outbound filter."""

    title: str
    body: str
    commit_message: str
    evidence: str
    verdict_line: str


def compose_texts(solution: Solution, *, job: Job, issue: Issue, survey: Survey, model: str) -> Texts:
    """The texts of a solution; the evidence in them is the harness's own."""
    title = render_title(solution.described.description.title)
    return Texts(
        title=title,
        body=render_body(solution),
        commit_message=render_commit_message(title),
        evidence=str(solution.verdict),
        verdict_line=solution.verdict.reasons[0],
    )
