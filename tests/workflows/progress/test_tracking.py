"""The tracking comment while a command runs: which one, and the last line that it said."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.fakes import OneThread
from workflows.progress import live_edits
from workflows.progress.live_edits import LIVE_EDIT
from workflows.progress.tracking import LONGEST_SHOWN, Tracking, marker
from workflows.services import BrokenWorld
from workflows.texts.outbound import clean_outbound
from workflows.types import Actor, Job, RepositoryRef, Turn

JOB = Job(
    id="job-1",
    workflow="fix_issue",
    repository=RepositoryRef(installation_id=1, id=11, full_name="octo/hello"),
    number=7,
    actor=Actor(id=5, login="mona"),
    trigger="qwen",
    delivery_id="d",
    created_at=datetime.now(UTC),
)


TURN = Turn.model_validate({"number": 1, "reply": {}, "stage": "read"})


@pytest.fixture
def github() -> OneThread:
    return OneThread()


@pytest.fixture
def follow(github: OneThread) -> Tracking:
    made = github.find_or_create_comment(7, marker(JOB.id), "Working on it: starting.")
    scrub = lambda text: clean_outbound(text, ["hunter2-secret"])  # noqa: E731
    return Tracking(github, JOB, comment_id=made, scrub=scrub)  # type: ignore[arg-type]


def live_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == LIVE_EDIT]


def shown(github: OneThread) -> list[str]:
    """The lines on what runs, once what is being written stands there."""
    for thread in live_threads():
        thread.join(20)
        assert not thread.is_alive(), "a live edit ends with what GitHub answers"
    return [line for line in github.comments[1].splitlines() if "running" in line]


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_edits, "SECONDS_BETWEEN_EDITS", 0.0)


def test_the_running_command_and_its_last_line_are_shown(
    github: OneThread, follow: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the turn or the stage is over; a piece without a line changes nothing."""
    at_once(monkeypatch)
    follow.begin("baseline")
    follow.output("\npytest -q\nexit 3", "12 passed\n[ 25%]\r[ 50%]\n\n")
    assert shown(github) == ["  - running `pytest -q`: `[ 50%]`"]
    follow.output("\npytest -q\nexit 3", "\n \n")
    assert shown(github) == ["  - running `pytest -q`: `[ 50%]`"]
    follow.output("make", "\n")
    assert shown(github) == ["  - running `make`"]
    follow.begin("agent")
    assert shown(github) == []
    follow.output("ls", "a\n")
    assert shown(github) == ["  - running `ls`: `a`"]
    follow.turn(TURN)
    assert shown(github) == []


def test_it_is_shown_seldom(github: OneThread, follow: Tracking) -> None:
    """However much a command says, the comment is not edited more often than for turns."""
    follow.begin("verify")
    before = dict(github.comments)
    for number in range(50):
        follow.output("make test", f"line {number}\n")
    assert shown(github) == []
    assert github.comments == before


@pytest.mark.parametrize(
    "said", ["token hunter2-secret", "@octocat closes #1 `` ` ``", "/qwen stop", "![x](https://evil.example/a.png)"]
)
def test_what_it_says_is_a_strangers_word(
    github: OneThread, follow: Tracking, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """One line in code, cleaned like all that leaves: no secret, and nothing alive."""
    at_once(monkeypatch)
    follow.begin("verify")
    follow.output("x" * 5000, f"{said}\u202e\x1b[31m" + "y" * 5000)
    [line] = shown(github)
    assert "hunter2" not in line
    assert len(line) < 2 * LONGEST_SHOWN + 100
    assert line.startswith("  - running `xxx")
    assert line.endswith("`")
    assert "\u202e" not in line
    assert "\x1b" not in line
    assert clean_outbound(github.comments[1]) == github.comments[1]


def test_neither_a_command_nor_a_turn_waits_for_github(
    github: OneThread, follow: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While GitHub holds an edit back, whoever tells goes on, no second edit is sent, and the next one shows all."""
    at_once(monkeypatch)
    follow.begin("agent")
    github.hold()
    follow.output("make", "one\n")
    assert github.asked.wait(20)
    for number in range(50):
        follow.output("make test", f"line {number}\n")
    follow.turn(TURN)
    follow.output("make test", "at the end\n")
    assert len(live_threads()) == 1
    github.let.set()
    assert shown(github) == ["  - running `make`: `one`"]
    follow.output("make test", "\n")
    assert shown(github) == ["  - running `make test`: `at the end`"]
    assert "turn 1" in github.comments[1]
    assert len(github.edits) == 3


def close(github: OneThread, follow: Tracking) -> None:
    follow.close("**Done.**")


def answer_a_bug(github: OneThread, follow: Tracking) -> None:
    follow.settle()
    github.update_comment(1, "**Done.**")


@pytest.mark.parametrize("end", [close, answer_a_bug])
@pytest.mark.parametrize("broken", [None, BrokenWorld("github", "down"), ValueError("a bug of ours")])
def test_the_last_word_stays(
    github: OneThread,
    follow: Tracking,
    monkeypatch: pytest.MonkeyPatch,
    broken: Exception | None,
    end: Callable[[OneThread, Tracking], None],
) -> None:
    """It is written after the live edit under way, broken or not; none begins any more, and no thread is left."""
    at_once(monkeypatch)
    follow.begin("agent")
    github.hold(broken)
    follow.output("make", "one\n")
    assert github.asked.wait(20)
    ending = threading.Thread(target=end, args=(github, follow))
    ending.start()
    ending.join(0.2)
    assert ending.is_alive(), "the live edit that is under way could land after it"
    github.let.set()
    ending.join(20)
    follow.output("make", "two\n")
    follow.turn(TURN)
    assert shown(github) == []
    assert github.comments[1].startswith("**Done.**")
    assert len(github.edits) == 3, "the stage, the live edit, the last word"
    assert live_threads() == []
