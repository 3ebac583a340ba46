"""The toolbox: commands, file tools and changes, as a caller sees them through a real container."""

from __future__ import annotations

import ast
import json
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox.container import ChangeTooLarge, FileChange, Limits, SandboxSpec, SandboxUnavailable
from sandbox.docker import DockerSandbox, DockerSandboxes
from sandbox.toolbox.edits import replace_text
from sandbox.toolbox.output import HeadAndTail
from tests.sandbox.conftest import Mirror

BOTH_WAYS = (Path(__file__).parent / "cases" / "both_ways.py").read_text()
EDITS = json.loads((Path(__file__).parent / "cases" / "edits.json").read_text())
TOOLBOX = sorted((Path(__file__).parents[2] / "sandbox" / "toolbox").glob("*.py"))
MEGABYTE = 1024 * 1024


@pytest.fixture
def fresh(sandboxes: DockerSandboxes, sandbox_image: str, mirror: Mirror) -> Iterator[DockerSandbox]:
    """A container of the test's own, for tests that change the workspace."""
    with sandboxes.open(SandboxSpec(sandbox_image, "fresh", mirror=mirror.path, commit=mirror.commit)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def small(sandboxes: DockerSandboxes, sandbox_image: str) -> Iterator[DockerSandbox]:
    """A container with little of everything, for tests that use it all up."""
    limits = Limits(memory_mb=256, pids=64, workspace_mb=16, tmp_mb=16, home_mb=16)
    with sandboxes.open(SandboxSpec(sandbox_image, "small", limits=limits)) as sandbox:
        yield sandbox


def run(sandbox: DockerSandbox, command: str, **options: Any) -> str:
    return sandbox.execute(command, **{"timeout": 20, **options}).output


def subscripted_builtins(tree: ast.Module) -> Iterator[int]:
    """Lines that would need Python 3.9 when they run: annotations and what only a type checker reads do not."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            skipped.update(ast.walk(node))
        for field in ("annotation", "returns"):
            found = getattr(node, field, None)
            skipped.update(ast.walk(found) if found is not None else ())
    generic = {"dict", "list", "tuple", "set", "frozenset", "type", "Callable", "Iterator"}
    for node in set(ast.walk(tree)) - skipped:
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in generic:
            yield node.lineno


@pytest.mark.parametrize("path", TOOLBOX, ids=lambda path: path.name)
def test_the_toolbox_is_python_3_8_and_standard_library(path: Path) -> None:
    """Every file parses as Python 3.8, subscripts no built-in type at run time, and imports standard library alone."""
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    assert list(subscripted_builtins(tree)) == []
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level == 0}
    allowed = {
        "__future__",
        "collections.abc",
        "typing",
        "os",
        "re",
        "json",
        "struct",
        "select",
        "signal",
        "time",
        "math",
    }
    allowed |= {
        "subprocess",
        "threading",
        "queue",
        "shutil",
        "shlex",
        "stat",
        "socket",
        "ctypes",
        "contextlib",
        "bisect",
        "functools",
        "operator",
    }
    assert found <= allowed | {
        "difflib",
        "sys",
        "_blake2",
        "_socket",
        "_sha1",
        "_operator",
        "hashlib",
        "errno",
        "tomllib",
    }


# Commands


def test_a_command_answers_with_code_output_and_time(box: DockerSandbox) -> None:
    """Both outputs in order, the exit code as it was, a signal as 128 + its number, no input, no terminal."""
    result = box.execute("echo out; echo err >&2; exit 3", timeout=10)
    assert (result.exit_code, result.output, result.ok, result.truncated) == (3, "out\nerr\n", False, False)
    assert 0 < result.seconds < 5
    assert box.execute("kill -SEGV $$", timeout=10).exit_code == 139
    assert run(box, "read line; echo $?; test -t 0 || test -t 1 || echo no terminal") == "1\nno terminal\n"
    assert run(box, "pwd; cat src/app.py | head -1") == "/workspace\ndef answer():\n"
    assert run(box, "echo $LIKE", environment={"LIKE": "this 'one'"}) == "this 'one'\n"


def test_a_command_may_be_long_or_odd(box: DockerSandbox) -> None:
    """Above the kernel's limit for one argument, with any character but NUL, and with a syntax error."""
    long = "cat <<'END' | wc -c\n" + "x" * 300_000 + "\nEND"
    assert run(box, long) == "300001\n"
    assert run(box, long, carry=True) == "300001\n"
    assert run(box, "echo 'é😀'") == "é😀\n"
    assert "NUL" in run(box, "echo a\0b")
    assert box.execute("echo 'unfinished", timeout=10).exit_code == 2
    assert run(box, "printf '\\377\\n'") == "\ufffd\n"


def test_state_is_carried_on_request(box: DockerSandbox) -> None:
    """Folder and exports of a carried command reach the next carried one, whatever its exit code, and no other."""
    given = {"GIVEN": "a 'b' $c"}
    assert (
        box.execute(
            "cd src && export KEPT='a\nb' && plain=1; exit 7", timeout=10, carry=True, environment=given
        ).exit_code
        == 7
    )
    assert run(box, 'pwd; echo "$KEPT|$GIVEN|$plain"', carry=True) == "/workspace/src\na\nb|a 'b' $c|\n"
    assert run(box, 'pwd; echo "$KEPT"') == "/workspace\n\n"
    assert run(box, "set -e; cd /tmp; export KEPT=new; false", carry=True) == ""
    assert run(box, 'pwd; echo "$KEPT $GIVEN"', carry=True, environment={"GIVEN": "later"}) == "/tmp\nnew later\n"
    assert run(box, "mkdir -p /tmp/gone && cd /tmp/gone && rmdir /tmp/gone", carry=True) == ""
    assert run(box, "pwd", carry=True) == "/workspace\n"
    assert run(box, "unset KEPT; cd /workspace", carry=True) == ""
    assert run(box, "trap 'echo bye' EXIT; echo hi", carry=True) == "hi\nbye\n"


def test_output_keeps_head_and_tail(box: DockerSandbox) -> None:
    """Half of the limit from each end, in characters, and one plain line for the rest."""
    result = box.execute("seq 1 100000", timeout=20, output_limit=200)
    whole = "".join(f"{number}\n" for number in range(1, 100_001))
    assert result.truncated
    assert result.output == f"{whole[:100]}\n[... {len(whole) - 200} characters left out ...]\n{whole[-100:]}"
    exact = box.execute("printf 'é%.0s' $(seq 200)", timeout=20, output_limit=200)
    assert (exact.output, exact.truncated) == ("é" * 200, False)


@pytest.mark.parametrize("size", [199, 200, 201, 799, 800, 801, 1599, 1601, 2401, 9999])
@pytest.mark.parametrize("piece", [1, 7, 64, 100_000])
def test_head_and_tail_are_exact_at_every_size(size: int, piece: int) -> None:
    """However the bytes arrive, what is kept and what is counted add up."""
    text = "".join(chr(0x100 + number % 500) for number in range(size))
    sink = HeadAndTail(200)
    raw = text.encode()
    for at in range(0, len(raw), piece):
        sink.add(raw[at : at + piece])
    kept, cut = sink.render()
    expected = text if size <= 200 else f"{text[:100]}\n[... {size - 200} characters left out ...]\n{text[-100:]}"
    assert (kept, cut) == (expected, size > 200)


def test_a_gigabyte_of_output_is_bounded(box: DockerSandbox) -> None:
    """A GB on one line is read to its end, kept to its limit, and leaves the toolbox small."""
    result = box.execute("head -c 1G /dev/zero | tr '\\0' A; echo end >&2", timeout=60)
    assert result.ok
    assert len(result.output) < 31_000
    assert result.output.endswith("Aend\n")
    assert "[... 1073711828 characters left out ...]" in result.output
    kept = box.execute("head -c 200M /dev/zero | tr '\\0' A; echo end >&2", timeout=60, carry=True)
    assert f"; the first 8 MB and the end are in {kept.output_file}, use" in kept.output
    shape = run(box, f"head -c 9 {kept.output_file}; tail -c 5 {kept.output_file}; stat -c %s {kept.output_file}")
    assert shape.startswith("AAAAAAAAAAend\n")
    assert int(shape.split()[1]) < 10 * MEGABYTE
    peak = run(box, "grep VmHWM /proc/$(pgrep -x forgehand)/status")
    assert int(peak.split()[1]) < 50 * 1024


def test_the_deadline_ends_everything(box: DockerSandbox) -> None:
    """A command that ignores TERM and a child that fled its session are both gone soon after the deadline."""
    stubborn = (
        "trap '' TERM INT HUP; setsid bash -c \"trap '' TERM; exec -a fled sleep 300\" & "
        "(setsid sleep 301 > /dev/null 2>&1 &) ; echo started; while :; do sleep 1; done"
    )
    bystander = "setsid sleep 302 > /dev/null 2>&1 & echo kept"
    assert run(box, bystander) == "kept\n"
    began = time.monotonic()
    result = box.execute(stubborn, timeout=1)
    assert (result.exit_code, result.timed_out, result.output) == (None, True, "started\n")
    assert time.monotonic() - began < 20
    assert (
        run(box, "pgrep -f '^(fled|sleep) 30[01]$' | wc -l; pgrep -f '^sleep 302$' | wc -l; pkill -f '^sleep 302'")
        == "0\n1\n"
    )


def test_a_busy_loop_and_a_closed_pipe_meet_the_deadline(box: DockerSandbox) -> None:
    """Neither a spinning command nor one that has closed its outputs outlives its deadline."""
    assert box.execute("while :; do :; done", timeout=0.5).timed_out
    assert box.execute("exec >&- 2>&-; sleep 100", timeout=0.5).timed_out
    assert box.execute("exec >&- 2>&-; sleep 0.2; exit 4", timeout=10).exit_code == 4


def test_a_background_process_does_not_hang_the_reader(box: DockerSandbox) -> None:
    """The answer comes when the command ends; what it left in the background lives on and may keep writing."""
    began = time.monotonic()
    result = box.execute("(while echo tick; do sleep 0.1; done) & echo $! > /tmp/ticker; echo ready", timeout=30)
    assert result.ok
    assert time.monotonic() - began < 20
    assert result.output.startswith(("ready\n", "tick\n"))
    assert run(box, "sleep 0.5; kill $(cat /tmp/ticker) && echo lives") == "lives\n"


def test_requests_run_at_the_same_time_and_are_cancelled_one_by_one(box: DockerSandbox) -> None:
    """Two long commands and a read at once: each gets its own answer, and a cancelled one ends at once."""
    cancelled = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        stubborn = "trap '' TERM; echo one; (trap '' TERM; exec -a kin sleep 305) & while :; do sleep 1; done"
        first = pool.submit(box.execute, stubborn, timeout=60, cancelled=cancelled)
        second = pool.submit(box.execute, "echo two; sleep 1.5; echo end", timeout=60, cancelled=threading.Event())
        assert box.tool("read_file", {"path": "README.md"}).ok
        while run(box, "pgrep -f '^kin 305'") == "":
            pass
        assert not first.done()
        began = time.monotonic()
        cancelled.set()
        ended = first.result()
        assert time.monotonic() - began < 20, "long before its deadline"
        assert (ended.exit_code, ended.cancelled, ended.timed_out, ended.output) == (None, True, False, "one\n")
        assert run(box, "pgrep -f '^kin 305'") == ""
        assert second.result().output == "two\nend\n"
    assert box.execute("touch /tmp/never", timeout=5, cancelled=cancelled).cancelled
    assert run(box, "ls /tmp/never") != "/tmp/never\n", "what is not wanted any more is not begun"


def test_more_commands_than_threads_wait_their_turn(box: DockerSandbox) -> None:
    """Thirty commands at once are all answered, and cancelling works in the middle of them."""
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda n: box.execute(f"sleep 0.1; echo {n}", timeout=30).output, range(30)))
    assert answers == [f"{n}\n" for n in range(30)]


