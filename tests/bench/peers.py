"""The peers of the agent benchmark: pinned, installed outside the checkout, run on the same script, and timed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import struct_rusage
from typing import Literal

from tests.bench.instant_model import MODEL_NAME, Exchange, serve_instantly
from tests.bench.scripted_turns import PROMPT, Dialect, Kind, make_repository, render_script, settings_changed

INSTALL_SECONDS = 900
RUN_SECONDS = 300
TASK = PROMPT.format(session=0)


class NotRun(Exception):
    """A peer could not be installed or run; the message is the reason in one line."""


@dataclass(frozen=True)
class Package:
    """A released package in a folder of its own; ``program`` is its executable below that folder.

    ``beside``: what it imports and does not ask for.
    """

    name: str
    version: str
    installer: Literal["pip", "npm"]
    program: str
    beside: tuple[str, ...] = ()


MINI = Package("mini-swe-agent", "2.4.6", "pip", "bin/mini")
SWE_REX = Package("swe-rex", "1.4.0", "pip", "bin/swerex-remote", beside=("aiohttp==3.14.5",))
QWEN_CODE = Package("@qwen-code/qwen-code", "0.24.4", "npm", "node_modules/.bin/qwen")


@dataclass(frozen=True)
class Place:
    """Where a run takes place: the installed package, a checkout of its own, an empty home, and the sandbox image."""

    prefix: Path
    checkout: Path
    home: Path
    image: str
    url: str
    name: str

    def environment(self) -> dict[str, str]:
        """All that a peer gets to know of this machine."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "HOME": str(self.home),
            "OPENAI_API_KEY": "no-key",
            "OPENAI_BASE_URL": self.url,
            "OPENAI_API_BASE": self.url,
            "OPENAI_MODEL": MODEL_NAME,
        }


@dataclass(frozen=True)
class Peer:
    """One way to run an agent. ``root`` stands before the script's paths; ``memory``: its own processes can be seen.

    ``least``: how many times our time a turn of it shall take at least.
    """

    title: str
    package: Package
    dialect: Dialect
    command: Callable[[Place], Sequence[str]]
    root: Callable[[Place], str] = lambda place: ""
    extra: Mapping[str, str] | None = None
    memory: bool = True
    least: int | None = None


@dataclass(frozen=True)
class PlayedScript:
    """A run from process start to its end; clock values are monotonic seconds, ``resident`` the peak in KiB or None."""

    began: float
    ended: float
    cpu_seconds: float | None
    resident: int | None
    exchanges: list[Exchange]


def find_or_install(package: Package) -> Path:
    """The folder of a package, below ``FORGEHAND_BENCH_CACHE`` (default ``~/.cache/forgehand-bench``)."""
    cache = Path(os.environ.get("FORGEHAND_BENCH_CACHE", "~/.cache/forgehand-bench")).expanduser()
    folder = cache / f"{package.name.rpartition('/')[2]}-{package.version}"
    stamp = folder / ".installed"
    if stamp.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"installing {package.name} {package.version} into {folder} ...", flush=True)
    for command in _install_commands(package, folder):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotRun(f"it cannot be installed: {error}") from error
        if done.returncode != 0:
            raise NotRun(f"it cannot be installed: {_last_line(done.stderr or done.stdout)}")
    if not (folder / package.program).exists():
        raise NotRun(f"it was installed without {package.program}")
    stamp.touch()
    return folder


def _install_commands(package: Package, folder: Path) -> list[list[str]]:
    if package.installer == "pip":
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        return [
            [sys.executable, "-m", "venv", str(folder)],
            [*pip, f"{package.name}=={package.version}", *package.beside],
        ]
    quiet = ["--silent", "--no-audit", "--no-fund"]
    return [["npm", "install", *quiet, "--prefix", str(folder), f"{package.name}@{package.version}"]]


