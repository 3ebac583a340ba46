"""Released packages that tests run, each in a folder of its own: pinned by digest, fetched once into a cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SECONDS = 300


class PackageUnavailable(Exception):
    """A package could not be installed; the message says what to do."""


@dataclass(frozen=True)
class Package:
    """A wheel without its dependencies. ``digests`` are the SHA-256 of its files, ``use`` is what it does for us."""

    name: str
    version: str
    digests: tuple[str, ...]
    use: str


def fetch(package: Package) -> Path:
    """The folder that holds the package, for PYTHONPATH. Raises PackageUnavailable."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forgehand-tests"
    folder = cache / f"{package.name}-{package.version}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        wanted = Path(scratch, "requirements.txt")
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in package.digests)
        wanted.write_text(f"{package.name}=={package.version} {hashes}\n")
        target = Path(scratch, package.name)
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        command += ["--ignore-requires-python", "--only-binary=:all:", "--require-hashes"]
        command += ["--target", str(target), "-r", str(wanted)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode != 0:
            raise PackageUnavailable(
                f"{package.name} {package.version}, which {package.use}, could not be installed with pip. See that a "
                f"package index is reachable, then run the tests again.\n{done.stderr[-2000:]}"
            )
        try:
            target.rename(folder)
        except OSError:
            assert folder.is_dir()  # another test process was quicker
    return folder
