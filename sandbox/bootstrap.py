"""A first image out of the distribution's own packages, for machines that cannot reach a registry."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import docker

from sandbox.engine import Command, apt_install, elevation, read_distribution

_KEYRINGS = {
    "debian": Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    "ubuntu": Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
_OFFICIAL = {"debian": "http://deb.debian.org/debian", "ubuntu": "http://archive.ubuntu.com/ubuntu"}
_COMPONENTS = {"debian": ("main",), "ubuntu": ("main", "universe")}
_CHUNK = 1 << 20
# Nobody reads them in a sandbox, and they are most of the bytes to import.
_NEEDLESS = (*(f"usr/share/{name}" for name in ("doc", "man", "locale", "info")), "var/cache/apt", "var/lib/apt/lists")


class BootstrapFailed(Exception):
    """The first image could not be made; the message holds the tool's last words and what to do."""


@dataclass(frozen=True)
class PackageSource:
    """One line of apt's sources: where (``address``), which suite, which components."""

    address: str
    suite: str
    components: tuple[str, ...]

    @property
    def line(self) -> str:
        """The source in apt's one-line format."""
        return f"deb {self.address} {self.suite} {' '.join(self.components)}"


@dataclass(frozen=True)
class PackageSources:
    """The host's own archive: ``first`` is what a system is made from, ``updates`` its later suites."""

    distribution: str
    first: PackageSource
    updates: tuple[PackageSource, ...]


def read_package_sources(*, etc: Path = Path("/etc")) -> PackageSources | None:
    """The host's own archive after apt's configuration; None when the host is neither Debian nor Ubuntu."""
    distribution = read_distribution(etc / "os-release")
    if distribution == "other":
        return None
    release = (etc / "os-release").read_text(encoding="utf-8")
    codename = re.search(rf'^(?:{distribution.upper()}_|VERSION_)CODENAME="?([a-z]+)"?$', release, re.MULTILINE)
    if codename is None:
        return None
    files = [etc / "apt/sources.list", *sorted((etc / "apt/sources.list.d").glob("*"))]
    texts = [(file.suffix, file.read_text(encoding="utf-8", errors="replace")) for file in files if file.is_file()]
    found = [source for suffix, text in texts for source in parse_sources(text, deb822=suffix == ".sources")]
    return choose_sources(found, distribution=distribution, codename=codename.group(1))


def parse_sources(text: str, *, deb822: bool) -> list[PackageSource]:
    """The binary package sources in one of apt's files, in either of its two formats."""
    return list(_parse_deb822(text) if deb822 else _parse_lines(text))


def choose_sources(found: Iterable[PackageSource], *, distribution: str, codename: str) -> PackageSources:
    """The distribution's own archive among all configured ones; the official mirror when none is recognised.

    Third parties use the same suite names, so the address must name the distribution and offer its ``main``.
    """
    own = [source for source in found if "main" in source.components and distribution in source.address]
    wanted = _COMPONENTS[distribution]
    by_suite: dict[str, PackageSource] = {}
    for source in own:
        by_suite.setdefault(source.suite, PackageSource(source.address, source.suite, wanted))
    first = by_suite.get(codename, PackageSource(_OFFICIAL[distribution], codename, wanted))
    updates = tuple(by_suite[name] for name in (f"{codename}-updates", f"{codename}-security") if name in by_suite)
    return PackageSources(distribution, first, updates)


def make_first_image(
    client: docker.DockerClient, sources: PackageSources, *, tag: str, say: Callable[[str], None]
) -> None:
    """Make a minimal system of ``sources`` and import it as ``tag``. Takes half a minute. Raises BootstrapFailed."""
    root = elevation()
    if root is None:
        raise BootstrapFailed(
            "No registry answers, and making an image from packages needs root. "
            "Run this again as root (or with passwordless sudo), or set `image:` to an image that the engine has."
        )
    if shutil.which("debootstrap") is None:
        say("Installing debootstrap with apt-get, to make an image from the distribution's packages.")
        update, install = apt_install("debootstrap")
        subprocess.run((*root, *update), capture_output=True, check=False)  # the install tells what is really missing
        _run((*root, *install))
    say(f"Making a minimal {sources.first.suite} system from {sources.first.address} (debootstrap).")
    with tempfile.TemporaryDirectory(prefix="forgehand-") as folder:
        system = Path(folder) / "system"
        try:
            _run((*root, *_debootstrap(sources, system)))
            _run((*root, "rm", "-rf", *(str(system / needless) for needless in _NEEDLESS)))
            _run((*root, "mkdir", "-p", str(system / "var/cache/apt/archives/partial")))
            lines = "".join(f"{source.line}\n" for source in (sources.first, *sources.updates))
            _run((*root, "tee", str(system / "etc/apt/sources.list")), text=lines)
            _import(client, (*root, "tar", "-C", str(system), "--numeric-owner", "-c", "."), tag)
        finally:
            _run((*root, "rm", "-rf", "--one-file-system", str(system)))


def _debootstrap(sources: PackageSources, system: Path) -> Command:
    keyring = _KEYRINGS[sources.distribution]
    return (
        "debootstrap",
        "--variant=minbase",
        f"--components={','.join(sources.first.components)}",
        *((f"--keyring={keyring}", "--force-check-gpg") if keyring.exists() else ()),
        sources.first.suite,
        str(system),
        sources.first.address,
    )


def _import(client: docker.DockerClient, command: Command, tag: str) -> None:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as archive:
        assert archive.stdout is not None
        repository, _, version = tag.partition(":")
        client.api.import_image_from_stream(
            _chunks(archive.stdout),
            repository=repository,
            tag=version,
            changes=['CMD ["bash"]', "LABEL forgehand.made=packages"],
        )
    if archive.returncode != 0:
        client.images.remove(tag, force=True)
        raise BootstrapFailed(f"tar ended with {archive.returncode}. Look for a full disk, and run this again.")


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


def _run(command: Command, *, text: str | None = None) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise BootstrapFailed(
            f"{shlex.join(command)} ended with {done.returncode}:\n{last}\nMend what it names and run this again."
        )


def _parse_lines(text: str) -> Iterator[PackageSource]:
    for line in text.splitlines():
        words = re.sub(r"\[[^\]]*\]", " ", line.partition("#")[0]).split()
        if len(words) >= 4 and words[0] == "deb":
            yield PackageSource(words[1], words[2], tuple(words[3:]))


def _parse_deb822(text: str) -> Iterator[PackageSource]:
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", bare):
        fields = {key.strip().lower(): value.split() for key, _, value in map(_field, paragraph.splitlines())}
        if "deb" not in fields.get("types", ()) or fields.get("enabled") == ["no"]:
            continue
        for address in fields.get("uris", ()):
            for suite in fields.get("suites", ()):
                yield PackageSource(address, suite, tuple(fields.get("components", ())))


def _field(line: str) -> tuple[str, str, str]:
    return line.partition(":")
