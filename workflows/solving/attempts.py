"""Several sessions on one issue, and the choice between their changes: by what runs, never by a model's word alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from workflows.agent.loop import AgentResult
from workflows.evidence.testfiles import is_test_path, only_tests
from workflows.services import BrokenWorld
from workflows.types import Noun, Patch, TestRun, Verdict

log = structlog.get_logger()

STATUS_ORDER = {"verified": 0, "unverified": 1, "no_tests": 1, "worse": 2}
"""What a change is worth by its verdict, the best first."""


class Score(Noun):
    """What was seen of one attempt's change. ``agreed``: reproduction tests of all attempts that it passes.

    ``size`` is the number of bytes in its files.
    """

    attempt: int
    status: str
    fail_to_pass: int
    broken: int
    agreed: int
    size: int
    weakened: int = 0


def run_attempts(work: Callable[[int], AgentResult], count: int) -> dict[int, AgentResult]:
    """``work(1)`` to ``work(count)`` at the same time; the results by number, without those whose world broke.

    Raises BrokenWorld when every one's did, and whatever else one of them raises.
    """
    if count == 1:
        return {1: work(1)}
    broken: list[BrokenWorld] = []

    def attempt(number: int) -> AgentResult | None:
        try:
            return work(number)
        except BrokenWorld as error:
            log.warning("attempt broken", attempt=number, reason=error.message)
            broken.append(error)
            return None

    with ThreadPoolExecutor(max_workers=count, thread_name_prefix="attempt") as pool:
        futures = {number: pool.submit(attempt, number) for number in range(1, count + 1)}
        found = {number: future.result() for number, future in futures.items()}
    results = {number: result for number, result in found.items() if result is not None}
    if not results:
        raise broken[0]
    return results


def with_tests_of(patch: Patch, tests: Patch) -> Patch:
    """A change with another's tests put on it; where both have a test file, the other's counts."""
    given = {file.path: file for file in patch.files}
    given.update({file.path: file for file in tests.files})
    return patch.model_copy(update={"files": tuple(given[path] for path in sorted(given))})


def reproduction_tests(before: TestRun | None, after: TestRun | None) -> frozenset[str]:
    """The tests that pass with a change and did not pass before it."""
    return _passing(after) - _passing(before)


def score(
    number: int,
    patch: Patch,
    verdict: Verdict,
    *,
    others: Sequence[tuple[Patch, frozenset[str]]],
    run: Callable[[Patch], TestRun | None],
) -> Score:
    """Judge one change. ``others`` are the changes of the other attempts with their reproduction tests.

    Each other's tests are run against this change, at the cost of one run of the tests.
    """
    agreed = len(verdict.fail_to_pass)
    for change, wanted in others:
        tests = only_tests(change)
        if wanted and not tests.empty:
            agreed += len(_passing(run(with_tests_of(patch, tests))) & wanted)
    return Score(
        attempt=number,
        status=verdict.status,
        fail_to_pass=len(verdict.fail_to_pass),
        broken=len(verdict.broken),
        agreed=agreed,
        size=sum(len(file.content or b"") for file in patch.files if not is_test_path(file.path)),
        weakened=len(verdict.weakened),
    )


def choose(scores: Sequence[Score]) -> Score | None:
    """The best attempt: nothing broken, verified, most agreed tests, nothing weakened, least change, the earliest."""
    ranked = sorted(
        scores,
        key=lambda one: (one.broken > 0, STATUS_ORDER[one.status], -one.agreed, one.weakened, one.size, one.attempt),
    )
    return ranked[0] if ranked else None


def _passing(run: TestRun | None) -> frozenset[str]:
    cases = run.cases if run is not None and run.cases is not None else ()
    return frozenset(case.id for case in cases if case.outcome == "passed")