def test_output_is_seen_while_it_comes(box: DockerSandbox) -> None:
    """Pieces arrive before the command ends, whole characters only; of a flood some is skipped, and said to be."""
    seen: queue.Queue[str] = queue.Queue()
    wait = "until [ -e /tmp/seen-{} ]; do sleep 0.05; done; "
    command = f"printf 'a\\303'; {wait.format(1)}printf '\\251b'; {wait.format(2)}echo c"
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(box.execute, command, timeout=60, on_output=seen.put)
        for number, piece in enumerate(("a", "éb"), 1):
            assert seen.get(timeout=30) == piece
            run(box, f"touch /tmp/seen-{number}")
        assert seen.get(timeout=30) == "c\n"
        assert running.result().output == "aébc\n"
    flood: list[str] = []
    assert box.execute("head -c 300M /dev/zero | tr '\\0' A", timeout=60, on_output=flood.append).ok
    assert "bytes not shown" in "".join(flood)
    assert sum(map(len, flood)) < 60 * MEGABYTE


def test_a_listener_that_fails_ends_the_command(box: DockerSandbox) -> None:
    """An error in the caller's own listener reaches the caller, and the command does not run on without it."""

    def fail(_: str) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        box.execute("echo x; exec -a orphan sleep 306", timeout=60, on_output=fail)
    while run(box, "pgrep -f '^orphan 306'"):
        pass


