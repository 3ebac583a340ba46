"""What the harness says to the model between turns; each notice is stored with its turn."""

from __future__ import annotations

SANDBOX_REPLACED = (
    "The sandbox was replaced by a fresh one. The files hold your change as it was last stored; the shell's "
    "folder, variables, running processes and everything outside the repository are gone. Look before you rely on them."
)
NO_TOOL_CALL = (
    "Your reply held no tool call, so nothing happened. Go on with a tool call. When the work is done, or cannot be "
    "done, call `finish` and say so."
)
REPLY_CUT_OFF = (
    "Your reply was cut off at the output limit before any tool call. Be brief, and go on with one small tool call."
)
UNREADABLE_ARGUMENTS = '{"unreadable": "the arguments of this call were not a JSON object"}'
NOT_FINISHED = "Not finished yet:"
FINISHED = "The session is finished."
AFTER_FINISH = "Not run: it came after `finish` in the same reply."

_UNITS = {"turns": "turns", "tokens": "tokens", "seconds": "time", "money": "money"}


def wrap_up(which: str) -> str:
    """Told once, when 85 % of a part of the budget are used."""
    return (
        f"Little of this session's {_UNITS[which]} is left. Wrap up now: leave the code in a state that works, run the "
        "tests a last time, and call `finish`; name what is unfinished in its summary."
    )


def change_too_large(reason: str) -> str:
    """Appended to a tool result when the workspace's change cannot be stored."""
    return (
        f"(Warning: the change in the workspace is too large to be stored: {reason} Remove what was generated, such as "
        "build output or installed packages. Until then only the last stored change will be delivered.)"
    )
