"""What a repository's files say about its languages, how it is set up and how it is tested, each with the reason."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable

from workflows.repository.detect_node import detect_node
from workflows.repository.detect_python import detect_python
from workflows.repository.project import Found, Project, table
from workflows.repository.runners import Runner, runner_of
from workflows.types import Noun

__all__ = ["Detected", "Runner", "detect", "runner_for"]

Read = Callable[[str], str | None]

# What a set-up depends on: a change in one of these makes a new snapshot.
_LOCK_NAMES = re.compile(
    r"(?:^|/)(?:requirements[^/]*\.(?:txt|in)|constraints[^/]*\.txt|pyproject\.toml|setup\.(?:py|cfg)|uv\.lock|"
    r"poetry\.lock|pdm\.lock|Pipfile(?:\.lock)?|tox\.ini|noxfile\.py|package\.json|package-lock\.json|"
    r"npm-shrinkwrap\.json|pnpm-lock\.yaml|pnpm-workspace\.yaml|yarn\.lock|\.yarnrc\.yml|\.npmrc|Cargo\.(?:toml|lock)|"
    r"go\.(?:mod|sum|work)|pom\.xml|build\.gradle(?:\.kts)?|settings\.gradle(?:\.kts)?|gradle\.lockfile|"
    r"libs\.versions\.toml)$"
)
_VENDORED = re.compile(
    r"(?:^|/)(?:node_modules|vendor|third_party|\.venv|venv|dist|build|testdata|fixtures|examples?)/"
)
_MANIFESTS = {"package.json", "pyproject.toml", "setup.py", "Cargo.toml", "go.mod", "pom.xml", "build.gradle"}
_MAX_LOCK_FILES = 200
_LANGUAGES = {
    "py": "Python",
    "js": "JavaScript",
    "mjs": "JavaScript",
    "cjs": "JavaScript",
    "jsx": "JavaScript",
    "ts": "TypeScript",
    "tsx": "TypeScript",
    "rs": "Rust",
    "go": "Go",
    "java": "Java",
    "kt": "Kotlin",
    "rb": "Ruby",
    "php": "PHP",
    "cs": "C#",
    "c": "C",
    "cpp": "C++",
    "sh": "Shell",
}


class Detected(Noun):
    """What was found. ``why`` are sentences for people; ``lock_files`` are the paths that key a snapshot of the set-up.

    No ``setup_commands`` means that nothing needs to be installed. ``test_command`` is None when no tests were found.
    """

    languages: tuple[str, ...] = ()
    test_command: str | None = None
    runner: Runner = "other"
    setup_commands: tuple[str, ...] = ()
    lock_files: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


def detect(names: Collection[str], read: Read) -> Detected:
    """What the files say. ``names`` are the paths of the whole tree; ``read`` gives a file's text, or None."""
    own = [name for name in names if not _VENDORED.search(name)]
    folder, others = _project_folder(own)
    project = Project.of(own, read, folder=folder)
    found = _in_order(project)
    best = next((candidate for candidate in found if candidate.test_command), None)
    why = list(best.why) if best else ["No test command was found. Set `test` in `.github/qwen.yml` to name one."]
    for candidate in found:
        if best is not None and candidate is not best and candidate.test_command:
            why.append(
                f"{candidate.source} could be tested too, with `{candidate.test_command}`; it was not chosen. "
                "Set `test` in `.github/qwen.yml` to run both."
            )
    if folder:
        why.append(f"The only project is in `{folder}`, so commands run there.")
    if others:
        why.append(
            f"There are more projects in {_and(others)}. Their tests run only if the test command runs them: "
            "set `test` in `.github/qwen.yml` when it does not."
        )
    setup = tuple(command for candidate in found for command in candidate.setup_commands)
    for candidate in found:
        why += [line for line in candidate.setup_why if line not in why]
    return Detected(
        languages=_languages(own),
        test_command=_inside(folder, best.test_command) if best and best.test_command else None,
        runner=best.runner if best else "other",
        setup_commands=tuple(_inside(folder, command) for command in setup),
        lock_files=tuple(sorted(name for name in own if _LOCK_NAMES.search(name)))[:_MAX_LOCK_FILES],
        why=tuple(why),
    )


