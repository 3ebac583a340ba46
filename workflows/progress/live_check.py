"""The check run that shows on a pull request's head that work goes on, and how far it is; concluded with the job."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from workflows.outcome import Outcome, Status
from workflows.progress.live_edits import LiveEdits
from workflows.progress.tracking import TITLES, Progress, StageName
from workflows.services import BrokenWorld, Conclusion, GitHub
from workflows.types import Job, Turn

log = structlog.get_logger()

LIVE_NAME = "Forgehand at work"
"""Not the name of the check with the evidence: GitHub shows the newest run of a name alone, and that one must stay."""
LONGEST_TITLE = 200
_FAILED: frozenset[Status] = frozenset({"failed", "rejected", "worse"})


class LiveCheck:
    """Progress shown as a check run in progress. One that cannot be written never fails the job: it is logged.

    A turn is written beside the work, as in the tracking comment.
    """

    def __init__(self, github: GitHub, job: Job, *, head_sha: str, scrub: Callable[[str], str]) -> None:
        self._github = github
        self._job = job
        self._head_sha = head_sha
        self._scrub = scrub
        self._stage: StageName | None = None
        self._shown: tuple[str, Conclusion | None] = ("", None)
        """What the check run says and how it is concluded; put whole, so that no two are mixed."""
        self._edits = LiveEdits(self._write)

    def begin(self, stage: StageName) -> None:
        """Show the stage that runs."""
        self._stage = stage
        self._shown = (TITLES[stage], None)
        self._edits.make()

    def done(self, stage: StageName, detail: str) -> None:
        """The next stage says more."""

    def turn(self, turn: Turn) -> None:
        """Show the turn, beside the work and at most once in SECONDS_BETWEEN_EDITS."""
        self._shown = (f"{TITLES[self._stage or 'agent']}: turn {turn.number}", None)
        self._edits.make_beside()

    def output(self, command: str, text: str) -> None:
        """What a command says stands in the tracking comment."""

    def note(self, notes: Sequence[str]) -> None:
        """Notes stand in the tracking comment."""

    def conclude(self, outcome: Outcome) -> None:
        """Show how the job ended."""
        conclusion: Conclusion = "success" if outcome.status in ("pushed", "clean") else "neutral"
        if outcome.status in _FAILED:
            conclusion = "failure"
        self._end(outcome.reason, conclusion)

    def cancel(self) -> None:
        """Show that the job was cancelled."""
        self._end("Cancelled", "cancelled")

    def settle(self) -> None:
        """Begin no write beside the work any more, and wait for the one under way: what is written next stays."""
        self._edits.settle()

    def _end(self, words: str, conclusion: Conclusion) -> None:
        self.settle()
        self._shown = (words, conclusion)
        self._edits.make()

    def _write(self) -> bool:
        words, conclusion = self._shown
        title = self._scrub(" ".join(words.split()))[:LONGEST_TITLE]
        try:
            self._github.find_or_create_check_run(
                head_sha=self._head_sha,
                name=LIVE_NAME,
                external_id=f"{self._job.id}:live",
                title=title,
                summary="What is done and found stands in the comment on this pull request.",
                conclusion=conclusion,
            )
        except BrokenWorld as broken:
            log.warning("live check not written", reason=broken.message)
            return False
        return True


def conclude_broken(github: GitHub, job: Job, *, scrub: Callable[[str], str]) -> None:
    """Conclude what a job that broke left in progress on the head. Raises BrokenWorld."""
    pull = github.fetch_pull_request(job.number)
    if pull is None:
        return
    runs = [run for run in github.fetch_check_runs(pull.head_sha) if run.name == LIVE_NAME]
    if any(run.status != "completed" for run in runs):
        broke = Outcome(status="failed", reason="The work broke off: the comment on this pull request says more.")
        LiveCheck(github, job, head_sha=pull.head_sha, scrub=scrub).conclude(broke)


class Everyone:
    """Several who are told of the same progress."""

    def __init__(self, *told: Progress) -> None:
        self._told = told

    def begin(self, stage: StageName) -> None:
        """A stage starts now."""
        for one in self._told:
            one.begin(stage)

    def done(self, stage: StageName, detail: str) -> None:
        """A stage is over."""
        for one in self._told:
            one.done(stage, detail)

    def turn(self, turn: Turn) -> None:
        """The agent finished a turn now."""
        for one in self._told:
            one.turn(turn)

    def output(self, command: str, text: str) -> None:
        """A command that runs has said this much more."""
        for one in self._told:
            one.output(command, text)

    def note(self, notes: Sequence[str]) -> None:
        """What people should know of the work."""
        for one in self._told:
            one.note(notes)
