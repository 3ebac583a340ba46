"""The one tracking comment of a job: a checklist of its stages, edited in place, never a second one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Literal, Protocol

import structlog

from workflows.agent.eight_stages import STAGE_TITLES
from workflows.progress.live_edits import LiveEdits
from workflows.services import BrokenWorld, GitHub
from workflows.texts.outbound import clean_line, code_span
from workflows.texts.untrusted import show_hidden
from workflows.types import Job, PlanItem, Stage, Turn

log = structlog.get_logger()

StageName = Literal[
    "accept", "fetch", "sandbox", "baseline", "agent", "describe", "verify", "repair", "salvage", "publish"
]
TITLES: dict[StageName, str] = {
    "accept": "Accepted",
    "fetch": "Fetch the repository",
    "sandbox": "Prepare the sandbox",
    "baseline": "Run the tests before the change",
    "agent": "Work on the change",
    "describe": "Describe the change",
    "verify": "Run the tests after the change, in a fresh container",
    "repair": "Mend what the tests showed",
    "salvage": "Bring the change onto what was pushed meanwhile",
    "publish": "Push the branch and open the pull request",
}
RARE: frozenset[StageName] = frozenset({"repair", "salvage"})
"""Shown only when they happen."""
LONGEST_SHOWN = 120
"""Characters of a command, and of a line that it said."""
_LOOKED_AT = 4000


class Progress(Protocol):
    """Who is told how a job goes on: the tracking comment, a terminal, or nobody."""

    def begin(self, stage: StageName) -> None:
        """A stage starts now. Called only when it really runs, not on replay."""

    def done(self, stage: StageName, detail: str) -> None:
        """A stage is over; called on replay too, so that the state is rebuilt."""

    def turn(self, turn: Turn) -> None:
        """The agent finished a turn now."""

    def output(self, command: str, text: str) -> None:
        """A command that runs has said this much more; called from any thread, so often as it says something.

        It must not wait: whoever calls it reads the command's stream, against a deadline.
        """

    def note(self, notes: Sequence[str]) -> None:
        """What people should know of the work, a sentence each; called on replay too, and perhaps with the same."""


@dataclass(frozen=True)
class RunningCommand:
    """A command that runs, by its first line, and the last line that it said; both one line, as they came."""

    command: str
    said: str = ""

    def listen(self, command: str, text: str) -> RunningCommand:
        """This, or the other command that was heard now, with what it said."""
        now = RunningCommand(_shown(command[:_LOOKED_AT], 0), _shown(text[-_LOOKED_AT:], -1))
        return now if now.said or now.command != self.command else self


def _shown(text: str, place: int) -> str:
    """The first (0) or last (-1) line that is not empty; a progress bar's return ends a line, too."""
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    return show_hidden(lines[place])[:LONGEST_SHOWN] if lines else ""


@dataclass
class TrackingState:
    """What the comment shows: the details of finished stages, the running one, the plan and the last sign of life.

    ``titles`` are the stages of this kind of work, in their order.
    """

    started: datetime
    titles: Mapping[StageName, str] = field(default_factory=lambda: TITLES)
    details: dict[StageName, str] = field(default_factory=dict)
    current: StageName | None = None
    plan: Sequence[PlanItem] = ()
    agent_stages: dict[Stage, None] = field(default_factory=dict)
    turns: int = 0
    activity: str = ""
    running: RunningCommand | None = None
    notes: dict[str, None] = field(default_factory=dict)
    closing: str | None = None


def marker(job_id: str) -> str:
    """The hidden name by which the comment of a job is found again."""
    return f"<!-- forgehand:tracking job={job_id} -->"


def is_unended(body: str) -> bool:
    """Whether this comment of ours still tells of a job that waits or is under way."""
    return body.startswith(("Working on it", "Queued"))


def render_start(job_id: str) -> str:
    """The comment as it is first written."""
    return f"Working on it: starting.\n\n{marker(job_id)}"


def render_queued(ahead: int) -> str:
    """The comment of a request that waits, without its marker."""
    return f"Queued: {ahead} ahead on this thread." if ahead else "Queued: next on this thread."


def render_tracking(state: TrackingState, *, now: datetime, job_id: str) -> str:
    """The comment's Markdown without its marker: headline, checklist of stages, plan, notes, last activity."""
    minutes, seconds = divmod(int(max(0.0, (now - state.started).total_seconds())), 60)
    elapsed = f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
    now_at = state.titles.get(state.current, TITLES[state.current]).lower() if state.current else "starting"
    lines = [state.closing or f"Working on it: {now_at}.", ""]
    for stage, title in state.titles.items():
        if stage in state.details:
            detail = state.details[stage]
            lines.append(f"- [x] {title}{': ' + detail if detail else ''}")
        elif stage == state.current and state.closing is None:
            lines.append(f"- [ ] **{title}** …")
            lines.extend(_render_plan(state))
            if state.running is not None:
                shown = [code_span(part) for part in (state.running.command, state.running.said)]
                lines.append(f"  - running {': '.join(filter(None, shown))}")
        elif stage not in RARE:
            lines.append(f"- [ ] {title}")
    if state.notes:
        lines += ["", *(f"> {clean_line(note, limit=500)}" for note in state.notes)]
    lines += ["", f"<sub>{elapsed} · last activity {now:%H:%M:%S} UTC · job `{job_id}`</sub>"]
    return "\n".join(lines)


