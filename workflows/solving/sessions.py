"""The agent's sessions of a job, one or several, and the one whose change is taken."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.agent.loop import AgentResult, run_agent
from workflows.agent.recorder import GoingOn
from workflows.progress.tracking import Progress
from workflows.services import Run
from workflows.solving.attempts import STATUS_ORDER, Score, choose, reproduction_tests, run_attempts, score
from workflows.solving.bench import Bench
from workflows.solving.last_good import stepped_back
from workflows.trajectory.events import Entry
from workflows.trajectory.log import SessionLog
from workflows.types import Budget, Noun, Patch, TestRun, Turn, Usage, Verdict


@dataclass(frozen=True)
class Chosen:
    """The attempt whose change is taken. ``usage`` is that of all attempts; ``notes`` say how it was chosen."""

    result: AgentResult
    attempt: int
    usage: Usage
    notes: tuple[str, ...] = ()


class Choice(Noun):
    """Which attempt is taken, and what was seen of each."""

    attempt: int
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Sessions:
    """The sessions of one job on its bench. ``before`` are the tests before any change."""

    run: Run
    bench: Bench
    progress: Progress
    before: TestRun | None

    def carry_out(self) -> Chosen:
        """All sessions to their ends, and the choice. Raises BrokenWorld and JobCancelled."""
        count = self.bench.assignment.attempts
        self.progress.begin("agent")
        results = run_attempts(self._work, count)
        usage = sum((result.usage for result in results.values()), Usage())
        if count == 1:
            return Chosen(results[1], 1, usage)
        changed = {
            number: result for number, result in results.items() if result.patch is not None and not result.patch.empty
        }
        if not changed:
            first = min(results)
            note = f"None of {count} attempts made a change."
            return Chosen(results[first], first, usage, (note,))
        choice = self.run.step("choose", lambda: self._choose(changed), Choice)
        note = _say_choice(choice, count)
        return Chosen(results[choice.attempt], choice.attempt, usage, (note,))

    @property
    def budget(self) -> Budget:
        """What one session may use: turns and time are its own, tokens and money are its share of the job's."""
        limits, shares = self.bench.assignment.budget, self.bench.assignment.attempts
        return limits.model_copy(update={"tokens": limits.tokens // shares, "usd": limits.usd / shares})

    def repair(self, chosen: Chosen, words: str) -> AgentResult:
        """The chosen session once it has gone on with ``words``, the verdict on its change. Raises as carry_out."""
        self.progress.begin("repair")
        return self._work(chosen.attempt, repair=words)

    def _work(self, number: int, *, repair: str = "") -> AgentResult:
        given = self.bench.assignment
        session = self.bench.open_session()
        try:
            return run_agent(
                self.run,
                given.model if number == 1 or given.model_for is None else given.model_for(number),
                log=given.log(session_name(number)),
                equipment=self.bench.equip(session, self.before),
                task=self.bench.brief(self.before),
                budget=self.budget,
                facts={
                    "repository": given.job.repository.full_name,
                    "repository_id": given.job.repository.id,
                    "mirror": given.mirror().path.name,
                    "number": given.job.number,
                    "job": given.job.id,
                    "attempt": number,
                },
                going_on=GoingOn(given.job.id, given.answer, given.words, repair),
                on_turn=self.progress.turn if number == 1 or repair else _ignore,
            )
        finally:
            session.close()

    def _choose(self, results: dict[int, AgentResult]) -> Choice:
        judged = {number: self._deliverable(result) for number, result in results.items()}
        patches = {number: patch for number, (patch, _) in judged.items()}
        verdicts = {number: verdict for number, (_, verdict) in judged.items()}
        wanted = {number: reproduction_tests(self.before, verdict.after) for number, verdict in verdicts.items()}
        scores = []
        for number, patch in patches.items():
            others = [(other, wanted[at]) for at, other in patches.items() if at != number]
            scores.append(score(number, patch, verdicts[number], others=others, run=self.bench.tests))
        best = choose(scores)
        assert best is not None, "there is a change, so there is a score"
        return Choice(attempt=best.attempt, scores=tuple(scores))

    def _deliverable(self, result: AgentResult) -> tuple[Patch, Verdict]:
        """The change that an attempt would be delivered with, and the verdict on it."""
        assert result.patch is not None
        verdict = self.bench.verify(result.patch, self.before)
        earlier = stepped_back(result, verdict)
        if earlier is not None and earlier.patch is not None:
            again = self.bench.verify(earlier.patch, self.before)
            if STATUS_ORDER[again.status] < STATUS_ORDER[verdict.status]:
                return earlier.patch, again
        return result.patch, verdict


def session_name(attempt: int) -> str:
    """What a job's session is called in its trajectory."""
    return "agent" if attempt == 1 else f"agent-{attempt}"


def record_verdict(log: SessionLog, verdict: Verdict) -> None:
    """Put the harness's judgement beside the session that it is about: once, and again when it went on since."""
    for event in reversed(log.events()):
        if event.kind == "verdict":
            return
        if event.kind in ("answer", "continue"):
            break
    kept = {"status", "reasons", "fail_to_pass", "pass_to_pass", "broken", "weakened"}
    log.append([Entry(kind="verdict", turn=0, payload=verdict.model_dump(mode="json", include=kept))])


def _say_choice(choice: Choice, count: int) -> str:
    seen = "; ".join(
        f"attempt {one.attempt}: {one.status}, {one.fail_to_pass} fail-to-pass, {one.broken} broken, "
        f"{one.agreed} reproduction tests passed, {one.size:,} bytes"
        for one in choice.scores
    )
    return f"{count} attempts were made, and number {choice.attempt} was chosen by what ran ({seen})."


def _ignore(_: Turn) -> None:
    return None
