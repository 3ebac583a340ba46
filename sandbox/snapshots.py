"""Set-up snapshots: a repository's set-up commands run once behind the egress proxy and are kept as an image."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from sandbox.container import (
    OWNER_LABEL,
    WORKSPACE,
    ExecResult,
    Limits,
    Sandbox,
    Sandboxes,
    SandboxSpec,
    SandboxUnavailable,
)
from sandbox.egress import DEFAULT_ALLOWED_HOSTS, EgressProxy
from sandbox.file_lock import try_lock
from sandbox.images import created_at

SNAPSHOT_LABEL = "forgehand.snapshot"
BLOCKED_LABEL = "forgehand.blocked"
REPOSITORY_LABEL = "forgehand.repository"
_TAGS = "forgehand/snapshot"
_LOG_CHARACTERS = 100_000
_SEAL_SECONDS = 300.0
_LOOK_SECONDS = 0.2
_INSIDE_PROXY = "http://127.0.0.1:3128"
_JAVA_PROXY = " ".join(f"-D{way}.proxyHost=127.0.0.1 -D{way}.proxyPort=3128" for way in ("http", "https"))

# Given to each set-up command, and not to the container: a container's environment would stay in the snapshot.
_SET_UP_ENVIRONMENT: Mapping[str, str] = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _INSIDE_PROXY),
    **dict.fromkeys(("YARN_HTTP_PROXY", "YARN_HTTPS_PROXY"), _INSIDE_PROXY),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1,::1"),
    **dict.fromkeys(("MAVEN_OPTS", "GRADLE_OPTS"), _JAVA_PROXY),
    "PIP_NO_CACHE_DIR": "1",
    "CI": "true",
}

# The tracked files come fresh from git each time; download caches are of no use without a network.
_SEAL = f"""
set -eu
rm -rf /opt/snapshot/workspace /opt/snapshot/home
mkdir -p /opt/snapshot/workspace /opt/snapshot/home
cd {WORKSPACE}
git ls-tree -rz --name-only "$FORGEHAND_COMMIT" | xargs -0 -r rm -f --
git ls-tree -rdz --name-only "$FORGEHAND_COMMIT" | sort -zr | xargs -0 -r rmdir --ignore-fail-on-non-empty -- || true
rm -rf .git "$HOME/.npm/_cacache" "$HOME/.npm/_logs" "$HOME/.cache/pip"
find {WORKSPACE} -mindepth 1 -maxdepth 1 -exec mv -t /opt/snapshot/workspace -- {{}} +
find "$HOME" -mindepth 1 -maxdepth 1 -exec mv -t /opt/snapshot/home -- {{}} +
"""


@dataclass(frozen=True)
class Prepared:
    """What the set-up came to. ``image`` is what a job starts from: the snapshot, or the plain image after a failure.

    ``failed`` and ``failed_command`` are set when a command failed; ``log`` then ends with its words.
    ``blocked_hosts`` are what the proxy refused, also when the snapshot was made by an earlier job.
    """

    image: str
    cached: bool
    seconds: float
    log: str = ""
    failed: ExecResult | None = None
    failed_command: str = ""
    blocked_hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetUp:
    """What a snapshot is made from and found by. ``image_id`` is the engine's id of the image it starts from.

    ``lock_files`` maps paths to blob ids. ``trust`` keeps apart what different people control: the empty word for the
    default branch, another one for a pull request, whose packages may not end up in anyone else's snapshot.
    """

    repository: str
    image_id: str
    commands: tuple[str, ...]
    lock_files: Mapping[str, str]
    trust: str = ""

    @property
    def key(self) -> str:
        """The digest of all of it, fit for an image's tag."""
        parts = [self.repository, self.image_id, list(self.commands), sorted(self.lock_files.items()), self.trust]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Snapshots:
    """The snapshots of one engine. ``proxy_folder`` holds sockets and locks: its path must be short (107 bytes in all).

    ``inside_hosts`` may have private addresses (a company's registry); ``environment`` gives the host's own proxy.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        sandboxes: Sandboxes,
        *,
        owner: str,
        proxy_folder: Path,
        allowed_hosts: Sequence[str] = DEFAULT_ALLOWED_HOSTS,
        inside_hosts: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._client = client
        self._sandboxes = sandboxes
        self._owner = owner
        self._folder = proxy_folder
        self._allowed = tuple(allowed_hosts)
        self._inside = tuple(inside_hosts)
        self._environment = dict(environment or {})
        self._limits = limits or Limits()

    def prepare(
        self,
        *,
        job_id: str,
        image: str,
        mirror: Path,
        commit: str,
        repository: str,
        commands: Sequence[str],
        lock_files: Mapping[str, str],
        timeout: float,
        say: Callable[[str], None],
        allowed_hosts: Sequence[str] | None = None,
        trust: str = "",
        cancelled: Event | None = None,
    ) -> Prepared:
        """The image to start from, with ``commands`` run in it: from an earlier job at once, or made now.

        ``timeout`` is seconds for all commands together; ``allowed_hosts`` replaces the hosts that they may reach.
        A failing command is a value (``failed``) and keeps nothing; so is one that ``cancelled`` ended.
        Jobs that need the same snapshot at the same time make it once. Raises SandboxUnavailable, also for one that was
        cancelled while another made it.
        """
        if not commands:
            return Prepared(image, cached=True, seconds=0.0)
        started = time.monotonic()
        set_up = SetUp(repository, self._image_id(image), tuple(commands), lock_files, trust)
        spec = SandboxSpec(
            image=image,
            job_id=job_id,
            mirror=mirror,
            commit=commit,
            network="egress",
            writable_root=True,
            limits=self._limits,
        )
        _remove_dead_folders(self._folder)
        with self._one_at_a_time(set_up.key, cancelled):
            found = self._find(set_up)
            hosts = self._allowed if allowed_hosts is None else tuple(allowed_hosts)
            run = partial(_run, commands=set_up.commands, timeout=timeout, say=say, cancelled=cancelled)
            prepared = found or self._make(spec, set_up, hosts=hosts, run=run)
        return replace(prepared, seconds=time.monotonic() - started)

    def prune(self, keep: int, *, older_than: timedelta | None = None, spare: Collection[str] = frozenset()) -> int:
        """Remove our snapshots but the ``keep`` newest, and those ``older_than`` an age as well; how many went.

        One that a container uses stays, and so do those of the repositories to ``spare``: a job of theirs may be
        between two containers. Raises SandboxUnavailable.
        """
        oldest = datetime.now(UTC) - older_than if older_than else datetime.min.replace(tzinfo=UTC)
        try:
            ours = self._client.images.list(filters={"label": [SNAPSHOT_LABEL, f"{OWNER_LABEL}={self._owner}"]})
            newest_first = sorted(ours, key=created_at, reverse=True)
            unwanted = [image for rank, image in enumerate(newest_first) if rank >= keep or created_at(image) < oldest]
            removed = 0
            for image in unwanted:
                if image.labels.get(REPOSITORY_LABEL) in spare:
                    continue
                with suppress(APIError):
                    for name in image.tags or [str(image.id)]:
                        self._client.images.remove(name)
                    removed += 1
        except (DockerException, RequestException) as error:
            raise _engine_broke(error) from error
        return removed

    def _image_id(self, image: str) -> str:
        try:
            return str(self._client.images.get(image).id)
        except ImageNotFound as error:
            raise SandboxUnavailable(f"The engine has no image {image}. Build or pull it, then try again.") from error
        except (DockerException, RequestException) as error:
            raise _engine_broke(error) from error

    def _find(self, set_up: SetUp) -> Prepared | None:
        tag = f"{_TAGS}:{set_up.key}"
        try:
            labels = self._client.images.get(tag).labels
        except ImageNotFound:
            return None
        except (DockerException, RequestException) as error:
            raise _engine_broke(error) from error
        blocked = tuple(name for name in labels.get(BLOCKED_LABEL, "").split(",") if name)
        return Prepared(tag, cached=True, seconds=0.0, blocked_hosts=blocked)

    def _make(
        self,
        spec: SandboxSpec,
        set_up: SetUp,
        *,
        hosts: Sequence[str],
        run: Callable[[Sandbox], tuple[str, str, ExecResult | None]],
    ) -> Prepared:
        with self._proxy(hosts) as proxy:
            sandbox = self._sandboxes.open(replace(spec, egress_socket=proxy.socket))
            try:
                log, command, failed = run(sandbox)
                prepared = Prepared(spec.image, cached=False, seconds=0.0, log=log, blocked_hosts=proxy.blocked)
                if failed is not None:
                    return replace(prepared, failed=failed, failed_command=command)
                _seal(sandbox, str(spec.commit))
                return replace(prepared, image=self._commit(sandbox, spec.image, set_up, proxy.blocked))
            finally:
                sandbox.close()

    def _commit(self, sandbox: Sandbox, image: str, set_up: SetUp, blocked: Sequence[str]) -> str:
        """Keep the container's files as an image that starts like the one it was made from."""
        labels = {
            SNAPSHOT_LABEL: set_up.key,
            OWNER_LABEL: self._owner,
            BLOCKED_LABEL: ",".join(blocked),
            REPOSITORY_LABEL: set_up.repository,
        }
        try:
            container = self._client.containers.get(sandbox.id)
            container.kill()
            container.wait(timeout=30)
            plain = self._client.images.get(image).attrs["Config"]
            kept = {name: plain.get(name) for name in ("Cmd", "Entrypoint", "User", "WorkingDir", "Env")}
            container.commit(repository=_TAGS, tag=set_up.key, conf={**kept, "Labels": labels})
        except (DockerException, RequestException) as error:
            raise _engine_broke(error) from error
        return f"{_TAGS}:{set_up.key}"

    @contextmanager
    def _proxy(self, hosts: Sequence[str]) -> Iterator[EgressProxy]:
        with (
            _own_folder(self._folder) as folder,
            EgressProxy(hosts, folder, inside=self._inside, environment=self._environment) as proxy,
        ):
            yield proxy

    @contextmanager
    def _one_at_a_time(self, key: str, cancelled: Event | None) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        waits = cancelled or Event()
        with (self._folder / f"{key[:32]}.lock").open("a") as lock:
            while not try_lock(lock.fileno()):
                if waits.wait(_LOOK_SECONDS):
                    raise SandboxUnavailable("The job was cancelled while another one made its snapshot.")
            yield


@contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """A new folder below ``parent``, locked while it is in use."""
    with _folders_locked(parent):  # so that nobody meets it before it is locked
        folder = Path(tempfile.mkdtemp(prefix="e", dir=parent))
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _remove_dead_folders(parent: Path) -> None:
    """Remove the folders of processes that were killed."""
    with _folders_locked(parent):
        for folder in parent.glob("e*/"):
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            if try_lock(descriptor):
                shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


@contextmanager
def _folders_locked(parent: Path) -> Iterator[None]:
    parent.mkdir(parents=True, exist_ok=True)
    with (parent / "folders.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(
    sandbox: Sandbox,
    commands: Sequence[str],
    *,
    timeout: float,
    say: Callable[[str], None],
    cancelled: Event | None = None,
) -> tuple[str, str, ExecResult | None]:
    """The log, and the command that failed with its result, if one did. The commands share folder and exports."""
    deadline = time.monotonic() + timeout
    log = ""
    for command in commands:
        say(f"Set-up: {command}")
        left = max(deadline - time.monotonic(), 0.1)
        result = sandbox.execute(
            command, timeout=left, environment=_SET_UP_ENVIRONMENT, carry=True, cancelled=cancelled
        )
        end = "ended by its deadline" if result.exit_code is None else f"exit code {result.exit_code}"
        log = f"{log}$ {command}\n{result.output.rstrip()}\n[{end}, {result.seconds:.1f} s]\n"[-_LOG_CHARACTERS:]
        if not result.ok:
            return log, command, result
    return log, "", None


def _seal(sandbox: Sandbox, commit: str) -> None:
    """Move what the set-up made out of the folders that are tmpfs later."""
    moved = sandbox.execute(_SEAL, timeout=_SEAL_SECONDS, environment={"FORGEHAND_COMMIT": commit})
    if not moved.ok:
        raise SandboxUnavailable(
            f"The set-up cannot be kept: {moved.output.strip()[-500:] or 'it took too long to move its files'}. "
            "Let the set-up commands write less, or less oddly, below the workspace and the home folder."
        )


def _engine_broke(error: Exception) -> SandboxUnavailable:
    return SandboxUnavailable(f"The Docker engine failed during the set-up: {error}. Type: docker info")
