"""How calls are run, in which order, and in which words they answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence

import pytest

from sandbox.container import ExecResult, SandboxUnavailable, ToolAnswer
from tests.fakes import FolderWorkspace, run_unittest
from workflows.agent.acting import Acting
from workflows.agent.calls.toolcalls import Schema, Value
from workflows.agent.equipment import Equipment
from workflows.agent.recorder import Recorder
from workflows.agent.tools import (
    MOST_CALLS,
    PAGE_LIMIT,
    RESULT_LIMIT,
    TOOLS,
    Tool,
    offered_tools,
    render_execution,
    run_batch,
    sandbox_tools,
    split_batches,
)
from workflows.trajectory.log import MemoryLog
from workflows.types import TestCase, TestRun, TestTally, ToolCall, ToolResult


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall(id=f"{name}-id", name=name, arguments=json.dumps(arguments))


def run(workspace: FolderWorkspace, *calls: ToolCall, whole: int | None = None) -> list[ToolResult]:
    acting = Acting(
        equipment=Equipment(workspace, "base", run_unittest),
        schemas=TOOLS,
        recorder=Recorder(MemoryLog()),
        last=None,
        seen=(),
        seconds_left=60,
    )
    return acting.carry_out(1, calls, whole=len(calls) if whole is None else whole)


def run_tool_calls(
    calls: Sequence[ToolCall], tools: Mapping[str, Tool], *, schemas: Sequence[Schema]
) -> list[ToolResult]:
    return [result for batch in split_batches(calls, schemas) for result in run_batch(batch, tools)]


def test_parameters_are_flat() -> None:
    """Qwen's raw-text form is safe for strings, whole numbers and booleans alone."""
    kinds = {field["type"] for tool in TOOLS for field in tool["function"]["parameters"]["properties"].values()}
    assert kinds == {"string", "integer", "boolean"}


def test_run_tests_is_offered_with_a_test_command_only() -> None:
    """A tool that cannot work is not offered."""
    assert {tool["function"]["name"] for tool in TOOLS} - {
        tool["function"]["name"] for tool in offered_tools(with_tests=False, with_map=True, may_ask=True)
    } == {"run_tests"}


def test_calls_answer_in_order_with_their_ids(workspace: FolderWorkspace) -> None:
    """Writing, editing, reading, running: each result has its call's id and name, and sees what came before."""
    results = run(
        workspace,
        call("write_file", path="a.txt", content="one\ntwo\n"),
        call("edit", path="a.txt", old_string="two", new_string="three"),
        call("read_file", path="a.txt"),
        call("grep", pattern="thr", glob="*.txt"),
        call("glob", pattern="*.txt"),
        call("bash", command="cat a.txt; exit 3"),
    )
    assert [result.call_id for result in results] == [
        f"{name}-id" for name in ("write_file", "edit", "read_file", "grep", "glob", "bash")
    ]
    assert results[2].content == "1\tone\n2\tthree"
    assert results[3].content == "a.txt:2:three"
    assert results[5].content == "exit code 3\none\nthree"
    assert [result.failed for result in results] == [False] * 5 + [True]


def test_the_shell_carries_its_folder_over(workspace: FolderWorkspace) -> None:
    """A `cd` and an `export` hold for the next command."""
    first, second = run(
        workspace,
        call("bash", command="mkdir -p sub && cd sub && export COLOUR=blue"),
        call("bash", command="basename $PWD; echo $COLOUR"),
    )
    assert not first.failed
    assert second.content == "exit code 0\nsub\nblue"


def test_a_failed_tool_is_an_answer(workspace: FolderWorkspace) -> None:
    """A file that is not there, text that occurs twice, a command that takes too long: results, not exceptions."""
    missing, twice, slow = run(
        workspace,
        call("read_file", path="none.py"),
        call("edit", path="sums.py", old_string="a", new_string="b"),
        call("bash", command="sleep 60", timeout=1),
    )
    assert missing.failed
    assert "occurs" in twice.content
    assert slow.failed
    assert slow.content.startswith("timed out after 1 s")


def test_a_command_gets_no_more_time_than_the_session_has(workspace: FolderWorkspace) -> None:
    """The budget's end bounds a command's own time."""
    tools = sandbox_tools(workspace.sandbox, None, seconds_left=1.0)
    (result,) = run_tool_calls([call("bash", command="sleep 60", timeout=600)], tools, schemas=TOOLS)
    assert result.content.startswith("timed out after 1 s")


def test_malformed_calls_are_answered_beside_good_ones(workspace: FolderWorkspace) -> None:
    """One bad call of a reply does not cost the others."""
    bad, unknown, good = run(workspace, call("read_file"), call("browse", url="x"), call("read_file", path="sums.py"))
    assert bad.failed
    assert "`path` is missing" in bad.content
    assert unknown.failed
    assert "There is no tool `browse`" in unknown.content
    assert not good.failed


