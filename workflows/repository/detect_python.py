"""How a Python project is set up and tested."""

from __future__ import annotations

import configparser
import re
import shlex
from typing import Any

from workflows.git.plain_text import parse_ini
from workflows.repository.project import Found, Project, table, texts

TEST_FILES = r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$"
# The narrowest first: "dev" often brings linters and documentation tools along.
_EXTRAS = ("test", "tests", "testing", "dev")
_REQUIREMENTS = re.compile(
    r"(?:(?:dev|tests?)[-_])?requirements(?:[-_.](?:dev|tests?))?\.txt|requirements/(?:base|dev|tests?)\.txt"
)
_INSTALL = "python -m pip install"


def detect_python(project: Project) -> Found:
    """What the project's Python files say; without a test command when there are no Python tests."""
    pyproject = project.read_toml("pyproject.toml")
    setup, setup_why = _setup(project, pyproject)
    tests = project.count(TEST_FILES)
    configured = _pytest_settings(project, pyproject)
    if configured or tests:
        return Found(
            source=configured or "the Python test files",
            # Through `python -m`, so that the root is importable and nothing has to be installed for a flat layout.
            test_command="python -m pytest -q",
            runner="pytest",
            setup_commands=setup,
            setup_why=setup_why,
            test_files=max(tests, 1),
            reports_tests=True,
            why=(_pytest_why(project, configured, tests),),
        )
    if "tox.ini" in project.names or "tox" in table(pyproject, "tool"):
        return Found(
            source="tox",
            test_command="tox run",
            runner="tox",
            setup_commands=(f"{_INSTALL} tox", "tox run --notest"),
            test_files=1,
            why=("tox is set up and no pytest tests were found, so the tests are run by `tox run`.",),
        )
    if "noxfile.py" in project.names:
        return Found(
            source="noxfile.py",
            test_command="nox -R",
            runner="nox",
            setup_commands=(f"{_INSTALL} nox", "nox --install-only"),
            test_files=1,
            why=("`noxfile.py` is there and no pytest tests were found, so the tests are run by `nox`.",),
        )
    if not any(name.endswith(".py") for name in project.names):
        return Found()
    return Found(source="the Python files", setup_commands=setup, setup_why=setup_why)


def _pytest_settings(project: Project, pyproject: dict[str, Any]) -> str | None:
    if "pytest.ini" in project.names:
        return "pytest.ini"
    if "pytest" in table(pyproject, "tool"):
        return "pyproject.toml"
    for name, section in (("setup.cfg", "tool:pytest"), ("tox.ini", "pytest")):
        if _read_ini(project, name).has_section(section):
            return name
    return None


def _pytest_why(project: Project, configured: str | None, tests: int) -> str:
    reason = f"`{configured}` configures pytest" if configured else f"{tests} file(s) are named like pytest's tests"
    wrappers = [name for name in ("tox.ini", "noxfile.py", "Makefile") if name in project.names]
    rather = f" rather than through `{wrappers[0]}`, so that each test is reported" if wrappers else ""
    return f"{reason}, so the tests are run by pytest{rather}."


def _setup(project: Project, pyproject: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Commands that install what the tests import, and why; none when the standard library and pytest are enough."""
    if "uv.lock" in project.names:
        return (f"{_INSTALL} uv", "uv sync --active --inexact --frozen --all-extras"), (
            "`uv.lock` pins what is needed.",
        )
    if "poetry.lock" in project.names:
        # In an environment of its own: Poetry's own requirements would quarrel with the project's.
        tool = "/tmp/poetry"  # noqa: S108 - inside the sandbox
        poetry = (f"python -m venv {tool} && {tool}/bin/pip install -q poetry", f"{tool}/bin/poetry install -n")
        return poetry, ("`poetry.lock` pins what is needed.",)
    if "Pipfile.lock" in project.names:
        return (f"{_INSTALL} pipenv", "pipenv sync --dev --system"), ("`Pipfile.lock` pins what is needed.",)
    commands: list[str] = []
    why: list[str] = []
    files = [
        name for name in sorted(project.names) if _REQUIREMENTS.fullmatch(name) and _has_requirements(project, name)
    ]
    if files:
        commands.append(_INSTALL + "".join(f" -r {shlex.quote(name)}" for name in files))
        why.append(f"{', '.join(f'`{name}`' for name in files)} list(s) what is needed.")
    package = _package(project, pyproject)
    if package:
        commands.append(f"{_INSTALL} -e {shlex.quote(package)}")
        why.append("The project is a package with requirements or a `src` folder, so it is installed in place.")
    group = _group(pyproject)
    if group:
        commands.append(f"{_INSTALL} {shlex.join(group)}")
        why.append("`pyproject.toml` has a dependency group for tests.")
    return tuple(commands), tuple(why)


def _has_requirements(project: Project, name: str) -> bool:
    lines = (project.read(name) or "").splitlines()
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def _package(project: Project, pyproject: dict[str, Any]) -> str | None:
    """What to install in place (``.`` with extras), or None when the project needs no installing."""
    metadata = table(pyproject, "project")
    extras = set(table(metadata, "optional-dependencies"))
    config = _read_ini(project, "setup.cfg")
    if config.has_section("options.extras_require"):
        extras |= set(config.options("options.extras_require"))
    wanted = next((name for name in _EXTRAS if name in extras), None)
    poetry = set(table(pyproject, "tool", "poetry", "dependencies")) - {"python"}
    needs = (
        bool(wanted)
        or bool(texts(metadata.get("dependencies")))
        or bool(poetry)
        or "dependencies" in texts(metadata.get("dynamic"))
        or "setup.py" in project.names
        or config.has_option("options", "install_requires")
        or _unreachable_source(project, pyproject, metadata)
    )
    if not needs or not (metadata or poetry or project.names & {"setup.py", "setup.cfg"}):
        return None
    return f".[{wanted}]" if wanted else "."


def _unreachable_source(project: Project, pyproject: dict[str, Any], metadata: dict[str, Any]) -> bool:
    paths = table(pyproject, "tool", "pytest", "ini_options").get("pythonpath", "")
    return bool(metadata) and any(name.startswith("src/") for name in project.names) and "src" not in str(paths)


def _group(pyproject: dict[str, Any]) -> tuple[str, ...]:
    """The requirements of the dependency group for tests, groups inside it included (PEP 735)."""
    groups = table(pyproject, "dependency-groups")
    name = next((name for name in _EXTRAS if name in groups), None)
    found: list[str] = []
    waiting, seen = [name] if name else [], set()
    while waiting:
        current = waiting.pop()
        seen.add(current)
        items = groups.get(current)
        for item in items if isinstance(items, list) else []:
            included = item.get("include-group") if isinstance(item, dict) else None
            if isinstance(included, str) and included not in seen:
                waiting.append(included)
            elif isinstance(item, str) and not item.lstrip().startswith("-"):
                found.append(item)
    return tuple(found)


def _read_ini(project: Project, name: str) -> configparser.ConfigParser:
    text = project.read(name) if name in project.names else None
    return parse_ini(text or "") or configparser.ConfigParser(interpolation=None)
