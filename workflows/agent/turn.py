"""One turn: what is said to the model, its reply, and what came of its calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from workflows.agent import notices
from workflows.agent.acting import Acting
from workflows.agent.budget import exhausted, nearly_exhausted
from workflows.agent.calls.toolcalls import MalformedCall, Schema, in_own_words, parse_call
from workflows.agent.context.compaction import fresh_start
from workflows.agent.done.finishing import answer_finish
from workflows.agent.done.handover import answer_handover
from workflows.agent.eight_stages import infer_stage
from workflows.agent.equipment import Equipment
from workflows.agent.history import History
from workflows.agent.messages import with_own_ids
from workflows.agent.plans import stated_plan
from workflows.agent.questions import answer_question
from workflows.agent.recorder import Recorder
from workflows.agent.request import Request
from workflows.agent.stuck.ladder import next_rung
from workflows.agent.stuck.patterns import only_messages
from workflows.agent.stuck.steps import Step, read_step
from workflows.services import Model
from workflows.trajectory.turns import Unfinished
from workflows.types import (
    Budget,
    Compaction,
    Finish,
    Intervention,
    Patch,
    Reply,
    StopReason,
    ToolCall,
    ToolResult,
    Turn,
)

STRIKES = 3
CLOSING = frozenset({"finish", "ask"})


@dataclass
class SessionParts:
    """What every turn of a session needs.

    ``opened``: this process has begun to work in the tree. ``replaced``: the model does not know yet that it works in
    another container than before.
    """

    model: Model
    equipment: Equipment
    budget: Budget
    schemas: tuple[Schema, ...]
    history: History
    recorder: Recorder
    opened: bool = False
    replaced: bool = False


@dataclass
class _Opening:
    """What comes before a reply."""

    notices: tuple[str, ...] = ()
    compactions: tuple[Compaction, ...] = ()
    intervention: Intervention | None = None


@dataclass
class _Work:
    """What came of a reply's calls; ``patch`` is the change after them where it differs from before."""

    results: list[ToolResult] = field(default_factory=list)
    patch: Patch | None = None
    finish: Finish | None = None
    question: str = ""


def take_turn(session: SessionParts) -> Turn:
    """The next turn, stored in the log; one that an earlier process began is brought to its end."""
    started = time.monotonic()
    number = len(session.history.turns) + 1
    begun = session.recorder.begun(number)
    if not session.opened:
        _reopen(session, begun)
    if begun is not None:
        opening = _Opening(begun.notices, begun.compactions, begun.intervention)
        reply = begun.reply
    else:
        opening, reply = _ask(session, number)
    work = _act(session, number, reply, opening)
    turn = Turn(
        number=number,
        reply=reply,
        notices=opening.notices,
        compactions=opening.compactions,
        intervention=opening.intervention,
        results=tuple(work.results),
        seconds=time.monotonic() - started,
        plan=stated_plan(reply.tool_calls[: _whole_calls(reply)], session.schemas),
        patch=work.patch,
        finish=work.finish,
        question=work.question,
    )
    turn = turn.model_copy(update={"stage": infer_stage(turn, session.history.turns)})
    turn = turn.model_copy(update={"stop": _stop_reason(session, turn)})
    session.recorder.end_turn(turn)
    return turn


def _reopen(session: SessionParts, begun: Unfinished | None) -> None:
    """Go on where an earlier process died, if one did: the next container holds the change as it was last stored."""
    session.opened = True
    history = session.history
    if history.turns or begun is not None:
        last = begun.patch if begun is not None and begun.patch is not None else history.patch
        session.equipment.workspace.restore(last, history.seen_files)
        session.replaced = bool(history.turns)


def _ask(session: SessionParts, number: int) -> tuple[_Opening, Reply]:
    """What the model has to be told, the conversation made to fit, and its reply."""
    history = session.history
    rung = _next_rung(session, history.turns, list(history.steps))
    # After a rollback the reply that there is something to say about is gone.
    renewed = isinstance(rung, Intervention) and rung.kind == "rollback"
    opening = _Opening(notices=_notices(session, of_reply=not renewed))
    session.replaced = False
    if isinstance(rung, Intervention):
        opening.intervention = rung
        session.recorder.intervened(number, rung)
        if rung.kind == "rollback":
            best = _best(session)
            session.equipment.workspace.restore(best, history.seen_files)
            session.recorder.snapshot(number, best)
            opening.compactions = (fresh_start(history.messages, words=rung.words),)
        else:
            opening.notices += (rung.words,)
    session.equipment.workspace.open_ahead()  # it is there before the reply
    request = Request(session.model, session.equipment, history, session.recorder, schemas=session.schemas)
    left = max(1.0, session.budget.seconds - history.spent_now.seconds)
    opening.compactions, reply = request.send(number, opening.notices, opening.compactions, left=left)
    calls = tuple(in_own_words(call, session.schemas) for call in reply.tool_calls)
    reply = with_own_ids(reply.model_copy(update={"tool_calls": calls}), number)
    session.recorder.answered(number, reply)
    return opening, reply


def _best(session: SessionParts) -> Patch:
    """The change of the best checkpoint, perhaps none."""
    return session.history.checkpoints.best or Patch(base=session.equipment.base)