def test_a_long_output_is_kept_in_a_file(box: DockerSandbox) -> None:
    """The preview names the file; the file is whole up to some megabytes, and only the last ten are kept."""
    done = box.execute("seq 1 200000", timeout=20, carry=True, output_limit=1000)
    assert done.truncated
    assert done.output_file is not None
    assert f"the whole output is in {done.output_file}, use grep or read_file on it ...]" in done.output
    assert run(box, f"seq 1 200000 | cmp - {done.output_file} && echo same") == "same\n"
    assert box.tool("grep", {"pattern": "^123456$", "path": done.output_file}).data["matches"] == 1
    little = box.execute("seq 1 1000", timeout=20, carry=True, output_limit=1000)
    assert run(box, f"seq 1 1000 | cmp - {little.output_file} && echo same") == "same\n"
    assert box.execute("seq 1 10", timeout=20, carry=True, output_limit=1000).output_file is None
    for _ in range(10):
        box.execute("seq 1 1000", timeout=20, carry=True, output_limit=1000)
    assert run(box, "ls /tmp/command-output-*.txt | wc -l; ls /tmp/command-output-1.txt").startswith("10\n")
    assert not box.execute(f"ls {done.output_file}", timeout=5).ok


def test_a_bash_that_waits_is_as_good_as_a_new_one(box: DockerSandbox) -> None:
    """Killed or out of its folder while it waited, it is replaced; its clock starts with the command."""
    run(box, "true")
    others = "for pid in $(pgrep -x bash); do [ $pid = $$ ] || kill -KILL $pid; done"
    assert run(box, f"sleep 0.2; {others}; echo killed") == "killed\n"
    assert run(box, "echo $0 $#; echo $LINENO") == "bash 0\n1\n"
    run(box, "sleep 2.2")  # the next one waits as long; bash counts the seconds that have begun
    assert run(box, "echo $SECONDS") in ("0\n", "1\n")
    assert run(box, "return 3; caller") == "bash: line 1: return: can only `return' from a function or sourced script\n"
    assert run(box, "ls /proc/$$/fd > /tmp/held; wc -l < /tmp/held") == "3\n", "standard input and both outputs"


def test_out_of_memory_is_read_from_the_kernel(small: DockerSandbox) -> None:
    """A child that was ended for memory is reported as such, exit code 137 alone is not, and the toolbox survives."""
    hungry = 'python3 -c "a = []\nwhile True: a.append(bytearray(8 << 20))"'
    result = small.execute(hungry + "; echo code $?", timeout=60)
    assert (result.out_of_memory, result.output.splitlines()[-1]) == (True, "code 137")
    assert run(small, "cat /proc/self/oom_score_adj; cat /proc/$(pgrep -x forgehand)/oom_score_adj") == "500\n0\n"
    guess = small.execute("kill -KILL $$", timeout=10)
    assert (guess.exit_code, guess.out_of_memory) == (137, False)


def test_a_fork_bomb_is_bounded(small: DockerSandbox) -> None:
    """The bomb meets the process limit, its deadline ends it, and the next command works."""
    result = small.execute("bomb() { bomb | bomb & }; bomb; sleep 1; while :; do sleep 1; done", timeout=2)
    assert result.timed_out
    assert run(small, "echo still; ps --no-headers -e | wc -l").startswith("still\n")
    left = small.execute("bomb() { bomb | bomb & }; bomb; sleep 1", timeout=20)
    assert "limit of processes was reached; what the command left running was ended" in left.output
    again = small.execute("/bin/echo again; ps --no-headers -e | wc -l", timeout=20)
    assert again.output.startswith("again\n"), "the next command has room"
    assert int(again.output.split()[1]) < 20


def test_full_disks_are_an_answer(small: DockerSandbox) -> None:
    """Filling a folder ends with "no space left" at its cap; commands and tools go on."""
    for folder in ("/workspace", "/tmp", "/home/agent", "/dev/shm"):
        assert "No space left" in run(small, f"dd if=/dev/zero of={folder}/fill bs=1M 2>&1")
    answer = small.tool("write_file", {"path": "more.txt", "content": "x" * 100_000})
    assert not answer.ok
    assert "No space left" in answer.text
    assert run(small, "export A=1", carry=True) == ""
    assert run(small, "echo $A; rm -f /workspace/fill /tmp/fill ~/fill /dev/shm/fill", carry=True) == "1\n"


def test_zombies_are_reaped(box: DockerSandbox) -> None:
    """Sixty orphans leave no zombie: PID 1 takes care of them."""
    run(box, "for i in $(seq 60); do (exec -a orphan sleep 0.05 &); done")
    while run(box, "pgrep -f '^orphan 0'; grep -l '^State:.Z' /proc/[0-9]*/status"):
        pass


