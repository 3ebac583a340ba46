"""Containers on a real engine: what they may not do, how they fail, and that they always go away."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from structlog.testing import capture_logs

from sandbox import stream
from sandbox.container import (
    JOB_LABEL,
    OWNER_LABEL,
    ExecResult,
    FileChange,
    Limits,
    SandboxSpec,
    SandboxUnavailable,
)
from sandbox.docker import DockerSandbox, DockerSandboxes, render_create_request
from sandbox.tool_socket import ToolSocket
from tests.sandbox.conftest import Mirror
from tests.sandbox.refusing_engine import RefusingEngine

BATTERY = (Path(__file__).parent / "cases" / "battery.py").read_text()
MAY = {"loopback": "allowed"}


def spec(image: str, mirror: Mirror | None = None, **more: Any) -> SandboxSpec:
    held = {"mirror": mirror.path, "commit": mirror.commit} if mirror else {}
    return SandboxSpec(image, f"job-{uuid.uuid4().hex[:8]}", **{**held, **more})


def test_create_request_gives_nothing_away(tmp_path: Path) -> None:
    """The create request itself has no privilege, no engine socket, no network, no writable host folder."""
    wanted = SandboxSpec("image", "job", mirror=tmp_path, commit="c" * 40, environment={"TOKEN": "do-not-keep"})
    for request in (
        render_create_request(wanted, owner="me", tool_socket=tmp_path / "t" / "toolbox.sock"),
        render_create_request(
            SandboxSpec("i", "j", network="egress", egress_socket=tmp_path / "p.sock", writable_root=True), owner="me"
        ),
    ):
        host = request["HostConfig"]
        assert host["Privileged"] is False
        assert host["NetworkMode"] == "none"
        assert request["NetworkDisabled"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["LogConfig"]["Type"] == "none"
        assert host["MemorySwap"] == host["Memory"]
        assert not {"CapAdd", "Binds", "VolumesFrom", "Devices", "PidMode", "UsernsMode", "UTSMode"} & set(host)
        assert all(mount["ReadOnly"] and mount["Type"] == "bind" for mount in host["Mounts"])
        targets = {mount["Target"] for mount in host["Mounts"]}
        assert targets <= {"/mirror", "/opt/forgehand/toolbox", "/etc/hosts", "/run/egress", "/run/toolbox"}
        assert request["User"] == "10001:10001"
        assert "docker.sock" not in json.dumps(request)
        assert "do-not-keep" not in json.dumps(request)
    assert render_create_request(wanted, owner="me")["HostConfig"]["ReadonlyRootfs"] is True
    assert render_create_request(wanted, owner="me")["Labels"] == {JOB_LABEL: "job", OWNER_LABEL: "me"}
    assert render_create_request(wanted, owner="me", runtime="runsc")["HostConfig"]["Runtime"] == "runsc"


def test_hardening(box: DockerSandbox) -> None:
    """From inside: no capability, no way to more rights, no network, no engine, nothing of the host to write."""
    box.tool("write_file", {"path": "/tmp/battery.py", "content": BATTERY})
    result = box.execute("python3 /tmp/battery.py", timeout=60)
    assert result.ok, result.output
    found = json.loads(result.output.splitlines()[-1])
    assert found.pop("capabilities") == [""]
    assert found.pop("no_new_privileges") == "1"
    assert found.pop("seccomp") == "2"
    assert found.pop("uid") == [10001, 10001, [10001]]
    assert found.pop("core") == "0"
    assert set(found.pop("mounts")) <= {
        "/mirror",
        "/opt/forgehand/toolbox",
        "/etc/hosts",
        "/run/toolbox",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/sbin/docker-init",
        "/usr/sbin/docker-init",
    }
    assert {name: answer for name, answer in found.items() if answer != MAY.get(name, "refused")} == {}


def test_environment_holds_only_what_was_given(
    sandboxes: DockerSandboxes, sandbox_image: str, engine: docker.DockerClient
) -> None:
    """A command sees the image's variables, HOME, LANG and the job's; the container's own hold none of the job's."""
    image_env = {line.partition("=")[0] for line in engine.images.get(sandbox_image).attrs["Config"]["Env"]}
    with sandboxes.open(spec(sandbox_image, environment={"JOB_VALUE": "seen"})) as sandbox:
        names = sandbox.execute("env", timeout=10).output.splitlines()
        config = engine.api.inspect_container(sandbox.id)["Config"]
        everywhere = sandbox.execute(
            "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c ^JOB_VALUE", timeout=10
        )
    seen = {line.partition("=")[0] for line in names}
    assert seen - image_env <= {"PATH", "HOME", "LANG", "JOB_VALUE", "PWD", "SHLVL", "_"}
    assert "JOB_VALUE=seen" in names
    assert "seen" not in json.dumps(config)
    assert int(everywhere.output) <= 5, "only the command's own processes and the next bash carry it"


def test_git_inside_has_history_and_no_remote(box: DockerSandbox, mirror: Mirror) -> None:
    """The workspace is on a branch of its own at the commit, with the history, clean, without remote or credential."""
    assert box.execute("git rev-parse HEAD", timeout=10).output.strip() == mirror.commit
    assert box.execute("git log --oneline | wc -l", timeout=10).output.strip() == "2"
    assert box.execute("git status --porcelain && git remote && git reflog | wc -l", timeout=10).output.strip() == "0"
    assert box.execute("git symbolic-ref HEAD", timeout=10).output.strip() == "refs/heads/work"
    assert "credential" not in box.execute("git config --list", timeout=10).output


def test_a_missing_commit_is_said_plainly(sandboxes: DockerSandboxes, sandbox_image: str, mirror: Mirror) -> None:
    """A commit the mirror does not have is an answer with advice, and no container stays behind."""
    wanted = SandboxSpec(sandbox_image, "missing", mirror=mirror.path, commit="1" * 40)
    with pytest.raises(SandboxUnavailable, match=r"not in the mirror\. Fetch"):
        sandboxes.open(wanted)
    assert sandboxes.remove_leftovers("missing") == 0


def test_an_empty_repository_is_said_plainly(sandboxes: DockerSandboxes, sandbox_image: str, tmp_path: Path) -> None:
    """A repository without any commit is named as such."""
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path / "empty.git")], check=True)
    for folder in (tmp_path.parent, tmp_path):
        folder.chmod(0o755)
    with pytest.raises(SandboxUnavailable, match="repository is empty"):
        sandboxes.open(spec(sandbox_image, Mirror(tmp_path / "empty.git", "1" * 40)))
    with pytest.raises(SandboxUnavailable, match="empty repository"):
        sandboxes.open(SandboxSpec(sandbox_image, "empty", mirror=tmp_path / "empty.git"))


def test_a_missing_image_is_said_plainly(sandboxes: DockerSandboxes) -> None:
    """An image the engine does not have is named."""
    with pytest.raises(SandboxUnavailable, match="forgehand-no-such-image:1 is not on this engine"):
        sandboxes.open(spec("forgehand-no-such-image:1"))


def test_a_dead_engine_is_said_plainly(tmp_path: Path) -> None:
    """Without an engine, opening and tidying both say what to start."""
    nowhere = DockerSandboxes(docker.DockerClient(base_url=f"unix://{tmp_path}/none.sock", version="1.41"), "test")
    with pytest.raises(SandboxUnavailable, match=r"engine does not answer.*systemctl start docker"):
        nowhere.open(spec("image"))
    with pytest.raises(SandboxUnavailable, match=r"engine does not answer.*systemctl start docker"):
        nowhere.remove_leftovers()


def test_a_container_removed_by_hand_is_noticed(
    sandboxes: DockerSandboxes, sandbox_image: str, engine: docker.DockerClient
) -> None:
    """A call under way ends within seconds when someone removes the container; so does every later one."""
    sandbox = sandboxes.open(spec(sandbox_image))
    running = threading.Event()

    def remove() -> None:
        running.wait()
        engine.api.remove_container(sandbox.id, force=True)

    remover = threading.Thread(target=remove)
    remover.start()
    began = time.monotonic()
    running.set()
    with pytest.raises(SandboxUnavailable, match=r"(removed from|killed, from) outside.*fresh container"):
        sandbox.execute("sleep 60", timeout=60)
    remover.join()
    with pytest.raises(SandboxUnavailable, match=r"(removed from|killed, from) outside"):
        sandbox.tool("glob", {"pattern": "*"})
    assert time.monotonic() - began < 15
    sandbox.close()
    sandbox.close()


def test_a_paused_container_is_noticed(
    sandboxes: DockerSandboxes, sandbox_image: str, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that falls silent in a long command is found out long before the command's deadline."""
    monkeypatch.setattr(stream, "_SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(stream, "_PATIENCE_SECONDS", 3.0)
    with sandboxes.open(spec(sandbox_image)) as sandbox:
        assert sandbox.execute("sleep 4", timeout=30).ok, "a quiet command is not a silent container"
        engine.api.pause(sandbox.id)
        with pytest.raises(SandboxUnavailable, match="paused; resume it with: docker unpause"):
            sandbox.execute("true", timeout=600)


def test_killing_the_toolbox_is_reported(sandboxes: DockerSandboxes, sandbox_image: str) -> None:
    """Plain signals do not end the toolbox; a KILL ends the container, and the caller is told."""
    with sandboxes.open(spec(sandbox_image)) as sandbox:
        assert sandbox.execute("pkill -f toolbox; pkill python3; true", timeout=10).exit_code is not None
        assert sandbox.execute("echo alive", timeout=10).output == "alive\n"
        with pytest.raises(SandboxUnavailable, match="container was killed"):
            sandbox.execute("pkill -KILL forgehand; sleep 5", timeout=20)


def write_a_forged_frame(sandbox: DockerSandbox) -> ExecResult:
    """Into the pipe of PID 1, as a command may, with the number that the call itself has."""
    head = "\\0\\0\\0\\043" + "\\0" * 4 + "a" * 16
    forged = json.dumps({"id": 4, "result": {"ok": True}})
    return sandbox.execute(f"printf '{head}%s' '{forged}' > /proc/1/fd/1; echo written", timeout=10)


def test_a_command_cannot_forge_an_answer(engine: docker.DockerClient, sandbox_image: str) -> None:
    """What a command writes into the engine's stream breaks it and is not believed; the key is out of reach."""
    with DockerSandboxes(engine, f"test-{uuid.uuid4().hex}").open(spec(sandbox_image)) as sandbox:
        pid = sandbox.execute("pgrep -x forgehand", timeout=10).output.strip()
        assert re.fullmatch(r"\d+", pid)
        for secret in ("environ", "mem", "maps", "fd"):
            assert not sandbox.execute(f"ls /proc/{pid}/{secret}/ && cat /proc/{pid}/{secret}", timeout=10).ok
        with pytest.raises(SandboxUnavailable, match="wrote into the tool stream"):
            write_a_forged_frame(sandbox)


def test_a_command_cannot_reach_the_socket(sandboxes: DockerSandboxes, sandbox_image: str) -> None:
    """Nobody comes to it after the toolbox, what is written into the container's own output is not heard."""
    with sandboxes.open(spec(sandbox_image)) as sandbox:
        come = "import socket; socket.socket(socket.AF_UNIX).connect('/run/toolbox/toolbox.sock')"
        result = sandbox.execute(f'python3 -c "{come}"', timeout=10)
        assert "FileNotFoundError" in result.output
        assert not sandbox.execute("touch /run/toolbox/toolbox.sock", timeout=10).ok
        assert write_a_forged_frame(sandbox).output == "written\n"
        assert sandbox.execute("head -c 3M /dev/zero >/proc/1/fd/1", timeout=1).timed_out, "nobody reads it"
        assert sandbox.execute("echo alive", timeout=10).output == "alive\n"


class ClosedSocket(ToolSocket):
    """A socket that the container's user may not connect to, as a security module or a sandboxed kernel may say."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path.chmod(0o600)


@pytest.mark.parametrize("reached", [True, False])
def test_where_the_socket_cannot_be_reached_the_engine_carries_the_stream(
    engine: docker.DockerClient, sandbox_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: bool
) -> None:
    """Either way everything works, and no socket is left in the folder, whose path may be long."""
    if not reached:
        monkeypatch.setattr("sandbox.docker.ToolSocket", ClosedSocket)
    folder = tmp_path / ("a folder with a very long name " * 4)
    sandboxes = DockerSandboxes(engine, f"test-{uuid.uuid4().hex}", sockets=folder)
    with sandboxes.open(spec(sandbox_image)) as sandbox:
        assert (sandbox._stream._connection is not sandbox._stream._attached) is reached
        assert list(folder.iterdir()) == []
        assert sandbox.execute("echo heard", timeout=10).output == "heard\n"
        with pytest.raises(SandboxUnavailable, match="container was killed"):
            sandbox.execute("pkill -KILL forgehand; sleep 5", timeout=20)
    with pytest.raises(SandboxUnavailable):
        sandboxes.open(spec("forgehand-no-such-image:1"))
    assert list(folder.iterdir()) == []


def test_a_folder_that_takes_no_sockets_is_said_once(
    engine: docker.DockerClient, sandbox_image: str, tmp_path: Path
) -> None:
    """A file system may have none, or a file be in the way: the engine carries the streams."""
    (tmp_path / "file").write_text("")
    sandboxes = DockerSandboxes(engine, f"test-{uuid.uuid4().hex}", sockets=tmp_path / "file")
    with capture_logs() as said:
        for _ in range(2):
            with sandboxes.open(spec(sandbox_image)) as sandbox:
                assert sandbox.execute("echo heard", timeout=10).output == "heard\n"
    assert [line["event"] for line in said] == ["no_tool_sockets"]
    assert "File exists" in said[0]["reason"]


def test_many_threads_share_one_sandbox(box: DockerSandbox) -> None:
    """Each caller gets its own answer, short and long commands and megabytes of data mixed."""
    box.execute(
        "mkdir -p /tmp/many; for i in $(seq 8); do head -c 2M /dev/zero | tr '\\0' $i > /tmp/many/$i; done", timeout=20
    )

    def work(number: int) -> None:
        for turn in range(6):
            assert box.execute(f"sleep 0.0{number}; echo {number} {turn}", timeout=20).output == f"{number} {turn}\n"
            assert box.read_bytes(f"/tmp/many/{number}", limit=3_000_000) == str(number).encode() * 2 * 1024 * 1024
            assert box.tool("glob", {"pattern": "*.py", "path": "src"}).ok

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(1, 9)))


def test_carried_commands_may_overlap(box: DockerSandbox) -> None:
    """Each notes its whole state, whatever another one noted meanwhile; the last to end is heard."""
    with ThreadPoolExecutor(1) as other:
        begin = "rm -f /tmp/noted; touch /tmp/begun; until [ -e /tmp/noted ]; do sleep 0.01; done; export SLOW=slow"
        slow = other.submit(box.execute, begin, timeout=60, carry=True)
        wait = "until [ -e /tmp/begun ]; do sleep 0.01; done"
        assert box.execute(f"{wait}; export LONG={'x' * 5000}", timeout=60, carry=True).ok
        assert box.execute("touch /tmp/noted", timeout=60).ok
        assert slow.result().ok
    assert box.execute("echo $SLOW ${LONG-none} $HOME", timeout=60, carry=True).output == "slow none /home/agent\n"


def test_leftovers_are_found_by_label(engine: docker.DockerClient, sandbox_image: str) -> None:
    """Containers of a controller that is gone are removed by job, then by owner; another owner's stay."""
    ours, theirs = (DockerSandboxes(engine, f"test-{uuid.uuid4().hex}") for _ in range(2))
    wanted = [SandboxSpec(sandbox_image, job) for job in ("one", "two")]
    for each in wanted:
        ours.open(each)
    kept = theirs.open(wanted[0])
    assert ours.remove_leftovers("one") == 1
    assert ours.remove_leftovers() == 1
    assert ours.remove_leftovers() == 0
    assert kept.execute("echo here", timeout=10).output == "here\n"
    assert theirs.remove_leftovers() == 1


def test_close_leaves_nothing(sandboxes: DockerSandboxes, sandbox_image: str, engine: docker.DockerClient) -> None:
    """Closing twice is fine, the container is gone, and a closed sandbox says so."""
    sandbox = sandboxes.open(spec(sandbox_image))
    sandbox.close()
    sandbox.close()
    with pytest.raises(docker.errors.NotFound):
        engine.api.inspect_container(sandbox.id)
    with pytest.raises(SandboxUnavailable, match="closed"):
        sandbox.execute("true", timeout=5)


RACES = [
    (500, "Could not kill running container 1f58, cannot remove - Container 1f58 is not running"),
    (409, "removal of container 1f58 is already in progress"),
]


@pytest.mark.parametrize(("status", "words"), RACES)
def test_a_removal_that_met_the_container_s_end_is_asked_for_again(
    engine: docker.DockerClient, sandbox_image: str, status: int, words: str
) -> None:
    """An engine refuses to remove what ends in that moment; nothing is left behind for that."""
    client = docker.from_env()
    refusing = RefusingEngine(client, left=2, status=status, words=words)
    sandbox = DockerSandboxes(client, f"test-{uuid.uuid4().hex}").open(spec(sandbox_image))
    sandbox.close()
    assert refusing.left == 0
    with pytest.raises(docker.errors.NotFound):
        engine.api.inspect_container(sandbox.id)


def test_what_an_engine_keeps_goes_with_the_next_that_is_opened(
    engine: docker.DockerClient, sandbox_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal that is refused for longer does not hold up the job; it is said in the log, and made up for."""
    monkeypatch.setattr("sandbox.docker._REMOVE_SECONDS", 0.2)
    client = docker.from_env()
    refusing = RefusingEngine(client, left=1000, status=500, words="device or resource busy")
    sandboxes = DockerSandboxes(client, f"test-{uuid.uuid4().hex}")
    kept = sandboxes.open(spec(sandbox_image))
    with capture_logs() as said:
        kept.close()
    assert [(line["event"], line["container"]) for line in said] == [("container_left", kept.id)]
    assert "device or resource busy" in said[0]["reason"]
    assert engine.api.inspect_container(kept.id)
    refusing.left = 0
    sandboxes.open(spec(sandbox_image)).close()
    with pytest.raises(docker.errors.NotFound):
        engine.api.inspect_container(kept.id)


CONTROLLER = """
import select, sys, time
from pathlib import Path
import docker
from sandbox.container import SandboxSpec
from sandbox.docker import DockerSandboxes
image, owner, sockets, command = sys.argv[1:]
sandbox = DockerSandboxes(docker.from_env(), owner, sockets=Path(sockets)).open(SandboxSpec(image, "job"))
def listen(_):
    unread = select.poll()
    unread.register(sandbox._stream._connection, select.POLLIN)
    unread.poll()
    print(sandbox.id, flush=True)
    time.sleep(60)
sandbox.execute(command, timeout=60, on_output=listen)
"""


@pytest.mark.parametrize("command", ["echo begun; sleep 0.2; echo more; sleep 60", "yes"])
def test_the_container_ends_with_its_controller(
    engine: docker.DockerClient, sandbox_image: str, tmp_path: Path, command: str
) -> None:
    """When the controller is killed, the container ends by itself, though nobody reads what is still being said."""
    arguments = [sys.executable, "-c", CONTROLLER, sandbox_image, f"test-{uuid.uuid4().hex}", str(tmp_path), command]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as controller:
        assert controller.stdout is not None
        container = controller.stdout.readline().strip()
        complaints = engine.api.attach(container, stream=True)
        controller.kill()
    assert engine.api.wait(container, timeout=20)["StatusCode"] == 0
    assert b"".join(complaints) == b""
    engine.api.remove_container(container)


def test_egress_goes_to_the_proxy_alone(sandboxes: DockerSandboxes, sandbox_image: str, tmp_path: Path) -> None:
    """In the set-up phase 127.0.0.1:3128 reaches the proxy's socket, and nothing else is reachable."""
    folder = tmp_path / "proxy"
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "p.sock"))
    (folder / "p.sock").chmod(0o666)
    listener.listen(64)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                request = b"".join(iter(partial(connection.recv, 4096), b""))
                connection.sendall(b"proxy saw %d bytes" % len(request) + b"." * 100_000)

    threading.Thread(target=serve, daemon=True).start()
    client = (
        "import socket\n"
        "for number in range(20):\n"
        "    s = socket.create_connection(('127.0.0.1', 3128))\n"
        "    s.sendall(b'x' * 200000)\n"
        "    s.shutdown(socket.SHUT_WR)\n"
        "    got = b''.join(iter(lambda: s.recv(65536), b''))\n"
        "    assert got.startswith(b'proxy saw 200000 bytes') and len(got) == 100022, got[:50]\n"
        "print('through')\n"
    )
    wanted = spec(sandbox_image, network="egress", egress_socket=folder / "p.sock", writable_root=True)
    with sandboxes.open(wanted) as sandbox:
        sandbox.tool("write_file", {"path": "/tmp/client.py", "content": client})
        assert sandbox.execute("python3 /tmp/client.py", timeout=20).output == "through\n"
        assert sandbox.execute("touch /run/egress/x", timeout=10).exit_code != 0
        assert sandbox.execute(
            "python3 -c \"import socket; socket.create_connection(('1.1.1.1', 443), 2)\"", timeout=10
        ).exit_code
    listener.close()


