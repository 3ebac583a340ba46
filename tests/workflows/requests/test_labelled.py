"""A label that asks for work: the last act of a person counts, and ours and other Apps' do not."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest

from tests.fakes import KnownJobs, OneThread
from tests.workflows.requests.test_thread_work import NOW, make, record, serve
from workflows.durable.job_records import JobRecord
from workflows.durable.run import InlineRun
from workflows.outcome import Outcome
from workflows.requests.admission import admit
from workflows.requests.labelled import find_wanted, is_taken_off
from workflows.services import GitHub
from workflows.types import Actor, Job, LabelAct

MONA = Actor(id=5, login="mona")
BOB = Actor(id=6, login="bob")
US = Actor(id=9, login="forgehand[bot]", type="Bot")
LATER = NOW + timedelta(seconds=1)


def labelled(number: int = 1, **more: object) -> Job:
    fields = {"id": f"gh-{number}", "word": "", "trigger": "qwen", "request": "label qwen", "comment": None}
    return make(**{**fields, **more})  # type: ignore[arg-type]


def acts(*said: tuple[str, bool, Actor]) -> OneThread:
    github = OneThread()
    github.label_acts = [LabelAct(label=label, on=on, actor=actor) for label, on, actor in said]
    return github


ON, OFF = ("qwen", True, MONA), ("qwen", False, MONA)
TAKEN_UP = ("qwen", False, US)


@pytest.mark.parametrize(
    ("said", "off"),
    [
        ((), False),
        ((ON,), False),
        ((ON, OFF), True),
        ((ON, OFF, ON), False),
        ((ON, OFF, ON, TAKEN_UP), False),
        ((ON, TAKEN_UP, ON, ("Qwen", False, BOB)), True),
        ((ON, ("other", False, MONA)), False),
    ],
)
def test_who_acted_last(said: tuple[tuple[str, bool, Actor], ...], off: bool) -> None:
    """Whose act it was counts, and not whether the label is there now: we take it off when we take it up."""
    assert is_taken_off(cast(GitHub, acts(*said)), labelled()) is off


def tidying() -> Job:
    return make("", id="gh-9", workflow="tidy", words="It was taken off.", label="qwen", request="", created_at=LATER)


# As SQLite's engine keeps it: in whole seconds, of the moment when the label's event came.
CANCELLED = record(labelled(1), "cancelled").model_copy(update={"changed_at": LATER.replace(microsecond=0)})


@pytest.mark.parametrize(
    ("said", "records", "wanted"),
    [
        ((ON, OFF, ON), [CANCELLED], True),
        ((ON, OFF, ON, TAKEN_UP), [CANCELLED], True),
        ((ON, OFF), [CANCELLED], False),
        ((ON, OFF, ON), [CANCELLED, record(labelled(2), "queued", created_at=LATER)], False),
        ((ON, OFF, ON), [CANCELLED, record(labelled(2), "running", created_at=LATER)], False),
        ((ON, OFF, ON), [CANCELLED.model_copy(update={"job": labelled(1, trigger="other")})], False),
        ((ON, OFF, ON), [], False),
    ],
)
def test_what_was_ended_by_a_label_that_is_on_again(
    said: tuple[tuple[str, bool, Actor], ...], records: list[JobRecord], wanted: bool
) -> None:
    """It is begun again when its label was the last to ask and nothing is left of it; never beside what goes on."""
    found = find_wanted(cast(GitHub, acts(*said)), tidying(), serve(OneThread(), KnownJobs(*records))).job
    assert (found is not None) is wanted
    if found is not None:
        assert (found.id, found.workflow, found.trigger, found.actor) == ("gh-9", "fix_issue", "qwen", MONA)


def test_what_was_stopped_before_stays_ended() -> None:
    """On, off and on, then `/qwen stop`; the "off" that nobody received is delivered again: nothing begins."""
    stopped = CANCELLED.model_copy(update={"changed_at": CANCELLED.changed_at - timedelta(seconds=1)})
    services = serve(OneThread(), KnownJobs(stopped))
    assert find_wanted(cast(GitHub, acts(ON, OFF, ON)), tidying(), services).job is None


def test_on_a_pull_request_it_asks_for_a_review() -> None:
    """What its label asked for there is what is begun again."""
    services = serve(OneThread(), KnownJobs(CANCELLED))
    found = find_wanted(
        cast(GitHub, acts(ON, OFF, ON)), tidying().model_copy(update={"on_pull_request": True}), services
    )
    assert found.job is not None
    assert found.job.workflow == "review_pull"


def test_one_that_joined_what_was_ended_does_not_hide_it() -> None:
    """The second "on" joined the first one's job, which a late "off" then ended: it is begun again."""
    joined = record(labelled(2), "ended", created_at=LATER)
    joined = joined.model_copy(update={"outcome": Outcome(status="joined", reason="")})
    services = serve(OneThread(), KnownJobs(CANCELLED, joined))
    assert find_wanted(cast(GitHub, acts(ON, OFF, ON)), tidying(), services).job is not None


def test_a_label_put_on_again_joins_what_runs() -> None:
    """It is taken off as if it had been taken up; when the work has ended it asks anew."""
    github = acts(ON)
    github.labels.add("qwen")
    running = serve(github, KnownJobs(record(labelled(1), "running", admission=False)))
    outcome = admit(InlineRun("gh-2"), labelled(2), running)
    assert isinstance(outcome, Outcome)
    assert outcome.status == "joined"
    assert github.labels == set()
    done = record(labelled(1), "ended", admission=False)
    done = done.model_copy(update={"outcome": Outcome(status="pull_request", reason="")})
    github.labels.add("qwen")
    assert isinstance(admit(InlineRun("gh-2"), labelled(2), serve(github, KnownJobs(done))), Job)