# Reading and finding


def test_reading_numbers_lines_and_pages(box: DockerSandbox) -> None:
    """Lines are numbered from 1, pages say how to go on, and an offset beyond the end is explained."""
    assert box.tool("read_file", {"path": "src/app.py"}).text == "     1\tdef answer():\n     2\t    return 41"
    run(box, "seq 1 5000 > /tmp/long.txt; head -c 100000 /dev/zero | tr '\\0' b > /tmp/wide.txt; touch /tmp/empty")
    page = box.tool("read_file", {"path": "/tmp/long.txt", "offset": 10, "limit": 2})
    assert page.text == "    10\t10\n    11\t11\n(lines 10 to 11 of 5000; read on with offset 12)"
    assert dict(page.data) == {"path": "/tmp/long.txt", "lines": 5000, "first": 10, "last": 11}
    assert box.tool("read_file", {"path": "/tmp/long.txt"}).text.endswith(
        "(lines 1 to 2000 of 5000; read on with offset 2001)"
    )
    assert "98000 characters left out" in box.tool("read_file", {"path": "/tmp/wide.txt"}).text
    assert "5000 lines" in box.tool("read_file", {"path": "/tmp/long.txt", "offset": 6000}).text
    assert box.tool("read_file", {"path": "/tmp/empty"}).text == "(the file is empty)"
    assert box.tool("read_file", {"path": "windows.txt"}).text == "     1\tone\n     2\ttwo\n     3\tthree"


def test_reading_refuses_what_is_not_text(box: DockerSandbox) -> None:
    """Pictures, binaries, folders, pipes and absent files are refused with the reason."""
    run(box, "mkfifo /tmp/pipe; printf 'a\\0b' > /tmp/binary; ln -sf /dev/zero /tmp/zero")
    for path, reason in (
        ("picture.png", "PNG image"),
        ("/tmp/binary", "binary file of 3 bytes"),
        ("src", "is a folder"),
        ("/tmp/pipe", "not a regular file"),
        ("none.txt", "no file none.txt"),
        ("/tmp/zero", "symbolic link"),
    ):
        answer = box.tool("read_file", {"path": path})
        assert not answer.ok
        assert reason in answer.text


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../etc/passwd", "'..'"),
        ("src/../../x", "'..'"),
        ("/etc/passwd", "outside the workspace"),
        ("/workspacex/a", "outside the workspace"),
        ("a\0b", "NUL"),
        ("", "empty"),
        ("/tmp/out/passwd", "symbolic link to /etc/passwd"),
        ("\ud800", "broken character"),
    ],
)
def test_paths_stay_inside(box: DockerSandbox, path: str, reason: str) -> None:
    """No tool follows a path out of the workspace and /tmp, and the refusal says what is allowed."""
    run(box, "ln -sfn /etc /tmp/out")
    for name, more in (
        ("read_file", {}),
        ("write_file", {"content": "x"}),
        ("edit", {"old_string": "a", "new_string": "b"}),
        ("grep", {"pattern": "root"}),
        ("glob", {"pattern": "*"}),
    ):
        answer = box.tool(name, {"path": path, **more})
        assert not answer.ok
        assert reason in answer.text, answer.text
    if "\ud800" not in path:
        assert box.read_bytes(path, limit=10_000) is None


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("read_file", {"path": 5}, "'path' must be text, but it was int 5. Expected: read_file {path: text, offset?"),
        ("read_file", {"path": "a", "offset": "ten"}, "'offset' must be a whole number"),
        ("read_file", {"path": "a", "limit": True}, "'limit' must be a whole number"),
        ("read_file", {}, "needs the argument 'path'"),
        ("edit", {"path": "a", "old_string": "b", "new_string": ["c"]}, "'new_string' must be text"),
        ("edit", {"path": "a", "old_string": "b", "new_string": "c", "replace_all": "yes"}, "must be true or false"),
        ("glob", {"pattern": "*", "folder": "src"}, "no argument 'folder'"),
        ("view", {"path": "a"}, "no tool 'view' here. The tools are: edit, glob"),
        ("grep", {"pattern": "a\0b"}, "'pattern' holds a NUL character"),
        ("grep", {"pattern": "a", "glob": "\0"}, "'glob' holds a NUL character"),
        ("glob", {"pattern": "{" * 2_000}, "is not a glob (a brace is not closed)"),
    ],
)
def test_wrong_arguments_teach(box: DockerSandbox, name: str, arguments: dict[str, Any], reason: str) -> None:
    """A call that cannot be understood is answered with what the tool expects, not with an exception."""
    answer = box.tool(name, arguments)
    assert not answer.ok
    assert reason in answer.text


def test_forgiving_where_it_is_safe(box: DockerSandbox) -> None:
    """A null optional argument is absent, and 2.0 is a whole number."""
    answer = box.tool("read_file", {"path": "windows.txt", "offset": 2.0, "limit": None})
    assert answer.text == "     2\ttwo\n     3\tthree"


def test_grep_finds_and_bounds(box: DockerSandbox) -> None:
    """Matches are sorted and numbered, ignored files and .git stay out, limits are said, bad patterns are explained."""
    run(box, "echo answer > ignored.log")
    assert box.tool("grep", {"pattern": "answer"}).text == "src/app.py:1:def answer():"
    assert box.tool("grep", {"pattern": "answer", "glob": "*.md"}).text == "No matches."
    assert box.tool("grep", {"pattern": "VALUE", "path": "src/deep"}).text == "src/deep/er/util.py:1:VALUE = 1"
    run(box, "seq 1 5000 > /tmp/long.txt")
    many = box.tool("grep", {"pattern": "1", "path": "/tmp/long.txt", "limit": 3})
    assert many.text.count("long.txt:") == 3
    assert "only the first 3 lines" in many.text
    bad = box.tool("grep", {"pattern": "("})
    assert not bad.ok
    assert "regex" in bad.text
    assert box.tool("grep", {"pattern": "--files"}).text == "No matches."
    assert not box.tool("grep", {"pattern": "x", "path": "none"}).ok
    run(box, "rm ignored.log")


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.py", None, ["src/app.py", "src/deep/er/util.py"]),
        ("src/*.py", None, ["src/app.py"]),
        ("src/**/*.py", None, ["src/app.py", "src/deep/er/util.py"]),
        ("**/util.py", None, ["src/deep/er/util.py"]),
        ("*.{md,txt}", None, ["README.md", "gone/only.txt", "windows.txt"]),
        ("[!a-z]*", None, [".gitignore", "README.md"]),
        ("*.py", "src/deep", ["src/deep/er/util.py"]),
        ("/workspace/src/*.py", None, ["src/app.py"]),
    ],
)
def test_glob_finds_names(box: DockerSandbox, pattern: str, path: str | None, expected: list[str]) -> None:
    """Sorted names relative to the workspace; * stays in a folder, ** does not, and a bare pattern looks everywhere."""
    assert box.tool("glob", {"pattern": pattern, "path": path}).text.splitlines() == expected


