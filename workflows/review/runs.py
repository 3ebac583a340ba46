"""The commands that a reviewer's session ran, as the harness recorded them: the only runs that are evidence."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from workflows.agent.commands import is_read_only
from workflows.review.findings import RecordedRun
from workflows.types import ToolCall, Turn

EXCERPT = 1_500
_EXIT = re.compile(r"^exit code (-?\d+)")


def recorded_runs(turns: Sequence[Turn], *, test_command: str | None) -> tuple[RecordedRun, ...]:
    """Each command once, in its last run; a run of the tests stands under their own command."""
    found: dict[str, RecordedRun] = {}
    for turn in turns:
        results = {result.call_id: result for result in turn.results}
        for call in turn.reply.tool_calls:
            command = _command(call, test_command)
            result = results.get(call.id)
            if not command or result is None:
                continue
            code = _EXIT.match(result.content)
            found[command] = RecordedRun(
                command=command,
                exit_code=int(code[1]) if code else result.tests.exit_code if result.tests else None,
                sha256=hashlib.sha256(result.content.encode("utf-8", "surrogatepass")).hexdigest(),
                excerpt=result.content[-EXCERPT:],
            )
    return tuple(found.values())


def plain_command(command: str) -> str:
    """A command as it is compared: without the prompt or the marks that models put around one."""
    return " ".join(command.strip("` \n").removeprefix("$ ").split())


def only_looks(command: str) -> bool:
    """Whether a command only lists, searches and reads files: that shows what is written, and not what it does."""
    return is_read_only(command) and not re.search(r"\$\(|`", command)


def _command(call: ToolCall, test_command: str | None) -> str:
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        return ""
    if not isinstance(arguments, dict):
        return ""
    if call.name == "bash":
        return str(arguments.get("command", "")).strip()
    if call.name == "run_tests" and test_command:
        return f"{test_command} {arguments.get('targets', '')}".strip()
    return ""