def test_a_truncated_reply_is_never_run(workspace: FolderWorkspace) -> None:
    """Half a command may be a different command: `rm -rf build` cut short is `rm -rf b`."""
    look, touch = call("read_file", path="sums.py"), call("bash", command="touch ran")
    results = run(workspace, touch, look, whole=0)
    assert all(result.failed and "cut off" in result.content for result in results)
    assert workspace.opened == []
    results = run(workspace, look, touch, whole=1)
    assert [result.failed for result in results] == [False, True], "the calls before the half one are whole"


def test_too_many_calls_are_put_off(workspace: FolderWorkspace) -> None:
    """A thousand calls in a reply are answered, and twenty of them run."""
    results = run(workspace, *[call("bash", command="echo x")] * 1000)
    assert len(results) == 1000
    assert sum(not result.failed for result in results) == MOST_CALLS
    assert len(workspace.sandbox().commands) == MOST_CALLS


def test_reads_run_at_the_same_time() -> None:
    """Two neighbouring reads meet each other; a write waits until both are done."""
    both = threading.Barrier(2, timeout=10)
    order: list[str] = []

    def read(arguments: Mapping[str, Value]) -> ToolAnswer:
        both.wait()
        order.append("read")
        return ToolAnswer(True, str(arguments["path"]))

    def write(_: Mapping[str, Value]) -> ToolAnswer:
        order.append("write")
        return ToolAnswer(True, "")

    calls = [call("read_file", path="a"), call("read_file", path="b"), call("write_file", path="c", content="")]
    results = run_tool_calls(calls, {"read_file": read, "write_file": write}, schemas=TOOLS)
    assert [result.content for result in results] == ["a", "b", "(empty)"]
    assert order == ["read", "read", "write"]


def test_reads_at_the_same_time_open_one_container(workspace: FolderWorkspace) -> None:
    """The first turn often begins with several reads; they share the container that the first of them opens."""
    results = run(workspace, *[call("read_file", path="sums.py")] * 8)
    assert not any(result.failed for result in results)
    assert len(workspace.opened) == 1


def test_results_are_capped() -> None:
    """A tool that forgets its own bounds does not fill the context."""
    loud = {name: lambda _: ToolAnswer(True, "x" * 10_000_000) for name in ("read_file", "write_file")}
    calls = [call("read_file", path="a"), call("write_file", path="a", content="")]
    read, written = run_tool_calls(calls, loud, schemas=TOOLS)
    assert len(read.content) < PAGE_LIMIT + 100
    assert len(written.content) < RESULT_LIMIT + 100
    assert "characters left out" in written.content


def test_results_can_be_stored() -> None:
    """A file name that is not UTF-8 must not break the checkpoint."""
    odd = {"glob": lambda _: ToolAnswer(True, "caf\udce9.txt")}
    (result,) = run_tool_calls([call("glob", pattern="*")], odd, schemas=TOOLS)
    assert ToolResult.model_validate_json(result.model_dump_json()) == result
    assert result.content == "caf?.txt"


def test_a_broken_sandbox_passes(workspace: FolderWorkspace) -> None:
    """A container that is gone is not the model's business."""
    workspace.sandbox().breaks = 0
    for calls in ([call("bash", command="ls")], [call("glob", pattern="*"), call("glob", pattern="*.py")]):
        with pytest.raises(SandboxUnavailable):
            run_tool_calls(calls, sandbox_tools(workspace.sandbox, None, seconds_left=60), schemas=TOOLS)


def test_a_command_out_of_memory_says_so() -> None:
    """Told from the sandbox's own knowledge, not guessed from the exit code."""
    done = ExecResult(137, "Killed", False, False, True, 1.0)
    assert "ran out of memory" in render_execution(done, timeout=60)


def test_run_tests_hands_its_numbers_on(workspace: FolderWorkspace) -> None:
    """The result of `run_tests` alone carries a tally, and its words tell the delta against the tests before."""
    before = TestRun(command="t", exit_code=1, seconds=1.0, cases=(TestCase(id="a", outcome="failed"),))
    after = (TestCase(id="a", outcome="failed"), TestCase(id="b", outcome="error"))

    def run_tests(_: object, targets: str) -> TestRun:
        return TestRun(command=f"t {targets}".strip(), exit_code=1, seconds=1.0, cases=after)

    tools = sandbox_tools(workspace.sandbox, run_tests, seconds_left=60, baseline=before)
    calls = [call("run_tests"), call("run_tests", targets="b"), call("bash", command="true")]
    everything, some, other = run_tool_calls(calls, tools, schemas=TOOLS)
    assert everything.tests == TestTally(exit_code=1, failed=2, failing=("a", "b"))
    assert some.tests is not None
    assert some.tests.targeted
    assert other.tests is None
    assert "newly failing: b" in everything.content


def test_no_tally_comes_from_a_container() -> None:
    """What a tool inside the container says of itself is no evidence."""
    sly = {"read_file": lambda _: ToolAnswer(True, "x", {"tally": {"exit_code": 0, "passed": 9}})}
    (result,) = run_tool_calls([call("read_file", path="a")], sly, schemas=TOOLS)
    assert result.tests is None
