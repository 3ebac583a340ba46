"""The sessions that read a change: one, or for a large change several side by side, which share one budget."""

from __future__ import annotations

import contextvars
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

from sandbox.container import SandboxUnavailable
from workflows.agent.equipment import Reading
from workflows.agent.loop import AgentResult
from workflows.progress.stages import Stages
from workflows.repository.survey import Survey
from workflows.requests.reading_session import ReadingSession, handed_over
from workflows.review.demands import Demand
from workflows.review.finding_reply import FINDINGS_FORMAT
from workflows.review.findings import Finding, pick_inline
from workflows.review.ledger import Ledger
from workflows.review.material import Found, Material
from workflows.review.runs import recorded_runs
from workflows.review.trying import Trial, find_broken_syntax, find_unreadable, try_suggestions
from workflows.services import BrokenWorld
from workflows.types import Noun, TestRun

SESSION = "review"


class Read(Noun):
    """What the sessions found, of which commit, and its tests as they are."""

    found: Found
    survey: Survey
    before: TestRun | None = None


class Tried(Noun):
    """The findings with what became of their suggestions."""

    findings: tuple[Finding, ...] = ()


class _Texts(Noun):
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Readers:
    """All sessions of one review. ``tests``: what they need is installed and they can be run; not for a fork's head."""

    stages: Stages
    material: Material
    ledger: Ledger
    demands: tuple[Demand, ...]
    tests: bool

    def read(self) -> Read:
        """The sessions to their end. Raises BrokenWorld and JobCancelled."""
        sessions = self._sessions
        first = sessions[0]
        survey = first.survey()
        before = first.prepare(survey)
        self.material.thread.progress.begin("agent")
        results = _side_by_side(sessions, survey, before)
        turns = sum(len(one.turns) for one in results)
        self.stages.note("agent", max(one.seconds for one in results), _say_read(len(results), turns))
        replies = []
        for result in results:
            text, stopped = handed_over(result)
            replies.append((text, recorded_runs(result.turns, test_command=survey.test_command), stopped))
        found = self.material.thread.run.step("findings", lambda: self.material.read(replies), Found)
        return Read(found=found, survey=survey, before=before)

    def try_suggestions(self, read: Read, findings: Sequence[Finding], *, most: int) -> tuple[Finding, ...]:
        """The findings with their suggestions applied and tested, a stage. The ``most`` on lines alone show theirs."""
        shown, _ = pick_inline(findings, most=most)
        tried = self.stages.step("verify", lambda: Tried(findings=self._try(read, shown)), Tried, _say_tried).findings
        by_id = {one.id: one for one in tried}
        return tuple(by_id.get(one.id, one) for one in findings)

    def _try(self, read: Read, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        bench = self._sessions[0].bench(read.survey)
        session = bench.open_session()
        run = bench.tests if self.tests and read.survey.test_command else None
        trial = Trial(
            head=read.survey.base,
            read=self.material.file_at_head,
            breaks=lambda *change: find_broken_syntax(session.sandbox(), *change) or find_unreadable(*change),
            run=run,
            before=read.before,
            untested="no test command is known" if self.tests else "what comes from a fork is not run",
        )
        try:
            return try_suggestions(findings, trial)
        except SandboxUnavailable as error:
            raise BrokenWorld("sandbox", str(error)) from error
        finally:
            session.close()
            bench.close()

    @cached_property
    def _sessions(self) -> list[ReadingSession]:
        material = self.material
        parts = material.partition.parts or ((),)

        def requests() -> _Texts:
            return _Texts(texts=tuple(material.request(part, self.ledger, self.demands) for part in parts))

        texts = material.thread.run.step("request", requests, _Texts).texts
        reading = Reading(f"The findings as one JSON object:\n{FINDINGS_FORMAT}", material.objection)
        return [
            ReadingSession(
                material.thread,
                self.stages,
                SESSION if number == 1 else f"{SESSION}-{number}",
                text,
                reading,
                material.pull,
                tests=self.tests,
                share=len(texts),
            )
            for number, text in enumerate(texts, 1)
        ]


def _side_by_side(sessions: Sequence[ReadingSession], survey: Survey, before: TestRun | None) -> list[AgentResult]:
    """What each session came to; when one fails, the others end first."""
    if len(sessions) == 1:
        return [sessions[0].read(survey, before)]
    with ThreadPoolExecutor(len(sessions), thread_name_prefix="reviewer") as pool:
        work = [pool.submit(contextvars.copy_context().run, one.read, survey, before) for one in sessions]
        return [one.result() for one in work]


def _say_read(sessions: int, turns: int) -> str:
    return f"{turns} turns" if sessions == 1 else f"{sessions} reviewers side by side, {turns} turns"


def _say_tried(tried: Tried) -> str:
    checks = [one.check.status for one in tried.findings if one.check]
    return f"{len(checks)} suggestions, {checks.count('tested')} of them tested"
