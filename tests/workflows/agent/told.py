"""Turns in a few words, for tests of what is read out of them."""

from __future__ import annotations

import base64
import json
from typing import Any

from workflows.types import Compaction, Intervention, Patch, PatchFile, Reply, TestTally, ToolCall, ToolResult, Turn


def call(name: str, **arguments: Any) -> ToolCall:
    """A call; its id is given by the turn."""
    return ToolCall(id="", name=name, arguments=json.dumps(arguments))


def answered(
    asked: ToolCall, content: str = "ok", *, failed: bool = False, tests: TestTally | None = None
) -> tuple[ToolCall, ToolResult]:
    """A call with its result."""
    return asked, ToolResult(call_id="", name=asked.name, content=content, failed=failed, tests=tests)


def bash(command: str, content: str = "exit code 0", *, failed: bool = False) -> tuple[ToolCall, ToolResult]:
    """A command with its result."""
    return answered(call("bash", command=command), content, failed=failed)


def edit(
    path: str = "a.py", old: str = "x", content: str = "ok", *, failed: bool = False
) -> tuple[ToolCall, ToolResult]:
    """An edit with its result."""
    return answered(call("edit", path=path, old_string=old, new_string="y"), content, failed=failed)


def ran(
    *failing: str, passed: int = 5, targets: str = "", exit_code: int | None = -1, counted: bool = True
) -> tuple[ToolCall, ToolResult]:
    """A test run; its exit code follows from what fails, unless it is given."""
    code = (1 if failing else 0) if exit_code == -1 else exit_code
    shown = TestTally(
        exit_code=code,
        passed=passed,
        failed=len(failing),
        failing=failing[:200],
        targeted=bool(targets),
        counted=counted,
    )
    content = f"$ pytest {targets}".strip() + f"\nexit code {code}"
    return answered(call("run_tests", targets=targets), content, failed=code != 0, tests=shown)


def patch(*paths: str, content: bytes = b"y") -> Patch:
    """A change of these files."""
    files = tuple(PatchFile(path=path, mode="100644", content=base64.b64encode(content)) for path in sorted(paths))
    return Patch(base="0" * 40, files=files)


def turn(
    number: int,
    *done: tuple[ToolCall, ToolResult],
    content: str = "",
    change: Patch | None = None,
    intervention: Intervention | None = None,
    compactions: tuple[Compaction, ...] = (),
    **more: Any,
) -> Turn:
    """A turn with these calls and their results."""
    calls = [one.model_copy(update={"id": f"t{number}c{at}"}) for at, (one, _) in enumerate(done)]
    results = [one.model_copy(update={"call_id": f"t{number}c{at}"}) for at, (_, one) in enumerate(done)]
    return Turn(
        number=number,
        reply=Reply(content=content, tool_calls=tuple(calls)),
        results=tuple(results),
        patch=change,
        intervention=intervention,
        compactions=compactions,
        **more,
    )
