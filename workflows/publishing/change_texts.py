"""Every text of a finished change, composed once: title, body, commit message, evidence. All are fit for GitHub."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from workflows.evidence.markdown import render_evidence, render_verdict_line
from workflows.git.leaks import redact
from workflows.publishing.pull_request import PullRequestText, render_body, render_commit_message, render_title
from workflows.repository.sensitive import sensitive_paths
from workflows.repository.survey import Survey
from workflows.solving.solve import Solution
from workflows.texts.outbound import HOSTS, clean_outbound
from workflows.texts.untrusted import clean_inbound
from workflows.types import Issue, Job


@dataclass(frozen=True)
class Texts:
    """What people read of a change."""

    title: str
    body: str
    commit_message: str
    evidence: str
    verdict_line: str


def compose_texts(
    solution: Solution,
    *,
    job: Job,
    issue: Issue,
    survey: Survey,
    model: str,
    seconds: float,
    secrets: Collection[str] = (),
    hosts: Collection[str] = HOSTS,
) -> Texts:
    """The texts of a solution; the evidence in them is the harness's own. ``seconds`` is the job's wall time so far.

    An issue with the number 0 is none of GitHub's: the command line's.
    """
    description = solution.described.description
    number = issue.number or None
    category = description.changelog.category if description.changelog else "Changed"
    title = render_title(description.title, subjects=survey.subjects, category=category)
    text = _gather(solution, job=job, issue=issue, survey=survey, model=model, seconds=seconds)
    message = render_commit_message(title, description.summary, issue=number, requester=job.actor, secrets=secrets)
    return Texts(
        title=redact(title, secrets),
        body=render_body(text, template=survey.template, secrets=secrets, hosts=hosts),
        commit_message=redact(message, secrets),
        evidence=clean_outbound(render_evidence(solution.verdict), secrets, hosts=hosts),
        verdict_line=render_verdict_line(solution.verdict),
    )


def _gather(
    solution: Solution, *, job: Job, issue: Issue, survey: Survey, model: str, seconds: float
) -> PullRequestText:
    described = solution.described
    description = described.description
    return PullRequestText(
        job_id=job.id,
        issue=issue.number or None,
        requester=job.actor,
        model=model,
        summary=description.summary,
        verdict=solution.verdict,
        patch=described.patch,
        files=description.files,
        verification=solution.finish.verification if solution.finish else "",
        changelog=described.changelog,
        notes=(*([job.approval] if job.approval else ()), *survey.notes, *solution.notes),
        usage=solution.usage,
        turns=solution.turns,
        seconds=seconds,
        setup_commands=solution.setup.commands,
        setup_failed=solution.setup.failed,
        blocked_hosts=solution.setup.blocked_hosts,
        protected=sensitive_paths(described.patch),
        hidden=clean_inbound(f"{issue.title}\n{issue.body}").hidden,
        author=description.written_by,
        unfinished=solution.unfinished,
        unproven=solution.finish.unproven if solution.finish else (),
    )
