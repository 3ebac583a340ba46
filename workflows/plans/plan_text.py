"""A plan for people to approve: read from the model's JSON, shown in a comment, and read back as it stands there.

What is approved is the text between the comment's markers, so everything that the agent is told stands between them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from workflows.agent.calls.loose_json import find_objects
from workflows.plans.estimate import Estimate, render_estimate
from workflows.texts.marked_section import parse_section, put_section
from workflows.texts.outbound import HOSTS, clean_line, clean_outbound, clean_words, code_span
from workflows.types import Budget, Noun

SECTION = "plan"
LONGEST_PLAN = 30_000
MOST_POINTS = 50
LONGEST_POINT = 600
_DIGEST = re.compile(r"(?m)^<!-- forgehand:plan-digest=([0-9a-f]{64}) -->[ \t]*\r?$")
# What the model is told to answer with.
PLAN_FORMAT = """\
{
  "summary": "two to four sentences: what is wrong or missing, and how it will be changed",
  "steps": ["one step of the work, in order"],
  "files": [{"path": "path/in/the/repository", "why": "what changes there"}],
  "tests": ["a test that will show that it works"],
  "risks": ["what could go wrong or break for users"],
  "questions": ["what only the people can decide; empty when nothing is open"]
}"""


def _one_or_many(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, str) else value


def _paths(value: Any) -> Any:
    if isinstance(value, dict):  # {"path": "why"} is a habit, and so are bare paths
        return tuple({"path": path, "why": why} for path, why in value.items())
    if isinstance(value, list):
        return tuple({"path": item} if isinstance(item, str) else item for item in value)
    return value


Point = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Points = Annotated[tuple[Point, ...], Field(max_length=MOST_POINTS), BeforeValidator(_one_or_many)]


class PlannedFile(Noun):
    """A path that the plan will touch, and what changes there."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    path: Point
    why: str = ""


class PlanDocument(Noun):
    """A plan in parts, in the model's words. It has steps at least, and a summary."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    summary: Point
    steps: Annotated[Points, Field(min_length=1)]
    files: Annotated[tuple[PlannedFile, ...], Field(max_length=MOST_POINTS), BeforeValidator(_paths)] = ()
    tests: Points = ()
    risks: Points = ()
    questions: Points = ()


class PlanMistake(Noun):
    """Why a reply is no plan: a sentence for the model."""

    message: str


def parse_plan_reply(text: str) -> PlanDocument | PlanMistake:
    """The plan in a model's reply, whatever fences or prose surround its JSON object. Never raises."""
    # An object inside the plan, such as a file, can be found too: what has steps is the plan.
    found = [candidate for candidate in find_objects(text) if "steps" in candidate]
    if not found:
        return PlanMistake(message=f"No JSON object with `steps` was found. Answer with this form:\n{PLAN_FORMAT}")
    try:
        return PlanDocument.model_validate(found[-1], strict=True)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)[:5]]
        return PlanMistake(message=f"The plan has mistakes: {'; '.join(wrong)}. The form is:\n{PLAN_FORMAT}")


def render_plan(plan: PlanDocument, *, secrets: Collection[str] = (), hosts: Collection[str] = HOSTS) -> str:
    """The plan as Markdown, at most 30,000 characters: the very text that people approve."""

    def line(text: str) -> str:
        return clean_line(text, secrets, hosts=hosts, limit=LONGEST_POINT)

    files = [f"{code_span(file.path[:300])}{': ' + line(file.why) if file.why.strip() else ''}" for file in plan.files]
    parts = [
        clean_words(plan.summary, secrets, hosts=hosts, limit=4_000).strip(),
        _listed("Steps", [line(step) for step in plan.steps], numbered=True),
        _listed("Files", files),
        _listed("Tests", [line(test) for test in plan.tests]),
        _listed("Risks", [line(risk) for risk in plan.risks]),
        _listed("Questions", [line(question) for question in plan.questions], numbered=True),
    ]
    return clean_outbound("\n\n".join(part for part in parts if part), secrets, hosts=hosts, limit=LONGEST_PLAN)


def render_plan_comment(
    text: str,
    *,
    marker: str,
    estimate: Estimate | None = None,
    budget: Budget | None = None,
    asks: bool = False,
    prefix: str = "/qwen",
) -> str:
    """The comment that shows the plan ``text`` (of :func:`render_plan`) and carries its digest; ready for GitHub.

    ``marker`` is the hidden line by which the comment is found again; ``asks``: the plan has questions. ``prefix`` is
    what commands start with. An estimate above the ``budget`` is said to be.
    """
    approve, plan = code_span(f"{prefix} approve"), code_span(f"{prefix} plan")
    questions = " It has questions: answer them in a comment first." if asks else ""
    head = f"**A plan. Nothing is changed before it is approved.**{questions}"
    told = f"\n\n{render_estimate(estimate, budget=budget)}" if estimate else ""
    how = (
        f"{approve} starts the work on exactly what stands above, in this comment, at that time. Edit it here, or say "
        f"in a comment what should be different and ask for {plan} again."
    )
    framed = put_section(f"{head}{told}", text, name=SECTION)
    assert framed is not None, "a plan is shorter than a comment may be"
    return f"{framed}\n\n---\n\n{how}\n\n<!-- forgehand:plan-digest={plan_digest(text)} -->\n{marker}"


def parse_plan_comment(body: str) -> str | None:
    """The plan as it stands between the markers of our comment now, edited or not; None when it is not there.

    Anybody can write such markers: only a comment by our own App is a plan.
    """
    text = parse_section(body, name=SECTION)
    return text if text is not None and text.strip() else None


def parse_plan_digest(body: str) -> str | None:
    """The digest of the plan as we wrote it: another one than the text's now means that somebody edited it."""
    found = _DIGEST.findall(body)
    return found[-1] if found else None


def plan_digest(text: str) -> str:
    """The plan's name in hexadecimal. Line ends do not count, nor does space around it: browsers change both."""
    plain = text.replace("\r\n", "\n").strip()
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def _listed(title: str, points: Sequence[str], *, numbered: bool = False) -> str:
    marks = [f"{number}." if numbered else "-" for number in range(1, len(points) + 1)]
    lines = [f"{mark} {point}" for mark, point in zip(marks, points, strict=True)]
    return "\n".join([f"**{title}**", "", *lines]) if lines else ""
