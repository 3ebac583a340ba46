"""The sandbox image on the real engine, foreign images, and the package sources a first image is made from."""

from __future__ import annotations

import base64
import http.server
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import docker
import pytest

from sandbox.authorities import Authorities, find_authorities
from sandbox.bootstrap import PackageSource, choose_sources, parse_sources, read_package_sources
from sandbox.images import ImageUnavailable, _pull, ensure_custom_image, ensure_image
from tests.images import build_image

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
    for strange in ("../x", "x/../../info", "a b", "-x", "", "a\nRUN true", "${X}"):
        with pytest.raises(ImageUnavailable, match="no image name"):
            ensure_custom_image(engine, strange)


def test_nobody_elses_image_is_reached(engine: docker.DockerClient, foreign: str) -> None:
    """An id, whole or in part, reaches no image of the engine, and neither does a name of those that we make."""
    whole = str(engine.images.get(foreign).id).removeprefix("sha256:")
    for name in (whole, whole[:12]):
        with pytest.raises(ImageUnavailable, match="no image name"):
            ensure_custom_image(engine, name)
    with pytest.raises(ImageUnavailable, match=f"{whole[:20]}:latest is not on this engine"):
        ensure_custom_image(engine, whole[:20])
    for name in ("forgehand/snapshot:" + "0" * 64, "docker.io/forgehand/sandbox", "forgehand/adopted:1"):
        with pytest.raises(ImageUnavailable, match="under forgehand/"):
            ensure_custom_image(engine, name)


class Registry:
    """A registry of one image, that notes the credentials it is shown and sends the image's layer drop by drop."""

    def __init__(self, *, asks: bool) -> None:
        self.shown: list[str | None] = []
        self.dropped = threading.Event()
        registry = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.shown.append(self.headers.get("Authorization"))
                if asks and not self.headers.get("Authorization"):
                    return self._send(401, b"{}", "application/json")
                if asks:
                    return self._send(404, b"{}", "application/json")
                if "/manifests/" in self.path:
                    return self._send(200, MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
                if "/blobs/" in self.path:
                    return self._drip()
                return self._send(200, b"{}", "application/json")

            do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

            def _send(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def _drip(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(LAYER_BYTES))
                self.end_headers()
                try:
                    while True:
                        self.wfile.write(b"x" * 1024)
                        time.sleep(0.02)  # the pace of a slow registry
                except OSError:
                    registry.dropped.set()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


LAYER_BYTES = 500_000_000
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": LAYER_BYTES,
            "digest": "sha256:" + "1" * 64,
        },
        "layers": [
            {
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "size": LAYER_BYTES,
                "digest": "sha256:" + "2" * 64,
            }
        ],
    }
).encode()


@pytest.fixture
def registries() -> Iterator[Callable[[bool], Registry]]:
    """Makes registries, and ends them."""
    with ExitStack() as undo:

        def make(asks: bool) -> Registry:
            registry = Registry(asks=asks)
            undo.callback(registry.server.server_close)
            undo.callback(registry.server.shutdown)
            return registry

        yield make


def test_no_credentials_are_sent(
    engine: docker.DockerClient,
    registries: Callable[[bool], Registry],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pull shows no registry the credentials that the host's user has for it."""
    registry = registries(True)
    secret = base64.b64encode(b"operator:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": secret}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    client = docker.DockerClient(base_url=os.environ.get("DOCKER_HOST"))
    try:
        with pytest.raises(ImageUnavailable, match="cannot be pulled"):
            ensure_custom_image(client, f"{registry.host}/acme/tools:1")
    finally:
        client.close()
    assert set(registry.shown) == {None}


def test_a_pull_has_an_end(engine: docker.DockerClient, registries: Callable[[bool], Registry]) -> None:
    """A registry that keeps talking is given up at the deadline, and the engine stops asking it."""
    registry = registries(False)
    assert "longer than 1 s" in str(_pull(engine, f"{registry.host}/acme/endless:1", seconds=1))
    assert registry.dropped.wait(30)


@pytest.fixture
def foreign(engine: docker.DockerClient, sandbox_image: str) -> Iterator[str]:
    """An image of somebody else: no agent, no folders, its own variables, running as root."""
    name = f"forgehand-test/foreign:{uuid.uuid4().hex[:8]}"
    recipe = (
        f"FROM {sandbox_image}\nUSER 0\nRUN userdel agent; rm -rf /workspace /home/agent /opt/snapshot\n"
        "ENV OWN=yes PATH=/own/bin:/usr/bin:/bin\nLABEL forgehand.image=\n"
    )
    build_image(engine, recipe, tag=name, network_mode="none")
    yield name
    engine.images.remove(name, force=True)


def test_foreign_image_is_made_fit(engine: docker.DockerClient, run: Run, foreign: str) -> None:
    """A foreign image keeps what it has, and gets the agent's folders and the private authorities, once."""
    certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    made = ensure_custom_image(engine, foreign, authorities=Authorities((certificate,)))
    try:
        assert made == ensure_custom_image(engine, foreign, authorities=Authorities((certificate,)))
        seen = run(made, "touch a ~/a /opt/snapshot/a; echo $OWN $PATH $HOME $PWD; id -u; tail -n 2 $PIP_CERT")
        own = "yes /home/agent/.local/bin:/own/bin:/usr/bin:/bin /home/agent /workspace"
        assert seen.splitlines() == [own, "10001", "AAAA", "-----END CERTIFICATE-----"]
        assert run(made, "touch /opt/forgehand/trusted/x 2>/dev/null || echo read-only") == "read-only\n"
    finally:
        engine.images.remove(made, force=True)


@pytest.mark.parametrize(
    ("line", "says"),
    [("ONBUILD RUN touch /tmp/ran", "ONBUILD"), ("VOLUME /data", "VOLUME")],
    ids=["would run unguarded", "would fill the disk"],
)
def test_unfit_images_are_refused(engine: docker.DockerClient, sandbox_image: str, line: str, says: str) -> None:
    """Triggers would run outside a sandbox and volumes have no bounds, also in an image that calls itself ours."""
    name = f"forgehand-test/unfit:{uuid.uuid4().hex[:8]}"
    recipe = f"FROM {sandbox_image}\n{line}\n"
    build_image(engine, recipe, tag=name, network_mode="none")
    try:
        with pytest.raises(ImageUnavailable, match=says):
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
