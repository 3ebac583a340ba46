"""The parsing processes: hostile files cost themselves, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.repomap import workers as module
from workflows.repomap.languages import LANGUAGES
from workflows.repomap.symbols import Definition, FileSymbols, encode_symbols, parse_stored
from workflows.repomap.workers import Source, Workers

GOOD = Source("good", "python", b"def fine(): pass\n")
FINE = FileSymbols((Definition("fine", 1, 0, "def fine()"),))
HOSTILE = {
    "a line of 2 MB": b"var a=[" + b"f(x),g.y;" * 220_000,
    "binary": bytes(range(256)) * 400,
    "10,000 deep": b"(" * 10_000 + b"x" + b")" * 10_000 + b"\n",
    "10,000 deep, in lines": b"[\n" * 10_000 + b"]\n" * 10_000,
    "10,000 blocks": b"if (a) {\n" * 10_000,
    "not UTF-8": b"def \xe9t\xe9(\xff): \xc3\x28\n" * 500,
    "100,000 names": b"".join(b"name%d = f(other%d)\n" % (number, number) for number in range(50_000)),
    "one endless string": b"x = '''" + b"text \\\n" * 60_000,
    "only new lines": b"\n" * 500_000,
}


def far() -> float:
    return time.monotonic() + 120


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_cost_no_other(what: str) -> None:
    """Whatever a file holds, in whichever language, there is an answer for it, and files after it are parsed."""
    sources = [Source(language, language, HOSTILE[what]) for language in ("python", "javascript", "cpp", "ruby")]
    with Workers() as workers:
        answers = workers.parse([*sources, GOOD], deadline=far())
        again = workers.parse([GOOD], deadline=far())
    assert set(answers) == {"python", "javascript", "cpp", "ruby", "good"}
    assert answers["good"] == again["good"] == FINE


def test_a_crash_costs_one_file() -> None:
    """A worker that dies over a file gives empty bytes for it, and the files after it meet a new worker."""
    crash = Source("crash", "a language that is not there", b"x")
    with Workers() as workers:
        answers = workers.parse([crash], deadline=far())
        assert answers == {"crash": None}
        assert workers.parse([GOOD], deadline=far()) == {"good": FINE}
        assert workers.starts == 2


def test_a_slow_file_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that takes longer than its time loses its symbols, and the files after it do not."""
    slow = Source("slow", "python", b"x = [f(a.b), {1: 2}]\n" * 400_000)
    with Workers() as workers:
        workers.parse([GOOD], deadline=far())
        monkeypatch.setattr(module, "FILE_SECONDS", 0.1)
        assert workers.parse([slow], deadline=far()) == {"slow": None}
        monkeypatch.undo()
        assert workers.parse([GOOD], deadline=far()) == {"good": FINE}


def test_two_processes_at_most() -> None:
    """Many files are parsed by two processes; none is started before there is a file."""
    with Workers() as workers:
        assert workers.parse([], deadline=far()) == {}
        assert workers.starts == 0
        answers = workers.parse([Source(str(n), "python", b"x_1 = %d" % n) for n in range(40)], deadline=far())
        assert len(answers) == 40
        assert workers.starts == 2


def test_nothing_begins_after_the_deadline() -> None:
    """What cannot begin in time is absent, not lost."""
    with Workers() as workers:
        assert workers.parse([GOOD], deadline=time.monotonic() - 1) == {}


def run_without_rights(statement: str) -> str:
    """What a statement prints in a process that has given up its rights, or "refused"."""
    code = (
        "import os, socket; from workflows.repomap.worker import give_up_rights; give_up_rights()\n"
        f"try: {statement}\nexcept (OSError, MemoryError): print('refused')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("attempt", ["bytearray(2 << 30)", "open('/etc/hostname')", "socket.socket()", "os.fork()"])
def test_a_taken_over_worker_can_do_little(attempt: str) -> None:
    """In a worker's process there is little memory, and nothing can be opened, reached or started."""
    assert run_without_rights(attempt) == "refused"


def test_a_worker_is_not_root() -> None:
    """A worker is nobody when its parent is root, and its parent's user otherwise."""
    users = run_without_rights("print(*os.getresuid())").split()
    assert users == [str(os.getuid() or 65534)] * 3


@pytest.fixture(scope="module")
def pair() -> Iterator[Workers]:
    """Two workers for all random examples."""
    with Workers() as workers:
        yield workers


@settings(max_examples=25, deadline=None)
@given(content=st.binary(max_size=400), language=st.sampled_from(sorted(LANGUAGES)))
def test_random_bytes(pair: Workers, content: bytes, language: str) -> None:
    """Random bytes in any language have symbols that survive being stored."""
    source = Source("k", language, b"class Store:\n" + content)
    symbols = pair.parse([source], deadline=far())["k"]
    assert symbols is not None
    assert parse_stored(encode_symbols(symbols)) == symbols


@settings(max_examples=50)
@given(
    st.binary(max_size=200)
    | st.text().map(str.encode)
    | st.sampled_from([b"[[],[[1,2]],0]", b"[[],[],-1]", b"[" * 9_000])
)
def test_stored_symbols_are_checked(stored: bytes) -> None:
    """Whatever a worker or a disk says, it is symbols or nothing, never an exception."""
    symbols = parse_stored(stored)
    assert symbols is None or parse_stored(encode_symbols(symbols)) == symbols