def test_a_snapshot_brings_its_products_but_no_change(
    sandboxes: DockerSandboxes, sandbox_image: str, engine: docker.DockerClient, mirror: Mirror
) -> None:
    """What the set-up made is there in the next container, tracked files win, and none of it counts as a change."""
    made = f"forgehand-test-snapshot:{uuid.uuid4().hex[:8]}"
    fill = (
        "cd /opt/snapshot && mkdir -p workspace/node_modules/a 'workspace/odd name[1]' home/.cache && "
        "echo x > workspace/node_modules/a/i.js && echo y > 'workspace/odd name[1]/f' && "
        "echo stale > workspace/README.md && echo z > workspace/build.log && echo c > home/.cache/c"
    )
    with sandboxes.open(spec(sandbox_image, writable_root=True)) as sandbox:
        assert sandbox.execute(fill, timeout=10).ok
        engine.api.commit(sandbox.id, *made.split(":"))
    try:
        kept = engine.images.get(made).attrs["Config"]
        with sandboxes.open(spec(made, mirror)) as sandbox:
            shown = sandbox.execute(
                "cat node_modules/a/i.js 'odd name[1]/f' README.md build.log ~/.cache/c", timeout=10
            )
            assert shown.output == "x\ny\n# Sample\nz\nc\n"
            assert sandbox.execute("git status --porcelain", timeout=10).output == ""
            assert sandbox.export_changes(max_files=10, max_bytes=1000) == []
            sandbox.execute("echo new > real.txt && echo w > node_modules/a/j.js", timeout=10)
            changes = sandbox.export_changes(max_files=10, max_bytes=1000)
            assert changes == [FileChange("real.txt", "100644", b"new\n")]
        assert kept["User"] == "10001:10001"
    finally:
        engine.images.remove(made, force=True)