def test_search_is_the_same_without_ripgrep(box: DockerSandbox) -> None:
    """The stand-in gives ripgrep's answers: order, ignored files, odd names, line ends, cut lines, bad patterns."""
    box.tool("write_file", {"path": "/tmp/both_ways.py", "content": BOTH_WAYS})
    assert run(box, "/usr/bin/python3 -I -B /tmp/both_ways.py", timeout=60) == "[]\n"


KILLED_SEARCH = """
import os, sys
sys.path[:0] = ["/opt/forgehand"]
from toolbox.paths import Paths
from toolbox.search import Search
from toolbox.shell import Shell
search = Search(Paths(["/workspace"]), Shell("/workspace", dict(os.environ)), program_path="/tmp/dying")
for ask in (search.grep, search.glob):
    try:
        print(ask("*"))
    except OSError as error:
        print(error)
sys.stdout.flush()
os._exit(0)
"""


def test_a_search_that_was_killed_has_no_answer(box: DockerSandbox) -> None:
    """A ripgrep that the kernel ends, for memory or else, has not found "nothing"."""
    run(box, "mkdir /tmp/dying; printf '#!/bin/sh\nkill -9 $$\n' > /tmp/dying/rg; chmod +x /tmp/dying/rg")
    box.tool("write_file", {"path": "/tmp/killed_search.py", "content": KILLED_SEARCH})
    said = run(box, "/usr/bin/python3 -I -B /tmp/killed_search.py").splitlines()
    assert said == ["[Errno 4] the search was ended by signal 9 before it was done"] * 2


def test_what_may_not_be_read_is_left_out_of_a_search(box: DockerSandbox) -> None:
    """A folder without rights is no match, and no fault of the pattern."""
    run(box, "mkdir -p /tmp/shut/in; echo needle > /tmp/shut/in/a; echo needle > /tmp/shut/b; chmod 0 /tmp/shut/in")
    found = box.tool("grep", {"pattern": "needle", "path": "/tmp/shut"})
    absent = box.tool("grep", {"pattern": "absent", "path": "/tmp/shut"})
    run(box, "chmod 755 /tmp/shut/in")
    assert found.text.removeprefix("../tmp/shut/") == "b:1:needle"
    assert (absent.ok, absent.text) == (True, "No matches.")


# Bad input


def test_a_path_of_a_thousand_folders_is_an_answer(box: DockerSandbox) -> None:
    """Making them one in the other would be a recursion too deep for Python, and the end of the toolbox."""
    deep = "/tmp/" + "d/" * 1_500 + "file"
    answer = box.tool("write_file", {"path": deep, "content": "x"})
    assert (answer.ok, answer.data["error"]) == (False, "too_deep")
    assert box.tool("read_file", {"path": "README.md"}).ok


def test_a_huge_file_is_refused_at_once(box: DockerSandbox) -> None:
    """Two gigabytes are neither read nor searched to their end, and the answer says what to use."""
    run(box, "truncate -s 2G /tmp/huge.txt; (echo needle; cat /dev/zero) | head -c 30M > /tmp/zeros.txt")
    began = time.monotonic()
    for name, more in (("read_file", {}), ("edit", {"old_string": "a", "new_string": "b"})):
        answer = box.tool(name, {"path": "/tmp/huge.txt", **more})
        assert not answer.ok
        assert "larger than 10 MB. Use grep, or bash with head, tail or sed." in answer.text
    assert box.read_bytes("/tmp/huge.txt", limit=MEGABYTE) is None
    assert time.monotonic() - began < 10
    used = run(box, "df --output=used /tmp")
    assert box.tool("grep", {"pattern": "needle", "path": "/tmp/huge.txt"}).text.startswith("No matches")
    assert run(box, "df --output=used /tmp") == used  # a page that is only looked at would take room on a tmpfs
    run(box, "rm /tmp/huge.txt /tmp/zeros.txt")


def test_a_loop_of_links_ends(box: DockerSandbox) -> None:
    """A folder that links to itself and links that lead nowhere but to each other are walked once, and named."""
    run(box, "mkdir -p /tmp/ring/in; cd /tmp/ring; ln -s .. in/up; ln -s b a; ln -s a b; echo here > in/file")
    assert box.tool("glob", {"pattern": "*", "path": "/tmp/ring"}).text == "/tmp/ring/in/file"
    assert box.tool("grep", {"pattern": "here", "path": "/tmp/ring"}).data["matches"] == 1
    assert box.tool("read_file", {"path": "/tmp/ring/in/up/in/up/in/file"}).text == "     1\there"
    for name, more, words in (
        ("read_file", {}, "symbolic link that leads back to itself"),
        ("write_file", {"content": "x"}, "Something of that name is in the way"),
    ):
        answer = box.tool(name, {"path": "/tmp/ring/a/x", **more})
        assert not answer.ok
        assert words in answer.text


