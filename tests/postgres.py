"""A throw-away PostgreSQL cluster for the tests: the distribution's own server, on a free port, without a password."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machine import one_at_a_time
from tests.ports import ReservedPort


def find_binaries() -> Path | None:
    """The folder with ``initdb`` of the newest installed server, or None."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def install() -> None:
    """Install Debian's server; without starting the cluster that the package would make."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(["apt-get", "install", "-y", "-q", "postgresql"], env=environment, check=False).returncode:
        subprocess.run(["apt-get", "update", "-q"], env=environment, check=True)
        subprocess.run(["apt-get", "install", "-y", "-q", "postgresql"], env=environment, check=True)


@contextmanager
def cluster() -> Iterator[str]:
    """The URL of a running server, ended and deleted afterwards; skips the test when there can be none."""
    with one_at_a_time():
        if find_binaries() is None and os.geteuid() == 0 and shutil.which("apt-get"):
            install()
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed, and only root can install it: apt-get install postgresql")
    root = Path(tempfile.mkdtemp(prefix="forgehand-postgres-"))
    data = root / "data"
    # The server refuses to run as root.
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    if account is not None:
        os.chown(root, account.pw_uid, account.pw_gid)
    user = account.pw_uid if account else None

    def run(*command: str) -> None:
        subprocess.run([str(binaries / command[0]), *command[1:]], check=True, user=user, cwd=root, capture_output=True)

    try:
        run("initdb", "-D", str(data), "-A", "trust", "-U", "tests", "--no-sync", "-E", "UTF8")
        with ReservedPort() as port:
            # No test kills the server itself, so nothing is lost without fsync, and a busy disk holds nobody up.
            options = f"-p {port.number} -c listen_addresses=127.0.0.1 -c unix_socket_directories={root} -c fsync=off"
            run("pg_ctl", "-D", str(data), "-w", "-l", str(root / "log"), "-o", options, "start")
            try:
                yield f"postgresql://tests@127.0.0.1:{port.number}"
            finally:
                run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def create_database(server: str, name: str) -> str:
    """A new, empty database on the server; its URL."""
    binaries = find_binaries()
    assert binaries is not None
    subprocess.run([str(binaries / "psql"), f"{server}/postgres", "-qc", f'CREATE DATABASE "{name}"'], check=True)
    return f"{server}/{name}"
