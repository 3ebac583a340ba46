"""The conversation is rebuilt as it was sent."""

from __future__ import annotations

import pytest

from tests.workflows.trajectory.recorded import Recording, compacted_session, plain_session, turns
from workflows.trajectory.conversation import FRESH_STARTS, check_requests, opening_of, segments_of
from workflows.trajectory.events import BrokenChain
from workflows.trajectory.turns import turns_of
from workflows.types import Compaction


@pytest.mark.parametrize("session", [plain_session, compacted_session])
def test_every_request_is_rebuilt(session: type[Recording]) -> None:
    """The messages before each reply have the digest that was recorded when they were sent."""
    assert check_requests(session().events) == 5


def test_a_changed_word_is_seen() -> None:
    """A request that was made of other words than those on record is named, with its turn."""
    recording = Recording()
    recording.turn(turns()[0])
    recording.messages[2] = recording.messages[2] | {"content": "Something else."}
    recording.turn(turns()[1])
    with pytest.raises(BrokenChain, match="Turn 2's request"):
        check_requests(recording.events)


def test_the_last_segment_ends_as_the_session_did() -> None:
    """Cut at every compaction, each segment's messages are what was sent; the last one's end is the session's."""
    recording = compacted_session()
    segments = segments_of(opening_of(recording.events).task, turns_of(recording.events))
    assert [[turn.number for turn in segment.turns] for segment in segments] == [[1, 2], [3], [4], [5]]
    assert segments[-1].messages == recording.messages
    assert segments[1].opening[3]["content"].startswith("[output of read_file left out")


def test_a_mask_opens_no_segment_of_its_own() -> None:
    """Cut at fresh starts alone, a masked stretch stays in one piece with what came before."""
    recording = compacted_session()
    segments = segments_of(opening_of(recording.events).task, turns_of(recording.events), kinds=FRESH_STARTS)
    assert [[turn.number for turn in segment.turns] for segment in segments] == [[1, 2, 3], [4], [5]]


def test_a_compaction_that_does_not_fit_is_named() -> None:
    """A compaction of another conversation is a broken record, not a crash."""
    recording = Recording()
    misfit = Compaction(kind="mask", masked=(1,))
    recording.add("compaction", 1, misfit)
    recording.turn(turns()[0])
    with pytest.raises(BrokenChain, match="Turn 1's compaction"):
        check_requests(recording.events)
