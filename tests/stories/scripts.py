"""Short scripted sessions: what the model says in a story, turn by turn."""

from __future__ import annotations

from typing import Any

Entry = dict[str, Any]

WRONG = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "test_calc.py": "from calc import add\n\n\ndef test_zero():\n    assert add(2, 0) == 2\n",
}
"""A repository with one wrong line, and one test that does not see it."""
UNTESTED = {"README.md": "A page of notes.\n", "notes.txt": "One note.\n"}
"""A repository without tests: no container but the agent's."""
ISSUE = "add is wrong\n\n`add(1, 1)` gives 0."

DESCRIBED: Entry = {
    "match": "You write the description of a finished change",
    "content": '{"title": "Add instead of subtract", "summary": "`add` took the second number away."}',
}


def call(name: str, **arguments: Any) -> Entry:
    """One tool call."""
    return {"name": name, "arguments": arguments}


def turn(*calls: Entry, say: str = "", **rest: Any) -> Entry:
    """One reply; ``rest`` are keys such as ``faults``."""
    return {"content": say, "tool_calls": list(calls), **rest}


def write(path: str, content: str) -> Entry:
    """Write a file."""
    return call("write_file", path=path, content=content)


def finish(summary: str = "Done.", **arguments: Any) -> Entry:
    """Say that it is done; ``no_change_needed=True`` without a change."""
    return call("finish", summary=summary, **arguments)


RIGHT = write("calc.py", "def add(a, b):\n    return a + b\n")
NOTE = write("notes.txt", "One note.\nAnother one.\n")
FIX = (turn(RIGHT, call("run_tests")), turn(finish("`add` subtracted.")))
"""The change that WRONG needs."""
NOTED = (turn(NOTE), turn(finish("One more note.")))
"""A change to UNTESTED."""
