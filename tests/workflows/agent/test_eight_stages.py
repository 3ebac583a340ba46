"""The stages of sessions, as people see them go by."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest

from tests.workflows.agent.told import answered, bash, call, edit, patch, ran, turn
from workflows.agent.eight_stages import STAGE_TITLES, infer_stage
from workflows.types import Finish, Stage, ToolCall, ToolResult, Turn

Done = tuple[ToolCall, ToolResult]


def read(path: str) -> Done:
    return answered(call("read_file", path=path))


PLAN = answered(call("update_plan", plan="- [ ] mend"))
LIST = answered(call("glob", pattern="**"))
MAP = answered(call("repo_map"))
GREP = answered(call("grep", pattern="add"))


def stages(*replies: list[Done] | dict[str, Any]) -> list[Stage]:
    """The stage of each turn, one after the other; a mapping is a turn's own fields."""
    turns: list[Turn] = []
    for number, reply in enumerate(replies, start=1):
        done, more = (reply, {}) if isinstance(reply, list) else (reply.pop("done", []), reply)
        one = turn(number, *done, **more)
        turns.append(one.model_copy(update={"stage": infer_stage(one, turns)}))
    return [one.stage for one in turns]


def test_every_stage_has_a_title() -> None:
    """In their order."""
    assert tuple(STAGE_TITLES) == get_args(Stage)


def test_a_session_goes_through_all_eight() -> None:
    """From the first thought to the closing words."""
    assert stages(
        [],
        [LIST, read("README.md"), read("pyproject.toml")],
        [GREP],
        [read("sums.py")],
        [PLAN],
        [edit()],
        [edit("tests/test_sums.py")],
        [ran("t::a")],
        [read("sums.py")],
        [edit()],
        [ran()],
        {"finish": Finish(summary="done")},
    ) == [
        *["understand", "analyse", "read", "read", "plan", "implement", "implement"],
        *["verify", "verify", "iterate", "verify", "complete"],
    ]


def test_before_a_change_there_is_no_way_back() -> None:
    """A listing after a plan is part of it; tests before any change tell of the repository."""
    assert stages([PLAN], [LIST], [read("a.py")], []) == ["plan"] * 4
    assert stages([ran("t::old")], [bash("pytest -q")], [bash("cat a.py")], [MAP]) == [
        *["analyse", "analyse", "read", "read"]
    ]


def test_plans_and_reading_do_not_interrupt_the_work() -> None:
    """Implement after implement, whatever is looked at in between."""
    assert stages([edit()], [read("a.py")], [PLAN], [LIST], [edit()]) == ["implement"] * 5


def test_what_came_last_in_a_turn_counts() -> None:
    """Edit and test is a verification; test and edit goes on with the change."""
    assert stages([edit(), ran()], [ran("t::a"), edit()], [edit(), bash("npm test")]) == ["verify", "iterate", "verify"]


def test_changes_by_command_count_and_refused_edits_do_not() -> None:
    """A command that changed the tree implements; a refused edit leaves the stage as it was."""
    assert stages({"done": [bash("sed -i s/a/b/ a.py")], "change": patch("a.py")}) == ["implement"]
    assert stages([read("a.py")], [edit(failed=True)]) == ["read", "read"]
    assert stages({"done": [ran()], "change": patch(".cache")}) == ["analyse"]


def test_a_refused_finish_completes_nothing() -> None:
    """Complete is what was accepted."""
    refused = answered(call("finish", summary="done"), "Not finished yet:", failed=True)
    assert stages([edit()], [refused], [ran()]) == ["implement", "implement", "verify"]


@pytest.mark.parametrize("tail", [[edit()], [ran()], [PLAN], [LIST], [read("a.py")], []])
def test_after_a_change_it_never_goes_back(tail: list[Done]) -> None:
    """Whatever follows, the working stages stay working stages."""
    for first in ([edit()], [edit(), ran()], [edit(), ran("t::a"), edit()]):
        before, after = stages(first, tail)
        assert after in {"implement", "verify", "iterate"}
        assert (before, after) not in {("verify", "implement"), ("iterate", "implement")}


def test_the_order_holds_over_a_long_session() -> None:
    """Of two neighbouring turns the later one is never earlier, but for verify and iterate that take turns."""
    order = list(STAGE_TITLES)
    parts: list[list[Done]] = [[LIST], [read("a.py")], [PLAN], [edit()], [ran("t")], [GREP], [edit()], [ran()], []]
    seen = stages(*[parts[(n * n + n // 3) % len(parts)] for n in range(200)])
    for before, after in pairwise(seen):
        assert order.index(after) >= order.index(before) or (before, after) == ("iterate", "verify")
