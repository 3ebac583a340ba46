"""What the harness says to the model between turns; each notice is stored with its turn."""

from __future__ import annotations

from collections.abc import Sequence

SANDBOX_REPLACED = (
    "The sandbox was replaced by a fresh one. The files hold your change as it was last stored; the shell's "
    "folder, variables, running processes and everything outside the repository are gone. Look before you rely on them."
)
NO_TOOL_CALL = (
    "Your reply held no tool call, so nothing happened. Go on with a tool call. When the work is done, or cannot be "
    "done, call `finish` and say so."
)
CALL_ONLY_SHOWN = (
    "Your reply held no tool call, so nothing happened. What looks like one in it is text: in a code fence, or after a "
    "backtick, a call is only shown, and without its opening tags, or the name of an offered tool, it is none. Send it "
    "in the form that is offered, outside of any fence. When the work is done, or cannot be done, call `finish` and "
    "say so."
)
REPLY_CUT_OFF = (
    "Your reply was cut off at the output limit before any tool call. Be brief, and go on with one small tool call."
)
REPLY_CHANTED = (
    "Your reply said one thing over and over, so it was stopped there, and nothing of it was run. Do not go on with "
    "it: say in one sentence what is to be done next, and send one small tool call."
)
UNREADABLE_ARGUMENTS = '{"unreadable": "the arguments of this call were not a JSON object"}'
NOT_FINISHED = "Not finished yet:"
FINISHED = "The session is finished."
AFTER_FINISH = "Not run: it came after `finish` in the same reply."

ASKED = "The question is put to the people. The session waits for their answer."
NO_QUESTION_NOW = "No question can be put any more. Decide by yourself, and say in `finish` what you decided and why."
AFTER_QUESTION = "Not run: it came after `ask` in the same reply."
INTERRUPTED = (
    "Interrupted: the worker was restarted while this ran, so its result and the state it left are unknown. The "
    "workspace was put back to the state before this call, in a fresh sandbox. Look, and run it again if it is safe."
)
RUN_AGAIN = (
    "This was interrupted, as the worker was restarted, and the state it left is unknown. So the workspace was put "
    "back to the state before it, in a fresh sandbox, and it was run again there."
)
AFTER_INTERRUPTED = "Not run: a call before it in the same reply was interrupted."

UNANSWERED = (
    "Your question was not answered, and the people have the session go on. Do what you said you would do without an "
    "answer, and say so in `finish`."
)
_STOPPED = {
    "turns": "its turns were used up",
    "tokens": "its tokens were used up",
    "seconds": "its time was used up",
    "money": "its money was used up",
    "no_tool_calls": "your replies held no tool calls",
    "malformed": "your tool calls could not be read",
    "stuck": "you went round in circles: try another way than before",
    "model_unavailable": "the model could not be reached",
    "finished": "you had called `finish`",
    "unproven": "you had called `finish` without proof",
}
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


def call_without_end(names: Sequence[str], *, cut_off: bool) -> str:
    """Told after a reply with calls whose end could not be found; ``cut_off``: at the output limit."""
    said = ", ".join(f"`{name}`" for name in names)
    if not cut_off:
        return (
            f"The end of a call ({said}) could not be told, so that call was not run: it is not closed, or a value in "
            "it holds tags of tool calls itself. Send it again, closed, and one call a reply; where a text needs such "
            "tags, have a command put them together from pieces."
        )
    return (
        f"Your reply ended in the middle of a call ({said}), so that call was not run. Send it again, whole and "
        "smaller: write a long file in parts, and one call a reply."
    )


def repair(text: str) -> str:
    """Told when the harness's own run of the tests says that the change makes things worse."""
    return (
        "Your change was put alone into a fresh container and the tests were run there: it makes things worse. Find "
        "out why and mend it, run the tests, and call `finish` again. Test what passed before as it was: do not change "
        "those tests. What cannot be mended, name in `finish`. No question can be put now.\n\n"
        f"{text}"
    )


def answered(text: str) -> str:
    """Told when the people answered the model's question; ``text`` is fenced already."""
    return f"Your question was answered. Go on with the work.\n\n{text}"


def continued(text: str, stop: str) -> str:
    """Told when the people have a session go on that had stopped, or broke off (``stop`` ""); ``text`` is fenced."""
    if stop == "asked":
        return answered(text) if text else UNANSWERED
    told = f"This session had stopped ({_STOPPED.get(stop, 'it was broken off')}), and the people have it go on"
    after = "First look at how far the work is; then go on with it, and call `finish` when it is done."
    return f"{told}, with a fresh budget. {after}" + (f" They say:\n\n{text}" if text else "")
