"""Of the reviews of a pull request one waits, and nothing that was asked for is lost in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.requests.one_waiting import find_place, wants_all
from workflows.requests.options import options_of
from workflows.types import Actor, Command, CommandOptions, Job, RepositoryRef

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def job(number: int, command: str | None = None, *, trigger: str = "", **options: Any) -> Job:
    said = None if command is None else Command(word="review", text=command, options=CommandOptions(**options))
    return Job(
        id=f"gh-{number}",
        workflow="review_pull",
        repository=RepositoryRef(installation_id=3, id=11, full_name="acme/app"),
        number=7,
        actor=Actor(id=number, login=f"person-{number}"),
        trigger=trigger,
        delivery_id=f"d-{number}",
        created_at=NOON + timedelta(seconds=number),
        command=said,
        tracking=None if said is None else 100 + number,
    )


@pytest.mark.parametrize(
    ("waiting", "later"),
    [
        (job(1), job(2)),
        (job(1, ""), job(2)),
        (job(1, "full"), job(2, "")),
        (job(1, ""), job(2, "", paths=("src/**",))),
        (job(1, "full", paths=("a", "b")), job(2, "", paths=("b",))),
        (job(1, trigger="qwen:review"), job(2)),
    ],
    ids=str,
)
def test_what_a_waiting_review_does_anyway_joins_it(waiting: Job, later: Job) -> None:
    """A request whose reach the waiting one has is done by that."""
    place = find_place(later, [waiting])
    assert (place.joins, place.replaces) == (waiting.id, ())


def test_a_command_is_not_lost_in_a_review_that_nobody_asked_for() -> None:
    """It takes that one's place, and is answered; a command for everything takes the place of one for what is new."""
    place = find_place(job(2, ""), [job(1)])
    assert (place.joins, place.replaces, place.job.command) == ("", ("gh-1",), job(2, "").command)
    place = find_place(job(2, "full"), [job(1, "")])
    assert place.replaces == ("gh-1",)
    assert wants_all(place.job)
    assert place.job.actor.login == "person-2"


def test_a_push_widens_what_somebody_waits_for() -> None:
    """Paths wait, and everything new is to be read as well: it is read for the person, in the same comment."""
    place = find_place(job(2), [job(1, "full", paths=("src/**",), turns=5)])
    assert place.replaces == ("gh-1",)
    assert (place.job.id, place.job.actor.login, place.job.tracking) == ("gh-2", "person-1", 101)
    assert wants_all(place.job)
    assert options_of(place.job) == CommandOptions(turns=5)


def test_another_model_is_not_lost() -> None:
    """Whoever asks for the same with other options is not joined to what goes without them."""
    place = find_place(job(2, "", model="large"), [job(1, "", turns=5)])
    assert place.replaces == ("gh-1",)
    assert options_of(place.job) == CommandOptions(model="large")


def test_nobody_narrows_what_another_waits_for() -> None:
    """Where the policy lets readers ask, a limit of theirs does not hold for the review that a writer asked for."""
    place = find_place(job(2, "", turns=1, usd=0.01), [job(1, "")])
    assert (place.replaces, options_of(place.job)) == (("gh-1",), CommandOptions())
    place = find_place(job(2, "", turns=1, usd=0.01, seconds=5.0), [job(1, "", turns=50, usd=2.0)])
    assert options_of(place.job) == CommandOptions(turns=50, usd=2.0)


REQUESTS = st.builds(
    lambda number, text, paths: job(number, text, paths=paths) if text is not None else job(number),
    st.integers(1, 9),
    st.sampled_from([None, "", "full", "incremental"]),
    st.sampled_from([(), ("a",), ("b",), ("a", "b")]),
)


@settings(deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=8))
def test_however_many_ask_one_waits_and_reads_it_all(requests: list[Job]) -> None:
    """After each request one review waits; it reads what every one of them asked for, and people's in their name."""
    waiting: list[Job] = []
    for number, request in enumerate(requests):
        place = find_place(request.model_copy(update={"id": f"gh-{number}"}), waiting)
        if not place.joins:
            waiting = [one for one in waiting if one.id not in place.replaces] + [place.job]
    [last] = waiting
    assert wants_all(last) >= any(wants_all(one) for one in requests)
    paths = [set(options_of(one).paths) for one in requests]
    assert not options_of(last).paths or (all(paths) and {*options_of(last).paths} >= set().union(*paths))
    assert last.unasked == all(one.unasked for one in requests)