def test_bytes_that_are_no_utf_8_survive(box: DockerSandbox) -> None:
    """They are shown as replacement characters, which is said, and an edit beside them keeps them."""
    run(
        box,
        "printf 'caf\\351 = 1\\r\\nnext = 2\\r\\n' > /tmp/latin.py; iconv -t UTF-16 /tmp/latin.py -f l1 > /tmp/wide",
    )
    shown = box.tool("read_file", {"path": "/tmp/latin.py"})
    assert shown.text.startswith("     1\tcaf\ufffd = 1\n     2\tnext = 2\n(not UTF-8: each \ufffd stands for a byte")
    assert box.tool("edit", {"path": "/tmp/latin.py", "old_string": "next = 2", "new_string": "next = 3\nmore = 4"}).ok
    assert box.read_bytes("/tmp/latin.py", limit=100) == b"caf\xe9 = 1\r\nnext = 3\r\nmore = 4\r\n"
    lost = box.tool("edit", {"path": "/tmp/latin.py", "old_string": "caf\ufffd = 1", "new_string": "cafe = 1"})
    assert not lost.ok
    assert "leave it out of old_string, or use bash" in lost.text
    wide = box.tool("read_file", {"path": "/tmp/wide"})
    assert not wide.ok
    assert "is UTF-16 text" in wide.text
    assert "iconv -f UTF-16 -t UTF-8" in wide.text


# Changing


@pytest.mark.parametrize(
    ("name", "before", "old", "new", "words"),
    [
        ("a.py", "def f():\n    return 1\n", "return 1", "return (1", "line 2: '(' was never closed (as Python 3"),
        ("b.py", "x = (\ny = 1\n", "y = 1", "y = 2", ""),
        ("c.py", "x = 1\n", "1", "2", ""),
        ("d.json", '{"a": 1}\n', "1", "1,", "line 1: "),
        ("tsconfig.json", "{}\n", "{}", "{ // why\n}", ""),
        ("e.toml", "a = 1\n", "1", "", "line 1"),
        ("f.sh", "if true; then\n  echo\nfi\n", "fi\n", "", "syntax error: unexpected end of file"),
        ("g.js", "const a = 1;\n", "1;", "{;", "line 1: Unexpected token ';'"),
        ("h.txt", "(\n", "(", "((", ""),
    ],
)
def test_a_new_syntax_error_is_told(box: DockerSandbox, name: str, before: str, old: str, new: str, words: str) -> None:
    """A file that was sound and is not any more is written and warned of; one that was broken before is not."""
    path = f"/tmp/syntax/{name}"
    assert "syntax error" not in box.tool("write_file", {"path": path, "content": before}).text or name == "b.py"
    answer = box.tool("edit", {"path": path, "old_string": old, "new_string": new})
    assert answer.ok
    assert ("Warning: this introduced a syntax error" in answer.text) is bool(words)
    assert words in answer.text
    assert new in str(box.read_bytes(path, limit=1000), "utf-8"), "nothing is reverted"


@pytest.mark.parametrize("case", EDITS, ids=lambda case: case["id"])
def test_edit_vectors(case: dict[str, Any]) -> None:
    """The edits of other agents' test suites end as our policy says; where either is fine, never in a third way."""
    edited = replace_text(case["content"], case["old"], case["new"], replace_all=case["replace_all"])
    policy = case["policy"]
    if policy["ok"] is None:
        assert edited.content is None or edited.content in policy["either"]
    elif policy["ok"]:
        assert edited.content == policy["content"]
    else:
        assert (edited.content, edited.error) == (None, policy["error"])


@pytest.mark.parametrize(
    ("content", "old", "new", "replace_all", "expected"),
    [
        ("\ufeffa\nb\n", "a\n", "x\n", False, "\ufeffx\nb\n"),
        ("a\r\nb\nc\r\nd\r\n", "b\nc\n", "x\ny\n", False, "a\r\nx\r\ny\r\nd\r\n"),
        ("a\r\nb\nc\n", "c", "x", False, "a\r\nb\nx\n"),
        ("aXbX", "X", "", True, "ab"),
        ("a\nb\na\n", "a\n", "", True, "b\n"),
        ("\ta\n\t\tb\n", "a\n\tb\n", "c\n\n\td\n", False, "\tc\n\n\t\td\n"),
        ("a\n  b\n", "    a\n      b\n", "    x\n      y\n", False, "x\n  y\n"),
        ("a\n  b\n", "    a\n      b\n", "x\n", False, None),
        ("aaa", "aa", "b", False, None),
        ("aaaa", "aa", "b", True, "bb"),
        ("x = “one”\n", 'x = "one"', 'x = "two"', False, 'x = "two"\n'),
        ("a \nb\na\t\nb\n", "a\nb\n", "c\n", False, None),
        ("a \nb\na\t\nb\n", "a\nb\n", "c\n", True, "c\nc\n"),
        ("if x:\n    a\n", "a\nb", "c", False, None),
        ("a\nb\n", "b\n\n", "c\n", False, "a\nc\n"),
        ("a\nb", "b\n", "c\n", False, "a\nc"),
    ],
)
def test_edits_keep_the_rest(content: str, old: str, new: str, replace_all: bool, expected: str | None) -> None:
    """BOM, line endings, indents and the end of the file stay; two candidates are refused in every pass."""
    assert replace_text(content, old, new, replace_all=replace_all).content == expected


def test_a_failed_edit_shows_the_way() -> None:
    """The nearest lines are shown with their numbers, and an edit that is in the file already is called that."""
    text = "def one():\n    return compute(1, 2)\n"
    near = replace_text(text, "    return compute(1,2)\n", "x")
    assert "2\t    return compute(1, 2)" in near.explanation
    assert near.lines == (2,)
    done = replace_text(text, "def zero():\n", "def one():\n")
    assert (done.error, done.lines) == ("already_applied", (1,))
    twice = replace_text("a\nb\na\n", "a", "c")
    assert "2 times, at lines 1, 3" in twice.explanation
    assert "3 times, at lines 1, 2. Add" in replace_text("a a\na\n", "a", "c").explanation


@pytest.mark.parametrize("content", ["a" * 200_001, "a \n" * 200_001], ids=["exact", "trimmed"])
def test_an_edit_of_too_many_places_is_refused(content: str) -> None:
    """Each place is remembered: millions of them would use up the container's memory, and end it."""
    old = "a" if content[1] == "a" else "a\t"
    refused = replace_text(content, old, "b", replace_all=True)
    assert (refused.content, refused.error) == (None, "too_many")


