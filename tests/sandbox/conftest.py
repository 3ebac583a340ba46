"""The sandbox image, a mirror and containers, shared by every test that opens one."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from sandbox.authorities import find_authorities
from sandbox.container import SandboxSpec
from sandbox.docker import DockerSandbox, DockerSandboxes
from sandbox.images import ensure_image


@pytest.fixture(scope="session")
def sandbox_image(engine: docker.DockerClient) -> str:
    """The tag of the sandbox image; built on the first use on a machine, found ever after."""
    return ensure_image(engine, say=print, authorities=find_authorities(os.environ), environment=os.environ)


@dataclass(frozen=True)
class Mirror:
    """A bare repository and the commit its containers start from."""

    path: Path
    commit: str


FILES: dict[str, bytes] = {
    "README.md": b"# Sample\n",
    "src/app.py": b"def answer():\n    return 41\n",
    "src/deep/er/util.py": b"VALUE = 1\n",
    "windows.txt": b"one\r\ntwo\r\nthree\r\n",
    "picture.png": b"\x89PNG\r\n\x1a\n\x00\x00",
    ".gitignore": b"*.log\nbuild/\n",
    "gone/only.txt": b"soon gone\n",
}


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """A small repository with two commits, a script, a link, a CRLF file and a picture."""
    folder = tmp_path_factory.mktemp("mirror")
    source, bare = folder / "source", folder / "bare.git"
    for name, content in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    (source / "run.sh").write_text("#!/bin/sh\necho run\n")
    (source / "run.sh").chmod(0o755)
    (source / "link").symlink_to("README.md")

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]
        done = subprocess.run(["git", *identity, *arguments], cwd=source, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", "README.md")
    git("commit", "--quiet", "--message", "First")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Second")
    git("clone", "--quiet", "--bare", str(source), str(bare))
    folder.chmod(0o700)  # as the data folder is
    return Mirror(bare, git("rev-parse", "HEAD"))


@pytest.fixture(scope="session")
def shallow_mirror(tmp_path_factory: pytest.TempPathFactory, mirror: Mirror) -> Mirror:
    """The same commit without the one before it, as a shallow checkout gives it."""
    bare = tmp_path_factory.mktemp("shallow") / "bare.git"
    origin = f"file://{mirror.path}"
    subprocess.run(["git", "clone", "--quiet", "--bare", "--depth", "1", origin, bare], check=True, capture_output=True)
    return Mirror(bare, mirror.commit)


@pytest.fixture(scope="session")
def sandboxes(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerSandboxes]:
    """Sandboxes under an owner of this test run alone; whatever a failed test left is removed at the end."""
    made = DockerSandboxes(engine, f"test-{uuid.uuid4().hex[:12]}", sockets=tmp_path_factory.mktemp("sockets"))
    yield made
    made.remove_leftovers()


@pytest.fixture(scope="module")
def box(sandboxes: DockerSandboxes, sandbox_image: str, mirror: Mirror) -> Iterator[DockerSandbox]:
    """One container with the mirror's commit, for tests that leave the workspace as they found it."""
    with sandboxes.open(SandboxSpec(sandbox_image, "shared", mirror=mirror.path, commit=mirror.commit)) as sandbox:
        yield sandbox
