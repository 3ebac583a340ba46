"""The names that other agents' tools and fields have, for a model that was trained on them."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from typing import Any

_LISTINGS = frozenset({"list_directory", "list_dir", "ls"})

ALIASES: Mapping[str, str] = {
    **dict.fromkeys(_LISTINGS, "bash"),
    **dict.fromkeys(
        ("execute_bash", "run_shell_command", "run_command", "run_terminal_cmd", "shell", "terminal"), "bash"
    ),
    **dict.fromkeys(("read", "view", "view_file", "open_file", "cat"), "read_file"),
    **dict.fromkeys(("write", "create_file", "write_to_file"), "write_file"),
    **dict.fromkeys(("str_replace", "edit_file", "replace", "search_replace", "replace_in_file"), "edit"),
    **dict.fromkeys(("grep_search", "search_file_content", "search_files", "ripgrep"), "grep"),
    **dict.fromkeys(("glob_search", "find_files", "file_search"), "glob"),
    **dict.fromkeys(("attempt_completion", "task_done", "submit"), "finish"),
}
"""Another agent's tool -> ours, where both do the same thing. The key is lower case, with underscores."""

EDITOR_COMMANDS: Mapping[str, str] = {"view": "read_file", "create": "write_file", "str_replace": "edit"}
"""``command`` of the tool that is three in one (``str_replace_editor``) -> ours; the others have no counterpart."""

_EDITORS = frozenset({"str_replace_editor", "str_replace_based_edit_tool", "file_editor"})
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "path": ("file_path", "absolute_path", "filepath", "filename", "file"),
    "old_string": ("old_str", "search"),
    "new_string": ("new_str", "replace"),
    "content": ("file_text", "contents"),
    "command": ("cmd",),
    "glob": ("include",),
    "pattern": ("query", "regex"),
    "summary": ("message", "result"),
}


def resolve_tool(name: str, arguments: Mapping[str, Any], offered: Collection[str]) -> str | None:
    """The offered tool that ``name`` means, or None. A name that is offered always means itself."""
    if name in offered:
        return name
    key = _key(name)
    ours = EDITOR_COMMANDS.get(str(arguments.get("command")), "") if key in _EDITORS else ALIASES.get(key, key)
    return ours if ours in offered else None


def rename_fields(arguments: Mapping[str, Any], properties: Collection[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The arguments under the tool's own field names, and what was renamed (theirs -> ours).

    Only a field that the tool does not have is renamed, and only to one that it has and that was not given.
    """
    renamed = {}
    for ours, theirs in _FIELDS.items():
        candidates = [name for name in theirs if name in arguments and name not in properties]
        if ours in properties and ours not in arguments and len(candidates) == 1:
            renamed[candidates[0]] = ours
    return {renamed.get(name, name): value for name, value in arguments.items()}, renamed


def as_command(name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """For a tool that lists a folder the arguments of the command that does it; any other's as they are."""
    if _key(name) not in _LISTINGS or "command" in arguments:
        return arguments
    return {"command": f"ls -Ap -- {shlex.quote(str(arguments.get('path') or arguments.get('dir_path') or '.'))}"}


def _key(name: str) -> str:
    return name.strip().lower().replace("-", "_").removeprefix("functions.")
