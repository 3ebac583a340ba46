"""Set-up snapshots on the real engine: what the set-up may reach, what is kept, and what is not."""

from __future__ import annotations

import os
import subprocess
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
import pytest

from sandbox.container import OWNER_LABEL, SandboxSpec
from sandbox.docker import DockerSandbox, DockerSandboxes
from sandbox.snapshots import SNAPSHOT_LABEL, Prepared, SetUp, Snapshots

SENTINEL = "FORGEHAND_TEST_SENTINEL"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ("git", *identity, *arguments), cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@dataclass
class Bench:
    """A repository, its mirror, and the snapshots of an owner nobody else has."""

    client: docker.DockerClient
    image: str
    folder: Path
    owner: str
    commit: str

    @property
    def sandboxes(self) -> DockerSandboxes:
        return DockerSandboxes(self.client, self.owner)

    @property
    def snapshots(self) -> Snapshots:
        return Snapshots(self.client, self.sandboxes, owner=self.owner, proxy_folder=self.folder / "p")

    def prepare(
        self, *commands: str, lock_files: Mapping[str, str] | None = None, said: list[str] | None = None
    ) -> Prepared:
        return self.snapshots.prepare(
            job_id="job",
            image=self.image,
            mirror=self.folder / "mirror.git",
            commit=self.commit,
            repository=self.owner,
            commands=commands,
            lock_files=lock_files or {},
            timeout=120,
            say=(said if said is not None else []).append,
        )

    def open(self, image: str) -> DockerSandbox:
        return self.sandboxes.open(
            SandboxSpec(image=image, job_id="job", mirror=self.folder / "mirror.git", commit=self.commit)
        )

    def images(self) -> Sequence[object]:
        return self.client.images.list(filters={"label": [SNAPSHOT_LABEL, f"{OWNER_LABEL}={self.owner}"]})


@pytest.fixture(scope="module")
def bench(engine: docker.DockerClient, sandbox_image: str) -> Iterator[Bench]:
    owner = f"test-{uuid.uuid4().hex[:8]}"
    with TemporaryDirectory(prefix="fh-") as name:
        folder = Path(name)
        folder.chmod(0o700)  # as the data folder is
        work = folder / "work"
        (work / "sub").mkdir(parents=True)
        git(work, "init", "-q")
        (work / "sub/tracked.txt").write_text("tracked\n")
        (work / ".gitignore").write_text("node_modules/\n")
        (work / "package.json").write_text('{"name": "x", "version": "1.0.0"}\n')
        git(work, "add", ".")
        git(work, "commit", "-qm", "first")
        git(folder, "clone", "-q", "--bare", "work", "mirror.git")
        bench = Bench(engine, sandbox_image, folder, owner, git(work, "rev-parse", "HEAD"))
        yield bench
        bench.sandboxes.remove_leftovers()
        bench.snapshots.prune(0)
        assert bench.images() == []


@pytest.fixture(scope="module")
def python_snapshot(bench: Bench) -> Prepared:
    """Packages from both registries, a daemon, a blocked host and a changed tracked file, in one set-up."""
    os.environ[SENTINEL] = "host-secret"
    try:
        return bench.prepare(
            "pip install -q six==1.17.0",
            "npm install --silent is-number@7.0.0",
            "curl -sS -m 5 https://example.com/ || echo refused: $?",
            "curl -sS -m 5 --noproxy '*' https://pypi.org/ || echo no way around: $?",
            "curl -sS -m 5 -d x http://deb.debian.org/debian/ || echo no post: $?",
            "nohup setsid bash -c 'while true; do date >> /opt/venv/daemon; sleep 0.1; done' >/dev/null 2>&1 &",
            "cd sub && export KEPT=carried && echo changed > tracked.txt && echo new > untracked.txt",
            "echo $KEPT > $HOME/note && pwd >> $HOME/note && env > $HOME/environment",
        )
    finally:
        del os.environ[SENTINEL]


def test_packages_are_there_without_a_network(bench: Bench, python_snapshot: Prepared) -> None:
    """What pip and npm fetched through the proxy is there in the agent's container, which has no network."""
    assert python_snapshot.failed is None, python_snapshot.log
    sandbox = bench.open(python_snapshot.image)
    try:
        found = sandbox.execute(
            "python -c 'import six; print(six.__version__)'; node -p 'require(\"is-number\")(5)'; ls /sys/class/net",
            timeout=30,
        )
        assert found.output.split() == ["1.17.0", "true", "lo"]
        assert sandbox.execute("cat ~/note", timeout=10).output == "carried\n/workspace/sub\n"
    finally:
        sandbox.close()


def test_workspace_is_the_commit_and_nothing_is_a_change(bench: Bench, python_snapshot: Prepared) -> None:
    """Tracked files come from git, not from the set-up, and what the set-up left is no change of the agent's."""
    sandbox = bench.open(python_snapshot.image)
    try:
        assert sandbox.execute("cat sub/tracked.txt sub/untracked.txt", timeout=10).output == "tracked\nnew\n"
        assert sandbox.export_changes(max_files=10, max_bytes=10_000) == []
        kept = sandbox.execute("find /opt/snapshot -name tracked.txt -o -name .git -o -name _cacache", timeout=10)
        assert kept.output == ""
    finally:
        sandbox.close()


