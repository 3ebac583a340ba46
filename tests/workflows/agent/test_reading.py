"""A session that only reads: no tool that writes, and a text that is handed over and judged by the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.workflows.agent.test_loop import LOOK, LS, Stage, says, stage
from workflows.agent import notices
from workflows.agent.briefing import brief_agent
from workflows.agent.done.handover import MOST_REFUSALS
from workflows.agent.equipment import Reading
from workflows.types import Actor, Issue

__all__ = ["stage"]

TOLD = "The answer."
WRITE = {"name": "write_file", "arguments": {"path": "sums.py", "content": "x = 1\n"}}
EDIT = {"name": "edit", "arguments": {"path": "sums.py", "old_string": "a - b", "new_string": "a + b"}}
TOUCH = {"name": "bash", "arguments": {"command": "echo x > sums.py"}}


def answer(text: str) -> dict[str, Any]:
    return says({"name": "finish", "arguments": {"summary": text}})


def test_no_tool_of_it_writes(stage: Callable[..., Stage]) -> None:
    """Neither the offer nor a call that comes all the same lets a file be written or the tests be run."""
    set_up = stage([says(LOOK, LS), says(WRITE), says(EDIT), answer("`add` subtracts.")])
    result = set_up.play(run_tests=None, reading=Reading(TOLD))
    offered = {tool["function"]["name"]: tool["function"] for tool in set_up.server.completions()[0].json["tools"]}
    assert set(offered) == {"read_file", "grep", "glob", "bash", "update_plan", "finish"}
    assert offered["finish"]["parameters"]["properties"]["summary"]["description"] == TOLD
    assert result.stop == "finished"
    assert result.finish is not None
    assert result.finish.summary == "`add` subtracts."
    assert result.patch is None


def test_what_a_command_changed_is_no_obstacle(stage: Callable[..., Stage]) -> None:
    """It is the caller who keeps nothing of it: no proof is asked for."""
    result = stage([says(TOUCH), answer("Tried.")]).play(run_tests=None, reading=Reading(TOLD))
    assert result.stop == "finished"
    assert result.finish is not None


def test_an_objection_is_told_and_has_an_end(stage: Callable[..., Stage]) -> None:
    """The text goes back with what is wrong with it, twice at most; then it is taken as it is."""
    set_up = stage([answer("one"), answer("two"), answer("three")])
    result = set_up.play(run_tests=None, reading=Reading(TOLD, lambda text: f"{text} is no answer."))
    assert result.finish is not None
    assert result.finish.summary == "three"
    told = [message["content"] for message in set_up.sent()[-1] if message["role"] == "tool"]
    assert told == [f"{notices.NOT_FINISHED} {word} is no answer." for word in ("one", "two")]
    assert len(told) == MOST_REFUSALS


def test_its_briefing_asks_for_no_change() -> None:
    """The system prompt is that of reading, and the opening does not say to work on the issue."""
    issue = Issue(
        number=1, title="A title", body="", author=Actor(id=1, login="ann"), state="open", labels=(), html_url="u"
    )
    task = brief_agent(issue, guidance={}, facts=[], test_command=None, request="What is it?", reading=True)
    assert "you change\nnothing" in task.system
    assert task.prompt.startswith("This is the issue on which something was asked")
    assert "What is it?" in task.prompt