def play_peer(peer: Peer, turns: Sequence[Kind], *, folder: Path, image: str) -> PlayedScript:
    """Run a peer through the script on a new repository in ``folder``. Raises NotRun, also when it did not finish."""
    prefix = find_or_install(peer.package)
    name = f"forgehand-bench-{uuid.uuid4().hex[:12]}"
    place = Place(prefix, folder / "checkout", folder / "home", image, "", name)
    make_repository(place.checkout)
    _settle_home(place.home)
    with serve_instantly(render_script(peer.dialect, turns, root=peer.root(place))) as model:
        place = Place(prefix, place.checkout, place.home, image, model.url, place.name)
        began, ended, usage, said = _run(peer, place)
        exchanges = model.exchanges()
    answered = {exchange.turn for exchange in exchanges}
    if answered != set(range(len(turns))):
        raise NotRun(f"it ended after {len(answered)} of {len(turns)} turns: {_last_line(said)}")
    changed, wanted = settings_changed(place.checkout), turns.count("edit")
    if changed != wanted:
        raise NotRun(f"it made {changed} of {wanted} edits: {_last_line(said)}")
    cpu, resident = (usage.ru_utime + usage.ru_stime, usage.ru_maxrss) if peer.memory else (None, None)
    return PlayedScript(began, ended, cpu, resident, exchanges)


def _run(peer: Peer, place: Place) -> tuple[float, float, struct_rusage, str]:
    command = list(peer.command(place))
    environment = place.environment() | dict(peer.extra or {})
    log = place.home / "output.log"
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=place.checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = threading.Timer(RUN_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        deadline.start()
        # wait4 tells of this process and its children alone, which the process-wide counters do not.
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.monotonic()
        deadline.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    subprocess.run(["docker", "rm", "-f", place.name], capture_output=True, check=False)
    return began, ended, usage, log.read_text(errors="replace")


def _settle_home(home: Path) -> None:
    settings = home / ".qwen" / "settings.json"
    settings.parent.mkdir(parents=True)
    quiet = {
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
    }
    settings.write_text(json.dumps(quiet))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def _mini(place: Place, *settings: str) -> list[str]:
    options = ["-m", f"openai/{MODEL_NAME}", "--agent-class", "default", "-t", TASK, "-o", str(place.home / "run.json")]
    given = [part for setting in settings for part in ("-c", setting)]
    return [str(place.prefix / MINI.program), *options, "-c", "mini.yaml", *given]


def _mini_docker(place: Place) -> list[str]:
    mount = ["--rm", "--name", place.name, "--user", "0", "--network", "none", "-v", f"{place.checkout}:/workspace"]
    return _mini(
        place,
        "environment.environment_class=docker",
        f"environment.image={place.image}",
        "environment.cwd=/workspace",
        f"environment.run_args={json.dumps(mount)}",
    )


_MINI_ENVIRONMENT = {
    "MSWEA_CONFIGURED": "true",
    "MSWEA_COST_TRACKING": "ignore_errors",
    "MSWEA_SILENT_STARTUP": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
_QWEN_OPTIONS = ["--yolo", "--auth-type", "openai", "--model", MODEL_NAME, "--prompt", TASK]


def _qwen_host(place: Place) -> list[str]:
    return [str(place.prefix / QWEN_CODE.program), *_QWEN_OPTIONS]


def _qwen_inside(place: Place) -> list[str]:
    """Everything in one container, which sees the model on the host's loopback."""
    inside = Place(place.prefix, place.checkout, Path("/home/bench"), place.image, place.url, place.name).environment()
    kept = {name: value for name, value in inside.items() if name != "PATH"}
    given = [part for name, value in kept.items() for part in ("-e", f"{name}={value}")]
    mounts = [(place.prefix, "/opt/peer:ro"), (place.checkout, "/workspace"), (place.home, "/home/bench")]
    mounted = [part for source, target in mounts for part in ("-v", f"{source}:{target}")]
    run = ["docker", "run", "--rm", "--name", place.name, "--user", "0", "--network", "host"]
    program = f"/opt/peer/{QWEN_CODE.program}"
    return [*run, *given, *mounted, "-w", "/workspace", place.image, program, *_QWEN_OPTIONS]


PEERS = (
    Peer(
        "qwen-code, all in a container",
        QWEN_CODE,
        "qwen-code",
        _qwen_inside,
        root=lambda place: "/workspace/",
        memory=False,
        least=4,
    ),
    Peer("qwen-code, on the host", QWEN_CODE, "qwen-code", _qwen_host, root=lambda place: f"{place.checkout}/"),
    Peer("mini-swe-agent, local", MINI, "mini-swe-agent", _mini, extra=_MINI_ENVIRONMENT),
    Peer("mini-swe-agent, Docker", MINI, "mini-swe-agent", _mini_docker, extra=_MINI_ENVIRONMENT, least=10),
)