def test_no_process_survives(bench: Bench, python_snapshot: Prepared) -> None:
    """A daemon that the set-up started is gone in the agent's container."""
    sandbox = bench.open(python_snapshot.image)
    try:
        seen = sandbox.execute("ls /opt/venv/daemon; grep -lsa 'opt/venv/daemo[n]' /proc/[0-9]*/cmdline", timeout=10)
        assert seen.output.split() == ["/opt/venv/daemon"]
    finally:
        sandbox.close()


def test_no_host_variable_in_the_set_up_nor_the_proxy_in_the_snapshot(bench: Bench, python_snapshot: Prepared) -> None:
    """The set-up sees no variable of the host, and the image has the environment it had before."""
    sandbox = bench.open(python_snapshot.image)
    try:
        seen = sandbox.execute("cat ~/environment", timeout=10).output
        assert "HTTPS_PROXY=http://127.0.0.1:3128" in seen
        assert SENTINEL not in seen
        assert "host-secret" not in seen
        assert "PROXY" not in sandbox.execute("env", timeout=10).output.upper()
    finally:
        sandbox.close()
    before, after = (
        set(bench.client.images.get(name).attrs["Config"]["Env"]) for name in (bench.image, python_snapshot.image)
    )
    assert before == after


def test_other_hosts_are_refused_and_listed(python_snapshot: Prepared) -> None:
    """A host off the list is refused and named; so are the way around the proxy and a POST, and the commands see it."""
    assert python_snapshot.blocked_hosts == ("example.com",)
    assert "refused: 56" in python_snapshot.log
    assert "no way around: 6" in python_snapshot.log
    assert "Only CONNECT, GET and HEAD pass" in python_snapshot.log


def test_second_job_starts_at_once(bench: Bench) -> None:
    """The same set-up is a hit well under a second, with nothing said or run; it still names what was blocked."""
    made = bench.prepare("curl -sS https://example.net/ || true", lock_files={"b": "2", "a": "1"})
    said: list[str] = []
    hit = bench.prepare("curl -sS https://example.net/ || true", lock_files={"a": "1", "b": "2"}, said=said)
    assert (made.cached, hit.cached, said) == (False, True, [])
    assert hit.image == made.image
    assert hit.seconds < 1
    assert hit.blocked_hosts == ("example.net",)


def test_failing_command_keeps_nothing(bench: Bench) -> None:
    """A failing command is named with its words, later ones do not run, and no snapshot and no container stay."""
    before = len(bench.images())
    said: list[str] = []
    prepared = bench.prepare("echo first", "echo broken >&2; exit 3", "echo never", said=said)
    assert prepared.failed is not None
    assert (prepared.failed.exit_code, prepared.failed_command) == (3, "echo broken >&2; exit 3")
    assert prepared.image == bench.image
    assert prepared.log.startswith("$ echo first\nfirst\n[exit code 0, ")
    assert "broken\n[exit code 3, " in prepared.log
    assert "never" not in prepared.log
    assert said == ["Set-up: echo first", "Set-up: echo broken >&2; exit 3"]
    assert len(bench.images()) == before
    assert bench.sandboxes.remove_leftovers() == 0


def test_no_commands_run_nothing(bench: Bench) -> None:
    """Without set-up commands the image stays what it is."""
    assert bench.prepare() == Prepared(bench.image, cached=True, seconds=0.0)


def test_parallel_jobs_make_one_snapshot(bench: Bench) -> None:
    """Two jobs that need the same snapshot at once make it once: the second waits and finds it."""
    together = threading.Barrier(2)

    def prepare(_: int) -> Prepared:
        together.wait(10)
        return bench.prepare("date +%N > $HOME/when")

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(prepare, range(2))
    assert first.image == second.image
    assert {first.cached, second.cached} == {True, False}


def test_prune_keeps_the_newest_of_ours(bench: Bench) -> None:
    """Pruning removes the oldest snapshots of this owner and nobody else's."""
    newest = bench.prepare("true newest")
    other = Bench(bench.client, bench.image, bench.folder, f"{bench.owner}-other", bench.commit)
    kept = other.prepare("true other")
    assert bench.snapshots.prune(1) >= 1
    assert [tag for image in bench.images() for tag in image.tags] == [newest.image]  # type: ignore[attr-defined]
    assert other.prepare("true other").image == kept.image
    assert other.snapshots.prune(0) == 1


def test_key_follows_everything_the_set_up_depends_on() -> None:
    """Another repository, image, command, lock file or trust is another snapshot."""
    one = SetUp("r", "sha256:1", ("a", "b"), {"lock": "1"})
    others = [
        SetUp("s", "sha256:1", ("a", "b"), {"lock": "1"}),
        SetUp("r", "sha256:2", ("a", "b"), {"lock": "1"}),
        SetUp("r", "sha256:1", ("a b",), {"lock": "1"}),
        SetUp("r", "sha256:1", ("a", "b"), {"lock": "2"}),
        SetUp("r", "sha256:1", ("a", "b"), {"lock": "1"}, trust="pull/1"),
    ]
    assert len({one.key, *(other.key for other in others)}) == 6
