"""Harbor's own models as the judge of an ATIF document: fetched once, and run in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VERSION = "0.25.0"
WHEEL = "sha256:51923ac567fc57b03279e93468b105f689628bcac2cd3d541d4e44aa5c0ec309"
SCRIPT = """
import json, sys
from harbor import __version__
from harbor.models.trajectories import Trajectory
from harbor.utils.trajectory_validator import TrajectoryValidator
assert __version__ == sys.argv[1], __version__
answers = []
for document in json.load(sys.stdin):
    validator = TrajectoryValidator()
    if validator.validate(document):
        answers.append({"errors": [], "kept": Trajectory(**document).to_json_dict()})
    else:
        answers.append({"errors": validator.get_errors(), "kept": None})
json.dump(answers, sys.stdout)
"""


class HarborUnavailable(Exception):
    """Harbor could not be installed; the message says what to do."""


def installed_harbor() -> Path:
    """A folder with Harbor in it, without its dependencies: its trajectory models need pydantic alone.

    It asks for Python 3.12, its models do with 3.11. About 2.5 MB, fetched once into the user's cache folder.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forgehand-tests"
    folder = cache / f"harbor-{VERSION}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        wanted = Path(scratch, "requirements.txt")
        wanted.write_text(f"harbor=={VERSION} --hash={WHEEL}\n")
        target = Path(scratch, "harbor")
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        command += ["--ignore-requires-python", "--only-binary=:all:", "--require-hashes"]
        done = subprocess.run(
            [*command, "--target", str(target), "-r", str(wanted)],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode != 0:
            raise HarborUnavailable(
                f"harbor {VERSION}, which judges our ATIF documents, could not be installed with pip. See that "
                f"a package index is reachable, then run the tests again.\n{done.stderr[-2000:]}"
            )
        try:
            target.rename(folder)
        except OSError:
            assert folder.is_dir()  # another test process was quicker
    return folder


def judge(folder: Path, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Harbor's ``errors`` for each document (empty: valid), and what it ``kept`` of it."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, VERSION],
        check=False,
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers
