"""The agent's tools: what the model is offered, how its calls are run, and in which words they answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from threading import Lock

from sandbox.container import ExecResult, Sandbox, ToolAnswer
from workflows.agent.calls.toolcalls import MalformedCall, ParsedCall, Schema, Value, parse_call
from workflows.agent.client.encoding import Unchanging
from workflows.agent.clipping import clip
from workflows.agent.done.run_report import render_tests
from workflows.agent.done.tally import tally
from workflows.types import TestRun, TestTally, ToolCall, ToolResult

RESULT_LIMIT = 20_000
PAGE_LIMIT = 45_000
BASH_SECONDS = 120
LONGEST_BASH_SECONDS = 600
MOST_CALLS = 20
MAP_TOKENS = 2_000
LARGEST_MAP = 8_000
# These answer in pages of their own and say how to read on; the cap is for a toolbox that forgets it.
READ_ONLY = frozenset({"read_file", "grep", "glob", "repo_map"})
RUNNING = frozenset({"bash", "run_tests"})
WRITING = frozenset({"edit", "write_file"})
LATE = f"Not run: at most {MOST_CALLS} calls a reply. Send it again if you still need it."
CUT_OFF = (
    "Your reply was cut off at the output limit, so this call was not run. Send it again in smaller pieces: write a "
    "long file in parts, and one call a reply."
)

Tool = Callable[[Mapping[str, Value]], ToolAnswer]
RunTests = Callable[[Sandbox, str], TestRun]
Batch = list[ParsedCall | MalformedCall]


def _tool(name: str, description: str, /, required: Sequence[str] = (), **fields: tuple[str, str]) -> Schema:
    properties = {field: {"type": kind, "description": text} for field, (kind, text) in fields.items()}
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    function = {"name": name, "description": description, "parameters": parameters}
    return Unchanging({"type": "function", "function": function})


TOOLS: tuple[Schema, ...] = (
    _tool(
        "read_file",
        "Read a text file with line numbers.",
        required=["path"],
        path=("string", "Path, relative to the repository's root."),
        offset=("integer", "First line, counted from 1. Default: 1."),
        limit=("integer", "Number of lines. Default: as many as fit."),
    ),
    _tool(
        "grep",
        "Search file contents by a regular expression. Answers path:line:text.",
        required=["pattern"],
        pattern=("string", "Regular expression."),
        path=("string", "Folder or file to search. Default: the repository."),
        glob=("string", "Only files whose path matches, such as *.py."),
        limit=("integer", "Number of matches, at most."),
    ),
    _tool(
        "glob",
        "List files whose path matches a pattern.",
        required=["pattern"],
        pattern=("string", "Pattern such as **/*.py."),
        path=("string", "Folder to start in. Default: the repository."),
    ),
    _tool(
        "edit",
        "Replace text in a file that you have read. old_string must occur exactly once, unless replace_all is true.",
        required=["path", "old_string", "new_string"],
        path=("string", "Path, relative to the repository's root."),
        old_string=("string", "The text to replace, exactly as in the file, without line numbers."),
        new_string=("string", "The text to put in its place."),
        replace_all=("boolean", "Replace every occurrence. Default: false."),
    ),
    _tool(
        "write_file",
        "Create a file, or replace its whole content.",
        required=["path", "content"],
        path=("string", "Path, relative to the repository's root."),
        content=("string", "The whole content."),
    ),
    _tool(
        "bash",
        "Run a bash command in the repository. The folder and exported variables carry over to the next command. "
        "There is no network and no standard input.",
        required=["command"],
        command=("string", "The command."),
        timeout=("integer", f"Seconds, at most {LONGEST_BASH_SECONDS}. Default: {BASH_SECONDS}."),
    ),
    _tool(
        "run_tests",
        "Run the repository's tests with its own command. Answers counts and the first failures.",
        targets=("string", "Test files or test ids, separated by spaces. Default: all tests."),
    ),
    _tool(
        "repo_map",
        "Show the repository's most relevant files with their definitions, as they were before any change.",
        query=("string", "Names or words that you look for; what they name is ranked first."),
        max_tokens=("integer", f"Size of the map, at most {LARGEST_MAP}. Default: {MAP_TOKENS}."),
    ),
    _tool(
        "update_plan",
        "State your plan and keep it current. People watch it.",
        required=["plan"],
        plan=("string", "Markdown checklist, one item a line: - [ ] to do, - [~] in progress, - [x] done."),
    ),
    _tool(
        "ask",
        "Ask the people a question and wait for their answer, perhaps for days: only when you cannot go on without it.",
        required=["question"],
        question=("string", "Numbered points: what you need to know, and what you would do without an answer."),
    ),
    _tool(
        "finish",
        "End the session: the work is done and verified, or no change is needed.",
        required=["summary"],
        summary=("string", "What was wrong, what you changed and why. For the people who read the pull request."),
        verification=("string", "How you verified it, and what you could not verify."),
        no_change_needed=("boolean", "True when the repository is right as it is; say why in the summary."),
    ),
)


def offered_tools(
    *, with_tests: bool, with_map: bool = False, may_ask: bool = False, handover: str = ""
) -> tuple[Schema, ...]:
    """The schemas sent to the model; the tools that need something only where it is there.

    ``handover``: the session only reads, and this says what ``finish`` hands over.
    """
    absent = {
        name for name, there in (("run_tests", with_tests), ("repo_map", with_map), ("ask", may_ask)) if not there
    }
    if not handover:
        return tuple(tool for tool in TOOLS if tool["function"]["name"] not in absent)
    kept = tuple(tool for tool in TOOLS if tool["function"]["name"] not in {*absent, *WRITING, "finish"})
    told = "End the session: what was asked for is in `summary`, complete."
    return (*kept, _tool("finish", told, required=["summary"], summary=("string", handover)))


def sandbox_tools(
    open_sandbox: Callable[[], Sandbox],
    run_tests: RunTests | None,
    *,
    seconds_left: float,
    baseline: TestRun | None = None,
) -> dict[str, Tool]:
    """The tools that need a container, which is opened by the first of them that runs. They raise SandboxUnavailable.

    No command runs longer than ``seconds_left``. ``baseline``: the tests before any change, for the delta that
    ``run_tests`` tells.
    """
    opening = Lock()

    def opened() -> Sandbox:
        with opening:  # tools that run at the same time may not open a container each
            return open_sandbox()

    def file_tool(name: str) -> Tool:
        return lambda arguments: opened().tool(name, arguments)

    def bash(arguments: Mapping[str, Value]) -> ToolAnswer:
        timeout = min(LONGEST_BASH_SECONDS, seconds_left, max(1, int(arguments.get("timeout", BASH_SECONDS))))
        command = str(arguments["command"])
        done = opened().execute(command, timeout=timeout, carry=True, output_limit=RESULT_LIMIT)
        return ToolAnswer(ok=done.ok, text=render_execution(done, timeout=timeout))

    tools: dict[str, Tool] = {name: file_tool(name) for name in ("read_file", "grep", "glob", "edit", "write_file")}
    tools["bash"] = bash
    if run_tests is not None:

        def tests(arguments: Mapping[str, Value]) -> ToolAnswer:
            targets = str(arguments.get("targets", ""))
            done = run_tests(opened(), targets)
            told = {"tally": tally(done, targeted=bool(targets.strip()))}
            return ToolAnswer(ok=done.exit_code == 0, text=render_tests(done, baseline=baseline), data=told)

        tools["run_tests"] = tests
    return tools


def split_batches(calls: Sequence[ToolCall], schemas: Sequence[Schema]) -> list[Batch]:
    """The calls, parsed, in their order: neighbouring read-only ones in one batch, each other one by itself."""
    parsed = [parse_call(call, schemas) for call in calls]
    batches: list[Batch] = []
    for parallel, group in groupby(parsed, key=is_read_only):
        neighbours = list(group)
        batches += [neighbours] if parallel else [[call] for call in neighbours]
    return batches


def is_read_only(call: ParsedCall | MalformedCall) -> bool:
    """Whether running the call twice, or beside others, makes no difference."""
    return isinstance(call, ParsedCall) and call.name in READ_ONLY


def run_batch(batch: Batch, tools: Mapping[str, Tool]) -> list[ToolResult]:
    """One result a call, in their order; several calls run at the same time. Raises SandboxUnavailable."""
    if len(batch) == 1:
        return [_run(batch[0], tools)]
    with ThreadPoolExecutor(max_workers=min(8, len(batch))) as pool:
        return list(pool.map(lambda call: _run(call, tools), batch))


def not_run(call: ToolCall, why: str) -> ToolResult:
    """The answer to a call that was not run."""
    return ToolResult(call_id=call.id, name=call.name, content=why, failed=True)


def _run(call: ParsedCall | MalformedCall, tools: Mapping[str, Tool]) -> ToolResult:
    asked = call.call
    if isinstance(call, MalformedCall):
        return not_run(asked, call.message)
    started = time.monotonic()
    answer = tools[call.name](call.arguments)
    seconds = time.monotonic() - started
    limit = PAGE_LIMIT if call.name in READ_ONLY else RESULT_LIMIT
    text = "\n".join(part for part in (clip(answer.text, limit), call.note) if part)
    text = text.encode("utf-8", "replace").decode()  # half a character, of a file's name perhaps, cannot be stored
    shown = answer.data.get("tally")
    return ToolResult(
        call_id=asked.id,
        name=call.name,
        content=text or "(empty)",
        failed=not answer.ok,
        seconds=seconds,
        # The other tools' data comes out of the container and may say anything: only our own noun counts.
        tests=shown if isinstance(shown, TestTally) else None,
    )


def render_execution(done: ExecResult, *, timeout: float) -> str:
    """A command's result for the model: how it ended on the first line, then its output."""
    if done.timed_out:
        head = f"timed out after {timeout:.0f} s and was ended; give a larger timeout or a smaller command"
    elif done.out_of_memory:
        head = f"exit code {done.exit_code}: the sandbox ran out of memory; take a smaller piece of the work"
    else:
        head = f"exit code {done.exit_code}"
    return f"{head}\n{done.output}".rstrip()


def may_have_changed(results: Sequence[ToolResult]) -> bool:
    """Whether the calls may have changed the workspace; a refused edit has not, a failed command may have."""
    return any(result.name in RUNNING or (result.name in WRITING and not result.failed) for result in results)
