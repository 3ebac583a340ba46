"""The check of a review ends by policy, and says in words what no review says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.review.test_render import finding
from workflows.review.check import Checked, annotate, conclude, render_open, render_summary


@pytest.mark.parametrize(
    ("fail_on", "severities", "conclusion"),
    [
        ("never", ["critical", "minor"], "neutral"),
        ("critical", ["critical"], "failure"),
        ("critical", ["important"], "neutral"),
        ("important", ["minor", "important"], "failure"),
        ("important", ["minor"], "success"),
        ("never", [], "success"),
    ],
)
def test_how_a_check_ends(fail_on: Any, severities: list[Any], conclusion: str) -> None:
    """It fails by policy alone; what matters makes it neutral, and minor points nothing. Stopped, it passes nowhere
    that the policy has it fail."""
    assert conclude(fail_on, severities) == conclusion
    stopped = conclude(fail_on, severities, whole=False)
    other = "neutral" if fail_on == "never" else "action_required"
    assert stopped == ("failure" if conclusion == "failure" else other), "what was not read is no success"


def test_annotations_stand_on_lines_of_the_head() -> None:
    """A point without a line, or on a removed one, has none: GitHub would show it on another line."""
    there = finding()
    assert there.anchor is not None
    gone = finding(anchor=there.anchor.model_copy(update={"side": "LEFT"}))
    [shown] = annotate([there, gone, finding(anchor=None)])
    assert (shown.path, shown.start_line, shown.end_line, shown.level) == ("a.py", 2, 2, "warning")


def test_the_check_tells_what_no_review_tells() -> None:
    """With a review it is short; without one it names what was found, what was left out, and why."""
    assert render_summary(Checked([], said=False), 0) == "Nothing new was found."
    partly = render_summary(Checked([], said=False, whole=False), 0)
    assert partly == "Nothing new was found. Not all of the change was read."
    said = render_summary(Checked([finding()], said=True), 2)
    assert said == "1 new finding: the review on the pull request says more. 2 from earlier reviews are open."
    unread = [(f"gen/{number}.py", "generated") for number in range(60)]
    hostile = render_summary(Checked([], said=False, notes=["It said ![x](https://evil.example/a.png) @alice"]), 0)
    assert "![" not in hostile
    assert "`@alice`" in hostile
    quiet = render_summary(Checked([], said=False, unread=unread, notes=["Only a part was read."]), 0)
    assert quiet.startswith("Nothing new was found. Only a part was read.\n\nNot read:\n\n- `gen/0.py`: generated\n")
    assert quiet.endswith("- and 10 more")
    assert render_open([finding(), finding(severity="minor")]) == "1 important, 1 minor open"
    assert render_open([]) == "Nothing to say"
