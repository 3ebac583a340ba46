"""Set-up commands that a repository already keeps for others: Copilot's set-up steps and the development container."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Literal

import yaml

from sandbox.container import WORKSPACE
from workflows.repository.detect import Detected
from workflows.repository.policy import Policy
from workflows.repository.project import table
from workflows.types import Noun

COPILOT_PATHS = (".github/workflows/copilot-setup-steps.yml", ".github/workflows/copilot-setup-steps.yaml")
DEVCONTAINER_PATHS = (".devcontainer/devcontainer.json", ".devcontainer.json")
SETUP_PATHS = (*COPILOT_PATHS, *DEVCONTAINER_PATHS)
MAX_CHARACTERS = 100_000
MAX_COMMANDS = 50

Source = Literal["policy", "copilot-setup-steps", "devcontainer", "detected", "none"]


class Setup(Noun):
    """How the sandbox is prepared: bash ``commands`` in order, where they come from, and ``why`` in sentences."""

    commands: tuple[str, ...] = ()
    source: Source = "none"
    why: tuple[str, ...] = ()


def choose_setup(policy: Policy, detected: Detected, read: Callable[[str], str | None]) -> Setup:
    """The first source that says something: the policy, Copilot's steps, the development container, what was detected.

    ``read`` gives a file's text from the default branch, or None; it is asked for :data:`SETUP_PATHS` alone.
    """
    if policy.setup:
        return Setup(commands=policy.setup, source="policy", why=("The set-up commands come from the policy.",))
    notes: tuple[str, ...] = ()
    for path in SETUP_PATHS:
        text = read(path)
        if text is None:
            continue
        found = parse_copilot_steps(text) if path in COPILOT_PATHS else parse_devcontainer(text)
        if found.commands:
            return Setup(commands=found.commands, source=found.source, why=(*notes, *found.why))
        notes += found.why
    if detected.setup_commands:
        why = "The set-up commands were chosen by the files that were found."
        return Setup(commands=detected.setup_commands, source="detected", why=(*notes, why))
    return Setup(why=(*notes, "Nothing has to be installed."))


def parse_copilot_steps(text: str) -> Setup:
    """The ``run`` steps of the job ``copilot-setup-steps``; ``why`` names what was left out. Never raises."""
    try:
        data = yaml.safe_load(text) if len(text) <= MAX_CHARACTERS and _plain_enough(text) else None
    except (yaml.YAMLError, ValueError, OverflowError):
        data = None
    job = table(data, "jobs", "copilot-setup-steps")
    steps = job.get("steps")
    if not isinstance(steps, list):
        return _nothing("`copilot-setup-steps.yml` has no job `copilot-setup-steps` with steps that could be read.")
    defaults = (table(job, "defaults", "run"), table(data, "defaults", "run"))
    outer = {**_environment(data), **_environment(job)}
    folder = next((d["working-directory"] for d in defaults if isinstance(d.get("working-directory"), str)), "")
    commands, skipped = [], []
    for step in steps[: MAX_COMMANDS * 2]:
        if not isinstance(step, dict):
            continue
        command, reason = _step_command(step, environment=outer, folder=folder)
        if command is not None:
            commands.append(command)
        elif reason:
            skipped.append(reason)
    why = ["The set-up commands are the `run` steps of `copilot-setup-steps.yml`."] if commands else []
    if skipped:
        why.append(f"Left out of `copilot-setup-steps.yml`: {'; '.join(skipped)}.")
    return Setup(commands=tuple(commands[:MAX_COMMANDS]), source="copilot-setup-steps", why=tuple(why))


def parse_devcontainer(text: str) -> Setup:
    """``postCreateCommand`` of a devcontainer.json, which is JSON with comments. Never raises.

    A string is a shell command, a list is one command with its arguments, and an object holds several of either
    (https://containers.dev/implementors/json_reference/#lifecycle-scripts).
    """
    try:
        data = json.loads(_without_comments(text)) if len(text) <= MAX_CHARACTERS else None
    except (ValueError, RecursionError):
        return _nothing("`devcontainer.json` could not be read as JSON with comments, so it was not used.")
    value = data.get("postCreateCommand") if isinstance(data, dict) else None
    values = list(value.values()) if isinstance(value, dict) else [value]
    commands = [command for command in map(_devcontainer_command, values) if command]
    if not commands:
        return Setup(source="devcontainer")
    why = "The set-up commands are `devcontainer.json`'s `postCreateCommand`."
    commands = [command.replace("${containerWorkspaceFolder}", WORKSPACE) for command in commands]
    return Setup(commands=tuple(commands[:MAX_COMMANDS]), source="devcontainer", why=(why,))


def _nothing(why: str) -> Setup:
    return Setup(why=(why,))


def _plain_enough(text: str) -> bool:
    """Whether loading is safe: merge keys copy what they name, so that a few lines of them can fill the memory."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > 50 or (isinstance(event, yaml.ScalarEvent) and event.value == "<<"):
            return False
    return True


def _step_command(step: Mapping[str, Any], *, environment: Mapping[str, str], folder: str) -> tuple[str | None, str]:
    """The bash command of one step, or None with the reason why it is left out."""
    run, uses, name = (value if isinstance(value := step.get(key), str) else "" for key in ("run", "uses", "name"))
    label = " ".join((name or run).split())[:60]
    if uses:
        return None, f"`{uses[:100]}` (an action; only `run` steps work here)"
    if not run.strip():
        return None, ""
    if step.get("shell", "bash") not in ("bash", "sh"):
        return None, f"`{label}` (not a bash step)"
    own = {**environment, **_environment(step)}
    where = value if isinstance(value := step.get("working-directory"), str) else folder
    if any("${{" in text for text in (run, where, *own.values())):
        return None, f"`{label}` (it uses an expression of GitHub Actions)"
    lines = [f"export {key}={shlex.quote(value)}" for key, value in own.items()]
    if where not in {"", "."}:
        lines.append(f"cd {shlex.quote(where)}")
    return "\n".join([*lines, run.strip()]), ""


def _environment(holder: Any) -> dict[str, str]:
    return {
        str(key): str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in table(holder, "env").items()
        if re.fullmatch(r"[A-Za-z_]\w*", str(key)) and isinstance(value, str | int | float | bool)
    }


def _devcontainer_command(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return shlex.join(value)
    return None


def _without_comments(text: str) -> str:
    """JSON from JSON with comments and commas before a closing bracket; strings stay as they are."""
    # What is not closed goes on to the end, so that each alternative consumes what it looked at: linear time.
    string = r'("(?:\\.|[^"\\])*"?)'
    bare = re.sub(string + r"|//[^\n]*|/\*.*?(?:\*/|\Z)", lambda m: m[1] or " ", text, flags=re.DOTALL)
    return re.sub(string + r"|,(?=\s*[}\]])", lambda m: m[1] or "", bare, flags=re.DOTALL)
