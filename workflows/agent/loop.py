"""The agent loop: model reply, tool calls, tool results, one durable step a turn, until there is a reason to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workflows.agent import notices
from workflows.agent.budget import Budget, exhausted, nearly_exhausted, spent_on
from workflows.agent.finishing import answer_finish, split_at_finish
from workflows.agent.messages import AgentTask, render_messages, with_own_ids
from workflows.agent.plans import answer_plan, stated_plan
from workflows.agent.toolcalls import MalformedCall, Schema, parse_call
from workflows.agent.tools import RunTests, offered_tools, run_tool_calls, sandbox_tools
from workflows.agent.workspace import Workspace, last_patch, use_workspace
from workflows.services import BrokenWorld, Model, Run
from workflows.types import Finish, Patch, PlanItem, Reply, StopReason, Turn, Usage

CALL_SECONDS = 600.0
STRIKES = 3


@dataclass(frozen=True)
class AgentResult:
    """The end of a session. ``patch`` is the last stored change, None without one; ``detail`` explains the stop."""

    turns: tuple[Turn, ...]
    stop: StopReason
    patch: Patch | None
    finish: Finish | None
    plan: tuple[PlanItem, ...]
    usage: Usage
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class _Session:
    """What every turn needs and none changes."""

    model: Model
    workspace: Workspace
    task: AgentTask
    budget: Budget
    run_tests: RunTests | None
    schemas: tuple[Schema, ...]


def run_agent(
    run: Run,
    model: Model,
    *,
    workspace: Workspace,
    task: AgentTask,
    budget: Budget,
    run_tests: RunTests | None,
    on_turn: Callable[[Turn], None] = lambda turn: None,
) -> AgentResult:
    """Work on the task until there is a reason to stop; what was done by then is in the result.

    Each turn is a step of ``run``. On a replay finished turns come from their checkpoints and no container is opened
    before the first new turn. ``on_turn`` is told of every turn, replayed ones too. ``run_tests`` None: no test command
    is known. Raises BrokenWorld("sandbox", …), and BrokenWorld("model", …) while nothing has changed yet.
    """
    session = _Session(model, workspace, task, budget, run_tests, offered_tools(with_tests=run_tests is not None))
    turns: list[Turn] = []
    detail = ""
    opened = False

    def take() -> Turn:
        nonlocal opened
        anew, opened = bool(turns) and not opened, True
        return _take_turn(session, turns, anew=anew)

    while not turns or turns[-1].stop is None:
        try:
            turn = run.step(f"turn {len(turns) + 1}", take, Turn)
        except BrokenWorld as broken:
            if broken.kind != "model" or _patch_of(turns) is None:
                raise
            detail = broken.message
            break
        turns.append(turn)
        on_turn(turn)
    return _result(turns, detail)


def _take_turn(session: _Session, turns: Sequence[Turn], *, anew: bool) -> Turn:
    """One model reply and what came of it. ``anew``: earlier turns ran in a container that is gone."""
    started = time.monotonic()
    last = _patch_of(turns)
    if anew:
        session.workspace.restore(last)
    ahead = _notices(session.budget, turns, anew=anew)
    left = max(1.0, session.budget.seconds - spent_on(turns).seconds)
    messages = render_messages(session.task, turns, ahead)
    reply = session.model.complete(messages, tools=session.schemas, deadline=min(CALL_SECONDS, left))
    reply = with_own_ids(reply, len(turns) + 1)
    calls, closing = split_at_finish(reply)
    tools = sandbox_tools(session.workspace.sandbox, session.run_tests, seconds_left=left)
    tools["update_plan"] = answer_plan
    cut_off = reply.finish_reason == "length"
    results, patch = use_workspace(
        session.workspace, last, work=lambda: run_tool_calls(calls, tools, schemas=session.schemas, cut_off=cut_off)
    )
    finish = None
    if closing:
        changed = last_patch([last, patch]) is not None
        finish, answers = answer_finish(closing, turns, results, schemas=session.schemas, changed=changed)
        results += answers
    turn = Turn(
        number=len(turns) + 1,
        reply=reply,
        notices=ahead,
        results=tuple(results),
        seconds=time.monotonic() - started,
        plan=stated_plan(reply, session.schemas),
        patch=patch,
        finish=finish,
    )
    return turn.model_copy(update={"stop": _stop_reason(session, [*turns, turn])})


def _notices(budget: Budget, turns: Sequence[Turn], *, anew: bool) -> tuple[str, ...]:
    """What the model has to be told before its next reply."""
    told = [notices.SANDBOX_REPLACED] if anew else []
    if turns and not turns[-1].reply.tool_calls:
        cut_off = turns[-1].reply.finish_reason == "length"
        told.append(notices.REPLY_CUT_OFF if cut_off else notices.NO_TOOL_CALL)
    scarce = nearly_exhausted(budget, spent_on(turns))
    if scarce and not nearly_exhausted(budget, spent_on(turns[:-1])):
        told.append(notices.wrap_up(scarce))
    return tuple(told)


def _stop_reason(session: _Session, turns: Sequence[Turn]) -> StopReason | None:
    if turns[-1].finish is not None:
        return "finished"
    recent = [turn.reply for turn in turns[-STRIKES:]]
    if len(recent) == STRIKES and not any(reply.tool_calls for reply in recent):
        return "no_tool_calls"
    if len(recent) == STRIKES and all(_unusable(reply, session.schemas) for reply in recent):
        return "malformed"
    return exhausted(session.budget, spent_on(turns))


def _unusable(reply: Reply, schemas: Sequence[Schema]) -> bool:
    """Whether the reply held calls of which none could be run."""
    parsed = [parse_call(call, schemas) for call in reply.tool_calls]
    cut_off = reply.finish_reason == "length"
    return bool(parsed) and all(cut_off or isinstance(call, MalformedCall) for call in parsed)


def _patch_of(turns: Sequence[Turn]) -> Patch | None:
    return last_patch([turn.patch for turn in turns])


def _result(turns: Sequence[Turn], detail: str) -> AgentResult:
    spent = spent_on(turns)
    return AgentResult(
        turns=tuple(turns),
        stop=turns[-1].stop or "model_unavailable",
        patch=_patch_of(turns),
        finish=turns[-1].finish,
        plan=next((turn.plan for turn in reversed(turns) if turn.plan is not None), ()),
        usage=spent.usage,
        seconds=spent.seconds,
        detail=detail,
    )
