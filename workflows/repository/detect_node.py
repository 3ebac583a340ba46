"""How a Node project is set up and tested."""

from __future__ import annotations

from typing import Any

from workflows.repository.project import Found, Project, table
from workflows.repository.runners import runner_of

TEST_FILES = r"(?:^|/)(?:[^/]+[.-](?:test|spec)\.[cm]?[jt]sx?|(?:test|tests|__tests__)/.*\.[cm]?[jt]sx?|test\.[cm]?js)$"
_PLACEHOLDER = "no test specified"


def detect_node(project: Project) -> Found:
    """What ``package.json`` and the test files say; without a test command when there are no Node tests."""
    package = project.read_json("package.json")
    manager = _manager(project, package)
    setup, setup_why = _setup(project, package, manager)
    scripts = {name: text for name, text in table(package, "scripts").items() if isinstance(text, str)}
    tests = project.count(TEST_FILES)
    script = scripts.get("test", "")
    if script.strip() and _PLACEHOLDER not in script:
        runner = runner_of(script, scripts)
        return Found(
            source="package.json",
            test_command=f"{manager} test",
            runner=runner,
            setup_commands=setup,
            setup_why=setup_why,
            test_files=max(tests, 1),
            reports_tests=runner in {"node", "vitest", "jest"},
            why=(f"`package.json` has a test script (`{_short(script)}`), so the tests are run by `{manager} test`.",),
        )
    command = _without_script(project, package)
    if command is None or not tests:
        return Found(source="package.json", setup_commands=setup, setup_why=setup_why) if package else Found()
    return Found(
        source="the JavaScript test files",
        test_command=command,
        runner=runner_of(command),
        setup_commands=setup,
        setup_why=setup_why,
        test_files=tests,
        reports_tests=True,
        why=(f"`package.json` has no test script; there are {tests} test file(s), which `{command}` runs.",),
    )


def _without_script(project: Project, package: dict[str, Any]) -> str | None:
    needed = {**table(package, "dependencies"), **table(package, "devDependencies")}
    if "vitest" in needed:
        return "npx vitest run"
    if "jest" in needed or "jest" in package:
        return "npx jest"
    plain = [name for name in sorted(project.names) if name.endswith((".test.js", ".test.mjs", ".test.cjs"))]
    uses_node = any("node:test" in (project.read(name) or "") for name in plain[:20])
    return "node --test" if uses_node else None


def _manager(project: Project, package: dict[str, Any]) -> str:
    declared = str(package.get("packageManager", "")).split("@")[0]
    if declared in {"npm", "pnpm", "yarn"}:
        return declared
    if "pnpm-lock.yaml" in project.names:
        return "pnpm"
    return "yarn" if "yarn.lock" in project.names else "npm"


def _setup(project: Project, package: dict[str, Any], manager: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    kinds = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
    if not any(table(package, kind) for kind in kinds) and "workspaces" not in package:
        return (), ()
    if manager == "pnpm" and "pnpm-lock.yaml" in project.names:
        return ("pnpm install --frozen-lockfile",), ("`pnpm-lock.yaml` pins what is needed.",)
    if manager == "yarn" and "yarn.lock" in project.names:
        # Yarn 1 knows another word for it than its successors.
        modern = ".yarnrc.yml" in project.names or "__metadata:" in (project.read("yarn.lock") or "")[:2_000]
        return (f"yarn install {'--immutable' if modern else '--frozen-lockfile'}",), (
            "`yarn.lock` pins what is needed.",
        )
    if project.names & {"package-lock.json", "npm-shrinkwrap.json"}:
        return ("npm ci --no-audit --no-fund",), ("`package-lock.json` pins what is needed.",)
    unpinned = {
        "pnpm": "pnpm install --no-lockfile",
        "yarn": "yarn install --no-lockfile",
        "npm": "npm install --no-package-lock --no-audit --no-fund",
    }
    return (unpinned[manager],), ("`package.json` lists what is needed, and no lock file pins it.",)


def _short(script: str) -> str:
    line = " ".join(script.replace("`", "'").split())
    return line if len(line) <= 80 else line[:79] + "…"
