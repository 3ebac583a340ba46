"""When a request is sent again, judged without any network: outcomes go in, waits and requests come out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from email.utils import formatdate

import pytest

from app.github_retry import SETTLE_SECONDS, Attempts, Gate, RetryRules
from app.github_wire import Answer, Limited, Unclear, parse_api_url, parse_limit
from tests.app.fake_clock import FakeClock
from workflows.durable.run import JobPostponed
from workflows.services import BrokenWorld

OK = Answer(200, {})


@pytest.fixture
def time_() -> FakeClock:
    return FakeClock()


def rules(time_: FakeClock, **changes: float) -> RetryRules:
    return RetryRules(between_writes=changes.pop("between_writes", 0.0), clock=time_.clock, **changes)  # type: ignore[arg-type]


def attempts(time_: FakeClock, **changes: float) -> Attempts:
    settled = rules(time_, **changes)
    return Attempts(settled, Gate(settled))


def script(time_: FakeClock, outcomes: Iterable[Answer | Exception]) -> tuple[Callable[[], Answer], list[float]]:
    """An exchange that plays these outcomes, and the moments at which it was asked."""
    asked: list[float] = []
    rest = iter(outcomes)

    def exchange() -> Answer:
        asked.append(time_.now())
        outcome = next(rest)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return exchange, asked


def test_read_is_repeated_until_clear(time_: FakeClock) -> None:
    """A read that fails is asked again after growing pauses, and its answer is returned."""
    exchange, asked = script(time_, [Unclear("502"), Unclear("reset"), Unclear("cut"), OK])
    assert attempts(time_).send("GET", exchange, repeatable=True) is OK
    assert len(asked) == 4
    assert [1 <= time_.sleeps[0] <= 2, 2 <= time_.sleeps[1] <= 3, 4 <= time_.sleeps[2] <= 5] == [True] * 3


def test_read_ends_in_unclear(time_: FakeClock) -> None:
    """A GitHub that never answers is asked eight times and no more."""
    exchange, asked = script(time_, [Unclear("502")] * 99)
    with pytest.raises(Unclear):
        attempts(time_).send("GET", exchange, repeatable=True)
    assert len(asked) == 8


def test_pause_of_a_503_is_kept(time_: FakeClock) -> None:
    """A 503 with Retry-After is not asked again sooner than that."""
    exchange, _ = script(time_, [Unclear("503", pause=40), OK])
    attempts(time_).send("GET", exchange, repeatable=True)
    assert time_.sleeps == [40]


def test_write_is_never_blindly_repeated(time_: FakeClock) -> None:
    """After an unclear outcome a write that is not repeatable is sent no second time."""
    exchange, asked = script(time_, [Unclear("502"), OK])
    with pytest.raises(Unclear):
        attempts(time_).send("POST", exchange, repeatable=False)
    assert len(asked) == 1


def test_limited_write_waits_exactly_and_goes_again(time_: FakeClock) -> None:
    """Retry-After 60 on a write: nothing for exactly 60 seconds, then the same write, as GitHub had not done it."""
    exchange, asked = script(time_, [Limited(60.0), OK])
    assert attempts(time_).send("POST", exchange, repeatable=False) is OK
    assert time_.sleeps == [60.0]
    assert asked[1] - asked[0] == pytest.approx(60)


def test_limit_without_a_number_grows(time_: FakeClock) -> None:
    """Limits for which GitHub gives no time are waited out for one minute, two, four."""
    exchange, _ = script(time_, [Limited(None), Limited(None), Limited(None), OK])
    attempts(time_).send("GET", exchange, repeatable=True)
    assert time_.sleeps == [60.0, 120.0, 240.0]


def test_limit_of_zero_seconds_is_not_hammered(time_: FakeClock) -> None:
    """A server that says 'retry after 0' again and again is asked ever more rarely, and given up in the end."""
    exchange, asked = script(time_, [Limited(0.0)] * 999)
    with pytest.raises(BrokenWorld, match="rate limit"):
        attempts(time_).send("GET", exchange, repeatable=True)
    assert len(asked) < 12


def test_limit_longer_than_patience(time_: FakeClock) -> None:
    """A limit beyond our patience ends at once in a clear message with the time until which it holds."""
    exchange, asked = script(time_, [Limited(3000.0), OK])
    with pytest.raises(BrokenWorld, match=r"rate limit until \d{4}-\d\d-\d\d \d\d:\d\d UTC") as broken:
        attempts(time_, patience=600.0).send("GET", exchange, repeatable=True)
    assert (broken.value.kind, len(asked), time_.sleeps) == ("github", 1, [])


@pytest.mark.parametrize("refused", [Limited(60.0), Unclear("503", pause=60.0)], ids=["limit", "503"])
def test_a_job_that_may_be_put_off_is(time_: FakeClock, refused: Exception) -> None:
    """A job in a hurry sits out five seconds; for longer it leaves its thread, and says when it may come again.

    It does so at once while the limit that somebody else met lasts.
    """
    settled = rules(time_).within(5.0)
    gate = Gate(settled)
    exchange, asked = script(time_, [Limited(4.0), OK, refused, OK])
    send = Attempts(settled, gate).send
    assert send("GET", exchange, repeatable=True) is OK
    assert time_.sleeps == [4.0]
    with pytest.raises(JobPostponed) as postponed:
        send("GET", exchange, repeatable=True)
    assert (postponed.value.seconds, len(asked)) == (60.0, 3)
    if isinstance(refused, Limited):
        time_.advance(20)
        with pytest.raises(JobPostponed) as postponed:
            send("GET", exchange, repeatable=True)
        assert (postponed.value.seconds, len(asked)) == (40.0, 3)


def test_limit_holds_for_every_thread(time_: FakeClock) -> None:
    """The limit that one request meets keeps all others of the installation back: zero requests in the window."""
    settled = rules(time_)
    gate = Gate(settled)
    gate.close(60)
    exchange, asked = script(time_, [OK])
    before = time_.now()
    Attempts(settled, gate).send("GET", exchange, repeatable=True)
    assert asked[0] - before == pytest.approx(60)


def test_writes_keep_apart(time_: FakeClock) -> None:
    """Writes of one installation lie a second apart; reads do not wait for them."""
    settled = rules(time_, between_writes=1.0)
    send = Attempts(settled, Gate(settled)).send
    exchange, asked = script(time_, [OK] * 4)
    for verb in ("POST", "GET", "PATCH", "POST"):
        send(verb, exchange, repeatable=True)
    assert [round(moment - asked[0], 3) for moment in asked] == [0.0, 0.0, 1.0, 2.0]


def test_writes_of_many_threads_keep_apart() -> None:
    """Also with many threads at once no two writes of one installation share a second."""
    time_ = FakeClock()
    settled = rules(time_, between_writes=1.0)
    gate = Gate(settled)
    let_in: list[float] = []
    guard = threading.Lock()

    def write() -> None:
        gate.enter("POST", deadline=float("inf"))
        with guard:
            let_in.append(time_.now())

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 8
    assert time_.now() - time_._start >= 7 - 1e-6


def test_found_after_an_unclear_write(time_: FakeClock) -> None:
    """A write that happened though the answer was lost is found by looking, and not made again."""
    made: list[int] = []

    def create() -> int:
        made.append(7)
        raise Unclear("502")

    assert attempts(time_).find_or_create(lambda: made[0] if made else None, create) == 7
    assert made == [7]


def test_second_look_before_a_second_write(time_: FakeClock) -> None:
    """Reads lag behind writes: it is looked for twice, with a pause, before it is made again."""
    made: list[int] = []
    looks = 0

    def look() -> int | None:
        nonlocal looks
        looks += 1
        return made[0] if looks == 3 else None

    def create() -> int:
        made.append(7)
        raise Unclear("timeout")

    assert attempts(time_).find_or_create(look, create) == 7
    assert (made, looks, time_.sleeps[-1]) == ([7], 3, SETTLE_SECONDS)


def test_lost_write_is_made_again(time_: FakeClock) -> None:
    """A write that did not happen is made again after two looks in vain."""
    outcomes: list[int | Exception] = [Unclear("reset"), 9]

    def create() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert attempts(time_).find_or_create(lambda: None, create) == 9


DATE = formatdate(1_800_000_000, usegmt=True)


@pytest.mark.parametrize(
    ("status", "headers", "message", "expected"),
    [
        (429, {"retry-after": "60"}, "", 60.0),
        (403, {"retry-after": "7", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800009999"}, "", 7.0),
        (403, {"retry-after": formatdate(1_800_000_030, usegmt=True), "date": DATE}, "", 30.0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000100", "date": DATE}, "", 101.0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1799990000", "date": DATE}, "", 1.0),
        (403, {"x-ratelimit-remaining": "4999"}, "You have exceeded a secondary rate limit.", None),
        (429, {}, "", None),
        (403, {"x-ratelimit-remaining": "4999"}, "Resource not accessible by integration", "no limit"),
        (404, {"retry-after": "60"}, "", "no limit"),
    ],
)
def test_limits_by_githubs_rules(status: int, headers: dict[str, str], message: str, expected: object) -> None:
    """Retry-After first, then the reset by GitHub's own clock, else nothing said; a plain 403 is no limit."""
    limit = parse_limit(Answer(status, headers, {"message": message}))
    assert (limit.seconds if limit else "no limit") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://api.github.com/", "https://api.github.com"),
        (" https://ghe.example/api/v3/ ", "https://ghe.example/api/v3"),
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
        ("http://localhost:4000/api/v3", "http://localhost:4000/api/v3"),
    ],
)
def test_api_addresses(given: str, expected: str) -> None:
    """GitHub's cloud, an Enterprise Server and loopback are accepted."""
    assert parse_api_url(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "",
        "api.github.com",
        "http://api.github.com",
        "http://127.0.0.1.example",
        "ftp://api.github.com",
        "https://github.com",
        "https://me:secret@ghe.example/api/v3",
        "https://ghe.example/api/v3?x=1",
    ],
)
def test_api_addresses_refused(given: str) -> None:
    """Tokens never travel in the clear, and the message says what to write instead, without repeating a password."""
    with pytest.raises(ValueError, match=r"https://api\.github\.com") as error:
        parse_api_url(given)
    assert "secret" not in str(error.value)
