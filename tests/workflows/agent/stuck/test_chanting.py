"""What is a chant, and above all what is not."""

from __future__ import annotations

import base64
import random
import time
from pathlib import Path

import pytest

import workflows
from workflows.agent.stuck.chanting import is_chanting

RANDOM = random.Random(7)
PHRASE = "I will now look at the file once more to be sure. "
assert len(PHRASE) == 50

CHANTS = {
    "a phrase of fifty characters": PHRASE * 20,
    "a phrase, cut off in the middle": "Let me see.\n" + PHRASE * 21 + PHRASE[:17],
    "a single word": "the " * 260,
    "a word with a full stop": "Wait. " * 200,
    "a paragraph": ("First I read the parser. " + "Then I change it and run every test again. " * 3) * 10,
    "a line of a plan": "- Let me check the tests again\n" * 40,
    "a chant that ends in a word of its own": PHRASE * 24 + "\n\nDone, at last.",
    "Chinese": "我现在再看一遍这个文件。" * 100,
    "one line of code": '    print("hello to all of you")\n' * 40,
    "one letter for ever": "G" * 9_000,
    "line ends for ever": "\n" * 9_000,
    "a refrain": "".join(f"Attempt {n}.\n{PHRASE * 1}\nThat gave {n * 7}.\n" for n in range(10)),
    "inside a fence": "```python\n" + "value = compute(value, other)\n" * 50,
}


def _table(rows: int) -> str:
    row = "| module_{n} | supported | supported | supported | not supported |\n"
    return "".join(row.format(n=n) for n in range(rows))


def _mixed_base64() -> str:
    data = bytes(600) + RANDOM.randbytes(2_000) + bytes(3_000)
    return base64.encodebytes(data).decode()


PLAIN = {
    "nothing": "",
    "a phrase nine times": PHRASE * 9,
    "rules": "\n".join(f"{'-' * 120}\n{n} title\n{'=' * 120}" for n in range(30)),
    "one very wide rule": "-" * 2_000,
    "a table": _table(100),
    "a table of one word": "| yes | yes | yes |\n" * 100,
    "a table's frame": "+" + ("-" * 12 + "+") * 120,
    "base64": base64.b64encode(RANDOM.randbytes(6_000)).decode(),
    "base64 with zeros": _mixed_base64(),
    "a hex dump": "".join(f"{n:08x}: {'ff ' * 16}\n" for n in range(100)),
    "bytes of one value": "ff " * 600,
    "zeros": "0, " * 800,
    "nulls": "    null,\n" * 200,
    "a grid": "    [0, 0, 0, 0, 0, 0, 0, 0],\n" * 60,
    "a numbered list": "".join(f"{n}. Read the file and mend the import of module {n}.\n" for n in range(200)),
    "a list of paths": "".join(f"src/package/sub/module_{n}/tests/test_module_{n}.py: ok\n" for n in range(300)),
    "parametrised tests": "".join(
        f"    def test_case_{n}(self):\n        self.assertEqual(parse('{n}'), {n})\n\n" for n in range(200)
    ),
    "a switch": "".join(f"    case {n}:\n        return NAMES[{n}];\n" for n in range(300)),
    "empty cells": "<td></td>\n" * 150,
    "records without values": '{"name": "", "value": null},\n' * 60,
    "a licence in nine files": "".join(
        f"// file {n}\n// Licensed under the Apache License, Version 2.0.\n" for n in range(9)
    ),
    "a decoding table": "    0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,\n" * 100,
    "documented fields": "".join(
        f'    field_{n}: int\n    """The value as the service counted it, without those kept in its cache."""\n\n'
        f"    # {RANDOM.randbytes(80).hex()}\n"
        for n in range(40)
    ),
    "an indented closing": "".join("  " * n + "}\n" for n in range(60, 0, -1)),
    "a sentence often, in a fence": "```\n" + "".join(f"{n}\n{PHRASE}\n" for n in range(20)) + "```\n",
}


@pytest.mark.parametrize("name", CHANTS)
def test_a_chant_is_heard(name: str) -> None:
    """Words that come again and again are a chant, wherever in the tail they stand and however they are cut."""
    assert is_chanting(CHANTS[name])


@pytest.mark.parametrize("name", PLAIN)
def test_regular_text_is_no_chant(name: str) -> None:
    """Code, tables, data and rules are regular by nature and never taken for a chant."""
    assert not is_chanting(PLAIN[name])


def test_no_source_of_our_own_is_a_chant() -> None:
    """Every Python file of this project, and every prefix of it in pages, is ordinary text."""
    for path in sorted(Path(workflows.__file__).parent.parent.glob("*/**/*.py")):
        if {".venv", "node_modules"} & set(path.parts):
            continue
        text = path.read_text("utf-8")
        for end in range(12_000, len(text) + 12_000, 12_000):
            assert not is_chanting(text[:end]), path


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, "ab" * 500_000, PHRASE[:49] * 20_000, ("a" * 49 + "b") * 20_000, ("aab" * 40 + "c") * 8_000],
)
def test_long_text_costs_no_more_than_its_tail(text: str) -> None:
    """A megabyte is answered from its tail: well under the time that anything quadratic would take."""
    started = time.thread_time()
    for _ in range(10):
        is_chanting(text)
    assert time.thread_time() - started < 2
