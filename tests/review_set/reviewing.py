"""The seeded-bug set reviewed by the whole product on the local GitHub, each change as a pull request of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from dbos import DBOS

from app.localhub.records import ReviewComment
from tests.review_set.cases import Case
from tests.review_set.report import Reviewed, Said, Unscored
from tests.stories.inside import Inside
from tests.stories.world import World
from workflows.agent.calls.loose_json import find_objects
from workflows.durable.queue import JobRecord
from workflows.durable.run import load_step
from workflows.outcome import Timed
from workflows.review.finding_reply import parse_findings
from workflows.review.findings import Finding
from workflows.review.material import Found
from workflows.review.readers import SESSION
from workflows.review.refuting import Refuted
from workflows.review.render import parse_finding_marker
from workflows.trajectory.turns import turns_of
from workflows.types import Turn

GIVE_UP = 5
"""After so many reviews in a row that the world broke, the rest is not begun: an endpoint that is gone stays gone."""


@dataclass
class Reviews:
    """Reviews the cases, so many at once as the worker runs. ``patience`` are seconds for one review.

    Once ``stopped`` is set nothing more is begun, and what runs is cancelled: what was reviewed by then still counts.
    """

    world: World
    inside: Inside
    patience: float
    at_once: int = 2
    say: Any = print
    stopped: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _broken: int = 0
    _ended: int = 0

    def run(self, cases: Sequence[Case]) -> list[Reviewed | Unscored]:
        """What came of each case, in their order."""
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="case") as pool:
            work = [pool.submit(self._one, case, len(cases)) for case in cases]
            try:
                wait(work)
            except KeyboardInterrupt:
                self.stopped.set()
            return [one.result() for one in work]

    def _one(self, case: Case, count: int) -> Reviewed | Unscored:
        if self._broken >= GIVE_UP:
            return Unscored(case, f"not begun, because {GIVE_UP} reviews in a row before it could not be made")
        if self.stopped.is_set():
            return Unscored(case, "not begun, because it was stopped")
        result = self._review(case)
        with self._lock:
            self._broken = 0 if isinstance(result, Reviewed) else self._broken + 1
            self._ended += 1
            told = f"not scored: {result.reason}" if isinstance(result, Unscored) else _say(result)
            self.say(f"[{self._ended}/{count}] {case.id}: {told}")
        return result

    def _review(self, case: Case) -> Reviewed | Unscored:
        hub, began = self.world.hub, time.monotonic()
        with self._lock:
            repository = self.world.create_repository(case.repository, case.base)
            hub.commit(repository, _changes(case), branch="change", start="main", message=case.title)
            pull = hub.open_pull_request(repository, "alice", head="change", title=case.title, body=case.body)
        record = self._end_of(hub.repository(repository).id, pull.number)
        if record is None:
            why = "was stopped" if self.stopped.is_set() else f"had not ended after {self.patience:.0f} s"
            return Unscored(case, f"the review {why}")
        outcome = record.outcome
        if outcome is None or outcome.status not in ("reviewed", "clean"):
            return Unscored(case, outcome.reason if outcome else f"the job was {record.state}")
        found = hub.issue(repository, pull.number).pull
        posted = found.comments if found is not None else []
        return self._read(case, record.job.id, posted, time.monotonic() - began)

    def _end_of(self, repository: int, number: int) -> JobRecord | None:
        """The review's job once it has ended; cancelled when it takes too long."""
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline and not self.stopped.is_set():
            found = [one for one in self.inside.queue.thread(repository, number) if one.job.workflow == "review_pull"]
            if found and found[0].state in ("ended", "cancelled"):
                return found[0]
            time.sleep(0.05)
        for one in self.inside.queue.thread(repository, number):
            self.inside.queue.cancel(one.job.id)
        return None

    def _read(self, case: Case, job: str, posted: Sequence[ReviewComment], seconds: float) -> Reviewed | Unscored:
        """What was said at each stage, from what the product itself stored of it."""
        steps = {step["function_name"]: step["output"] for step in DBOS.list_workflow_steps(job)}
        found: Found = load_step(steps["findings"], Found)
        refuted: Refuted = load_step(steps["describe"], Timed[Refuted]).value
        turns = turns_of(self.inside.composition.trajectories.open(job, SESSION).events())
        items = _items(turns)
        if found.stopped:
            return Unscored(case, f"the review is not complete: {found.stopped}")
        if items is None:
            return Unscored(case, "nothing that the reviewer handed over could be read")
        by_id = {one.id: one for one in found.findings}
        said = {
            "handed": [_as_said(one) for one in items],
            "read": [_of_finding(one) for one in found.findings],
            "stood": [_of_finding(one) for one in found.findings if one.id not in refuted.fallen],
            "posted": [_of_comment(one, by_id) for one in posted],
        }
        return Reviewed(
            case,
            said,
            refused=found.refused,
            challenged=not refuted.unchallenged,
            cited=sum(bool(str(one.get("command") or "").strip()) for one in items),
            shown=sum(one.evidence.run is not None for one in found.findings),
            usage=sum((turn.reply.usage for turn in turns), refuted.usage),
            requests=len(turns) + bool(found.findings),
            seconds=seconds,
        )


def _changes(case: Case) -> dict[str, str | bytes | None]:
    return {path: text for path, text in case.changed.items() if text != case.base.get(path)}


def _items(turns: Sequence[Turn]) -> list[dict[str, Any]] | None:
    """The points as they were handed over, before anything was done to them; None when they cannot be read."""
    summary = next((turn.finish.summary for turn in reversed(turns) if turn.finish is not None), "")
    summary = summary or (turns[-1].reply.content if turns else "")
    if parse_findings(summary, {}).mistake:
        return None
    listed = [value["findings"] for value in find_objects(summary) if isinstance(value.get("findings"), list)]
    return [item for item in listed[-1] if isinstance(item, dict)] if listed else []


def _as_said(item: Mapping[str, Any]) -> Said:
    def number(name: str) -> int | None:
        return item[name] if isinstance(item.get(name), int) else None

    words = f"{item.get('title', '')}\n{item.get('body', '')}"
    return Said(
        str(item.get("path", "")), number("line") or 0, number("start_line"), words, str(item.get("severity", ""))
    )


def _of_finding(finding: Finding) -> Said:
    words = f"{finding.title}\n{finding.body}"
    if finding.anchor is None:
        return Said(finding.path, 0, None, words, finding.severity)
    return Said(finding.path, finding.anchor.line, finding.anchor.start_line, words, finding.severity)


def _of_comment(comment: ReviewComment, findings: Mapping[str, Finding]) -> Said:
    finding = findings.get(parse_finding_marker(comment.body) or "")
    severity = finding.severity if finding else ""
    return Said(comment.path, comment.line or 0, comment.start_line, comment.body, severity)


def _say(result: Reviewed) -> str:
    return f"{len(result.said['posted'])} comments, {result.requests} requests, {result.seconds:.1f} s"
