from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.fakes import KnownJobs
from tests.workflows.requests.test_options import job, services
from workflows.conversation.again import approve
from workflows.durable.job_records import JobRecord
from workflows.plans.estimate import Estimate
from workflows.plans.plan_comments import comment_url, find_plans, plan_marker, render_replaced
from workflows.plans.plan_text import PlanDocument, render_plan, render_plan_comment
from workflows.requests.job_services import Spoken
from workflows.services import GitHub
from workflows.types import Actor, Comment, Job

OURS = "forgehand[bot]"
MADE = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = PlanDocument(summary="It subtracts.", steps=("Mend it.",))
TEXT = render_plan(PLAN)
BODY = render_plan_comment(TEXT, marker=plan_marker("gh-5"), estimate=Estimate(turns=11, minutes=2.8))


def comment(body: str = BODY, *, number: int = 1, by: str = OURS, changed: timedelta = timedelta()) -> Comment:
    author = Actor(id=9, login=by, type="Bot" if by == OURS else "User")
    return Comment(id=number, author=author, body=body, created_at=MADE, updated_at=MADE + changed)


class Thread:
    """The comments of one thread, as GitHub has them now."""

    def __init__(self, *comments: Comment) -> None:
        self._comments = list(comments)

    def fetch_comments(self, number: int) -> list[Comment]:
        assert number == 7
        return self._comments


def approved(*comments: Comment, **fields: Any) -> str | Job:
    """What comes of an approval ten minutes later."""
    asked = job(word="approve").model_copy(update={"workflow": "answer", "created_at": MADE + timedelta(minutes=10)})
    given = replace(services(), spoken=Spoken(login=OURS), **fields)
    return approve(cast("GitHub", Thread(*comments)), asked, given, issue_url="https://github.com/o/p/issues/7")


def test_a_plan_is_read_as_it_stands() -> None:
    """With who made it, its estimate, and whether somebody edited it."""
    [plan] = find_plans([comment()], OURS)
    assert (plan.text, plan.edited, plan.made_by) == (TEXT, False, "gh-5")
    assert plan.estimate.startswith("Estimate: about 11 turns, 2.8 minutes")
    [edited] = find_plans([comment(BODY.replace("Mend it.", "Leave it.").replace("\n", "\r\n"))], OURS)
    assert "1. Leave it." in edited.text
    assert edited.edited


def test_others_make_no_plans() -> None:
    """A copy by somebody else is none, whoever we are; nor is a plan's frame without the name of its job."""
    assert find_plans([comment(by="mallory")], OURS) == []
    assert find_plans([comment(by="")], "") == []
    assert find_plans([comment(BODY.replace(plan_marker("gh-5"), ""))], OURS) == []


def test_a_replaced_plan_is_in_force_no_more() -> None:
    """Its text can still be read there, and its comment still be found."""
    [plan] = find_plans([comment()], OURS)
    body = render_replaced(plan, comment_url("https://github.com/o/p/issues/7", 2))
    assert "https://github.com/o/p/issues/7#issuecomment-2" in body
    assert "1. Mend it." in body
    assert body.endswith(plan_marker("gh-5"))
    assert find_plans([comment(body), comment(number=2)], OURS) == find_plans([comment(number=2)], OURS)


def test_the_newest_plan_is_approved_word_for_word() -> None:
    """The job holds the text, who approved it, where it stands, and what was estimated."""
    found = approved(comment(), comment(BODY.replace("Mend it.", "Write `+`."), number=2))
    assert isinstance(found, Job)
    assert found.workflow == "fix_issue"
    assert "1. Write `+`." in found.plan
    assert found.approval.startswith("The plan, as it was edited since it was made, was approved by `alice`: ")
    assert "https://github.com/o/p/issues/7#issuecomment-2. Estimate: about 11 turns" in found.approval


def test_what_was_edited_after_the_approval_is_not_carried_out() -> None:
    """Nobody approves what they did not see: an edit after the approval is told, and one before it counts."""
    late = approved(comment(changed=timedelta(minutes=11)))
    assert late == "The plan was edited after it was approved. Read it as it stands now, and approve it again."
    assert isinstance(approved(comment(changed=timedelta(minutes=9))), Job)


@pytest.mark.parametrize("here", [True, False])
def test_a_plan_names_no_job_of_another_repository(here: bool) -> None:
    """Whoever may write can edit our comment, and have it name any job: one of elsewhere lends no options."""
    made = job(word="plan", branch="kept", paths=("src/**",)).model_copy(update={"id": "gh-5"})
    if not here:
        elsewhere = made.repository.model_copy(update={"id": made.repository.id + 1})
        made = made.model_copy(update={"repository": elsewhere})
    record = JobRecord(job=made, state="ended", queued_at=MADE, changed_at=MADE)
    found = approved(comment(), jobs=KnownJobs(record))
    assert isinstance(found, Job)
    assert found.command is not None
    options = found.command.options
    assert (options.branch, options.paths) == (("kept", ("src/**",)) if here else (None, ()))


def test_no_plan_is_no_approval() -> None:
    """Without a plan there is nothing to approve, and that is said."""
    assert str(approved()).startswith("There is no plan on this thread to approve.")