def test_the_root_is_writable_in_the_set_up_phase_only(sandboxes: DockerSandboxes, sandbox_image: str) -> None:
    """The set-up phase writes into the image's own folders, which a commit keeps; tmpfs would be lost."""
    with sandboxes.open(spec(sandbox_image, writable_root=True)) as sandbox:
        shown = sandbox.execute(
            "stat -f -c %T /workspace /home/agent /opt/snapshot; touch ~/x /workspace/x", timeout=10
        )
    assert shown.ok
    assert "tmpfs" not in shown.output


def test_limits_reach_the_engine(sandboxes: DockerSandboxes, sandbox_image: str, engine: docker.DockerClient) -> None:
    """The engine has taken every limit that was asked for."""
    limits = Limits(memory_mb=300, cpus=0.5, pids=50, workspace_mb=10, tmp_mb=10, home_mb=10)
    with sandboxes.open(spec(sandbox_image, limits=limits)) as sandbox:
        host = engine.api.inspect_container(sandbox.id)["HostConfig"]
        shown = sandbox.execute("df -m --output=size,itotal /workspace /tmp /home/agent | tail -n +2", timeout=10)
    assert (host["Memory"], host["MemorySwap"]) == (300 * 1024 * 1024,) * 2
    assert (host["PidsLimit"], host["NanoCpus"]) == (50, 500_000_000)
    assert [line.split()[0] for line in shown.output.splitlines()] == ["10", "10", "10"]
    assert all(int(line.split()[1]) <= 500 * 1024 for line in shown.output.splitlines()), "files are capped too"