def runner_for(command: str, read: Read) -> Runner:
    """The runner that a command given by somebody starts, followed through the root's ``package.json``."""
    scripts = table(Project(frozenset({"package.json"}), read).read_json("package.json"), "scripts")
    return runner_of(command, {name: text for name, text in scripts.items() if isinstance(text, str)})


def _in_order(project: Project) -> list[Found]:
    """The nearest first: a runner that reports single tests, by the number of its tests, then what wraps runners."""
    native = [detect_python(project), detect_node(project), *_detect_compiled(project)]
    native.sort(key=lambda found: (not found.test_command, not found.reports_tests, -found.test_files))
    if any(found.test_command for found in native):
        return native
    return [*native, *_detect_make(project)]


def _detect_compiled(project: Project) -> Iterable[Found]:
    missing = "The default sandbox image has no {0}: set `image` in `.github/qwen.yml` to one that has."
    if "Cargo.toml" in project.names:
        locked = " --locked" if "Cargo.lock" in project.names else ""
        yield Found(
            source="Cargo.toml",
            test_command="cargo test",
            runner="cargo",
            setup_commands=(f"cargo fetch{locked}",),
            why=("`Cargo.toml` is there, so the tests are run by `cargo test`.", missing.format("Rust")),
        )
    if "go.mod" in project.names:
        yield Found(
            source="go.mod",
            test_command="go test ./...",
            runner="go",
            setup_commands=("go mod download",) if "go.sum" in project.names else (),
            test_files=project.count(r"_test\.go$"),
            why=("`go.mod` is there, so the tests are run by `go test ./...`.", missing.format("Go")),
        )
    if "pom.xml" in project.names:
        maven = "./mvnw" if "mvnw" in project.names else "mvn"
        yield Found(
            source="pom.xml",
            test_command=f"{maven} -B test",
            runner="maven",
            setup_commands=(f"{maven} -B -q dependency:go-offline", f"{maven} -B -q test-compile"),
            reports_tests=True,
            why=(f"`pom.xml` is there, so the tests are run by `{maven} -B test`.", missing.format("Java")),
        )
    if project.names & {"build.gradle", "build.gradle.kts"}:
        gradle = "./gradlew" if "gradlew" in project.names else "gradle"
        yield Found(
            source="build.gradle",
            test_command=f"{gradle} --no-daemon test",
            runner="gradle",
            setup_commands=(f"{gradle} --no-daemon testClasses",),
            reports_tests=True,
            why=(f"A Gradle build is there, so the tests are run by `{gradle} test`.", missing.format("Java")),
        )


def _detect_make(project: Project) -> Iterable[Found]:
    name = next((name for name in ("GNUmakefile", "makefile", "Makefile") if name in project.names), None)
    text = (project.read(name) or "") if name else ""
    target = re.search(r"^(test|tests|check)[ \t]*::?(?!=)", text, re.MULTILINE)
    if target is not None:
        yield Found(
            source=str(name),
            test_command=f"make {target[1]}",
            runner="make",
            why=(f"`{name}` has a `{target[1]}` target and nothing else names the tests.",),
        )


def _project_folder(names: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Where the project is ("" is the root), and the folders of other projects."""
    folders = sorted({posixpath.dirname(name) for name in names if posixpath.basename(name) in _MANIFESTS})
    at_root = "" in folders or any("/" not in name and _is_root_hint(name) for name in names)
    if not at_root and len(folders) == 1:
        return folders[0], ()
    return "", tuple(folder for folder in folders if folder)[:8]


def _is_root_hint(name: str) -> bool:
    return name in {"Makefile", "tox.ini", "noxfile.py", "pytest.ini", "setup.cfg", "requirements.txt", "conftest.py"}


def _inside(folder: str, command: str) -> str:
    return f"cd {_quoted(folder)} && {command}" if folder else command


def _quoted(folder: str) -> str:
    return folder if re.fullmatch(r"[\w./-]+", folder) else "'" + folder.replace("'", "'\\''") + "'"


def _and(folders: tuple[str, ...]) -> str:
    return ", ".join(f"`{folder}`" for folder in folders)


def _languages(names: Iterable[str]) -> tuple[str, ...]:
    """Languages by the number of their files, most first."""
    counts: dict[str, int] = {}
    for name in names:
        language = _LANGUAGES.get(name.rpartition(".")[2].lower())
        if language is not None and "." in name:
            counts[language] = counts.get(language, 0) + 1
    return tuple(sorted(counts, key=lambda language: (-counts[language], language)))
