"""Plans: what the model answered, what people see and edit, and what is approved in the end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.texts.test_outbound import ATTACKS, living
from workflows.plans.estimate import Estimate
from workflows.plans.plan_text import (
    LONGEST_PLAN,
    PlanDocument,
    PlanMistake,
    PlannedFile,
    parse_plan_comment,
    parse_plan_digest,
    parse_plan_reply,
    plan_digest,
    render_plan,
    render_plan_comment,
)
from workflows.texts.outbound import MAX_CHARACTERS, clean_outbound

MARKER = "<!-- forgehand:plan job=j-1 -->"
PLAN = PlanDocument(
    summary="Dates before 1970 are refused. They will be read.",
    steps=("Write a failing test", "Widen the range"),
    files=(PlannedFile(path="src/dates.py", why="the range"), PlannedFile(path="tests/test_dates.py")),
    tests=("1969-12-31 is read",),
    risks=("Somebody may rely on the error.",),
    questions=("Before the year 1 too?",),
)
AS_JSON = PLAN.model_dump(mode="json")


def comment(plan: PlanDocument = PLAN, **more: Any) -> str:
    return render_plan_comment(render_plan(plan), marker=MARKER, **more)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(AS_JSON),
        f"I looked around.\n\n```json\n{json.dumps(AS_JSON, indent=2)}\n```\nShall I?",
        json.dumps(AS_JSON)[:-1] + ",}",
        json.dumps({**AS_JSON, "confidence": 0.9}),
        json.dumps({**AS_JSON, "tests": "1969-12-31 is read"}),
        json.dumps({**AS_JSON, "files": {"src/dates.py": "the range", "tests/test_dates.py": ""}}),
        json.dumps({**AS_JSON, "files": [AS_JSON["files"][0], "tests/test_dates.py"]}),
    ],
)
def test_the_plan_in_a_reply(text: str) -> None:
    """A plan is read among prose, with a comma too many, and in the habits of models."""
    assert parse_plan_reply(text) == PLAN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "No JSON object"),
        ("I would change the range.", "No JSON object"),
        (json.dumps(AS_JSON)[:-20], "No JSON object"),
        ('{"summary": "x", "steps": []}', "steps"),
        ('{"summary": " ", "steps": ["a"]}', "summary"),
        ('{"summary": "x", "steps": [1]}', "steps.0"),
        ('{"summary": "x", "steps": ["a"], "files": [{"why": "b"}]}', "files.0.path"),
        ('{"summary": "x", "steps": ["a"], "risks": {"a": "b"}}', "risks"),
        (json.dumps({"summary": "x", "steps": ["a"] * 51}), "steps"),
    ],
)
def test_no_plan(text: str, says: str) -> None:
    """What is no plan, or was cut off, is refused with a sentence that says what to answer instead."""
    found = parse_plan_reply(text)
    assert isinstance(found, PlanMistake)
    assert says in found.message
    assert '"steps"' in found.message


def test_what_people_see() -> None:
    """The plan's parts are listed, empty ones are left out."""
    assert render_plan(PLAN) == (
        "Dates before 1970 are refused. They will be read.\n\n"
        "**Steps**\n\n1. Write a failing test\n2. Widen the range\n\n"
        "**Files**\n\n- `src/dates.py`: the range\n- `tests/test_dates.py`\n\n"
        "**Tests**\n\n- 1969-12-31 is read\n\n"
        "**Risks**\n\n- Somebody may rely on the error.\n\n"
        "**Questions**\n\n1. Before the year 1 too?"
    )
    assert "**Tests**" not in render_plan(PlanDocument(summary="a", steps=("b",)))


def test_the_comment() -> None:
    """The comment says how to approve, what it will cost, and that it asks; its digest is that of the text in it."""
    body = comment(estimate=Estimate(turns=19, minutes=4.8), asks=True, prefix="@forgehand")
    assert "`@forgehand approve`" in body
    assert "about 19 turns" in body
    assert "answer them in a comment" in body
    assert body.endswith(MARKER)
    assert parse_plan_comment(body) == render_plan(PLAN)
    assert parse_plan_digest(body) == plan_digest(render_plan(PLAN))


@pytest.mark.parametrize(
    ("edit", "edited"),
    [
        (lambda body: body, False),
        (lambda body: body.replace("\n", "\r\n"), False),
        (lambda body: body.replace("Widen the range", "Widen the range to year 1"), True),
        (lambda body: body.replace("2. Widen", "2.  Widen"), True),
    ],
)
def test_edits(edit: Any, edited: bool) -> None:
    """An edit of the plan is what will run, and it shows; what a browser does to line ends is no edit."""
    body = edit(comment())
    text = parse_plan_comment(body)
    assert text is not None
    assert (plan_digest(text) != parse_plan_digest(body)) == edited
    assert ("to year 1" in text) == ("to year 1" in body)
    assert "\r" not in text


@pytest.mark.parametrize(
    "body",
    ["", "words", comment().replace("<!-- forgehand:end=plan -->", ""), "> " + comment().replace("\n", "\n> ")],
)
def test_no_plan_in_a_comment(body: str) -> None:
    """A comment whose markers are gone, or that quotes one, holds no plan: nothing can be approved by it."""
    assert parse_plan_comment(body) is None


_words = st.one_of(
    st.sampled_from([*ATTACKS, "<!-- forgehand:end=plan -->", "a\n<!-- forgehand:end=plan -->\nb", "```"]),
    st.text(max_size=40),
)


@given(
    st.builds(
        lambda summary, steps, path: PlanDocument(summary=f"s{summary}", steps=steps, files=(PlannedFile(path=path),)),
        _words,
        st.lists(_words.map(lambda text: f"s{text}"), min_size=1, max_size=4).map(tuple),
        _words.map(lambda text: f"p{text}"),
    )
)
def test_hostile_plans(plan: PlanDocument) -> None:
    """Whatever the model writes: it cannot end the section, nothing in it is alive, and the filter at the door changes
    nothing more, so that the digest holds.
    """
    body = comment(plan)
    assert clean_outbound(body) == body
    text = parse_plan_comment(body)
    assert text == render_plan(plan)
    assert parse_plan_digest(body) == plan_digest(text)
    assert [found for found in living(body) if "forgehand:" not in found] == []


def test_the_largest_plan() -> None:
    """The longest plan that is taken fits into one comment."""
    points = ("word " * 200,) * 50
    plan = PlanDocument(summary="x" * 50_000, steps=points, tests=points, risks=points, questions=points)
    assert len(render_plan(plan)) <= LONGEST_PLAN
    assert len(comment(plan)) < MAX_CHARACTERS
