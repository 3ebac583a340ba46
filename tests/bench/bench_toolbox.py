"""The toolbox against the Docker SDK's `exec_run` and SWE-ReX, in one run: python -m tests.bench.bench_toolbox."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles

import docker

from sandbox.authorities import find_authorities
from sandbox.container import SandboxSpec
from sandbox.docker import DockerSandbox, DockerSandboxes
from sandbox.engine import ensure_engine
from sandbox.images import ensure_image
from tests.bench.peers import SWE_REX, NotRun, find_or_install

GOALS = {"read 400 lines": 80, "edit": 70, "shell, carried, 20 ms apart": 35}
"""How many times quicker than the SDK's `exec_run` a call shall be, as a model makes it."""
COLD = 0.5


def timed(call: Callable[[], object], times: int, pause: float = 0.0) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds, with so many seconds between the calls."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
        time.sleep(pause)
    return median(taken), quantiles(taken, n=100)[98]


def edit_back_and_forth(sandbox: DockerSandbox) -> Callable[[], object]:
    """An edit that always has something to change."""
    words = ["line 200 here", "line 200 there"]

    def edit() -> object:
        answer = sandbox.tool("edit", {"path": "/tmp/e", "old_string": words[0] + "\n", "new_string": words[1] + "\n"})
        assert answer.ok, answer.text
        words.reverse()
        return answer

    return edit


def bench_calls(client: docker.DockerClient, sandbox: DockerSandbox) -> dict[str, float]:
    """One line a kind of call: ours, the SDK's, the ratio. Our milliseconds by the kind."""
    container = client.containers.get(sandbox.id)
    lines = "".join(f"line {number} here\n" for number in range(400))
    sandbox.tool("write_file", {"path": "/tmp/e", "content": lines})
    kinds: list[tuple[str, Callable[[], object], list[str]]] = [
        ("ping", lambda: sandbox._stream.call("ping", {}, timeout=5), ["true"]),
        ("read 400 lines", lambda: sandbox.tool("read_file", {"path": "/tmp/e"}), ["cat", "/tmp/e"]),
        ("edit", edit_back_and_forth(sandbox), ["sed", "-i", "s/line 200 here/line 200 there/", "/tmp/e"]),
        ("shell: true", lambda: sandbox.execute("true", timeout=5), ["bash", "-c", "true"]),
        ("shell, carried", lambda: sandbox.execute("true", timeout=5, carry=True), ["bash", "-lc", "true"]),
        ("grep", lambda: sandbox.tool("grep", {"pattern": "399", "path": "/tmp"}), ["rg", "399", "/tmp"]),
    ]
    print(f"{'call':28} {'toolbox p50':>12} {'p99':>7} {'exec_run p50':>13} {'ratio':>7}   (milliseconds)")
    found = {}
    for name, ours, argv in kinds:
        # A shell is measured twice: without any pause, and as a model calls it, which thinks in between.
        for pause in (0.0, 0.02) if name.startswith("shell") else (0.0,):
            mine, worst = timed(ours, 300 if not pause else 100, pause)
            theirs, _ = timed(lambda argv=argv: container.exec_run(argv), 15, pause)
            called = name + (", 20 ms apart" if pause else "")
            goal = GOALS.get(called)
            met = "" if goal is None else f"   goal {goal}x: {'met' if theirs >= goal * mine else 'missed'}"
            print(f"{called:28} {mine:12.2f} {worst:7.2f} {theirs:13.1f} {theirs / mine:6.0f}x{met}", flush=True)
            found[called] = mine
    return found


def bench_swe_rex(image: str, ours: Mapping[str, float]) -> None:
    """SWE-ReX's server in the same image, called by its own client, against ours."""
    try:
        theirs = measure_swe_rex(image)
    except NotRun as reason:
        print(f"SWE-ReX {SWE_REX.version}: not run: {reason}", flush=True)
        return
    for kind, name in (("shell", "shell, carried, 20 ms apart"), ("read", "read 400 lines"), ("edit", "edit")):
        times = theirs[kind] / ours[name]
        print(f"SWE-ReX {SWE_REX.version}, {kind}: {theirs[kind]:.1f} ms, ours {ours[name]:.2f} ms, {times:.0f}x")


