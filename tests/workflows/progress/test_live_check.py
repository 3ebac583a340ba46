"""The check run that shows how far a job is: no turn waits for it, and its conclusion stays."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from tests.fakes import OneThread
from tests.workflows.progress.test_tracking import JOB, TURN, live_threads
from workflows.outcome import Outcome
from workflows.progress import live_edits
from workflows.progress.live_check import LiveCheck


def test_no_turn_waits_and_the_conclusion_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """While GitHub holds a turn's write back the turns go on, and the conclusion is written after it."""
    monkeypatch.setattr(live_edits, "SECONDS_BETWEEN_EDITS", 0.0)
    github = OneThread()
    check = LiveCheck(cast(Any, github), JOB, head_sha="0" * 40, scrub=str)
    check.begin("agent")
    github.hold()
    for number in range(1, 20):
        check.turn(TURN.model_copy(update={"number": number}))
    assert github.asked.wait(20)
    outcome = Outcome(status="pushed", reason="It is on the branch.")
    concluding = threading.Thread(target=check.conclude, args=(outcome,))
    concluding.start()
    concluding.join(0.2)
    assert concluding.is_alive(), "the write under way could land after it"
    github.let.set()
    concluding.join(20)
    check.turn(TURN)
    for late in live_threads():
        late.join(20)
    assert github.checks == {"job-1:live": ("It is on the branch.", "success")}
    assert len(github.edits) == 3, "the stage, a turn, the conclusion"
