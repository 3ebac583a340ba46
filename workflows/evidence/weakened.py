"""Tests that a patch deletes, skips or makes check less, and test settings that leave tests out: named, not judged."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping

from workflows.evidence.testcode import TestFunction, is_known_language, parse_suite_marks, parse_tests
from workflows.evidence.testfiles import is_test_path, steers_tests
from workflows.git.plain_text import UNFIT, fit_to_parse
from workflows.types import Patch

MAX_SENTENCES = 50
# Below this likeness two bodies are two tests, not one that was renamed.
RENAMED = 0.75
# Beyond so many pairs, what was not compared counts as gone and new.
MAX_COMPARISONS = 400

Tests = dict[str, TestFunction]

_PYTHON_SETTINGS = re.compile(
    r"(?:^|/)(?:conftest\.py|pytest\.ini|\.pytest\.ini|tox\.ini|setup\.cfg|pyproject\.toml|noxfile\.py)$"
)
_NODE_SETTINGS = re.compile(
    r"(?:^|/)(?:package\.json|\.mocharc\.\w+|(?:jest|vitest|vite|karma|playwright)\.config\.\w+)$"
)
_PYTHON_LEAVES_OUT = re.compile(
    r"--ignore\b|--ignore-glob\b|--deselect\b|(?:^|[\s\"'=])-k[\s\"'=]|(?:^|[\s\"'=])-m[\s\"'=,]+not\b|\bnorecursedirs\b"
    r"|\btestpaths\b|\bpython_(?:files|classes|functions)\b|\bcollect_ignore(?:_glob)?\b"
    r"|\bpytest_\w+|\bhookimpl\b|\bpytest11\b|-p[\s\"',]+no:|\bfail_under\b"
)
_NODE_LEAVES_OUT = re.compile(
    r"\b(?:testPathIgnorePatterns|testMatch|testRegex|passWithNoTests|testNamePattern|exclude|allowOnly|coverageThreshold)\b"
)


def find_weakened(base: Mapping[str, bytes], patch: Patch) -> tuple[str, ...]:
    """One sentence, with path and line, for each test that is gone or checks less, in the order of the paths.

    ``base`` has the content before, by path, of those of the patch's files that existed. Tests that were only moved or
    renamed are followed to their new place.
    """
    written = {file.path: file.content for file in patch.files if file.content is not None}
    before = {path: _text(content) for path, content in base.items()}
    after = {path: _text(content) for path, content in written.items()}
    sentences: list[str] = []
    arrived = _arrived(before, after)
    for file in patch.files:
        path = file.path
        if _is_judged(path) and (_is_opaque(base.get(path)) or _is_opaque(written.get(path))):
            sentences.append(f"`{path}` was not compared ({UNFIT}), so tests that it loses are not seen.")
            continue
        if _holds_tests(path):
            sentences += _in_tests(path, before.get(path), after.get(path), arrived)
        sentences += _in_settings(path, before.get(path), after.get(path, ""))
    if len(sentences) > MAX_SENTENCES:
        more = len(sentences) - MAX_SENTENCES
        sentences = [*sentences[:MAX_SENTENCES], f"And {more} more changes that weaken tests."]
    return tuple(sentences)


def _holds_tests(path: str) -> bool:
    # Rust keeps unit tests beside the code.
    return is_test_path(path) or path.endswith(".rs")


def _arrived(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, TestFunction | None]]:
    """Where something new stands: tests by name, and files by ``/name``; the places that a moved test can be at."""
    found: dict[str, tuple[str, TestFunction | None]] = {}
    for path, text in after.items():
        if not _holds_tests(path):
            continue
        old = parse_tests(path, before.get(path, ""))
        found |= {name: (path, test) for name, test in parse_tests(path, text).items() if name not in old}
        if path not in before:
            found["/" + path.rpartition("/")[2]] = (path, None)
    return found


def _in_tests(
    path: str, before: str | None, after: str | None, arrived: Mapping[str, tuple[str, TestFunction | None]]
) -> Iterator[str]:
    new = parse_tests(path, after or "")
    if before is None:
        yield from (sentence for test in new.values() for sentence in _suspicious(path, test))
        return
    old = parse_tests(path, before)
    if (
        after is None
        and is_test_path(path)
        and not (set(old) & set(arrived) or "/" + path.rpartition("/")[2] in arrived)
    ):
        yield f"`{path}` was deleted{f', with {_count(len(old))}' if old else ''}."
        return
    renamed = _renamed(old, new)
    for name, was in old.items():
        now = new.get(name) or renamed.get(name)
        place = path
        if now is None and name in arrived:
            place, now = arrived[name]
        if now is None:
            yield f"`{path}` line {was.line}: the test `{name}` was deleted."
        else:
            yield from _compared(place, was, now)
    marks = parse_suite_marks(path, before)
    for mark, line in parse_suite_marks(path, after or "").items():
        if mark not in marks:
            yield f"`{path}` line {line}: `{mark}` was added, which leaves tests out."
    known = {test.name for test in renamed.values()} | set(old)
    for name, test in new.items():
        if name not in known:
            yield from _suspicious(path, test)


def _renamed(old: Tests, new: Tests) -> dict[str, TestFunction]:
    """By old name, the test that took its place in the same file: the most alike of those that are new."""
    added = {name: test for name, test in new.items() if name not in old}
    found: dict[str, TestFunction] = {}
    words = {name: _words(test) for name, test in list(added.items())[:50]}
    left = MAX_COMPARISONS
    for name, was in old.items():
        if name in new:
            continue
        left -= len(words)
        if left < 0 or not words:
            break
        gone = _words(was)
        likeness = {other: _likeness(gone, there) for other, there in words.items()}
        best = max(likeness, key=lambda other: likeness[other])
        if likeness[best] >= RENAMED:
            found[name] = added[best]
            del words[best]
    return found


def _words(test: TestFunction) -> Counter[str]:
    return Counter(test.body[:10_000].split()[:400])


def _likeness(one: Counter[str], other: Counter[str]) -> float:
    """The part of the words that both have, whatever their order: aligning them would take cubic time."""
    return 2 * (one & other).total() / max(one.total() + other.total(), 1)


def _compared(path: str, was: TestFunction, now: TestFunction) -> Iterator[str]:
    here = f"`{path}` line {now.line}: the test `{now.name}`"
    added = sorted(now.marks - was.marks)
    if added:
        yield f"{here} is now marked {', '.join(f'`{mark}`' for mark in added)}."
    if now.empty and not was.empty:
        yield f"{here} asserts nothing but a constant now."
    elif now.assertions < was.assertions:
        count = "nothing" if now.assertions == 0 else f"{now.assertions} assertion{'s' if now.assertions > 1 else ''}"
        yield f"{here} checks less: {count} now, {was.assertions} before."
    elif now.assertions == was.assertions and now.weak > was.weak:
        yield f"{here} checks more loosely: an exact comparison became a test for truth or presence."


def _suspicious(path: str, test: TestFunction) -> Iterator[str]:
    here = f"`{path}` line {test.line}: the new test `{test.name}`"
    if test.empty:
        yield f"{here} asserts nothing but a constant."
    if any("only" in mark or mark == "fit" for mark in test.marks):
        yield f"{here} is marked to run alone, so that others do not run."


def _in_settings(path: str, old_text: str | None, after: str) -> Iterator[str]:
    before = old_text or ""
    if old_text is None:
        if steers_tests(path):
            yield f"`{path}` is new and decides how tests run: read it first."
    elif path.endswith("package.json"):
        old, new = _script(before), _script(after)
        if old is not None and old != new:
            yield (
                f"`{path}`: the test script changed from `{old}` to `{new}`."
                if new
                else f"`{path}`: the test script is gone."
            )
    pattern = None
    if _PYTHON_SETTINGS.search(path):
        pattern = _PYTHON_LEAVES_OUT
    elif _NODE_SETTINGS.search(path):
        pattern = _NODE_LEAVES_OUT
    elif _is_makefile(path) and old_text is not None and _target(before) != _target(after):
        yield f"`{path}`: what `make test` does was changed."
    if pattern is None:
        return
    known = {line.strip() for line in before.splitlines()}
    for number, line in enumerate(after.splitlines(), 1):
        if line.strip() not in known and pattern.search(line):
            yield f"`{path}` line {number}: test settings changed: `{_short(line)}`."


def _script(text: str) -> str | None:
    try:
        data = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    scripts = data.get("scripts") if isinstance(data, dict) else None
    script = scripts.get("test") if isinstance(scripts, dict) else None
    return _short(script) if isinstance(script, str) else None


def _is_makefile(path: str) -> bool:
    return path.rpartition("/")[2] in {"Makefile", "makefile", "GNUmakefile"}


def _target(makefile: str) -> str | None:
    match = re.search(r"^(?:test|tests|check)[ \t]*:.*(?:\n\t.*)*", makefile, re.MULTILINE)
    return match[0] if match else None


def _is_judged(path: str) -> bool:
    if _PYTHON_SETTINGS.search(path) or _NODE_SETTINGS.search(path):
        return True
    return _holds_tests(path) and is_known_language(path)


def _is_opaque(content: bytes | None) -> bool:
    return content is not None and fit_to_parse(content) is None


def _text(content: bytes | None) -> str:
    return (fit_to_parse(content) or b"").decode("utf-8", "replace")


def _short(line: str) -> str:
    return " ".join(line.replace("`", "'").split())[:120]


def _count(number: int) -> str:
    return "1 test" if number == 1 else f"{number} tests"