def test_a_large_edit_is_quick() -> None:
    """A hundred thousand lines and a missing text cost a moment, not a minute."""
    text = "".join(f"line {number}\n" for number in range(100_000))
    began = time.thread_time()
    assert replace_text(text, "line x\nline y\n", "z").error == "not_found"
    assert replace_text("a" * 100_000, "a", "b", replace_all=True).content == "b" * 100_000
    assert time.thread_time() - began < 10


def test_edit_needs_a_read_and_notices_changes(fresh: DockerSandbox) -> None:
    """An unread or since changed file is refused with what to do; mode, CRLF and links survive; a snippet is shown."""
    change = {"path": "run.sh", "old_string": "echo run", "new_string": "echo walk"}
    assert "Read run.sh with read_file" in fresh.tool("edit", change).text
    fresh.tool("read_file", {"path": "run.sh"})
    run(fresh, "echo '# more' >> run.sh")
    assert "changed since you read it" in fresh.tool("edit", change).text
    fresh.tool("read_file", {"path": "run.sh"})
    done = fresh.tool("edit", change)
    assert done.ok
    assert done.text == "Edited run.sh in 1 place:\n     1\t#!/bin/sh\n     2\techo walk\n     3\t# more"
    assert dict(done.data) == {"path": "run.sh", "line": 2, "replacements": 1}
    assert run(fresh, "stat -c %a run.sh; ./run.sh") == "755\nwalk\n"
    assert fresh.tool("edit", {**change, "old_string": "walk", "new_string": "go"}).ok, "its own edit is no surprise"
    fresh.tool("read_file", {"path": "link"})
    assert fresh.tool("edit", {"path": "link", "old_string": "Sample", "new_string": "Other"}).ok
    assert run(fresh, "readlink link; cat README.md") == "README.md\n# Other\n"
    fresh.tool("read_file", {"path": "windows.txt"})
    assert fresh.tool("edit", {"path": "windows.txt", "old_string": "one\ntwo\n", "new_string": "1\n2\n"}).ok
    assert fresh.read_bytes("windows.txt", limit=100) == b"1\r\n2\r\nthree\r\n"
    assert run(fresh, "ls -A | grep -c forgehand") == "0\n"


def test_write_file_creates_and_overwrites(fresh: DockerSandbox) -> None:
    """Parents are made, a mode is kept, a written file counts as read, and a folder is not overwritten."""
    assert (
        fresh.tool("write_file", {"path": "new/deep/a.txt", "content": "a\nb"}).text
        == "Created new/deep/a.txt: 2 lines, 3 bytes."
    )
    assert fresh.tool("edit", {"path": "new/deep/a.txt", "old_string": "b", "new_string": "c"}).ok
    assert fresh.tool("write_file", {"path": "run.sh", "content": "#!/bin/sh\n"}).text.startswith("Overwrote run.sh")
    assert run(fresh, "stat -c %a run.sh new/deep/a.txt") == "755\n644\n"
    over = fresh.tool("write_file", {"path": "windows.txt", "content": "1\n2\n"})
    assert over.text == "Overwrote windows.txt: 2 lines, 6 bytes; it kept its CRLF line ends."
    assert fresh.read_bytes("windows.txt", limit=100) == b"1\r\n2\r\n", "whose ends read_file does not show"
    run(fresh, "printf '\\xef\\xbb\\xbfa\\n' > marked.txt")
    assert fresh.tool("write_file", {"path": "marked.txt", "content": "b\n"}).ok
    assert fresh.read_bytes("marked.txt", limit=100) == b"\xef\xbb\xbfb\n"
    assert not fresh.tool("write_file", {"path": "src", "content": ""}).ok
    assert not fresh.tool("write_file", {"path": "README.md/x", "content": ""}).ok


def test_read_bytes(box: DockerSandbox) -> None:
    """A file's bytes as they are; None above the limit, for a folder, and for what is not there."""
    assert box.read_bytes("picture.png", limit=100) == b"\x89PNG\r\n\x1a\n\x00\x00"
    assert box.read_bytes("/workspace/picture.png", limit=10) == b"\x89PNG\r\n\x1a\n\x00\x00"
    assert box.read_bytes("picture.png", limit=9) is None
    assert box.read_bytes("src", limit=9) is None
    assert box.read_bytes("none", limit=9) is None
    run(box, "head -c 20M /dev/urandom > /tmp/big; sha256sum /tmp/big")
    big = box.read_bytes("/tmp/big", limit=30 * MEGABYTE)
    assert big is not None
    assert len(big) == 20 * MEGABYTE


# Taking changes out and putting them in

CHANGE = r"""
set -e
sed -i 's/41/42/' src/app.py
git commit --quiet -am 'inside'
printf 'x\0y' > data.bin
printf 'a\r\nb\r\n' > new-windows.txt
printf '#!/bin/sh\n' > tool && chmod +x tool
chmod +x src/deep/er/util.py
ln -s src/app.py pointer
ln -sfn windows.txt link
rm gone/only.txt
rm README.md && mkdir README.md && echo inside > README.md/index
touch 'sp ace é "q".txt'
echo noise > some.log
git rm --quiet --cached windows.txt
"""

CHANGED = {
    "README.md": (None, None),
    "README.md/index": ("100644", b"inside\n"),
    "data.bin": ("100644", b"x\0y"),
    "gone/only.txt": (None, None),
    "link": ("120000", b"windows.txt"),
    "new-windows.txt": ("100644", b"a\r\nb\r\n"),
    "pointer": ("120000", b"src/app.py"),
    'sp ace é "q".txt': ("100644", b""),
    "src/app.py": ("100644", b"def answer():\n    return 42\n"),
    "src/deep/er/util.py": ("100755", b"VALUE = 1\n"),
    "tool": ("100755", b"#!/bin/sh\n"),
}