def measure_swe_rex(image: str) -> dict[str, float]:
    """Milliseconds a kind of call. Raises NotRun."""
    prefix = find_or_install(SWE_REX)
    packages = next(prefix.glob("lib/python3.*/site-packages"))
    name, token = f"forgehand-bench-{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    # As its own Docker deployment does, the server runs in the container; its packages are mounted, not installed.
    run = ["docker", "run", "--rm", "-d", "--name", name, "--user", "0", "--network", "host", "-v"]
    run += [f"{packages}:/opt/peer:ro", "-e", "PYTHONPATH=/opt/peer", image, packages.parent.name]
    server = ["-m", "swerex.server", "--host", "127.0.0.1", "--port", port, "--auth-token", token]
    started = subprocess.run([*run, *server], check=False, capture_output=True, text=True)
    if started.returncode != 0:
        raise NotRun(f"its server does not start in {image}: {started.stderr.strip().splitlines()[-1]}")
    client = [str(prefix / "bin/python"), str(Path(__file__).with_name("swe_rex.py")), port, token]
    try:
        done = subprocess.run(client, check=False, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        raise NotRun("its client did not come to its end within three minutes") from None
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)
    if done.returncode != 0:
        raise NotRun(f"its client failed: {done.stderr.strip().splitlines()[-1]}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def bench_opening(client: docker.DockerClient, sandboxes: DockerSandboxes, spec: SandboxSpec) -> None:
    """Open with a repository to the first answer, against a bare container's first exec; and taking 20 files out."""

    def ours() -> None:
        with sandboxes.open(spec) as sandbox:
            opened.append((time.perf_counter() - began) * 1000)
            sandbox.execute("for i in $(seq 20); do echo $i > new$i.txt; done", timeout=10)
            started = time.perf_counter()
            sandbox.export_changes(max_files=100, max_bytes=100_000)
            exported.append((time.perf_counter() - started) * 1000)

    opened: list[float] = []
    bare: list[float] = []
    exported: list[float] = []
    raw: list[float] = []
    for _ in range(8):
        began = time.perf_counter()
        ours()
        began = time.perf_counter()
        with sandboxes.open(SandboxSpec(spec.image, spec.job_id)) as sandbox:
            sandbox.execute("true", timeout=5)
            bare.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        plain = client.containers.run(spec.image, ["sleep", "60"], detach=True, network_mode="none", init=True)
        plain.exec_run(["true"])
        raw.append((time.perf_counter() - began) * 1000)
        plain.remove(force=True)
    floor = median(raw)
    print(f"raw create + start + exec of true, network=none: {floor:.0f} ms")
    met = "met" if median(bare) <= COLD * floor else "missed"
    print(f"open and run true: {median(bare):.0f} ms, {median(bare) / floor:.2f}x   goal {COLD}x: {met}")
    print(f"open with a repository checked out: {median(opened):.0f} ms, {median(opened) / floor:.2f}x")
    print(f"20 changed files taken out: {median(exported):.1f} ms")


def main(repository: str) -> None:
    """Bench with the HEAD of a local repository."""
    client = ensure_engine(install=False, say=print)
    image = ensure_image(client, say=print, authorities=find_authorities(os.environ), environment=os.environ)
    with tempfile.TemporaryDirectory() as folder:
        mirror = Path(folder) / "mirror.git"
        Path(folder).chmod(0o755)
        sandboxes = DockerSandboxes(client, "bench", sockets=Path(folder) / "sockets")
        subprocess.run(["git", "clone", "--quiet", "--bare", "--no-local", repository, str(mirror)], check=True)
        head = subprocess.run(
            ["git", "-C", str(mirror), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
        )
        spec = SandboxSpec(image, "bench", mirror=mirror, commit=head.stdout.strip())
        with sandboxes.open(spec) as sandbox:
            ours = bench_calls(client, sandbox)
            peak = sandbox.execute("grep VmRSS /proc/$(pgrep -x forgehand)/status", timeout=10).output.split()[1]
            print(f"toolbox resident: {int(peak) / 1024:.1f} MiB")
        bench_swe_rex(image, ours)
        bench_opening(client, sandboxes, spec)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
