"""Turns are read back from events as they were."""

from __future__ import annotations

import pytest

from tests.workflows.trajectory.recorded import Recording, call, compacted_session, patch, result, turns
from workflows.trajectory.events import BrokenChain
from workflows.trajectory.turns import turns_of, unfinished_turn
from workflows.types import Compaction, Reply, Turn


def test_every_field_comes_back() -> None:
    """A recorded turn is read back equal, with its notices, results, plan, patch, intervention and end."""
    recording = Recording()
    for turn in turns():
        recording.turn(turn)
    assert turns_of(recording.events) == turns()
    assert unfinished_turn(recording.events) is None


def test_compactions_come_back_in_order() -> None:
    """The compactions before a turn are its own, in the order in which they were made."""
    kinds = [[made.kind for made in turn.compactions] for turn in turns_of(compacted_session().events)]
    assert kinds == [[], [], ["mask"], ["snapshot", "trim"], ["fresh"]]


def test_results_stand_in_the_order_of_their_calls() -> None:
    """Calls that ran side by side are answered in the model's order, however they came back."""
    recording = Recording()
    recording.turn(turns()[0], out_of_order=True)
    assert turns_of(recording.events)[0].results == turns()[0].results


def test_a_patch_is_the_whole_change() -> None:
    """Each turn that changed something holds the whole change so far, not what it added."""
    recording = Recording()
    both = patch(b"one\n").files + patch(b"two\n", "two.py").files
    recording.turn(Turn(number=1, reply=Reply(content="a"), patch=patch(b"one\n")))
    recording.turn(Turn(number=2, reply=Reply(content="b")))
    recording.turn(Turn(number=3, reply=Reply(content="c"), patch=patch(b"").model_copy(update={"files": both})))
    found = [turn.patch and [file.path for file in turn.patch.files] for turn in turns_of(recording.events)]
    assert found == [["total.py"], None, ["total.py", "two.py"]]


def test_an_interrupted_call_is_named() -> None:
    """Of a turn whose process died, the reply, the results so far, the change and the open calls are told apart."""
    recording = Recording()
    recording.turn(turns()[0])
    calls = [call(2, index, "bash", command=str(index)) for index in range(3)]
    reply = Reply(tool_calls=tuple(calls))
    recording.ask(2, notices=["Mind the gap."])
    recording.add("llm_response", 2, reply)
    recording.add("tool_intent", 2, calls[0])
    recording.add("tool_result", 2, result(calls[0], "0"))
    recording.add("snapshot", 2, {"base": "a" * 40, "files": [], "gone": []})
    recording.add("tool_intent", 2, calls[1])
    found = unfinished_turn(recording.events)
    assert found is not None
    assert (found.number, found.reply, found.notices) == (2, reply, ("Mind the gap.",))
    assert [came.content for came in found.results] == ["0"]
    assert found.interrupted == (calls[1],)
    assert found.interrupted_call == calls[1]
    assert found.patch is not None
    assert found.patch.empty
    assert len(turns_of(recording.events)) == 1


def test_an_answered_turn_goes_on_after_a_resume() -> None:
    """What was answered before the process died counts; the results that follow belong to the same turn."""
    recording = Recording()
    only = call(1, 0, "bash", command="true")
    recording.ask(1, notices=["before"])
    recording.add("llm_response", 1, Reply(tool_calls=(only,)))
    recording.add("tool_intent", 1, only)
    recording.add("resumed", 1, {})
    recording.add("tool_result", 1, result(only, "Interrupted, state unknown."))
    recording.add("turn", 1, {"number": 1, "stage": "read", "seconds": 1.0})
    (turn,) = turns_of(recording.events)
    assert turn.notices == ("before",)
    assert [came.content for came in turn.results] == ["Interrupted, state unknown."]


def test_an_unanswered_turn_begins_again() -> None:
    """What stood in a turn before its process died unanswered was never said: it is made anew, and not twice."""
    recording = Recording()
    stale = Compaction(kind="fresh", kept_from=2, words="stale")
    recording.ask(1, notices=["stale"], compactions=[stale])
    assert unfinished_turn(recording.events) is None
    recording.add("resumed", 1, {})
    recording.ask(1, notices=["new"])
    recording.add("llm_response", 1, Reply(content="x"))
    recording.add("turn", 1, {"number": 1, "stage": "read", "seconds": 1.0})
    (turn,) = turns_of(recording.events)
    assert (turn.notices, turn.compactions) == (("new",), ())


def test_a_turn_without_a_reply_is_a_broken_record() -> None:
    """A turn that ends without a reply is named, not passed over."""
    recording = Recording()
    recording.add("turn", 1, {"number": 1, "stage": "read", "seconds": 1.0})
    with pytest.raises(BrokenChain, match=r"Turn 1 .* without a reply"):
        turns_of(recording.events)


def test_an_unreadable_event_is_named() -> None:
    """An event that this version cannot read is a sentence about that event, not a traceback."""
    for payload in ({}, {"count": 1, "notices": [], "sha256": ""}):
        recording = Recording()
        recording.add("llm_request" if not payload else "llm_response", 1, payload)
        with pytest.raises(BrokenChain, match=r"Event 2 \(llm_re.* cannot be read"):
            turns_of(recording.events)
