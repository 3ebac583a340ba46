"""What `forgehand fix` prints: a terminal obeys none of it."""

from __future__ import annotations

import io

from rich.console import Console

from app.fix import TerminalProgress
from workflows.types import Reply, ToolCall, Turn


def test_a_terminal_is_not_steered() -> None:
    """Escape sequences and line breaks in tools' names and details are shown, not obeyed."""
    evil = "read\x1b]0;owned\x07\x1b[2J\nfaked line"
    out = io.StringIO()
    progress = TerminalProgress(Console(file=out, width=200))
    call = ToolCall(id="1", name=evil, arguments="{}")
    progress.turn(Turn(number=1, reply=Reply(tool_calls=(call,))))
    progress.done("verify", evil)
    said = out.getvalue()
    assert "\x1b" not in said
    assert "\x07" not in said
    assert said.count("\n") == 2
    assert "<U+001B>" in said


def test_a_note_is_told_once() -> None:
    """What a replay or a second container says again is not printed again."""
    out = io.StringIO()
    progress = TerminalProgress(Console(file=out, width=200))
    progress.note(["It is slower."])
    progress.note(["It is slower.", "It is older."])
    assert out.getvalue().split() == ["It", "is", "slower.", "It", "is", "older."]
