"""How each test runner is made to write a report without touching the repository, and how reports are collected."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

from sandbox.container import Sandbox
from workflows.evidence.jest_json import parse_jest
from workflows.evidence.junit import MAX_CASES, number_duplicates, parse_junit
from workflows.repository.runners import Runner
from workflows.types import TestCase

MAX_REPORTS = 300
MAX_TOTAL_BYTES = 10_000_000
MAX_MESSAGES = 200

PREFIX = "/tmp/forgehand-tests-"  # noqa: S108 - inside the sandbox

# Caches and byte code would count as changes in a repository that does not ignore them.
CLEAN = {"CI": "true", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True)
class Way:
    """One way to run a command: what is appended to it, and what is added to its environment."""

    arguments: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def ways(command: str, runner: Runner, folder: str) -> tuple[Way, ...]:
    """The ways to run ``command`` so that reports land in ``folder``, the best first; the last one is plain."""
    pytest = {
        "PYTEST_ADDOPTS": f"--junitxml={folder}/pytest.xml -o cache_dir={folder}/cache --continue-on-collection-errors"
    }
    plain = Way(environment=CLEAN)
    if runner == "node":
        reporter = f"--test-reporter={folder}/reporter.mjs --test-reporter-destination={folder}/node.log"
        beside = f"--test-reporter=spec --test-reporter-destination=stdout {reporter}"
        # A command with a reporter of its own has no destination for it: as many of these as of those are needed.
        instead = f"{reporter} --test-reporter-destination=stdout"
        return (
            Way(environment={**CLEAN, "NODE_OPTIONS": beside}),
            Way(environment={**CLEAN, "NODE_OPTIONS": instead}),
            plain,
        )
    if runner in {"vitest", "jest"}:
        report = f"{folder}/{runner}"
        arguments = (
            f"--reporter=default --reporter=junit --outputFile.junit={report}.xml"
            if runner == "vitest"
            else f"--json --outputFile={report}.json"
        )
        appended = _appended(command, arguments)
        return (Way(arguments=appended, environment=CLEAN), plain) if appended else (plain,)
    if runner == "tox":
        passed = {"TOX_OVERRIDE": "testenv.pass_env+=PYTEST_ADDOPTS,PYTHONDONTWRITEBYTECODE"}
        return Way(environment={**CLEAN, **pytest, **passed}), plain
    # Whatever else starts pytest in the end (make, nox, a script) hands the environment down.
    return Way(environment={**CLEAN, **pytest}), plain


def prepare_reports(sandbox: Sandbox, folder: str, runner: Runner) -> None:
    """Make the folder for reports in the sandbox, and remove earlier ones. Raises SandboxUnavailable."""
    script = f"rm -rf {PREFIX}*; mkdir -p {folder} && touch {folder}/started"
    if runner == "node":
        reporter = resources.files("workflows.evidence").joinpath("node_reporter.mjs").read_text(encoding="utf-8")
        script += f"\ncat > {folder}/reporter.mjs <<'END_OF_REPORTER'\n{reporter}\nEND_OF_REPORTER"
    sandbox.execute(script, timeout=60)


@dataclass(frozen=True)
class Reports:
    """What a run reported: its test cases, or None without a report; ``note`` says why a report was not used."""

    cases: tuple[TestCase, ...] | None = None
    note: str = ""


def read_reports(sandbox: Sandbox, folder: str) -> Reports:
    """The test cases of all reports that were written since ``folder`` was made; at most 20,000 from at most 10 MB.

    Beyond that none count, because a part would look like all. The first 200 failures keep their messages. Surefire
    and Gradle write theirs into the build folders. Raises SandboxUnavailable.
    """
    where = r"\( -path '*/surefire-reports/TEST-*.xml' -o -path '*/build/test-results/*/TEST-*.xml' \)"
    listing = sandbox.execute(
        f"pwd; find {folder} -maxdepth 1 \\( -name '*.xml' -o -name '*.json' \\) -type f | sort; "
        f'find "$PWD" -name node_modules -prune -o {where} -type f -newer {folder}/started -print | sort',
        timeout=60,
    )
    root, *paths = listing.output.splitlines() or [""]
    found: list[TestCase] = []
    reports, size = 0, 0
    for path in paths[:MAX_REPORTS]:
        data = sandbox.read_bytes(path, limit=MAX_TOTAL_BYTES)
        if data is None or (size := size + len(data)) > MAX_TOTAL_BYTES:
            return _unused(f"they are larger than {MAX_TOTAL_BYTES // 1_000_000} MB, or could not be read")
        cases = parse_jest(data, root=root) if path.endswith(".json") else parse_junit(data)
        if cases is not None:
            reports += 1
            found += cases
        if len(found) > MAX_CASES:
            return _unused(f"they name more than {MAX_CASES:,} tests")
    return Reports(_with_few_messages(number_duplicates(found)) if reports else None)


def _unused(why: str) -> Reports:
    return Reports(note=f"Forgehand did not use the test reports of this run: {why}.")


def _with_few_messages(cases: tuple[TestCase, ...]) -> tuple[TestCase, ...]:
    kept, left = [], MAX_MESSAGES
    for case in cases:
        left -= case.outcome in ("failed", "error")
        talks = left >= 0 or not case.message
        kept.append(case if talks else case.model_copy(update={"message": ""}))
    return tuple(kept)


def option_refused(output: str) -> bool:
    """Whether a runner's output complains about what we added to its command or environment."""
    return (
        re.search(
            r"junitxml|continue-on-collection-errors|cache_dir|test-reporter|outputFile|--reporter\b|--json\b|TOX_OVERRIDE",
            output,
        )
        is not None
    )


def _appended(command: str, arguments: str) -> str:
    """What to append so that ``arguments`` reach the last program of ``command``; empty when that cannot be told."""
    last = re.split(r"&&|\|\||[;|\n]", command)[-1].strip()
    try:
        words = shlex.split(last)
    except ValueError:
        return ""
    while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]):
        words.pop(0)
    if not words or "#" in last or ">" in last:
        return ""
    # npm keeps options for itself unless they come after two dashes; pnpm and yarn would hand the dashes on.
    separator = "-- " if words[0] == "npm" and "--" not in words else ""
    return f" {separator}{arguments}"
