"""The agent loop: turn after turn until there is a reason to stop, each stored before and after it acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workflows.agent.budget import Spent
from workflows.agent.done.tally import failing_ids
from workflows.agent.equipment import Equipment
from workflows.agent.history import History
from workflows.agent.messages import AgentTask
from workflows.agent.recorder import AFRESH, GoingOn, Recorder
from workflows.agent.tools import offered_tools
from workflows.agent.turn import SessionParts, take_turn
from workflows.services import BrokenWorld, Model, Run
from workflows.trajectory.log import SessionLog
from workflows.types import Budget, Finish, Patch, PlanItem, StopReason, Turn, Usage


@dataclass(frozen=True)
class AgentResult:
    """The end of a session. ``patch`` is the last stored change, None without one, ``best`` the one with the fewest
    failing tests by its own runs, the later of equals; ``detail`` explains the stop.

    ``usage`` and ``seconds`` are those of the whole session, ``spent`` is what counts for its budget: since it went on
    with a fresh one, if it did.
    """

    turns: tuple[Turn, ...]
    stop: StopReason
    patch: Patch | None
    finish: Finish | None
    plan: tuple[PlanItem, ...]
    usage: Usage
    seconds: float
    spent: Spent
    detail: str = ""
    question: str = ""
    best: Patch | None = None


def run_agent(
    run: Run,
    model: Model,
    *,
    log: SessionLog,
    equipment: Equipment,
    task: AgentTask,
    budget: Budget,
    facts: Mapping[str, Any] | None = None,
    going_on: GoingOn = AFRESH,
    on_turn: Callable[[Turn], None] = lambda turn: None,
) -> AgentResult:
    """Work on the task until there is a reason to stop; what was done by then is in the result.

    Everything is in ``log`` before and after it is done (a request: before its reply counts), so that the same call in
    another process goes on where this one died, with no container opened for turns that are stored and no reply asked
    for twice. ``facts`` stand in the log's first event. ``going_on`` says why a session goes on that had ended or
    broken off. ``on_turn`` is told of every turn, those of an earlier process too. Raises JobCancelled,
    BrokenWorld("sandbox", …), and BrokenWorld("model", …) while nothing has changed yet.
    """
    schemas = offered_tools(
        with_tests=equipment.run_tests is not None,
        with_map=equipment.draw_map is not None,
        may_ask=equipment.may_ask,
        handover=equipment.reading.handover if equipment.reading is not None else "",
    )
    recorder = Recorder(log, going_on, on_turn=on_turn)
    task = recorder.open(task, schemas=schemas, model=model.name, facts={"base": equipment.base, **(facts or {})})
    history = History(
        task,
        schemas=schemas,
        guidance=equipment.guidance,
        known_failing=frozenset(failing_ids(equipment.baseline)),
        renewed=recorder.renewed,
    )
    for turn in recorder.turns:
        history.add(turn)
        on_turn(turn)
    if recorder.end is not None:
        return _result(history, recorder.end["stop"], recorder.end["detail"])
    session = SessionParts(model, equipment, budget, schemas, history, recorder)
    try:
        return _work(run, session)
    finally:
        recorder.flush()


def _work(run: Run, session: SessionParts) -> AgentResult:
    history, recorder = session.history, session.recorder
    while not _over(history, recorder):
        run.check()
        try:
            history.add(take_turn(session))
        except BrokenWorld as broken:
            _record_broken(recorder, history, broken)
            if broken.kind != "model" or history.patch is None:
                raise
            return _result(history, "model_unavailable", broken.message)
    return _ended(recorder, history)


def _ended(recorder: Recorder, history: History) -> AgentResult:
    stop = history.turns[-1].stop or "finished"
    recorder.end_session(len(history.turns), stop, "", infrastructure=False)
    return _result(history, stop, "")


def _over(history: History, recorder: Recorder) -> bool:
    """Whether the last turn was the last one; it is none when the session went on after it."""
    last = history.turns[-1] if history.turns else None
    return last is not None and last.stop is not None and last.number not in recorder.words


def _record_broken(recorder: Recorder, history: History, broken: BrokenWorld) -> None:
    # Only an end that is delivered is an end: what is raised may be tried again by the same job.
    if broken.kind == "model" and history.patch is not None:
        recorder.end_session(len(history.turns), "model_unavailable", broken.message, infrastructure=True)


def _result(history: History, stop: StopReason, detail: str) -> AgentResult:
    last = history.turns[-1]
    spent = history.spent
    return AgentResult(
        turns=tuple(history.turns),
        stop=stop,
        patch=history.patch,
        finish=last.finish,
        plan=history.plan,
        usage=spent.usage,
        seconds=spent.seconds,
        spent=history.spent_now,
        detail=detail,
        question=last.question,
        best=history.checkpoints.best,
    )
