"""What a session is worth."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.trajectory.recorded import Recording, plain_session
from workflows.trajectory.reward import ending_of, reward
from workflows.types import Verdict

PROVEN: dict[str, Any] = {"status": "verified", "fail_to_pass": ("a",), "pass_to_pass": 3}


@pytest.mark.parametrize(
    ("change", "worth"),
    [
        ({}, 1.0),
        ({"fail_to_pass": ()}, 0.0),
        ({"broken": ("b",)}, 0.0),
        ({"weakened": ("`test_a.py` lost a test.",)}, 0.0),
        ({"status": "unverified"}, 0.0),
        ({"status": "worse"}, 0.0),
        ({"status": "no_tests"}, None),
    ],
)
def test_a_reward_is_for_proof(change: dict[str, Any], worth: float | None) -> None:
    """One for a verified change that turned a test green and neither broke nor weakened any; none without a measure."""
    assert reward(Verdict(**(PROVEN | change))) == worth


def test_no_verdict_no_reward() -> None:
    """A session that nobody judged is not scored."""
    assert reward(None) is None
    recording = Recording()
    recording.end("cancelled")
    assert (ending_of(recording.events).label, ending_of(recording.events).reward) == ("unscored", None)


def test_a_broken_world_is_never_scored() -> None:
    """A failure around the agent, or a session that never ended, has a label and no reward, even with a verdict."""
    broken, torn = Recording(), Recording()
    broken.end("model_unavailable", infrastructure=True, **PROVEN)
    torn.add("verdict", 0, PROVEN)
    assert (ending_of(broken.events).label, ending_of(broken.events).reward) == ("infrastructure", None)
    assert (ending_of(torn.events).label, ending_of(torn.events).reward) == ("unfinished", None)
    assert (ending_of(plain_session().events).label, ending_of(plain_session().events).reward) == ("scored", 1.0)
