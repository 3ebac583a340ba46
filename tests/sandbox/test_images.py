"""The sandbox image on the real engine, foreign images, and the package sources a first image is made from."""

from __future__ import annotations

import io
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from sandbox.authorities import Authorities, find_authorities
from sandbox.bootstrap import PackageSource, choose_sources, parse_sources, read_package_sources
from sandbox.images import ImageUnavailable, ensure_custom_image, ensure_image

DEB822 = """\
Types: deb deb-src
# a comment
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://other.debian.example/debian
Suites: bookworm
Components: main
"""


Run = Callable[[str, str], str]


@pytest.fixture
def run(engine: docker.DockerClient) -> Run:
    """Runs a bash command in a new container of an image, without network, and gives what it said."""

    def run(image: str, command: str) -> str:
        return engine.containers.run(image, ["bash", "-c", command], network_mode="none", remove=True).decode()

    return run


def test_image_has_the_tools(run: Run, sandbox_image: str) -> None:
    """Every promised tool is there for the agent's user, who owns what the set-up may write."""
    tools = "git python pip pytest node npm npx pnpm yarn gcc make rg curl jq patch unzip ps less"
    seen = run(
        sandbox_image, f"for tool in {tools}; do command -v $tool >/dev/null || echo no $tool; done; id -u; id -g"
    )
    assert seen.split() == ["10001", "10001"]
    assert run(sandbox_image, "npm --version && npx --version").count(".") == 4
    assert run(sandbox_image, "touch /workspace/a ~/a /opt/venv/a /opt/npm/a /opt/snapshot/a && echo ok") == "ok\n"
    assert run(sandbox_image, "python -m pytest --version; which python").endswith("/opt/venv/bin/python\n")


def test_image_trusts_the_hosts_authorities_and_holds_no_host_variable(
    engine: docker.DockerClient, run: Run, sandbox_image: str
) -> None:
    """A private authority of the host is in the image's bundle; the host's own environment is not in the image."""
    authorities = find_authorities(os.environ)
    bundle = run(sandbox_image, "cat $SSL_CERT_FILE")
    missing = [pem for pem in (authorities.certificates if authorities else ()) if pem.strip() not in bundle]
    assert (bundle.count("BEGIN CERTIFICATE") > 100, missing) == (True, [])
    assert "PRIVATE KEY" not in bundle
    names = {line.partition("=")[0] for line in engine.images.get(sandbox_image).attrs["Config"]["Env"]}
    assert [name for name in names if "PROXY" in name.upper() or "INDEX" in name or "TOKEN" in name] == []


def test_second_call_is_instant(engine: docker.DockerClient, sandbox_image: str) -> None:
    """An image that is there is found in well under a second, and nothing is said."""
    said: list[str] = []
    authorities = find_authorities(os.environ)
    began = time.process_time(), time.monotonic()
    assert ensure_image(engine, say=said.append, authorities=authorities) == sandbox_image
    assert said == []
    # Our own time tells; the wall clock also counts whoever else works on the machine.
    assert time.process_time() - began[0] < 0.2
    assert time.monotonic() - began[1] < 10


def test_unknown_image_is_named(engine: docker.DockerClient) -> None:
    """An image that can be neither found nor pulled ends in its name and what to type; a strange name goes nowhere."""
    name = "localhost:1/nowhere/nothing:1"
    with pytest.raises(ImageUnavailable, match=f"{name}.*docker pull {name}"):
        ensure_custom_image(engine, name)
    for strange in ("../x", "a b", "-x", "", "a\nRUN true", "${X}"):
        with pytest.raises(ImageUnavailable, match="no image name"):
            ensure_custom_image(engine, strange)


@pytest.fixture
def foreign(engine: docker.DockerClient, sandbox_image: str) -> Iterator[str]:
    """An image of somebody else: no agent, no folders, its own variables, running as root."""
    name = f"forgehand-test/foreign:{uuid.uuid4().hex[:8]}"
    recipe = (
        f"FROM {sandbox_image}\nUSER 0\nRUN userdel agent; rm -rf /workspace /home/agent /opt/snapshot\n"
        "ENV OWN=yes PATH=/own/bin:/usr/bin:/bin\nLABEL forgehand.image=\n"
    )
    engine.images.build(fileobj=io.BytesIO(recipe.encode()), tag=name, network_mode="none", rm=True)
    yield name
    engine.images.remove(name, force=True)


