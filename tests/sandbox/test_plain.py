"""A container of an image without Python: slower, and otherwise as good as one with a toolbox."""

from __future__ import annotations

import io
import queue
import select
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from sandbox import execution
from sandbox.container import ChangeTooLarge, Limits, SandboxSpec, SandboxUnavailable
from sandbox.docker import DockerSandboxes
from sandbox.execution import Exec
from sandbox.plain import PlainSandbox
from tests.images import build_image
from tests.sandbox.conftest import Mirror
from tests.sandbox.test_toolbox import CHANGE, CHANGED
from tests.stories.engine_door import EngineDoor

NO_PYTHON = "RUN rm -rf /opt/venv /usr/bin/python3* /usr/local/bin/python*"
NO_BASH = "RUN rm -rf /usr/bin/git /bin/bash /usr/bin/bash /usr/bin/rg"


def build(engine: docker.DockerClient, first: str, *steps: str) -> str:
    return build_image(engine, "\n".join([f"FROM {first}", "USER root", *steps, "USER 10001:10001"]))


@pytest.fixture(scope="module")
def pythonless(engine: docker.DockerClient, sandbox_image: str) -> Iterator[str]:
    """The id of an image with bash and git, but no Python."""
    image = build(engine, sandbox_image, NO_PYTHON)
    yield image
    engine.images.remove(image, force=True)


@pytest.fixture(scope="module")
def plain(sandboxes: DockerSandboxes, pythonless: str, mirror: Mirror) -> Iterator[PlainSandbox]:
    """One container of it, with the mirror's commit."""
    limits = Limits(memory_mb=256, tmp_mb=64)
    spec = SandboxSpec(pythonless, "plain", mirror=mirror.path, commit=mirror.commit, limits=limits)
    with sandboxes.open(spec) as sandbox:
        assert isinstance(sandbox, PlainSandbox)
        yield sandbox


def run(sandbox: PlainSandbox, command: str, **options: Any) -> str:
    return sandbox.execute(command, **{"timeout": 20, **options}).output


def test_it_says_that_it_is_slower(plain: PlainSandbox) -> None:
    """Whoever opened it can tell people why, and what would help."""
    assert "no python3" in plain.notes[0]
    assert "slower" in plain.notes[0]
    assert "Add python3" in plain.notes[0]


def test_commands(plain: PlainSandbox) -> None:
    """Output, exit codes, no input, state on request, long commands and bounded output are as with a toolbox."""
    done = plain.execute("echo out; echo err >&2; exit 3", timeout=10, environment={"A": "b"})
    assert (done.exit_code, done.output, done.truncated, done.timed_out) == (3, "out\nerr\n", False, False)
    assert run(plain, "read line; echo $?; kill -SEGV $$") == "1\nSegmentation fault\n"
    assert plain.execute("cd src; export KEPT='a b'; exit 7", timeout=9, carry=True).exit_code == 7
    assert run(plain, 'pwd; echo "$KEPT$A"; cd /workspace', carry=True, environment={"A": "!"}) == (
        "/workspace/src\na b!\n"
    )
    assert run(plain, "cat <<'END' | wc -c\n" + "x" * 300_000 + "\nEND") == "300001\n"
    cut = plain.execute("seq 1 300000", timeout=20, output_limit=1000)
    assert cut.truncated
    assert len(cut.output) < 1100
    seen: queue.Queue[str] = queue.Queue()
    with ThreadPoolExecutor(1) as thread:
        waits = "echo one; until [ -e /tmp/seen ]; do sleep 0.05; done; echo two"
        running = thread.submit(run, plain, waits, timeout=60, on_output=seen.put)
        assert seen.get(timeout=30) == "one\n"
        run(plain, "touch /tmp/seen")
        assert running.result() == "one\ntwo\n"
    assert seen.get(timeout=30) == "two\n"


def test_the_history_of_a_shallow_mirror_has_a_beginning(
    sandboxes: DockerSandboxes, pythonless: str, shallow_mirror: Mirror
) -> None:
    """git reads the log of a checkout that never had the first commit, and the change comes out."""
    spec = SandboxSpec(pythonless, "shallow", mirror=shallow_mirror.path, commit=shallow_mirror.commit)
    with sandboxes.open(spec) as sandbox:
        assert sandbox.execute("git log --format=%s; echo x >> README.md", timeout=20).output == "Second\n"
        changes = sandbox.export_changes(max_files=10, max_bytes=1_000_000)
        assert [change.path for change in changes] == ["README.md"]