def _render_plan(state: TrackingState) -> list[str]:
    if state.current not in ("agent", "repair"):
        return []
    boxes = {"pending": " ", "in_progress": " ", "completed": "x"}
    lines = [f"  - [{boxes[item.state]}] {clean_line(item.text)}" for item in state.plan]
    if state.agent_stages:
        *before, now = state.agent_stages
        lines.append(f"  - {' → '.join([*before, f'**{now}**'])}: {STAGE_TITLES[now].lower()}")
    if state.turns:
        lines.append(f"  - turn {state.turns}{', ' + state.activity if state.activity else ''}")
    return lines


class Tracking:
    """Progress shown in one GitHub comment. A comment that cannot be edited never fails the job: it is logged.

    A stage and the last word are written by who tells them; turns and output by a thread beside the work, for an edit
    may wait for GitHub's rate limit longer than a command has time. Without a ``comment_id`` it is noted and not shown.
    """

    def __init__(self, github: GitHub, job: Job, *, comment_id: int | None, scrub: Callable[[str], str]) -> None:
        self._github = github
        self._scrub = scrub
        self._job = job
        self._comment_id = comment_id
        self._noting = Lock()
        """Held for the state, never while GitHub is spoken to."""
        self._state = TrackingState(started=job.created_at)
        self._edits = LiveEdits(self._edit)

    def follow(self, titles: Mapping[StageName, str], *, anew: bool = False) -> None:
        """Show these stages, in this order, from the next edit on: not all work is a change with tests.

        ``anew``: what was done was other work, and these stages are still to come.
        """
        with self._noting:
            self._state.titles = titles
            if anew:
                self._state.details = {stage: told for stage, told in self._state.details.items() if stage == "accept"}

    def begin(self, stage: StageName) -> None:
        """Show that a stage runs, perhaps once more."""
        with self._noting:
            self._state.current, self._state.running = stage, None
            self._state.details.pop(stage, None)
        self._edits.make()

    def done(self, stage: StageName, detail: str) -> None:
        """Note a finished stage; shown with the next edit."""
        with self._noting:
            self._state.details[stage] = detail

    def turn(self, turn: Turn) -> None:
        """Show plan and last activity, beside the work and at most once in SECONDS_BETWEEN_EDITS."""
        with self._noting:
            if turn.plan is not None:
                self._state.plan = turn.plan
            self._state.turns = turn.number
            # What is met again, such as "verify", moves to the end: it is where the agent is now.
            self._state.agent_stages.pop(turn.stage, None)
            self._state.agent_stages[turn.stage] = None
            self._state.running = None
            self._state.activity = ", ".join(code_span(call.name[:100]) for call in turn.reply.tool_calls[:3])
        self._edits.make_beside()

    def output(self, command: str, text: str) -> None:
        """Show the command and its last line, as a turn is shown; a short one is not shown."""
        with self._noting:
            self._state.running = (self._state.running or RunningCommand("")).listen(command, text)
        self._edits.make_beside()

    def note(self, notes: Sequence[str]) -> None:
        """Show sentences below the checklist, from the next edit on."""
        with self._noting:
            self._state.notes.update(dict.fromkeys(notes))

    def close(self, closing: str) -> None:
        """Show the end of the job (``closing`` is Markdown); in a new comment when somebody deleted ours."""
        self.settle()
        with self._noting:
            self._state.current = None
            self._state.closing = closing
        if self._edits.make():
            return
        body = self._render()
        try:
            found = self._github.find_or_create_comment(self._job.number, marker(self._job.id), body)
            self._github.update_comment(found, body)
        except BrokenWorld as error:
            log.error("last word not said", reason=error.message, words=closing)

    def settle(self) -> None:
        """Begin no edit beside the work any more, and wait for the one under way: what is written next stays."""
        self._edits.settle()

    def _edit(self) -> bool:
        """Whether the comment now shows the present state."""
        if self._comment_id is None:
            return True
        try:
            self._github.update_comment(self._comment_id, self._render())
        except BrokenWorld as error:
            log.warning("tracking comment not updated", reason=error.message)
            return False
        return True

    def _render(self) -> str:
        now = datetime.now(self._state.started.tzinfo)
        with self._noting:
            text = render_tracking(self._state, now=now, job_id=self._job.id)
        # The marker with it: it survives a cut of what is too long.
        return self._scrub(f"{text}\n{marker(self._job.id)}")