def test_foreign_image_is_made_fit(engine: docker.DockerClient, run: Run, foreign: str) -> None:
    """A foreign image keeps what it has, and gets the agent's folders and the private authorities, once."""
    certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    made = ensure_custom_image(engine, foreign, authorities=Authorities((certificate,)))
    try:
        assert made == ensure_custom_image(engine, foreign, authorities=Authorities((certificate,)))
        assert made == ensure_custom_image(engine, made)
        seen = run(made, "touch a ~/a /opt/snapshot/a; echo $OWN $PATH $HOME $PWD; id -u; tail -n 2 $PIP_CERT")
        own = "yes /home/agent/.local/bin:/own/bin:/usr/bin:/bin /home/agent /workspace"
        assert seen.splitlines() == [own, "10001", "AAAA", "-----END CERTIFICATE-----"]
        assert run(made, "touch /opt/forgehand/trusted/x 2>/dev/null || echo read-only") == "read-only\n"
    finally:
        engine.images.remove(made, force=True)


def test_triggers_of_a_foreign_image_do_not_run(engine: docker.DockerClient, sandbox_image: str) -> None:
    """An image with ONBUILD triggers is refused: they would run outside a sandbox."""
    name = f"forgehand-test/trigger:{uuid.uuid4().hex[:8]}"
    recipe = f"FROM {sandbox_image}\nLABEL forgehand.image=\nONBUILD RUN touch /tmp/ran\n"
    engine.images.build(fileobj=io.BytesIO(recipe.encode()), tag=name, network_mode="none", rm=True)
    try:
        with pytest.raises(ImageUnavailable, match="ONBUILD"):
            ensure_custom_image(engine, name)
    finally:
        engine.images.remove(name, force=True)


def test_sources_in_both_formats() -> None:
    """apt's one-line and deb822 files say the same; sources switched off, and source packages, do not count."""
    one_line = "# x\ndeb [arch=amd64 signed-by=/k] http://a.example/debian bookworm main contrib # y\ndeb-src x y z\n"
    assert parse_sources(one_line, deb822=False) == [
        PackageSource("http://a.example/debian", "bookworm", ("main", "contrib"))
    ]
    assert [source.suite for source in parse_sources(DEB822, deb822=True)] == [
        "bookworm",
        "bookworm-updates",
        "bookworm-security",
    ]


def test_own_archive_is_chosen() -> None:
    """Third parties in apt's sources are passed over, and only the distribution's own suites are used."""
    third = [
        PackageSource("https://download.docker.com/linux/debian", "bookworm", ("stable",)),
        PackageSource("https://deb.nodesource.com/node_20.x", "nodistro", ("main",)),
        PackageSource("https://packages.example/debian", "bookworm-pgdg", ("main",)),
    ]
    chosen = choose_sources([*third, *parse_sources(DEB822, deb822=True)], distribution="debian", codename="bookworm")
    assert chosen.first.line == "deb http://deb.debian.org/debian bookworm main"
    assert [source.suite for source in chosen.updates] == ["bookworm-updates", "bookworm-security"]
    ubuntu = choose_sources(third, distribution="ubuntu", codename="noble")
    assert ubuntu.first.line == "deb http://archive.ubuntu.com/ubuntu noble main universe"


def test_sources_of_a_machine(tmp_path: Path) -> None:
    """A machine's own files are read; another distribution has none that could be used."""
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "apt/sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    found = read_package_sources(etc=tmp_path)
    assert found is not None
    assert (found.first.suite, len(found.updates)) == ("bookworm", 2)
    (tmp_path / "os-release").write_text("ID=fedora\n")
    assert read_package_sources(etc=tmp_path) is None