def test_what_a_quick_program_says_is_not_lost(plain: PlainSandbox, tmp_path: Path) -> None:
    """Its output may come in one piece with the head of the engine's answer."""
    door = EngineDoor(tmp_path / "docker.sock", gathers=0.3)
    door.open()
    client = docker.DockerClient(base_url=door.address)
    try:
        done = Exec(client, plain.id).run(["echo", "quick"])
    finally:
        client.close()
        door.shut()
    assert (done.code, done.output) == (0, b"quick\n")


class Waits:
    """How an exec waits for what comes, without a clock: it hears the program's first words when they are there, then
    silence as long as it likes, each wait over at once, until these ``seconds`` have passed; then what comes next.
    """

    def __init__(self, program: Exec, *, seconds: float) -> None:
        self._program, self._left = program, seconds
        self._gates = ["/tmp/begun", "/tmp/late"]

    def select(self, readable: list[Any], _writable: list[Any], _broken: list[Any], timeout: float) -> tuple[Any, ...]:
        if len(self._gates) == 1 and round(self._left - timeout, 6) > 0:
            self._left -= timeout
            return ([], [], [])
        if self._gates:
            api = self._program.client.api
            api.exec_start(api.exec_create(self._program.container, ["touch", self._gates.pop(0)])["Id"])
        return select.select(readable, [], [], 60.0)


