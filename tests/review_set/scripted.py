"""A reviewer that is a script: it knows the answers, and makes the slips that models make.

Nobody's model said this. It finds what it was written to find, so its recall says nothing of any model; what can be
learnt from it is what the scaffolding makes of such replies: which true points come through, on which lines, and which
of the others are stopped, and where.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from threading import Event
from typing import Any

from tests.review_set.cases import Case, Doubt
from workflows.agent.client.usage import Prices, estimate_usage
from workflows.types import Reply, ToolCall

NAME = "recorded replies written by a script, measures the scaffolding, no model"
_SECOND_READER = "You are the second reader of a code review"
_FINDING = re.compile(r"(?m)^## ([0-9a-f]{12})\n[^\n:]+: ([^\n]+)$")
_RAN = "python3 -VV"


class ScriptedReviewer:
    """The model of a run without one: it knows a case by its title and by the new lines that it is shown."""

    name = NAME
    context_window = 200_000

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = cases
        self._falls = {title for case in cases for title in _disproved(case)}

    def check(self) -> tuple[bool, str]:
        """Always there."""
        return True, NAME

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        cancelled: Event | None = None,
    ) -> Reply:
        """What the reviewer of this case says, or what the second reader thinks of it."""
        text = "\n".join(str(message["content"]) for message in messages)
        if _SECOND_READER in text:
            verdicts = {
                one: {"stands": said not in self._falls, "why": "recorded"} for one, said in _FINDING.findall(text)
            }
            return _priced(Reply(content=json.dumps(verdicts)), messages, tools)
        [case] = [one for one in self._cases if one.title in text and _is_shown(one, text.splitlines())]
        if _draw(case, "runs a command", 4) and not any(message["role"] == "tool" for message in messages):
            return _priced(_call("bash", command=_RAN), messages, tools)
        handed = _in_a_dialect(case, list(_findings(case)))
        return _priced(_call("finish", summary=handed), messages, tools)


def _findings(case: Case) -> Iterator[dict[str, Any]]:
    """What is handed over about a case: the defect or the doubt, and what models say beside it."""
    if case.defect is not None and not _draw(case, "misses it", 6):
        path, line = case.defect.places[0]
        yield _finding(case, path, line, title=case.defect.why, severity=case.defect.severity)
        if _draw(case, "says it twice", 4):
            yield _finding(case, path, line, title=f"{case.defect.why} (again)", severity="important")
    if case.doubt is not None and not _draw(case, "has no doubt", 3):
        yield _finding(case, case.doubt.path, case.doubt.line, title=case.doubt.says, severity="important")
    path, line = _first_new_line(case)
    if _draw(case, "praises", 4):
        yield _finding(case, path, line, title="Good use of the standard library here", severity="minor")
    if _draw(case, "advises", 3):
        advice = "Please verify that all callers handle the new behaviour"
        yield {**_finding(case, path, line, title=advice, severity="important"), "command": "pytest -q --never-run"}
    if _draw(case, "has a taste", 4):
        yield _finding(case, path, line, title="The name could say more", severity="minor")


def _finding(case: Case, path: str, line: int, *, title: str, severity: str) -> dict[str, Any]:
    code = case.changed[path].split("\n")[line - 1]
    signed, named = _draw(case, "copies the sign", 5), _draw(case, "names the side", 5)
    return {
        "severity": {"critical": "blocker", "important": "P1"}.get(severity, severity) if named else severity,
        "category": "bug",
        "confidence": 0.8,
        "path": f"b/{path}" if named else path,
        "line": line + (_number(case, "miscounts") % 9 + 3 if _draw(case, "counts wrong", 2) else 0),
        "code": f"+{code}" if signed else code,
        "title": title,
        "body": title,
        "command": _RAN if _draw(case, "runs a command", 4) else "",
        "reasoning": "as the title says",
    }


def _disproved(case: Case) -> list[str]:
    """The titles that the second reader takes back: most doubts, because of what ``holds`` against them."""
    doubt: Doubt | None = case.doubt
    return [doubt.says] if doubt is not None and not _draw(case, "convinces", 4) else []


def _in_a_dialect(case: Case, findings: list[dict[str, Any]]) -> str:
    whole = json.dumps({"findings": findings})
    return f"Here is the review.\n\n```json\n{whole}\n```\n" if _draw(case, "fences", 2) else whole


def _first_new_line(case: Case) -> tuple[str, int]:
    path = next(path for path, text in case.changed.items() if text != case.base.get(path))
    before = case.base.get(path, "").split("\n")
    lines = case.changed[path].split("\n")
    return path, next(number for number, line in enumerate(lines, 1) if line.strip() and line not in before)


def _is_shown(case: Case, shown: Sequence[str]) -> bool:
    """Whether the new sides of all hunks stand in the text without a gap: the two of a pair share most lines."""
    # A line of a shown diff is `old new +code`, the numbers right in six columns.
    kept = [line[15:] for line in shown if re.fullmatch(r"[ \d]{6} [ \d]{6} [+ ]", line[:15])]
    return all(
        any(kept[at : at + len(hunk)] == hunk for at in range(len(kept)))
        for path, text in case.changed.items()
        for hunk in _new_side(case.base.get(path, "").split("\n")[:-1], text.split("\n")[:-1])
    )


def _new_side(before: list[str], after: list[str]) -> list[list[str]]:
    hunks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(3)
    return [after[hunk[0][3] : hunk[-1][4]] for hunk in hunks]


def _call(tool: str, **arguments: str) -> Reply:
    return Reply(tool_calls=(ToolCall(id=tool, name=tool, arguments=json.dumps(arguments)),))


def _priced(reply: Reply, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Reply:
    said = reply.content + "".join(call.arguments for call in reply.tool_calls)
    usage = estimate_usage({"messages": list(messages), "tools": list(tools)}, said, prices=Prices())
    return reply.model_copy(update={"usage": usage})


def _number(case: Case, what: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{case.id} {what}".encode()).digest()[:4])


def _draw(case: Case, what: str, one_in: int) -> bool:
    """Whether this case has this slip: always the same for a case, and so for one in so many of them."""
    return _number(case, what) % one_in == 0
