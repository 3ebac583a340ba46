from __future__ import annotations

import json

import pytest

from workflows.repository.detect import Detected, detect, runner_for
from workflows.repository.runners import Runner, runner_of

Files = dict[str, str]


def found(files: Files) -> Detected:
    return detect(list(files), files.get)


def package(test: str | None = None, **more: object) -> str:
    return json.dumps({"name": "x", **({"scripts": {"test": test}} if test is not None else {}), **more})


@pytest.mark.parametrize(
    ("files", "command", "runner"),
    [
        ({"tests/test_a.py": ""}, "python -m pytest -q", "pytest"),
        ({"app.py": "", "app_test.py": ""}, "python -m pytest -q", "pytest"),
        ({"pytest.ini": "", "a.py": ""}, "python -m pytest -q", "pytest"),
        ({"setup.cfg": "[tool:pytest]\n", "a.py": ""}, "python -m pytest -q", "pytest"),
        ({"tox.ini": "[tox]\n", "tests/test_a.py": ""}, "python -m pytest -q", "pytest"),
        ({"tox.ini": "[tox]\n", "a.py": ""}, "tox run", "tox"),
        ({"noxfile.py": ""}, "nox -R", "nox"),
        ({"package.json": package("node --test")}, "npm test", "node"),
        ({"package.json": package("vitest run"), "pnpm-lock.yaml": ""}, "pnpm test", "vitest"),
        ({"package.json": package("jest"), "yarn.lock": ""}, "yarn test", "jest"),
        (
            {"package.json": package("npm run unit", scripts={"test": "npm run unit", "unit": "mocha"})},
            "npm test",
            "mocha",
        ),
        ({"package.json": package("./run.sh")}, "npm test", "other"),
        ({"package.json": package(), "a.test.mjs": "import test from 'node:test'"}, "node --test", "node"),
        ({"package.json": package(devDependencies={"vitest": "1"}), "a.test.ts": ""}, "npx vitest run", "vitest"),
        ({"package.json": package(devDependencies={"jest": "1"}), "a.test.js": ""}, "npx jest", "jest"),
        ({"Cargo.toml": ""}, "cargo test", "cargo"),
        ({"go.mod": "", "a_test.go": ""}, "go test ./...", "go"),
        ({"pom.xml": ""}, "mvn -B test", "maven"),
        ({"pom.xml": "", "mvnw": ""}, "./mvnw -B test", "maven"),
        ({"build.gradle.kts": "", "gradlew": ""}, "./gradlew --no-daemon test", "gradle"),
        ({"Makefile": "all:\n\ttrue\ntest: all\n\t./t\n"}, "make test", "make"),
        ({"Makefile": "check:\n\t./t\n"}, "make check", "make"),
    ],
)
def test_command_by_what_is_there(files: Files, command: str, runner: Runner) -> None:
    """Each ecosystem's own sign leads to its own command, and a sentence says which sign it was."""
    result = found(files)

    assert result.test_command == command
    assert result.runner == runner
    assert result.why


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"README.md": ""},
        {"a.py": ""},
        {"package.json": package('echo "Error: no test specified" && exit 1')},
        {"package.json": package("")},
        {"package.json": "[]"},
        {"package.json": "{" * 100_000},
        {"pyproject.toml": "not toml ["},
        {"Makefile": "test := 1\n"},
        {"node_modules/x/test/a.test.js": "", "vendor/tests/test_x.py": ""},
    ],
)
def test_no_tests_is_said_and_never_made_up(files: Files) -> None:
    """Placeholders, vendored tests and broken files give no command but the advice to set one."""
    result = found(files)

    assert result.test_command is None
    assert "Set `test`" in result.why[0]


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        # The fast path: the image has pytest and Node, so nothing needs to be installed.
        ({"app.py": "", "tests/test_a.py": ""}, ()),
        ({"pyproject.toml": "[project]\nname='x'\n[tool.pytest.ini_options]", "x.py": "", "test_x.py": ""}, ()),
        ({"pyproject.toml": "[tool.ruff]", "test_x.py": ""}, ()),
        ({"requirements.txt": "# none yet\n", "test_x.py": ""}, ()),
        ({"package.json": package("node --test"), "package-lock.json": "{}"}, ()),
        (
            {"requirements.txt": "a", "requirements-dev.txt": "b", "docs/requirements.txt": "c", "test_x.py": ""},
            ("python -m pip install -r requirements-dev.txt -r requirements.txt",),
        ),
        (
            {
                "pyproject.toml": "[project]\ndependencies=['a']\n[project.optional-dependencies]\ndev=[]\ntest=[]",
                "x.py": "",
            },
            ("python -m pip install -e '.[test]'",),
        ),
        ({"pyproject.toml": "[project]\nname='x'", "src/x/__init__.py": ""}, ("python -m pip install -e .",)),
        (
            {
                "pyproject.toml": "[project]\nname='x'\n[tool.pytest.ini_options]\npythonpath=['src']",
                "src/x/__init__.py": "",
            },
            (),
        ),
        ({"setup.py": "", "x.py": ""}, ("python -m pip install -e .",)),
        (
            {"setup.cfg": "[options]\ninstall_requires = a\n[options.extras_require]\ntests = b\n", "x.py": ""},
            ("python -m pip install -e '.[tests]'",),
        ),
        (
            {
                "pyproject.toml": "[project]\nname='x'\n[dependency-groups]\n"
                "dev=['ruff', {include-group='t'}]\nt=['hypothesis>=6', {include-group='dev'}, '--evil']",
                "x.py": "",
            },
            ("python -m pip install ruff 'hypothesis>=6'",),
        ),
        (
            {"pyproject.toml": "", "uv.lock": "", "x.py": ""},
            ("python -m pip install uv", "uv sync --active --inexact --frozen --all-extras"),
        ),
        ({"package.json": package(dependencies={"a": "1"}), "package-lock.json": ""}, ("npm ci --no-audit --no-fund",)),
        (
            {"package.json": package(dependencies={"a": "1"})},
            ("npm install --no-package-lock --no-audit --no-fund",),
        ),
        (
            {"package.json": package(devDependencies={"a": "1"}), "pnpm-lock.yaml": ""},
            ("pnpm install --frozen-lockfile",),
        ),
        (
            {"package.json": package(devDependencies={"a": "1"}), "yarn.lock": "# yarn lockfile v1"},
            ("yarn install --frozen-lockfile",),
        ),
        (
            {"package.json": package(devDependencies={"a": "1"}), "yarn.lock": "__metadata:\n"},
            ("yarn install --immutable",),
        ),
        ({"Cargo.toml": "", "Cargo.lock": ""}, ("cargo fetch --locked",)),
        ({"go.mod": "", "go.sum": ""}, ("go mod download",)),
        (
            {"requirements.txt": "a", "test_x.py": "", "package.json": package("jest", devDependencies={"jest": "1"})},
            (
                "python -m pip install -r requirements.txt",
                "npm install --no-package-lock --no-audit --no-fund",
            ),
        ),
    ],
)
def test_setup_is_what_the_lock_files_say(files: Files, commands: tuple[str, ...]) -> None:
    """Only what is declared gets installed, and a repository without requirements gets no set-up at all."""
    assert found(files).setup_commands == commands