def test_changes_go_out_and_in_again(
    fresh: DockerSandbox, sandboxes: DockerSandboxes, sandbox_image: str, mirror: Mirror
) -> None:
    """Commits, bytes, modes, links, deletions and a file that became a folder arrive unchanged in another container."""
    made = fresh.execute(CHANGE, timeout=20)
    assert made.ok, made.output
    changes = fresh.export_changes(max_files=50, max_bytes=10_000)
    assert {change.path: (change.mode, change.content) for change in changes} == CHANGED
    with sandboxes.open(SandboxSpec(sandbox_image, "again", mirror=mirror.path, commit=mirror.commit)) as other:
        other.apply_changes(changes)
        assert other.export_changes(max_files=50, max_bytes=10_000) == changes
        other.apply_changes(changes)
        assert other.export_changes(max_files=50, max_bytes=10_000) == changes
        assert run(other, "ls -d gone") != "gone\n"


def test_the_history_of_a_shallow_mirror_has_a_beginning(
    sandboxes: DockerSandboxes, sandbox_image: str, shallow_mirror: Mirror
) -> None:
    """git reads the log of a checkout that never had the first commit, and takes a new one."""
    spec = SandboxSpec(sandbox_image, "shallow", mirror=shallow_mirror.path, commit=shallow_mirror.commit)
    with sandboxes.open(spec) as sandbox:
        assert run(sandbox, "git log --format=%s; echo x >> README.md; git commit -qam Third; git log --format=%s") == (
            "Second\nThird\nSecond\n"
        )
        changes = sandbox.export_changes(max_files=10, max_bytes=MEGABYTE)
        assert [change.path for change in changes] == ["README.md"]


def test_changes_survive_a_hostile_repository(fresh: DockerSandbox) -> None:
    """Filters, hooks, a broken index, no .git at all: what is in the tree comes out, and nothing is run for it."""
    assert fresh.execute(
        "echo one > a.txt; git config filter.x.clean 'touch /tmp/ran; cat';"
        "git config core.excludesFile /tmp/all; echo '*' > /tmp/all; git config --global core.excludesFile /tmp/all;"
        "echo '* filter=x' > .git/info/attributes; git update-index --assume-unchanged README.md;"
        "git config core.fsmonitor 'touch /tmp/ran; true'; echo more >> README.md; rm -f /tmp/ran",
        timeout=10,
    ).ok
    names = ["README.md", "a.txt"]
    assert [change.path for change in fresh.export_changes(max_files=9, max_bytes=1000)] == names
    run(fresh, "echo junk > .git/index; rm -f .git/HEAD")
    assert [change.path for change in fresh.export_changes(max_files=9, max_bytes=1000)] == names
    run(fresh, "rm -rf .git; git init --quiet")
    assert [change.path for change in fresh.export_changes(max_files=9, max_bytes=1000)] == names
    assert run(fresh, "ls /tmp/ran 2>/dev/null; ls -A /tmp ~ | grep -c forgehand") == "0\n"


def test_odd_changes_are_named_for_refusal(fresh: DockerSandbox) -> None:
    """Nested repositories, with a commit or without, and names that are not UTF-8 come out to be refused."""
    run(
        fresh,
        "git init -q empty; git init -q full; cd full; echo x > f; git add f; "
        "git -c user.name=a -c user.email=b commit -qm x; cd ..; printf x > $'caf\\351'; mkdir d; echo y > d/y;"
        "chmod 0 d/y",
    )
    assert fresh.export_changes(max_files=9, max_bytes=1000) == [
        FileChange("caf\\xe9", "000000", b"x"),
        FileChange("d/y", "100644", b"y\n"),
        FileChange("empty", "160000", b""),
        FileChange("full", "160000", b""),
    ]


def test_caps_are_kept_before_bytes_are_read(fresh: DockerSandbox) -> None:
    """Too many or too large files are refused with both numbers, quickly, whatever their size."""
    run(fresh, "truncate -s 1900M huge; touch {1..30}.txt")
    began = time.monotonic()
    with pytest.raises(ChangeTooLarge, match="31 files are changed, more than the limit of 20"):
        fresh.export_changes(max_files=20, max_bytes=1000)
    with pytest.raises(ChangeTooLarge, match="1992294400 bytes, more than the limit of 1000"):
        fresh.export_changes(max_files=100, max_bytes=1000)
    assert time.monotonic() - began < 5
    run(fresh, "rm huge; rm *.txt; git checkout -q .")
    assert fresh.export_changes(max_files=0, max_bytes=0) == []


def test_a_quick_change_of_the_same_size_is_seen(
    sandboxes: DockerSandboxes, sandbox_image: str, mirror: Mirror
) -> None:
    """A change right after the checkout that keeps size and second is not lost to git's stat cache."""
    with sandboxes.open(SandboxSpec(sandbox_image, "racy", mirror=mirror.path, commit=mirror.commit)) as sandbox:
        sandbox.apply_changes([FileChange("src/app.py", "100644", b"def answer():\n    return 43\n")])
        changes = sandbox.export_changes(max_files=9, max_bytes=1000)
    assert changes == [FileChange("src/app.py", "100644", b"def answer():\n    return 43\n")]


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../b", ".git/config", "sub/.GIT/x", "", "a\0b", "a//b"])
def test_apply_refuses_impossible_paths(box: DockerSandbox, path: str) -> None:
    """A patch cannot write outside the workspace or into the repository's own folder."""
    with pytest.raises(SandboxUnavailable, match="cannot be in a repository"):
        box.apply_changes([FileChange(path, "100644", b"x")])


def test_apply_does_not_write_through_links(fresh: DockerSandbox) -> None:
    """A link on the way to a patched file is replaced by the folder the patch speaks of."""
    run(fresh, "rm -rf src; ln -s /tmp src")
    fresh.apply_changes([FileChange("src/evil", "100644", b"x")])
    assert run(fresh, "ls /tmp/evil; cat src/evil") == "ls: cannot access '/tmp/evil': No such file or directory\nx"
    with pytest.raises(SandboxUnavailable, match="mode 160000"):
        fresh.apply_changes([FileChange("sub", "160000", b"")])
