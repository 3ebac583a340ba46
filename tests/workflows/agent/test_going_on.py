"""A session that stopped, or broke off, goes on when people say so: in the same log, with a fresh budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import Crash, FolderWorkspace
from tests.workflows.agent.conftest import Serve
from tests.workflows.agent.test_loop import EXPLAINED, FINISH, FIX, LOOK, LS, TESTS, Stage, says
from workflows.agent import notices
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.recorder import GoingOn
from workflows.durable.run import InlineRun
from workflows.services import BrokenWorld
from workflows.solving.replay import replay
from workflows.trajectory.conversation import check_requests
from workflows.trajectory.events import check_chain, of_kind
from workflows.types import Budget

WORDS = "<untrusted>Mind the tests.</untrusted>"
ON = GoingOn("job-2", words=WORDS)
REST = (says(TESTS), says(FINISH), says(EXPLAINED))

Set = Callable[..., Stage]


@pytest.fixture
def set_stage(serve: Serve, connect: Callable[..., OpenAIModel], workspace: FolderWorkspace) -> Set:
    """Set the stage for a session."""

    def build(*session: Mapping[str, Any]) -> Stage:
        server = serve(session)
        workspace.restore(None)
        return Stage(server, connect(server), workspace)

    return build


def test_spent_turns_are_given_anew(set_stage: Set) -> None:
    """What was spent before does not count for the fresh budget, and does count in what the session cost."""
    set_up = set_stage(says(LOOK), says(FIX), *REST)
    stopped = set_up.play(Budget(turns=2))
    assert (stopped.stop, len(stopped.turns)) == ("turns", 2)
    assert set_up.play(Budget(turns=3)) == stopped, "without a word it stays where it is"

    result = set_up.play(Budget(turns=3), going_on=ON)
    assert (result.stop, len(result.turns), result.spent.turns) == ("finished", 5, 3)
    assert result.turns[2].notices[-1] == notices.continued(WORDS, "turns")
    assert "its turns were used up" in result.turns[2].notices[-1]
    assert result.usage.input_tokens > result.spent.usage.input_tokens > 0
    assert result.patch == stopped.patch
    assert set_up.play(Budget(turns=3), going_on=ON) == result, "a finished session is read back without the model"
    assert len(set_up.sent()) == 5
    check_chain(set_up.log.events())
    assert check_requests(set_up.log.events()) == 5


def test_it_can_stop_and_go_on_again(set_stage: Set) -> None:
    """Each job has it go on once: the same one finds its end, another one goes on from there."""
    set_up = set_stage(says(FIX), *[says(LS)] * 3, *REST)
    set_up.play(Budget(turns=2))
    second = set_up.play(Budget(turns=2), going_on=ON)
    assert (second.stop, len(second.turns)) == ("turns", 4)
    assert set_up.play(Budget(turns=2), going_on=ON) == second
    third = set_up.play(Budget(turns=3), going_on=GoingOn("job-3", words=""))
    assert (third.stop, len(third.turns)) == ("finished", 7)
    assert [event.payload["job"] for event in of_kind(set_up.log.events(), "continue")] == ["job-2", "job-3"]


def test_prose_before_does_not_count(set_stage: Set) -> None:
    """A session that ended for want of tool calls has all its tries again."""
    prose = says(content="Let me think.")
    set_up = set_stage(says(FIX), *[prose] * 7, says(LS), *REST)
    assert set_up.play().stop == "no_tool_calls"
    result = set_up.play(going_on=ON)
    assert result.stop == "finished"
    rungs = [(turn.number, turn.intervention.kind) for turn in result.turns if turn.intervention]
    assert rungs == [(5, "nudge"), (7, "replan"), (9, "rollback"), (16, "nudge")]


def test_a_model_that_was_away(set_stage: Set) -> None:
    """A session whose model could not be reached goes on, with a change and without one."""
    away = {"faults": [{"status": 401, "times": 1}]}
    set_up = set_stage(says(LOOK), {**says(FIX), **away}, *REST)
    with pytest.raises(BrokenWorld):
        set_up.play()
    result = set_up.play(going_on=ON)
    assert result.stop == "finished"
    assert "it was broken off" in result.turns[1].notices[-1]

    changed = set_stage(says(FIX), {**says(LS), **away}, *REST)
    assert changed.play().stop == "model_unavailable"
    result = changed.play(going_on=ON)
    assert (result.stop, len(result.turns)) == ("finished", 5)
    assert "the model could not be reached" in result.turns[1].notices[-1]


def test_a_question_is_answered_so_too(set_stage: Set) -> None:
    """Words are the answer to the question that was open; without words the model decides as it said it would."""
    ask = {"name": "ask", "arguments": {"question": "Which way?"}}
    for words, told in ((WORDS, notices.answered(WORDS)), ("", notices.UNANSWERED)):
        set_up = set_stage(says(FIX), says(ask), *REST)
        assert set_up.play(may_ask=True).stop == "asked"
        result = set_up.play(may_ask=True, going_on=GoingOn("job-2", words=words))
        assert result.stop == "finished"
        assert result.turns[2].notices[-1] == told


def test_an_answer_is_given_once(set_stage: Set) -> None:
    """A second question is not answered by the words on the first, when the job that brought them begins again."""
    ask, again = ({"name": "ask", "arguments": {"question": text}} for text in ("Which way?", "How far?"))
    set_up = set_stage(says(FIX), says(ask), says(again), *REST)
    set_up.play(may_ask=True)
    answered = GoingOn("job-2", answer="left")
    parked = set_up.play(may_ask=True, going_on=answered)
    assert (parked.stop, parked.question) == ("asked", "How far?")
    assert set_up.play(may_ask=True, going_on=answered) == parked
    assert set_up.play(may_ask=True, going_on=GoingOn("job-3", answer="a mile")).stop == "finished"


def test_nothing_to_go_on_with_is_a_beginning(set_stage: Set) -> None:
    """Where no session was recorded one begins, without a word of an earlier one."""
    set_up = set_stage(says(FIX), *REST)
    result = set_up.play(going_on=ON)
    assert (result.stop, result.turns[0].notices) == ("finished", ())
    assert of_kind(set_up.log.events(), "continue") == []


def crash_at(set_up: Stage, number: int, *, stored: bool, going_on: GoingOn, budget: Budget) -> bool:
    """Whether the process died at this act, counted from now; its container goes with it."""
    set_up.log.acts, set_up.log.crash_at, set_up.log.stored = 0, number, stored
    try:
        set_up.play(budget, going_on=going_on)
    except Crash:
        return True
    finally:
        set_up.log.crash_at = None
        set_up.workspace.restore(None)
    return False


SESSION: Sequence[Mapping[str, Any]] = (says(LOOK), says(FIX), says(LS), *REST)


@pytest.mark.parametrize("stored", [True, False])
def test_a_crash_at_any_act_of_going_on_changes_nothing_in_the_end(
    set_stage: Set, tmp_path: Path, repository: Path, stored: bool
) -> None:
    """Wherever the first process and the one that goes on die: it goes on once, and nothing stored is asked again."""

    def stage(name: str) -> Stage:
        set_up = set_stage(*SESSION)
        room = tmp_path / name
        room.mkdir()
        set_up.workspace = FolderWorkspace(repository, room)
        return set_up

    plain = stage("plain")
    plain.play(Budget(turns=3))
    expected = plain.play(Budget(turns=6), going_on=ON)
    assert expected.stop == "finished"
    number, died = 0, True
    while died:
        number += 1
        set_up = stage(f"second-{number}")
        set_up.play(Budget(turns=3))
        died = crash_at(set_up, number, stored=stored, going_on=ON, budget=Budget(turns=6))
        result = set_up.play(Budget(turns=6), going_on=ON)
        assert (result.stop, result.patch, result.finish) == (expected.stop, expected.patch, expected.finish)
        assert len(of_kind(set_up.log.events(), "llm_response")) == len(SESSION)
        assert len(set_up.sent()) <= len(SESSION) + 1
        assert len(of_kind(set_up.log.events(), "continue")) == 1
        told = [notice for turn in result.turns for notice in turn.notices]
        assert told.count(notices.continued(WORDS, "turns")) == 1
        check_chain(set_up.log.events())
    assert number > len(REST)


@pytest.mark.parametrize("stored", [True, False])
def test_a_session_that_broke_off_anywhere_goes_on(
    set_stage: Set, tmp_path: Path, repository: Path, stored: bool
) -> None:
    """Cancelled or killed at any act of storing, it goes on from what was stored, and the model is told once."""
    number, died = 0, True
    while died:
        number += 1
        set_up = set_stage(*SESSION, says(EXPLAINED))
        room = tmp_path / f"first-{number}"
        room.mkdir()
        set_up.workspace = FolderWorkspace(repository, room)
        died = crash_at(set_up, number, stored=stored, going_on=GoingOn(), budget=Budget())
        if not died:
            break
        result = set_up.play(going_on=ON)
        assert result.stop == "finished"
        assert result.patch is not None
        # Where the last turn had begun, the session says once more that it is finished.
        assert len(result.turns) - len(SESSION) in (0, 1)
        assert len(of_kind(set_up.log.events(), "llm_response")) == len(result.turns)
        told = [notice for turn in result.turns for notice in turn.notices]
        heard = sum(notice.startswith("This session had stopped") for notice in told)
        assert heard == len(of_kind(set_up.log.events(), "continue")), f"act {number}"
        check_chain(set_up.log.events())
        assert check_requests(set_up.log.events()) == len(result.turns)


def test_it_is_played_again_as_it_was(set_stage: Set, tmp_path: Path, repository: Path) -> None:
    """A replay goes on where the session did, and makes the same change."""
    set_up = set_stage(says(LOOK), says(FIX), *REST)
    set_up.play(Budget(turns=2))
    result = set_up.play(Budget(turns=3), going_on=ON)
    room = tmp_path / "replay"
    room.mkdir()
    equipment = set_up.equip(FolderWorkspace(repository, room))
    played = replay(InlineRun("replay"), set_up.log.events(), equipment=equipment)
    assert (played.turns, played.differences) == (len(result.turns), ())
    assert played.patch == result.patch
