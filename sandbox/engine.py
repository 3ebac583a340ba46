"""The Docker engine: found, or installed and started from the distribution's packages after saying so."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

Say = Callable[[str], None]
Command = tuple[str, ...]

_SOCKET = Path("/var/run/docker.sock")
_START_SECONDS = 60.0
_PING_SECONDS = 10
_ANSWER_SECONDS = 180  # committing some gigabytes of packages takes minutes
_PACKAGES = ("docker.io", "iptables")


class EngineMissing(Exception):
    """No Docker engine answers and none may be started; the message says what to type."""


@dataclass(frozen=True)
class EngineFacts:
    """What the choice rests on. ``engine_named`` is DOCKER_HOST when set; ``refused`` a socket we may not open."""

    install: bool
    engine_named: str | None = None
    refused: Path | None = None
    distribution: str = "debian"
    user: str = "root"
    sudo: bool = False
    dockerd: bool = False
    systemd: bool = False
    init_script: bool = False
    apparmor_tools_missing: bool = False

    @property
    def root(self) -> bool:
        """Whether we are root already."""
        return self.user == "root"


@dataclass(frozen=True)
class EnginePlan:
    """What will be run: ``prepare`` and ``finish`` in order; of ``starts`` the first after which the engine answers.

    ``background`` is the last resort: the engine itself, detached, with a log file.
    """

    prepare: tuple[Command, ...]
    starts: tuple[Command, ...]
    background: Command
    finish: tuple[Command, ...]


@dataclass(frozen=True)
class EngineReport:
    """The engine in five words, for ``forgehand doctor`` and /readyz."""

    version: str
    storage_driver: str
    cgroup_version: str
    runtime: str
    security: tuple[str, ...]


def ensure_engine(
    *, install: bool, say: Say, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> docker.DockerClient:
    """A client of an engine that answers, started or installed first where ``install`` allows it.

    ``environment`` (default: the process's own) gives DOCKER_HOST and its like; ``folder`` keeps the log of an engine
    that had to be started by hand. Raises EngineMissing.
    """
    environment = os.environ if environment is None else environment
    client = find_engine(environment)
    if client is not None:
        return client
    plan = decide_plan(read_facts(environment, install=install))
    if isinstance(plan, str):
        raise EngineMissing(plan)
    say("No Docker engine answers. This will be run now:")
    for command in (*plan.prepare, *(plan.starts or (plan.background,)), *plan.finish):
        say(f"  {shlex.join(command)}")
    for command in plan.prepare:
        _run(command, say, needed="update" not in command)
    log = _state_folder(environment, folder) / "dockerd.log"
    start_engine(plan, log=log, say=say)
    for command in plan.finish:
        _run(command, say)
    client = find_engine(environment)
    if client is None:
        raise EngineMissing(f"The engine was started but does not answer on {_SOCKET}. Type: docker info")
    return client


def find_engine(environment: Mapping[str, str]) -> docker.DockerClient | None:
    """A client of the first engine that answers: DOCKER_HOST alone when it is set, else the usual sockets."""
    if environment.get("DOCKER_HOST"):
        return _connect(None, environment)
    sockets = [_SOCKET, Path(environment.get("HOME", "/")) / ".docker/run/docker.sock"]
    if environment.get("XDG_RUNTIME_DIR"):
        sockets.append(Path(environment["XDG_RUNTIME_DIR"]) / "docker.sock")
    for socket in sockets:
        client = _connect(f"unix://{socket}", environment) if os.access(socket, os.F_OK) else None
        if client is not None:
            return client
    return None


def decide_plan(facts: EngineFacts) -> EnginePlan | str:
    """What to run so that an engine answers, or the sentence that tells a user what to type instead."""
    packages = (*_PACKAGES, "apparmor") if facts.apparmor_tools_missing else _PACKAGES
    prepare = () if facts.dockerd else apt_install(*packages)
    # The packages bring the init script with them.
    service = not facts.systemd and (facts.init_script or not facts.dockerd)
    starts: tuple[Command, ...] = (("systemctl", "start", "docker"),) if facts.systemd else ()
    starts = (("service", "docker", "start"),) if service else starts
    refusal = _refusal(facts, (*prepare, *(starts or (("dockerd",),))))
    if refusal is not None:
        return refusal
    elevated: Command = () if facts.root else ("sudo", "-n")
    # The new group counts from the next log-in only; owning the socket bridges the time until then.
    access: tuple[Command, ...] = (("usermod", "-aG", "docker", facts.user), ("chown", facts.user, str(_SOCKET)))
    return EnginePlan(
        prepare=tuple((*elevated, *command) for command in prepare),
        starts=tuple((*elevated, *command) for command in starts),
        background=(*elevated, "dockerd"),
        finish=() if facts.root else tuple((*elevated, *command) for command in access),
    )


def _refusal(facts: EngineFacts, commands: Sequence[Command]) -> str | None:
    if facts.engine_named:
        return (
            f"DOCKER_HOST names {facts.engine_named}, but no Docker engine answers there. "
            "Start that engine, or type: unset DOCKER_HOST"
        )
    if facts.refused is not None:
        return (
            f"A Docker engine is here, but {facts.user} may not open {facts.refused}. "
            f"Type: sudo usermod -aG docker {facts.user} && newgrp docker"
        )
    if not facts.dockerd and facts.distribution == "other":
        return (
            "No Docker engine answers, and Forgehand installs one on Debian and Ubuntu only. "
            "Install Docker Engine (https://docs.docker.com/engine/install/), start it, and run this again."
        )
    if facts.install and (facts.root or facts.sudo):
        return None
    reason = "there is no root right or sudo" if facts.install else "nothing may be installed or started"
    sudo: Command = () if facts.root else ("sudo",)
    lines = (shlex.join((*sudo, *command)) for command in commands)
    return "\n  ".join((f"No Docker engine answers, and {reason}. Type these lines, then run this again:", *lines))


def apt_install(*packages: str) -> tuple[Command, ...]:
    """The commands that install Debian packages, patient with a machine that is updating itself at the moment."""
    patient = ("-o", "DPkg::Lock::Timeout=180")
    install = ("apt-get", *patient, "install", "-y", "-qq", "--no-install-recommends", *packages)
    return ("apt-get", "update", "-qq"), ("env", "DEBIAN_FRONTEND=noninteractive", *install)


def read_facts(environment: Mapping[str, str], *, install: bool) -> EngineFacts:
    """Look at this machine; ``sudo`` is true only where it asks for no password."""
    root = os.geteuid() == 0
    return EngineFacts(
        install=install,
        engine_named=environment.get("DOCKER_HOST") or None,
        refused=_SOCKET if _SOCKET.exists() and not os.access(_SOCKET, os.R_OK | os.W_OK) else None,
        distribution=read_distribution(),
        user="root" if root else pwd.getpwuid(os.geteuid()).pw_name,
        sudo=not root and elevation() is not None,
        dockerd=shutil.which("dockerd") is not None,
        systemd=Path("/run/systemd/system").is_dir(),
        init_script=Path("/etc/init.d/docker").exists(),
        apparmor_tools_missing=_apparmor_tools_missing(),
    )


def elevation() -> Command | None:
    """The words before a command that needs root: none for root itself, ``sudo -n``, or None where impossible."""
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(("sudo", "-n", "true"), capture_output=True, check=False, timeout=10)
    return ("sudo", "-n") if asked.returncode == 0 else None


def read_distribution(release: Path = Path("/etc/os-release")) -> str:
    """ "debian", "ubuntu" (their derivatives included), or "other"."""
    if not release.is_file():
        return "other"
    lines = (line.partition("=") for line in release.read_text(encoding="utf-8").splitlines())
    values = {key: value.strip("\"'") for key, _, value in lines}
    names = [values.get("ID", ""), *values.get("ID_LIKE", "").split()]
    return next((name for name in names if name in ("debian", "ubuntu")), "other")


def engine_report(client: docker.DockerClient) -> EngineReport:
    """What the engine says of itself. Raises docker's own DockerException when it is gone."""
    info = client.info()
    return EngineReport(
        version=str(info.get("ServerVersion", "unknown")),
        storage_driver=str(info.get("Driver", "unknown")),
        cgroup_version=str(info.get("CgroupVersion", "1")),
        runtime=str(info.get("DefaultRuntime", "unknown")),
        security=tuple(str(option) for option in info.get("SecurityOptions") or ()),
    )


def _connect(address: str | None, environment: Mapping[str, str]) -> docker.DockerClient | None:
    """A client after the engine has answered a ping in time."""

    def client(seconds: int) -> docker.DockerClient:
        # A running command holds a connection: many workers and their streams must fit.
        if address is None:
            return docker.from_env(environment=dict(environment), timeout=seconds, max_pool_size=64)
        return docker.DockerClient(base_url=address, timeout=seconds, max_pool_size=64)

    try:
        with closing(client(_PING_SECONDS)) as probe:
            probe.ping()
        return client(_ANSWER_SECONDS)
    except (DockerException, RequestException, OSError):
        return None


def start_engine(
    plan: EnginePlan, *, log: Path, say: Say, socket: Path = _SOCKET, seconds: float = _START_SECONDS
) -> None:
    """Run the plan's starts until an engine listens on ``socket``; each gets ``seconds``. Raises EngineMissing."""
    for command in plan.starts:
        started = subprocess.run(command, capture_output=True, text=True, check=False)
        if started.returncode == 0 and _wait(socket, seconds, None):
            return
        say(f"{shlex.join(command)} did not bring the engine up: {_last_lines(started.stdout + started.stderr)}")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        engine = subprocess.Popen(
            plan.background, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
    say(f"Started {shlex.join(plan.background)} in the background (pid {engine.pid}, log {log}).")
    if not _wait(socket, seconds, engine):
        tail = _last_lines(log.read_text(encoding="utf-8", errors="replace"))
        raise EngineMissing(
            f"The Docker engine did not come up within {seconds:.0f} s. Its last words in {log}:\n{tail}\n"
            f"Mend what they name, then type: {shlex.join(plan.background)}"
        )


def _wait(socket: Path, seconds: float, engine: subprocess.Popen[bytes] | None) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _listens(socket):
            return True
        if engine is not None and engine.poll() is not None:
            return False
        time.sleep(0.2)
    return False


def _listens(socket: Path) -> bool:
    # The socket of an engine started with sudo is not ours yet: that it is there must do.
    if os.access(socket, os.R_OK | os.W_OK):
        return _connect(f"unix://{socket}", {}) is not None
    return socket.exists()


def _run(command: Sequence[str], say: Say, *, needed: bool = True) -> None:
    """Run it. A foreign package source that is down fails an update, which is not ``needed``: the install tells."""
    say(f"$ {shlex.join(command)}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 and needed:
        raise EngineMissing(
            f"{shlex.join(command)} ended with {done.returncode}:\n{_last_lines(done.stdout + done.stderr)}\n"
            "Mend what it names and run this again, or install a Docker engine by hand."
        )


def _last_lines(text: str, count: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-count:])


def _state_folder(environment: Mapping[str, str], folder: Path | None) -> Path:
    if folder is not None:
        return folder
    home = Path(environment.get("XDG_STATE_HOME") or Path(environment.get("HOME", "/root")) / ".local/state")
    return home / "forgehand"


def _apparmor_tools_missing() -> bool:
    enabled = Path("/sys/module/apparmor/parameters/enabled")
    try:
        on = enabled.read_text(encoding="ascii").strip() == "Y"
    except OSError:
        return False
    return on and not any(Path(place, "apparmor_parser").exists() for place in ("/sbin", "/usr/sbin"))
