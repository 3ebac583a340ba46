"""Several models as one, each a real server: who answers, who stays, and what is nobody's to answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.workflows.agent.conftest import Serve
from workflows.agent.client.fallbacks import FallbackModel
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.client.refusals import ModelUnavailable
from workflows.services import BrokenWorld, ContextTooLong, Model

Connect = Callable[..., OpenAIModel]

HELLO = [{"role": "user", "content": "Hello"}]
USAGE = {"prompt_tokens": 100, "completion_tokens": 10}
TOO_LONG = {"status": 400, "body": {"error": {"message": "maximum context length is 4096 tokens"}}, "times": -1}


def says(words: str, *faults: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"content": words, "usage": USAGE, "faults": list(faults)}]


class Hands:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def pair(serve: Serve, connect: Connect) -> Callable[..., tuple[FallbackModel, Any, Any]]:
    """A model of choice with the given faults, its stand-in, and their servers."""

    def build(*faults: dict[str, Any], second: tuple[dict[str, Any], ...] = (), **options: Any) -> Any:
        servers = serve(says("first", *faults), name="one"), serve(says("second", *second), name="two")
        windows = options.pop("windows", (None, None))
        models = [
            connect(server, model=name, attempts=3, context_window=window)
            for server, name, window in zip(servers, ("one", "two"), windows, strict=True)
        ]
        return (FallbackModel(models, **options), *servers)

    return build


def test_the_first_answers_while_it_can(pair: Any) -> None:
    """Then nobody else is asked, and no name is noted."""
    model: Model
    model, first, second = pair()
    reply = model.complete(HELLO)
    assert (reply.content, reply.model, model.name) == ("first", "", "one")
    assert (len(first.completions()), second.requests) == (1, [])


@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        ({"status": 401}, 1),
        ({"status": 402}, 1),
        ({"status": 403}, 1),
        ({"status": 404}, 1),
        ({"status": 400, "body": {"error": {"code": "model_not_found", "message": "gone"}}}, 1),
        ({"status": 307, "location": "http://127.0.0.1:9/v1"}, 1),
        ({"html": True}, 1),
        ({"status": 503}, 3),
        ({"cut": 10}, 3),
    ],
    ids=str,
)
def test_the_next_answers_for_one_that_cannot(pair: Any, fault: dict[str, Any], asked: int) -> None:
    """At once when key, money, address or model are wrong; otherwise when the attempts are spent."""
    model, first, second = pair({**fault, "times": -1})
    reply = model.complete(HELLO)
    assert (reply.content, reply.model) == ("second", "two")
    assert (len(first.completions()), len(second.completions())) == (asked, 1)


def test_lost_attempts_of_the_first_are_paid_for(pair: Any) -> None:
    """They were billed, and are in the reply's usage as an estimate."""
    model, *_ = pair({"malformed": True, "times": -1})
    usage = model.complete(HELLO).usage
    assert usage.estimated
    assert usage.input_tokens > USAGE["prompt_tokens"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 400, "body": {"error": {"message": "tools is not a list"}}},
        {"body": {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}},
    ],
    ids=str,
)
def test_a_request_that_is_wrong_is_wrong_for_all(pair: Any, fault: dict[str, Any]) -> None:
    """It is not carried to another provider."""
    model, _, second = pair({**fault, "times": -1})
    with pytest.raises(BrokenWorld) as broken:
        model.complete(HELLO)
    assert not isinstance(broken.value, ModelUnavailable)
    assert second.requests == []


def test_whoever_answered_stays_for_a_while(pair: Any) -> None:
    """Its prompt cache is warm. Then the first gets another chance, and keeps the place when it answers."""
    clock = Hands()
    model, first, second = pair({"status": 401}, sticky=600.0, clock=clock)
    assert [model.complete(HELLO).content for _ in range(3)] == ["second"] * 3
    assert len(first.completions()) == 1
    clock.now += 599
    assert model.complete(HELLO).content == "second"
    clock.now += 2
    assert [model.complete(HELLO).content for _ in range(2)] == ["first"] * 2
    assert len(second.completions()) == 4


def test_a_stand_in_that_fails_hands_back(serve: Serve, connect: Connect) -> None:
    """While it stays it is asked first, but not alone."""
    gone = {"status": 401}
    first = serve(says("first", gone) + says("first again"), name="one")
    second = serve(says("second") + says("second again", {**gone, "times": -1}), name="two")
    model = FallbackModel([connect(first, model="one"), connect(second, model="two")])
    assert model.complete(HELLO).model == "two"
    reply = model.complete([*HELLO, {"role": "assistant", "content": "second"}])
    assert (reply.content, reply.model) == ("first again", "")
    assert (len(first.completions()), len(second.completions())) == (2, 2)


def test_when_none_can_answer_each_says_why(pair: Any) -> None:
    """One exception, with a sentence of each, and with what all attempts cost."""
    model, *_ = pair({"status": 401, "times": -1}, second=({"malformed": True, "times": -1},))
    with pytest.raises(ModelUnavailable, match=r"one: .*OPENAI_API_KEY.*two: .*no usable answer in 3 attempts") as none:
        model.complete(HELLO)
    assert none.value.usage.input_tokens > 0


def test_what_is_too_long_goes_only_where_there_is_more_room(pair: Any) -> None:
    """A larger window is tried; one that is no larger is not; without any the conversation has to be shrunk."""
    model, first, second = pair(TOO_LONG, windows=(4_096, 262_144))
    assert (model.complete(HELLO).model, model.context_window) == ("two", 262_144)
    assert len(first.completions()) == 1
    small, _, second = pair(TOO_LONG, windows=(4_096, 4_096))
    with pytest.raises(ContextTooLong):
        small.complete(HELLO)
    assert second.requests == []
    both, *_ = pair(TOO_LONG, second=(TOO_LONG,), windows=(4_096, 8_192))
    with pytest.raises(ContextTooLong):
        both.complete(HELLO)


def test_the_first_does_not_use_up_the_time(pair: Any) -> None:
    """One that hangs leaves half of it to the next."""
    model, *_ = pair({"hang": 30, "times": -1})
    assert model.complete(HELLO, deadline=8.0).content == "second"


def test_check_says_who_stands_in(pair: Any) -> None:
    """Fine while one answers, and what is wrong with those before it is said."""
    model, first, _ = pair()
    assert model.check() == (True, f"{first.url} offers the model one")
    model, first, _ = pair()
    first.stop()
    answers, words = model.check()
    assert answers
    assert "does not answer" in words
    assert "offers the model two" in words


def test_an_empty_list_is_a_mistake() -> None:
    """There must be somebody to ask."""
    with pytest.raises(ValueError, match="at least one"):
        FallbackModel([])
