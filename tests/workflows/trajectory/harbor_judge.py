"""Harbor's own models as the judge of an ATIF document: fetched once, and run in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fetched import Package

# 2.5 MB. It asks for Python 3.12; its trajectory models do with 3.11, and need pydantic alone.
HARBOR = Package(
    "harbor",
    "0.25.0",
    ("51923ac567fc57b03279e93468b105f689628bcac2cd3d541d4e44aa5c0ec309",),
    "judges our ATIF documents",
)
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


def judge(folder: Path, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Harbor's ``errors`` for each document (empty: valid), and what it ``kept`` of it."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, HARBOR.version],
        check=False,
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers
