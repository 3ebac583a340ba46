"""Which workflow a command asks for."""

from __future__ import annotations

from workflows.types import Command

ANSWER = "answer"
"""What is said at once, and what only decides which job comes next."""

_ON_ISSUES = {"do": "fix_issue", "fix": "fix_issue", "test": "fix_issue", "plan": "plan_issue"}
_ON_PULLS = {
    "do": "address_feedback",
    "fix": "address_feedback",
    "test": "address_feedback",
    "review": "review_pull",
    "describe": "describe_pull",
    "changelog": "write_changelog",
    "update": "update_branch",
    "resolve": "update_branch",
    "ci": "fix_checks",
}
_ANYWHERE = {"ask": "answer_question", "release-notes": "release_notes"}


def route(command: Command, *, on_pull_request: bool) -> str:
    """The workflow's name; that of an answer for every other word."""
    place = _ON_PULLS if on_pull_request else _ON_ISSUES
    return (place | _ANYWHERE).get(command.word, ANSWER)
