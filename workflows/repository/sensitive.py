"""Which files of a change a reviewer should read first, because they decide what is installed, built or run."""

from __future__ import annotations

from workflows.git.globs import matches_pattern
from workflows.git.protected import protecting_pattern
from workflows.types import Patch

_MANIFESTS = (
    *("pyproject.toml", "setup.py", "setup.cfg", "requirements*.txt", "requirements*.in", "requirements/**", "Pipfile"),
    *("environment.y*ml", "package.json", "deno.json*", "Cargo.toml", "go.mod", "go.work", "Gemfile", "*.gemspec"),
    *("composer.json", "mix.exs", "pubspec.yaml", "Package.swift", "*.csproj", "*.fsproj", "Directory.Build.*"),
)
_LOCKS = (
    *("*.lock", "*.lockb", "*-lock.json", "*-lock.yaml", "*.lockfile", "npm-shrinkwrap.json", "go.sum", "go.work.sum"),
    "Package.resolved",
)
_BUILD = (
    *("Dockerfile*", "*.dockerfile", "Containerfile*", "docker-compose*.y*ml", "compose*.y*ml"),
    *(
        "Makefile",
        "Makefile.am",
        "Makefile.in",
        "GNUmakefile",
        "*.mk",
        "justfile",
        "Taskfile.y*ml",
        "Rakefile",
        "tox.ini",
        "noxfile.py",
        "tasks.py",
    ),
    *("CMakeLists.txt", "*.cmake", "meson.build", "configure", "configure.ac", "build.rs", "build.sh", "binding.gyp"),
    *("BUILD", "BUILD.bazel", "WORKSPACE*", "MODULE.bazel", "pom.xml", "*.gradle", "*.gradle.kts", "gradlew*", "mvnw*"),
    *("gradle/wrapper/**", ".mvn/**", "gulpfile.*", "Gruntfile.*", "webpack.config.*", "rollup.config.*"),
    *("vite.config.*", "babel.config.*", "esbuild.*"),
)
_PATTERNS = tuple(f"**/{name}" for name in (*_MANIFESTS, *_LOCKS, *_BUILD))


def sensitive_paths(patch: Patch) -> tuple[str, ...]:
    """The changed, new and deleted manifests, lock files and build files, in the patch's order.

    What is protected by default is among them, when a policy opened it.
    """
    return tuple(file.path for file in patch.files if is_sensitive(file.path))


def is_sensitive(path: str) -> bool:
    """Whether a path is a manifest, a lock file or a build file, or protected by default."""
    return protecting_pattern(path) is not None or any(matches_pattern(path, pattern) for pattern in _PATTERNS)
