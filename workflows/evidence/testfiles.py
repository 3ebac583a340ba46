"""Which paths of a repository are tests or steer them, and the part of a patch that touches them."""

from __future__ import annotations

import re

from workflows.types import Patch

_FOLDERS = {"test", "tests", "__tests__", "__snapshots__", "spec", "specs", "testing", "testdata", "e2e", "cypress"}
_NAMES = re.compile(
    r"test_[^/]*\.py|[^/]*_tests?\.py|tests?\.py|conftest\.py"
    r"|[^/]*[._-](?:test|tests|spec|cy|e2e)\.[cm]?[jt]sx?|(?:test|tests)\.[cm]?[jt]sx?"
    r"|[^/]*_test\.(?:go|rb|exs|dart|cc|cpp|c)|[^/]*_spec\.(?:rb|lua)|test_[^/]*\.(?:c|cc|cpp|rb)|tests?\.rs"
    r"|(?:[A-Z][^/]*)?(?:Test|Tests|IT|Spec)\.(?:java|kt|scala|groovy|cs|php|swift)|Test[A-Z][^/]*\.(?:java|kt)"
    r"|[^/]*\.(?:bats|snap)"
)

# What a runner reads or loads of its own accord; at the root a module is found before the installed one of its name.
_STEERS = re.compile(
    r"(?:.*/)?(?:conftest\.py|\.?pytest\.(?:ini|toml)|tox\.ini|(?:site|user)customize\.py|[^/]*\.pth|\.mocharc(?:\.\w+)?"
    r"|(?:jest|vitest|karma|playwright|cypress|ava)\.(?:config|preset|setup|workspace)\.\w+)"
    r"|(?:_?pytest|pluggy)(?:\.py|/.*)"
)


def is_test_path(path: str) -> bool:
    """Whether a path is a test, or something that only tests use: by its folders, else by its name's form."""
    *folders, name = path.split("/")
    if any(folder.lower() in _FOLDERS or folder.lower().endswith((".tests", "_tests")) for folder in folders):
        return not name.lower().endswith((".md", ".rst"))
    return _NAMES.fullmatch(name) is not None


def steers_tests(path: str) -> bool:
    """Whether a path serves only to say how tests are found, run or judged: a runner's settings, or what it loads."""
    return _STEERS.fullmatch(path) is not None


def only_tests(patch: Patch) -> Patch:
    """The part of a patch that touches tests: what is put on the base to see new tests fail first."""
    return patch.model_copy(update={"files": tuple(file for file in patch.files if is_test_path(file.path))})
