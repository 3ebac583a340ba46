"""Two test runs side by side: which tests turned, and what that says of the change in between."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from workflows.evidence.testfiles import is_test_path, steers_tests
from workflows.texts.outbound import code_span
from workflows.types import Patch, TestRun, Verdict

Status = Literal["verified", "unverified", "worse", "no_tests"]

# A longer line is no summary, and would take the patterns long.
LONGEST_SUMMARY = 300
# What runners without a report print at the end: each match counts its first group, or one.
_SUMMARIES = (
    r"^test result: \w+\. (\d+) passed",  # cargo
    r"^(?:ok|---? FAIL:?|FAIL)\s+\S+\s+(?:[\d.]+s|\(cached\))(?!.*\[no tests to run\])",  # go
    r"^.*?\b(\d+) passed\b.* in [\d.]+",  # pytest
    r"^Ran (\d+) tests? in",  # unittest
    r"^\s*(\d+) passing\b",  # mocha
    r"^\s*Tests:?\s.*?\b(\d+) passed",  # jest, vitest
    r"^(?:#|ℹ) tests (\d+)",  # node, TAP
    r"Tests run: (\d+), Failures: \d+, Errors: \d+, Skipped: \d+\s*$",  # surefire
    r"tests failed out of (\d+)",  # ctest
    r"^(\d+) examples?, \d+ failure",  # rspec
    r"^OK \((\d+) tests?,",  # phpunit
)
# What no test runs; a changelog's entries have endings of their own.
_PROSE = re.compile(
    r"\.(?:md|rst|txt|adoc)$|(?:^|/)(?:\.changeset|changes?|changelog(?:\.d)?|news(?:fragments)?|towncrier)/[^/]*$",
    re.I,
)


def executed_count(run: TestRun) -> int | None:
    """How many tests a run executed: by its report, else by the summary in its log; None when neither says."""
    if run.cases is not None:
        return sum(case.outcome != "skipped" for case in run.cases)
    lines = [line for line in run.log_tail.split("\n") if len(line) <= LONGEST_SUMMARY]
    counts = [
        int(match[1]) if match.re.groups else 1
        for pattern in _SUMMARIES
        for line in lines
        if (match := re.search(pattern, line))
    ]
    return sum(counts) if counts else None


@dataclass(frozen=True)
class Comparison:
    """What goes into a verdict; see :func:`workflows.evidence.verify.compare`."""

    before: TestRun | None
    after: TestRun
    red: TestRun | None
    patch: Patch
    weakened: tuple[str, ...]
    again: TestRun | None

    def verdict(self) -> Verdict:
        """The verdict with its reasons."""
        status, reason = self._status()
        if status == "verified" and self._turned_green and self._only_settings:
            status = "unverified"
            reason = (
                f"Only tests and their settings changed ({self._named_settings}): what passes now may be their doing."
            )
        return Verdict(
            status=status,
            reasons=(reason, *self._observations()),
            before=self.before,
            after=self._last,
            red=self.red,
            fail_to_pass=_sorted(self._fail_to_pass),
            pass_to_pass=len(self._passed_before & self._passed_after),
            broken=_sorted(self._broken),
            still_failing=_sorted(self._failing_before & self._failing_after),
            red_first=_sorted(self._red_first),
            weakened=self.weakened,
        )

    def _status(self) -> tuple[Status, str]:
        before, after = self.before, self._last
        ran = executed_count(after)
        if not _finished(after):
            return self._unfinished()
        if self._broken:
            return "worse", f"{_tests(self._broken)} passed before and {_do(self._broken, 'fail')} now."
        if before is not None and before.exit_code == 0 and not self._green:
            new = self._new_failing
            which = f": {_tests(new)} {_do(new, 'fail')}" if new else ""
            return "worse", f"The test command passed before and ends with exit code {after.exit_code} now{which}."
        if before is not None and after.cases == () and not self._green and (executed_count(before) or 0) > 0:
            return "worse", f"The tests ran before; now none can be run (exit code {after.exit_code})."
        if ran == 0:
            return "no_tests", "No test was executed, so nothing is proven."
        if ran is None:
            how = "passed" if self._green else f"ended with exit code {after.exit_code}"
            return "unverified", f"The test command {how}, but does not say which tests it ran."
        if self._green and self._vanished and not self._touches_tests:
            return "unverified", f"{_tests(self._vanished)} passed before and did not run after, without a reason."
        if self._green:
            return "verified", f"All tests pass after the change ({_count(ran)} executed)."
        return self._red_after()

    def _red_after(self) -> tuple[Status, str]:
        if self.before is None:
            return (
                "unverified",
                f"The tests fail after the change (exit code {self._last.exit_code}); before is unknown.",
            )
        if self.before.cases is None or self._last.cases is None:
            return "unverified", "The tests fail before and after the change, and exit codes alone do not say which."
        if self._new_failing:
            return (
                "unverified",
                f"{_tests(self._new_failing)} {_do(self._new_failing, 'fail')} and did not exist before.",
            )
        still = self._failing_before & self._failing_after
        return (
            "verified",
            f"Nothing that passed before fails now; {_tests(still)} failed before and still {_do(still, 'fail')}.",
        )

    def _unfinished(self) -> tuple[Status, str]:
        after = self._last
        how = "ran out of memory" if after.out_of_memory else f"did not end within {after.seconds:.0f} seconds"
        if self.before is not None and _finished(self.before):
            return "worse", f"After the change the tests {how}; before it they ended after {self.before.seconds:.0f} s."
        return "unverified", f"The tests {how}."

    def _observations(self) -> list[str]:
        found = []
        if self._settings:
            found.append(f"Test settings changed: read them first ({self._named_settings}).")
        if self.before is None:
            found.append("The tests were not run before the change.")
        elif not _finished(self.before):
            found.append("The tests did not end before the change either, so there is nothing to compare with.")
        if self._fail_to_pass:
            number = len(self._fail_to_pass)
            found.append(f"{_count(number)} failed before and pass{'es' if number == 1 else ''} now.")
        elif self._last.cases is not None:
            found.append("No test shows the change: none failed without it and passes with it.")
        if self._green_on_base:
            found.append(
                f"{_tests(self._green_on_base)} {_do(self._green_on_base, 'pass')} without the change too: "
                "new, but no proof of it."
            )
        kept = len(self._passed_before & self._passed_after)
        if kept:
            found.append(f"{_count(kept)} passed before and still pass{'es' if kept == 1 else ''}.")
        if self._vanished:
            found.append(f"{_tests(self._vanished)} passed before and {_do(self._vanished, 'do', 'does')} not run now.")
        if self._flaky:
            found.append(f"{_tests(self._flaky)} failed once and passed when run again: flaky, not counted as broken.")
        return found

    @property
    def _last(self) -> TestRun:
        return self.again or self.after

    @property
    def _green(self) -> bool:
        return self.after.exit_code == 0 or self._last.exit_code == 0

    @property
    def _touches_tests(self) -> bool:
        return any(is_test_path(file.path) for file in self.patch.files)

    @cached_property
    def _settings(self) -> tuple[str, ...]:
        """The changed files that say how tests run; one with other settings too (a manifest) if those were touched."""
        named = {sentence.split("`")[1] for sentence in self.weakened if sentence.startswith("`")}
        paths = [file.path for file in self.patch.files]
        return tuple(path for path in paths if steers_tests(path) or (path in named and not is_test_path(path)))

    @property
    def _turned_green(self) -> bool:
        was_red = self.before is not None and self.before.exit_code != 0
        return bool(self._fail_to_pass) or (was_red and self._green)

    @property
    def _only_settings(self) -> bool:
        others = {file.path for file in self.patch.files} - set(self._settings)
        return bool(self._settings) and all(is_test_path(path) or _PROSE.search(path) for path in others)

    @property
    def _named_settings(self) -> str:
        more = f" and {len(self._settings) - 3} more" if len(self._settings) > 3 else ""
        return ", ".join(code_span(path[:120]) for path in self._settings[:3]) + more

    @cached_property
    def _passed_before(self) -> frozenset[str]:
        return _ids(self.before, "passed")

    @cached_property
    def _failing_before(self) -> frozenset[str]:
        return _ids(self.before, "failed", "error")

    @cached_property
    def _passed_after(self) -> frozenset[str]:
        return _ids(self.after, "passed") | _ids(self.again, "passed")

    @cached_property
    def _failing_after(self) -> frozenset[str]:
        return (_ids(self.after, "failed", "error") | _ids(self.again, "failed", "error")) - self._passed_after

    @cached_property
    def _flaky(self) -> frozenset[str]:
        if self.again is None:
            return frozenset()
        return _ids(self.after, "failed", "error") & _ids(self.again, "passed")

    @cached_property
    def _broken(self) -> frozenset[str]:
        gone = self._passed_before - self._passed_after - self._failing_after
        roots = [root for case in self._failing_after - self._failing_before if (root := _unloadable(case))]
        unloaded = {case for case in gone if any(_inside(case, root) for root in roots)}
        return (self._passed_before & self._failing_after) | unloaded

    @cached_property
    def _vanished(self) -> frozenset[str]:
        if self._last.cases is None:
            return frozenset()
        return self._passed_before - self._passed_after - self._failing_after - self._broken

    @cached_property
    def _new_failing(self) -> frozenset[str]:
        return self._failing_after - self._failing_before - self._passed_before

    @cached_property
    def _red_first(self) -> frozenset[str]:
        """Tests that pass after, and fail or cannot even be loaded on the base with the patch's tests."""
        if self.red is None or self.red.cases is None or not _finished(self.red):
            return frozenset()
        failing = _ids(self.red, "failed", "error")
        roots = [root for case in failing if (root := _unloadable(case))]
        unloaded = {case for case in self._passed_after if any(_inside(case, root) for root in roots)}
        if not self.red.cases and self.red.exit_code != 0:
            unloaded = set(self._passed_after - self._passed_before)
        return frozenset((self._passed_after & failing) | (unloaded - _ids(self.red, "passed"))) - self._failing_before

    @cached_property
    def _green_on_base(self) -> frozenset[str]:
        if self.before is None or self.before.cases is None:
            return frozenset()
        known = self._passed_before | self._failing_before | _ids(self.before, "skipped")
        return (self._passed_after & _ids(self.red, "passed")) - known

    @cached_property
    def _fail_to_pass(self) -> frozenset[str]:
        return (self._failing_before & self._passed_after) | self._red_first


def _finished(run: TestRun) -> bool:
    return not run.timed_out and not run.out_of_memory and run.exit_code is not None


def _ids(run: TestRun | None, *outcomes: str) -> frozenset[str]:
    cases = run.cases if run is not None else None
    return frozenset(case.id for case in cases or () if case.outcome in outcomes)


def _unloadable(case: str) -> str:
    """The module or file that a failing case stands for when it could not be loaded; empty for an ordinary test."""
    place, _, name = case.partition("::")
    return name if place in {"", name} else ""


def _inside(case: str, root: str) -> bool:
    place = case.partition("::")[0]
    return place == root or place.startswith((f"{root}.", f"{root} > "))


def _sorted(ids: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(ids))


def _tests(ids: Collection[str]) -> str:
    names = ", ".join(code_span(name[:120]) for name in sorted(ids)[:3])
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return f"{_count(len(ids))} ({names}{more})"


def _count(number: int) -> str:
    return f"{number:,} test" if number == 1 else f"{number:,} tests"


def _do(ids: Collection[str], verb: str, third: str | None = None) -> str:
    if len(ids) != 1:
        return verb
    return third or (f"{verb}es" if verb.endswith("s") else f"{verb}s")
