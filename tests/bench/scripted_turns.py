"""The script of the agent benchmark: the same turns in every agent's own tool names, and the repository for them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal

Kind = Literal["shell", "read", "edit", "finish"]
Dialect = Literal["forgehand", "mini-swe-agent", "qwen-code"]
Reply = Mapping[str, Any]

# No forty turns without a change and no call twice the same: those are what a stuck agent is known by.
CYCLE: tuple[Kind, ...] = ("shell", "shell", "read", "edit", "shell", "shell", "read", "edit", "shell")
FILES = 20
LINES = 40
PROMPT = "Set every setting to 1. [session {session}]"


def plan_turns(count: int) -> tuple[Kind, ...]:
    """The kinds of ``count`` turns; of 91: 50 shell commands, 20 reads, 20 edits and the end."""
    return (*islice(cycle(CYCLE), count - 1), "finish")


def render_script(dialect: Dialect, turns: Sequence[Kind], *, root: str = "") -> list[Reply]:
    """One reply a turn in an agent's tool names; ``root`` stands before each path where it wants absolute ones."""
    render = _DIALECTS[dialect]
    counts = {"shell": 0, "read": 0, "edit": 0, "finish": 0}
    script = []
    for kind in turns:
        script.append(render(kind, counts[kind], root))
        counts[kind] += 1
    return script


def make_repository(folder: Path) -> str:
    """A git repository with twenty small modules; the id of its one commit."""
    folder.mkdir(parents=True)
    for number in range(FILES):
        lines = [f"setting_{line:02d} = 0  # of module {number}\n" for line in range(LINES)]
        (folder / _module(number)).write_text("".join(lines))
    identity = ["-c", "user.name=Bench", "-c", "user.email=bench@localhost"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "Twenty modules"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    asked = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return asked.stdout.strip()


def settings_changed(folder: Path) -> int:
    """How many settings an agent has changed in its checkout."""
    return sum((folder / _module(number)).read_text().count(" = 1 ") for number in range(FILES))


def _module(number: int) -> str:
    return f"module_{number % FILES:02d}.py"


def _setting(number: int) -> str:
    # Each edit is one line further down once all modules had their turn.
    return f"setting_{number // FILES:02d}"


def _calls(name: str, arguments: Mapping[str, Any]) -> Reply:
    return {"content": "", "tool_calls": [{"name": name, "arguments": arguments}]}


def _forgehand(kind: Kind, number: int, root: str) -> Reply:
    path, setting = root + _module(number), _setting(number)
    match kind:
        case "shell":
            return _calls("bash", {"command": f"true {number}"})
        case "read":
            return _calls("read_file", {"path": path})
        case "edit":
            return _calls("edit", {"path": path, "old_string": f"{setting} = 0 ", "new_string": f"{setting} = 1 "})
        case "finish":
            return _calls("finish", {"summary": "All settings are 1.", "verification": "None was possible."})


def _mini(kind: Kind, number: int, root: str) -> Reply:
    path, setting = root + _module(number), _setting(number)
    match kind:
        case "shell":
            command = f"true {number}"
        case "read":
            command = f"cat -n {path}"
        case "edit":
            command = f"sed -i 's/^{setting} = 0 /{setting} = 1 /' {path}"
        case "finish":
            command = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
    return _calls("bash", {"command": command})


def _qwen(kind: Kind, number: int, root: str) -> Reply:
    path, setting = root + _module(number), _setting(number)
    match kind:
        case "shell":
            return _calls("run_shell_command", {"command": f"true {number}", "is_background": False})
        case "read":
            return _calls("read_file", {"file_path": path})
        case "edit":
            change = {"old_string": f"{setting} = 0 ", "new_string": f"{setting} = 1 "}
            return _calls("edit", {"file_path": path, **change})
        case "finish":
            return {"content": "All settings are 1.", "tool_calls": []}


_DIALECTS: Mapping[Dialect, Callable[[Kind, int, str], Reply]] = {
    "forgehand": _forgehand,
    "mini-swe-agent": _mini,
    "qwen-code": _qwen,
}
