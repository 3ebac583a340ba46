"""The plans on a thread: found among our own comments as they stand now, the newest alone in force."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from workflows.plans.plan_text import parse_plan_comment, parse_plan_digest, plan_digest
from workflows.types import Comment, Noun

_MADE_BY = re.compile(r"(?m)^<!-- forgehand:plan job=([A-Za-z0-9._:/+-]+) -->[ \t]*\r?$")
_ESTIMATE = re.compile(r"(?m)^Estimate: .{1,300}?\r?$")


class StandingPlan(Noun):
    """A plan in a comment of ours that no newer one replaced: its text as it stands, and whether somebody edited it.

    ``made_by`` is the job that made it; ``estimate`` what was said there of its cost, perhaps nothing.
    """

    comment: int
    text: str
    edited: bool
    made_by: str
    changed_at: datetime
    estimate: str = ""


def plan_marker(job_id: str) -> str:
    """The hidden name by which a job's plan is found again."""
    return f"<!-- forgehand:plan job={job_id} -->"


def find_plans(comments: Sequence[Comment], login: str) -> list[StandingPlan]:
    """The plans in force, newest last; ``login`` is our own, for anybody can write a plan's markers."""
    found = []
    for comment in comments:
        text = parse_plan_comment(comment.body) if login and comment.author.login == login else None
        made_by = _MADE_BY.findall(comment.body)
        if text is None or not made_by:
            continue
        estimate = _ESTIMATE.search(comment.body.replace(text, ""))
        found.append(
            StandingPlan(
                comment=comment.id,
                text=text,
                edited=parse_plan_digest(comment.body) != plan_digest(text),
                made_by=made_by[-1],
                changed_at=comment.updated_at,
                estimate=estimate[0].strip() if estimate else "",
            )
        )
    return found


def comment_url(issue_url: str, comment: int) -> str:
    """The address of a comment (GitHub's own form)."""
    return f"{issue_url}#issuecomment-{comment}"


def render_replaced(plan: StandingPlan, newer_url: str) -> str:
    """What a plan's comment says once a newer one took its place: the old text folded, in force no more."""
    folded = f"<details><summary>The plan as it was</summary>\n\n{plan.text}\n\n</details>"
    return f"**Replaced** by [a newer plan]({newer_url}).\n\n{folded}\n\n{plan_marker(plan.made_by)}"