def _act(session: SessionParts, number: int, reply: Reply, opening: _Opening) -> _Work:
    """Run the calls before the first closing one, then answer that."""
    history = session.history
    calls, closing = _split_at_closing(reply)
    rolled_back = opening.intervention is not None and opening.intervention.kind == "rollback"
    last = _best(session) if rolled_back else history.patch
    acting = Acting(
        equipment=session.equipment,
        schemas=session.schemas,
        recorder=session.recorder,
        last=last,
        seen=history.seen_files,
        seconds_left=max(1.0, session.budget.seconds - history.spent_now.seconds),
    )
    results = acting.carry_out(number, calls, whole=min(len(calls), _whole_calls(reply)))
    work = _Work(results=results, patch=acting.patch if acting.changed or rolled_back else None)
    if closing:
        now = acting.patch if acting.patch is not None and not acting.patch.empty else None
        _close(session, Turn(number=number, reply=reply, patch=work.patch), closing, work, now=now)
    return work


def _close(
    session: SessionParts, under_way: Turn, closing: Sequence[ToolCall], work: _Work, *, now: Patch | None
) -> None:
    turns = session.history.turns
    reading = session.equipment.reading
    if reading is not None and closing[0].name == "finish":
        work.finish, answers = answer_handover(closing, turns, schemas=session.schemas, objection=reading.objection)
    elif closing[0].name == "ask":
        refused = notices.NO_QUESTION_NOW if session.recorder.repairing else ""
        work.question, answers = answer_question(closing, work.results, schemas=session.schemas, refused=refused)
    else:
        work.finish, answers = answer_finish(
            closing,
            turns,
            under_way.model_copy(update={"results": tuple(work.results)}),
            schemas=session.schemas,
            changed=now is not None,
            patch=now,
            baseline_failing=session.history.known_failing,
            weakened=session.equipment.weakened(now) if now is not None else (),
        )
    session.recorder.done(under_way.number, answers, None)
    work.results += answers


def _split_at_closing(reply: Reply) -> tuple[Sequence[ToolCall], Sequence[ToolCall]]:
    """The calls before the first ``finish`` or ``ask``, and the rest; a truncated reply has nothing to close with."""
    calls = reply.tool_calls
    if reply.finish_reason == "length":
        return calls, ()
    at = next((index for index, call in enumerate(calls) if call.name in CLOSING), len(calls))
    return calls[:at], calls[at:]


def _whole_calls(reply: Reply) -> int:
    """How many calls may be run: of a reply that was cut off those before the last one, and before a closing one."""
    calls = reply.tool_calls
    if reply.finish_reason != "length":
        return len(calls)
    if not reply.incomplete:  # then the last call may be the one that lacks its end
        calls = calls[:-1]
    return next((index for index, call in enumerate(calls) if call.name in CLOSING), len(calls))


def _notices(session: SessionParts, *, of_reply: bool) -> tuple[str, ...]:
    """What the model has to be told before its next reply; with ``of_reply`` what was wrong with the last one too."""
    history = session.history
    told = [notices.SANDBOX_REPLACED] if session.replaced else []
    told += history.untold_guidance
    done = len(history.turns)
    if done in session.recorder.words:
        told.append(session.recorder.words[done])
    if history.turns and of_reply:
        told += _of_reply(history.turns[-1].reply)
    scarce = nearly_exhausted(session.budget, history.spent_now)
    if scarce and not nearly_exhausted(session.budget, history.spent_before):
        told.append(notices.wrap_up(scarce))
    return tuple(told)


def _of_reply(reply: Reply) -> list[str]:
    """What was wrong with a whole reply, one sentence at most; what was wrong with its calls is in their answers."""
    if reply.finish_reason == "chanting" and not reply.tool_calls:
        return [notices.REPLY_CHANTED]
    if reply.incomplete:
        return [notices.call_without_end(reply.incomplete, cut_off=reply.finish_reason == "length")]
    if reply.tool_calls:
        return []
    if reply.finish_reason == "length":
        return [notices.REPLY_CUT_OFF]
    shown = "<tool_call>" in reply.content or "<function=" in reply.content
    return [notices.CALL_ONLY_SHOWN if shown else notices.NO_TOOL_CALL]


def _stop_reason(session: SessionParts, turn: Turn) -> StopReason | None:
    """Why this turn is the last one, or None."""
    history = session.history
    if turn.finish is not None:
        return "unproven" if turn.finish.unexplained else "finished"
    if turn.question:
        return "asked"
    since = max(session.recorder.words, default=0)  # before that, somebody else had the last word
    steps = [*history.steps, read_step(turn)]
    silent = only_messages(steps[-(turn.number - since) :])
    if silent and session.equipment.reading is not None:
        return "no_tool_calls"  # its words are what it was to hand over, and a fresh context would lose them
    recent = [earlier.reply for earlier in history.turns[since:][1 - STRIKES :]] + [turn.reply]
    if len(recent) == STRIKES and all(_unusable(reply, session.schemas) for reply in recent):
        return "malformed"
    spent_up = exhausted(session.budget, history.spent_now.plus(turn))
    if spent_up:
        return spent_up
    if _next_rung(session, [*history.turns, turn], steps) != "stop":
        return None
    return "no_tool_calls" if silent else "stuck"


def _next_rung(
    session: SessionParts, turns: Sequence[Turn], steps: Sequence[Step]
) -> Intervention | Literal["stop"] | None:
    history = session.history
    return next_rung(
        turns,
        since=max(session.recorder.words, default=0),
        known_failing=history.known_failing,
        best=history.checkpoints.best,
        steps=steps,
    )


def _unusable(reply: Reply, schemas: Sequence[Schema]) -> bool:
    """Whether the reply held calls of which none could be run."""
    parsed = [parse_call(call, schemas) for call in reply.tool_calls]
    return bool(parsed) and all(isinstance(call, MalformedCall) for call in parsed[: _whole_calls(reply)])