def test_what_the_engine_passes_on_after_the_end_is_not_lost(
    plain: PlainSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its two outputs come each by itself: less than half a second of silence after the end is not the end."""
    script = (
        "until [ -e /tmp/begun ]; do sleep 0.05; done; echo end >&2; "
        "until [ -e /tmp/late ]; do sleep 0.05; done; echo late; rm /tmp/begun /tmp/late"
    )
    client = docker.from_env()
    program = Exec(client, plain.id)
    with monkeypatch.context() as patched:
        patched.setattr(execution, "select", SimpleNamespace(select=Waits(program, seconds=0.5).select))
        done = program.run(["bash", "-c", script], done=lambda errors: b"end" in errors)
    client.close()
    assert (done.code, done.output, done.errors) == (0, b"late\n", b"end\n")


def test_a_program_may_leave_its_input_unread(engine: docker.DockerClient, plain: PlainSandbox) -> None:
    """It ended, with an exit code and with words; nothing is wrong with the container."""
    done = Exec(engine, plain.id).run(["/bin/sh", "-c", "echo enough; exit 3"], stdin=b"x" * 10_000_000)
    assert (done.code, done.output) == (3, b"enough\n")


def test_a_command_is_ended(plain: PlainSandbox) -> None:
    """At its deadline and on a cancellation the process group is gone; a daemon holds nobody up."""
    assert plain.execute("trap '' TERM; echo a; while :; do sleep 1; done", timeout=0.5).timed_out
    cancelled = threading.Event()
    timer = threading.Timer(0.3, cancelled.set)
    timer.start()
    began = time.monotonic()
    done = plain.execute("exec -a wanted sleep 307", timeout=60, cancelled=cancelled)
    assert (done.cancelled, done.timed_out, done.exit_code) == (True, False, None)
    assert time.monotonic() - began < 20
    assert run(plain, "pgrep -f '^wanted 307'") == ""
    began = time.monotonic()
    assert run(plain, "sleep 308 & echo started", timeout=60) == "started\n"
    assert time.monotonic() - began < 20


def test_out_of_memory_is_read_from_the_kernel(plain: PlainSandbox) -> None:
    """As with a toolbox: from the cgroup, not from the exit code."""
    hungry = "head -c 2G /dev/zero | tail"
    assert plain.execute(hungry, timeout=60).out_of_memory
    guess = plain.execute("kill -KILL $$", timeout=10)
    assert (guess.exit_code, guess.out_of_memory) == (137, False)


def test_file_tools(plain: PlainSandbox) -> None:
    """The same words as with a toolbox: numbering, refusals, edits that need a read, modes and line ends kept."""
    assert plain.tool("read_file", {"path": "src/app.py"}).text == "     1\tdef answer():\n     2\t    return 41"
    for path, words in (
        ("picture.png", "PNG image"),
        ("src", "is a folder"),
        ("none", "no file none"),
        ("../x", "'..'"),
        ("/etc/passwd", "outside the workspace"),
    ):
        answer = plain.tool("read_file", {"path": path})
        assert not answer.ok
        assert words in answer.text
    run(plain, "ln -sfn /etc /tmp/out; truncate -s 2G /tmp/huge")
    assert "symbolic link to /etc/passwd" in plain.tool("read_file", {"path": "/tmp/out/passwd"}).text
    assert "larger than 10 MB" in plain.tool("read_file", {"path": "/tmp/huge"}).text
    change = {"path": "windows.txt", "old_string": "two\n", "new_string": "2\n"}
    assert "Read windows.txt" in plain.tool("edit", change).text
    plain.tool("read_file", {"path": "windows.txt"})
    assert plain.tool("edit", change).ok
    assert plain.read_bytes("windows.txt", limit=99) == b"one\r\n2\r\nthree\r\n"
    assert plain.read_bytes("windows.txt", limit=3) is None
    plain.tool("read_file", {"path": "run.sh"})
    assert plain.tool("edit", {"path": "run.sh", "old_string": "run", "new_string": "go"}).ok
    assert run(plain, "stat -c %a run.sh; ./run.sh; git checkout -q windows.txt run.sh") == "755\ngo\n"
    assert plain.tool("write_file", {"path": "/tmp/new/a.txt", "content": "x\ny"}).text.startswith("Created /tmp/new/a")
    assert plain.tool("grep", {"pattern": "answer", "glob": "*.py"}).text == "src/app.py:1:def answer():"
    assert plain.tool("glob", {"pattern": "**/*.py"}).text == "src/app.py\nsrc/deep/er/util.py"
    assert "grep -E could not" in plain.tool("grep", {"pattern": "("}).text
    assert "whole number" in plain.tool("read_file", {"path": "a", "limit": "x"}).text


def test_changes_go_out_and_in_again(
    plain: PlainSandbox, sandboxes: DockerSandboxes, pythonless: str, mirror: Mirror
) -> None:
    """The same change as from a container with a toolbox, put into another one and out again; caps are kept."""
    assert plain.export_changes(max_files=0, max_bytes=0) == []
    assert plain.execute(CHANGE, timeout=20).ok
    changes = plain.export_changes(max_files=50, max_bytes=10_000)
    assert {change.path: (change.mode, change.content) for change in changes} == CHANGED
    with pytest.raises(ChangeTooLarge, match="files are changed, more than the limit of 3"):
        plain.export_changes(max_files=3, max_bytes=10_000)
    run(plain, "head -c 20000 /dev/zero > big.bin")
    with pytest.raises(ChangeTooLarge, match="more than the limit of 10000 bytes"):
        plain.export_changes(max_files=50, max_bytes=10_000)
    with sandboxes.open(SandboxSpec(pythonless, "again", mirror=mirror.path, commit=mirror.commit)) as other:
        other.apply_changes(changes)
        assert other.export_changes(max_files=50, max_bytes=10_000) == changes


def test_the_least_an_image_must_have(
    sandboxes: DockerSandboxes, engine: docker.DockerClient, pythonless: str, mirror: Mirror
) -> None:
    """Without bash it is sh; without git a commit is refused, and without sh everything, each with what to do."""
    least = build(engine, pythonless, NO_BASH)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    tag = uuid.uuid4().hex[:8]
    engine.api.import_image_from_data(packed.getvalue(), repository="forgehand-test", tag=tag)
    try:
        with sandboxes.open(SandboxSpec(least, "least")) as sandbox:
            assert run(sandbox, "echo $((1 + 1)) ${BASH_VERSION-sh}; export A=b", carry=True) == "2 sh\n"
            assert run(sandbox, "echo $A", carry=True) == "b\n"
        with pytest.raises(SandboxUnavailable, match=r"has no git\. Use an image with bash, git and python3"):
            sandboxes.open(SandboxSpec(least, "least", mirror=mirror.path, commit=mirror.commit))
        with pytest.raises(SandboxUnavailable, match=r"has no /bin/sh\. Use an image with bash, git and python3"):
            sandboxes.open(SandboxSpec(f"forgehand-test:{tag}", "least"))
        assert sandboxes.remove_leftovers("least") == 0
    finally:
        engine.images.remove(least, force=True)
        engine.images.remove(f"forgehand-test:{tag}", force=True)
