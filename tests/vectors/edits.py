"""The edit tool's matcher as edit vectors ask for it: a text, what to replace in it, and how it ends."""

from __future__ import annotations

from typing import Any

from sandbox.toolbox.edits import replace_text


def apply(content: str, old: str, new: str, replace_all: bool = False) -> dict[str, Any]:
    """``{"ok": True, "content": …}``, or ``{"ok": False, "error": …}``.

    The error is one of the vectors' words: not_found, not_unique, no_change, empty_old; or already_applied.
    """
    edited = replace_text(content, old, new, replace_all=replace_all)
    if edited.content is None:
        return {"ok": False, "error": edited.error}
    return {"ok": True, "content": edited.content}
