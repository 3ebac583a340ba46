"""Runs in the sandbox: the tests and the proofs of all folders of the set, told as one JSON object by folder.

``python run_folders.py``. Beside it lie ``python/``, ``javascript/`` and ``go/``, in each ``<pair>/<side>/``; only the
sides ``defect`` and ``clean`` have a proof. One process runs a whole language as far as that is possible.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path.cwd()
Told = dict[str, object]
"""``passed``, ``could_run`` (a proof that cannot be run proves nothing), and the end of the ``output``."""


def main() -> None:
    """Run everything and print it."""
    print(json.dumps({**run_python(), **run_javascript(), **run_go()}))


def run_python() -> dict[str, dict[str, Told]]:
    """pytest is loaded once, and forked for each folder."""
    found: dict[str, dict[str, Told]] = {}
    for folder in _folders("python"):
        found[folder] = {}
        for what, target in (("tests", "tests"), ("proof", "test_proof.py")):
            if (HERE / folder / target).exists():
                found[folder][what] = _forked(folder, target)
    return found


def _forked(folder: str, target: str) -> Told:
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os.chdir(HERE / folder)
            sys.path.insert(0, str(HERE / folder))
            code = 70
            try:
                code = int(pytest.main(["-q", "-p", "no:cacheprovider", target]))
                sys.stdout.flush()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        # pytest: 1 is a failed test, 2 and above that it could not be run.
        return _told(code, output.read().decode(), could_run=code in (0, 1))


def run_javascript() -> dict[str, dict[str, Told]]:
    """A Node process for each file, two at a time."""

    def run(folder: str) -> dict[str, Told]:
        there = HERE / folder
        return {
            what: _node(files, there)
            for what, files in (("tests", sorted(there.glob("test/*.js"))), ("proof", sorted(there.glob("*.test.js"))))
            if files
        }

    folders = list(_folders("javascript"))
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(folders, pool.map(run, folders), strict=True))


def _node(files: list[Path], folder: Path) -> Told:
    command = ["node", *map(str, files)] if len(files) == 1 else ["node", "--test", *map(str, files)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    output = done.stdout + done.stderr
    could_run = not any(word in output for word in ("ERR_MODULE_NOT_FOUND", "SyntaxError"))
    return _told(done.returncode, output, could_run=could_run)


def run_go() -> dict[str, dict[str, Told]]:
    """All folders are packages of one module; proofs are the tests whose names begin with TestProof."""
    Path("go/go.mod").write_text("module example.org/set\n\ngo 1.19\n")
    command = ["go", "test", "-json", "-vet=off", "./..."]
    done = subprocess.run(command, cwd=HERE / "go", capture_output=True, text=True, timeout=300, check=False)
    outcomes: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"tests": [], "proof": []})
    outputs: dict[str, str] = defaultdict(str)
    for line in done.stdout.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        package = str(event.get("Package", "")).removeprefix("example.org/set/")
        folder = "/".join(["go", *package.split("/")[:2]])
        outputs[folder] += event.get("Output", "")
        if event.get("Test") and event["Action"] in ("pass", "fail"):
            what = "proof" if event["Test"].startswith("TestProof") else "tests"
            outcomes[folder][what].append(event["Action"])
    found: dict[str, dict[str, Told]] = {}
    for folder in _folders("go"):
        told = {what: results for what, results in outcomes[folder].items() if results or what == "tests"}
        output = outputs[folder] or done.stderr
        found[folder] = {
            what: _told(int("fail" in results), output, could_run=bool(results)) for what, results in told.items()
        }
    return found


def _folders(language: str) -> Iterator[str]:
    for path in sorted((HERE / language).glob("*/*")):
        if path.is_dir():
            yield str(path.relative_to(HERE))


def _told(code: int, output: str, *, could_run: bool) -> Told:
    return {"passed": could_run and code == 0, "could_run": could_run, "output": output[-2_000:]}


if __name__ == "__main__":
    main()