def test_two_languages() -> None:
    """The side with more tests is run, and the other one is named together with the way to run both."""
    files = {"package.json": package("jest"), "a.test.js": "", "b.test.js": "", "test_x.py": ""}
    result = found(files)

    assert result.test_command == "npm test"
    assert any("`python -m pytest -q`; it was not chosen" in line for line in result.why)
    assert result.languages == ("JavaScript", "Python")


def test_only_project_in_a_folder() -> None:
    """A repository whose one project lies deeper is set up and tested there."""
    result = found({"README.md": "", "back end/package.json": package("jest", dependencies={"a": "1"})})

    assert result.test_command == "cd 'back end' && npm test"
    assert result.setup_commands == ("cd 'back end' && npm install --no-package-lock --no-audit --no-fund",)
    assert any("`back end`" in line for line in result.why)


def test_monorepo_is_hinted_at() -> None:
    """Projects below the root are named: their tests may not be part of the command."""
    result = found({"package.json": package("jest"), "packages/a/package.json": "", "packages/b/package.json": ""})

    assert result.test_command == "npm test"
    assert any("`packages/a`, `packages/b`" in line for line in result.why)


def test_lock_files_key_the_snapshot() -> None:
    """Everything the set-up depends on is listed, sorted; vendored copies are not."""
    files = {
        "package.json": "{}",
        "pnpm-lock.yaml": "",
        "packages/a/package.json": "{}",
        "requirements/dev.txt": "",
        "requirements-dev.txt": "",
        "node_modules/x/package.json": "{}",
        "src/main.py": "",
    }

    assert found(files).lock_files == (
        "package.json",
        "packages/a/package.json",
        "pnpm-lock.yaml",
        "requirements-dev.txt",
    )


@pytest.mark.parametrize(
    ("command", "runner"),
    [
        ("pytest -x", "pytest"),
        ("uv run pytest", "pytest"),
        (".venv/bin/python -m pytest tests", "pytest"),
        ("python -m unittest discover", "unittest"),
        ("npx vitest run", "vitest"),
        ("NODE_ENV=test node --import tsx --test", "node"),
        ("npm t", "jest"),
        ("npm run unit", "mocha"),
        ("yarn test", "jest"),
        ("cargo nextest run", "cargo"),
        ("./gradlew test", "gradle"),
        ("make test", "make"),
        ("./contest", "other"),
        ("npm run loop", "other"),
    ],
)
def test_runner_of_a_given_command(command: str, runner: Runner) -> None:
    """A policy's own command is recognised too, through package.json's scripts and without going round in circles."""
    scripts = {"test": "tsc && jest --ci", "unit": "mocha", "loop": "npm run loop"}

    assert runner_of(command, scripts) == runner


def test_runner_for_a_policy_command() -> None:
    """The policy's command has its own runner, whatever was detected; no package.json is no obstacle."""
    assert runner_for("npm test", {"package.json": package("vitest run")}.get) == "vitest"
    assert runner_for("npm test", lambda _: None) == "other"
    assert runner_for("pytest", {"package.json": "["}.get) == "pytest"
