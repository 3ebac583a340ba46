"""The agent loop: model reply, tool calls, tool results, one durable step a turn, until there is a reason to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workflows.agent import notices
from workflows.agent.budget import Budget, exhausted, nearly_exhausted
from workflows.agent.finishing import answer_finish, split_at_finish
from workflows.agent.history import History
from workflows.agent.messages import AgentTask, render_notices, with_own_ids
from workflows.agent.plans import answer_plan, stated_plan
from workflows.agent.toolcalls import MalformedCall, Schema, parse_call
from workflows.agent.tools import RunTests, offered_tools, run_tool_calls, sandbox_tools
from workflows.agent.workspace import Workspace, use_workspace
from workflows.services import BrokenWorld, Model, Run
from workflows.types import Finish, Patch, PlanItem, Reply, StopReason, ToolCall, ToolResult, Turn, Usage

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
    """What every turn needs."""

    model: Model
    workspace: Workspace
    budget: Budget
    run_tests: RunTests | None
    schemas: tuple[Schema, ...]
    history: History


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
    schemas = offered_tools(with_tests=run_tests is not None)
    session = _Session(model, workspace, budget, run_tests, schemas, History(task))
    history = session.history
    opened = False

    def take() -> Turn:
        nonlocal opened
        anew, opened = bool(history.turns) and not opened, True
        return _take_turn(session, anew=anew)

    while not history.turns or history.turns[-1].stop is None:
        try:
            turn = run.step(f"turn {len(history.turns) + 1}", take, Turn)
        except BrokenWorld as broken:
            if broken.kind != "model" or history.patch is None:
                raise
            return _result(history, "model_unavailable", broken.message)
        history.add(turn)
        on_turn(turn)
    return _result(history, history.turns[-1].stop or "finished", "")


def _take_turn(session: _Session, *, anew: bool) -> Turn:
    """One model reply and what came of it. ``anew``: earlier turns ran in a container that is gone."""
    started = time.monotonic()
    history = session.history
    number = len(history.turns) + 1
    if anew:
        session.workspace.restore(history.patch, history.seen_files)
    ahead = _notices(session, anew=anew)
    left = max(1.0, session.budget.seconds - history.spent.seconds)
    messages = history.messages + render_notices(ahead)
    reply = session.model.complete(messages, tools=session.schemas, deadline=min(CALL_SECONDS, left))
    reply = with_own_ids(reply, number)
    calls, closing = split_at_finish(reply)
    results, patch = _use_tools(session, calls, cut_off=reply.finish_reason == "length", left=left)
    finish = None
    if closing:
        changed = not patch.empty if patch is not None else history.patch is not None
        finish, answers = answer_finish(closing, history.turns, results, schemas=session.schemas, changed=changed)
        results += answers
    turn = Turn(
        number=number,
        reply=reply,
        notices=ahead,
        results=tuple(results),
        seconds=time.monotonic() - started,
        plan=stated_plan(reply, session.schemas),
        patch=patch,
        finish=finish,
    )
    return turn.model_copy(update={"stop": _stop_reason(session, turn)})


def _use_tools(
    session: _Session, calls: Sequence[ToolCall], *, cut_off: bool, left: float
) -> tuple[list[ToolResult], Patch | None]:
    tools = sandbox_tools(session.workspace.sandbox, session.run_tests, seconds_left=left)
    tools["update_plan"] = answer_plan

    def work() -> list[ToolResult]:
        return run_tool_calls(calls, tools, schemas=session.schemas, cut_off=cut_off)

    return use_workspace(session.workspace, session.history, work=work)


def _notices(session: _Session, *, anew: bool) -> tuple[str, ...]:
    """What the model has to be told before its next reply."""
    history = session.history
    told = [notices.SANDBOX_REPLACED] if anew else []
    if history.turns and not history.turns[-1].reply.tool_calls:
        cut_off = history.turns[-1].reply.finish_reason == "length"
        told.append(notices.REPLY_CUT_OFF if cut_off else notices.NO_TOOL_CALL)
    scarce = nearly_exhausted(session.budget, history.spent)
    if scarce and not nearly_exhausted(session.budget, history.spent_before):
        told.append(notices.wrap_up(scarce))
    return tuple(told)


def _stop_reason(session: _Session, turn: Turn) -> StopReason | None:
    """Why this turn is the last one, or None."""
    if turn.finish is not None:
        return "finished"
    recent = [earlier.reply for earlier in session.history.turns[1 - STRIKES :]] + [turn.reply]
    if len(recent) == STRIKES and not any(reply.tool_calls for reply in recent):
        return "no_tool_calls"
    if len(recent) == STRIKES and all(_unusable(reply, session.schemas) for reply in recent):
        return "malformed"
    return exhausted(session.budget, session.history.spent.plus(turn))


def _unusable(reply: Reply, schemas: Sequence[Schema]) -> bool:
    """Whether the reply held calls of which none could be run."""
    parsed = [parse_call(call, schemas) for call in reply.tool_calls]
    cut_off = reply.finish_reason == "length"
    return bool(parsed) and all(cut_off or isinstance(call, MalformedCall) for call in parsed)


def _result(history: History, stop: StopReason, detail: str) -> AgentResult:
    return AgentResult(
        turns=tuple(history.turns),
        stop=stop,
        patch=history.patch,
        finish=history.turns[-1].finish,
        plan=history.plan,
        usage=history.spent.usage,
        seconds=history.spent.seconds,
        detail=detail,
    )
