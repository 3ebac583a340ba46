"""What going round in circles is, over the vectors and over turns, and what only looks like it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.stuck import is_stuck
from tests.workflows.agent.told import answered, bash, call, edit, patch, ran, turn
from workflows.agent.stuck.patterns import find_stuck
from workflows.agent.stuck.steps import read_step
from workflows.types import Compaction, Reply, ToolCall, ToolResult, Turn

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent.parent / "cases" / "stuck.json").read_text("utf-8"))
LOOK = answered(call("read_file", path="a.py"), "1\tx")


def pattern(turns: Sequence[Turn], **more: Any) -> str | None:
    found = find_stuck(turns, **more)
    return found.pattern if found else None


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_the_vectors_agree(case: dict[str, Any]) -> None:
    """Every sequence that others call stuck or not is judged as the vector says."""
    assert is_stuck(case) == case["stuck"]


def test_the_same_call_with_the_same_result_four_times() -> None:
    """Three times is patience, four times is a circle, told with the call."""
    turns = [turn(n, bash("ls")) for n in range(1, 5)]
    assert pattern(turns[:3]) is None
    found = find_stuck(turns)
    assert found is not None
    assert found.pattern == "same_result"
    assert "ls" in found.sentence


def test_spelling_and_plans_hide_no_circle() -> None:
    """Another order of the arguments, or a plan beside the call that says otherwise, is the same again."""
    turns = [
        turn(
            n,
            answered(call("update_plan", plan=f"- [ ] {n}"), f"Plan noted {n}."),
            answered(call("grep", **dict([("pattern", "x"), ("path", "src")][:: 1 if n % 2 else -1])), "none"),
        )
        for n in range(1, 5)
    ]
    assert pattern(turns) == "same_result"


def test_how_long_the_tests_took_is_no_new_result() -> None:
    """Runs that differ by their seconds are the same run."""
    turns = [turn(n, bash("pytest -q", f"exit code 0\n3 passed in 0.{n}1s")) for n in range(1, 5)]
    assert pattern(turns) == "same_result"


def test_several_calls_a_turn_are_one_step() -> None:
    """Four equal calls in one reply are one thought; three calls that come again in four turns are a circle."""
    assert pattern([turn(1, *[bash("ls")] * 8)]) is None
    failing = [edit("a.py", f"x{n}", "Read the file before you edit it.", failed=True) for n in range(6)]
    assert pattern([turn(1, *failing)]) is None
    again = [turn(n, LOOK, bash("ls"), bash("pwd")) for n in range(1, 5)]
    assert pattern(again) == "same_result"


def test_the_same_error_three_times() -> None:
    """The same call that keeps failing, and different calls that fail with the same words."""
    assert pattern([turn(n, bash("make", f"exit code 2\nerror {n}", failed=True)) for n in range(1, 4)]) == "same_error"
    refused = [turn(n, edit("a.py", f"old {n}", "`old_string` is not in a.py.", failed=True)) for n in range(1, 4)]
    assert pattern(refused) == "same_error"
    assert pattern(refused[:2]) is None


def test_an_error_is_the_same_though_something_is_read_between() -> None:
    """Edit refused, read, edit refused, read: the change of the tree alone makes it a new attempt."""
    refused = [edit("a.py", f"old {n}", "`old_string` is not in a.py.", failed=True) for n in range(3)]
    turns = [
        turn(1, refused[0]),
        turn(2, LOOK),
        turn(3, refused[1]),
        turn(4, bash("cat b.py", "z")),
        turn(5, refused[2]),
    ]
    assert pattern(turns) == "same_error"
    turns[3] = turn(4, edit("b.py"))
    assert pattern(turns) is None


def test_a_search_without_a_match_is_no_error() -> None:
    """Commands that fail without a word are different questions with the same answer."""
    turns = [turn(n, bash(f"grep -r name{n} .", "exit code 1", failed=True)) for n in range(1, 9)]
    assert pattern(turns) is None


def test_two_calls_that_take_turns() -> None:
    """A B A B A B with the same results is a circle of two; with new results it is work."""
    pairs = [turn(n, LOOK if n % 2 else bash("git diff", "same")) for n in range(1, 7)]
    assert pattern(pairs) == "alternating"
    assert pattern(pairs[:5]) is None
    work = [turn(n, LOOK if n % 2 else bash("git diff", f"{n}")) for n in range(1, 7)]
    assert pattern(work) is None


def test_three_calls_that_take_turns() -> None:
    """A B C four times with the same results is a circle of three, a word now and then in between or not."""

    def done(n: int, said: str = "same") -> Turn:
        return turn(n, (LOOK, bash("git diff", said), bash("git status", "clean"))[n % 3])

    rounds = [done(n) for n in range(1, 13)]
    assert pattern(rounds) == "alternating"
    found = find_stuck(rounds)
    assert found is not None
    assert "Three calls took turns 4 times" in found.sentence
    assert "git status" in found.sentence
    assert pattern(rounds[:11]) is None
    assert pattern([done(n, f"diff {n}") for n in range(1, 30)]) is None, "with new results it is work"
    talking = [one for n in range(1, 13) for one in ([done(n), turn(n)] if n % 3 == 0 else [done(n)])][:-1]
    assert pattern(talking) == "alternating"
    mending = [edit("a.py", f"x{n}") if n % 3 else ran("t::a") for n in range(1, 13)]
    assert pattern([turn(n, one) for n, one in enumerate(mending, start=1)]) is None, "each edit is another one"


def test_three_messages_without_a_call() -> None:
    """Whatever they say; a call in between begins the count anew."""
    assert pattern([turn(n, content=f"thought {n}") for n in range(1, 4)]) == "messages"
    assert pattern([turn(1), turn(2), turn(3, LOOK), turn(4), turn(5)]) is None


def test_looking_until_something_changes_is_no_circle() -> None:
    """Polling by reading is allowed as long as what is seen changes; the same work five times is not."""
    polling = [turn(n, bash("sleep 5; tail -3 build.log", f"line {n}")) for n in range(1, 15)]
    assert pattern(polling) is None
    working = [turn(n, bash("python try.py", f"exit code 0\n{n}")) for n in range(1, 6)]
    assert pattern(working) == "same_call"
    migrating = [turn(n, bash("python next.py", f"{n}"), change=patch("a.py")) for n in range(1, 15)]
    assert pattern(migrating) is None


def test_edit_and_test_with_new_results_is_work() -> None:
    """An edit, a run, an edit, a run: the heart of the session."""
    turns = []
    for n in range(1, 30):
        turns.append(turn(2 * n - 1, edit("a.py", f"x{n}"), change=patch("a.py")))
        turns.append(turn(2 * n, ran(*[f"t{k}" for k in range(30 - n)])))
        assert pattern(turns) is None


def test_a_chanting_reply() -> None:
    """One reply that says one thing over and over is enough."""
    said = "Let me look at the file again to see what it is about. " * 40
    assert pattern([turn(1, LOOK, content=said)]) == "chanting"
    assert pattern([turn(1, LOOK, content=said), turn(2, LOOK)]) is None


def test_three_compactions_without_a_change() -> None:
    """Shortening again and again with nothing done is a circle through the context; a change of the tree breaks it."""
    short = (Compaction(kind="mask", masked=(3,)), Compaction(kind="snapshot", kept_from=9))
    turns = [turn(n, bash(f"cat {n}.py", str(n)), compactions=short if n % 10 == 0 else ()) for n in range(1, 31)]
    assert pattern(turns) == "compactions"
    assert pattern(turns[:29]) is None, "two compactions in one turn are one"
    turns[22] = turn(23, edit())
    assert pattern(turns) is None


def test_forty_turns_without_a_change() -> None:
    """Different calls that never change the tree nor the failing tests; either of them begins the count anew."""
    turns = [turn(n, bash(f"cat {n}.py", str(n))) for n in range(1, 41)]
    assert pattern(turns[:39]) is None
    assert pattern(turns) == "no_progress"
    assert pattern([*turns[:20], turn(21, edit()), *turns[21:]]) is None
    shown = [turn(10, ran("a", "b")), turn(30, ran("a"))]
    assert pattern([*turns[:9], shown[0], *turns[10:29], shown[1], *turns[30:]]) is None
    other = [turn(10, ran("a", "b")), turn(30, ran("a", targets="a.py"))]
    mixed = [*turns[:9], other[0], *turns[10:29], other[1], *turns[30:]]
    assert pattern(mixed) == "no_progress", "another target says nothing of progress"


def test_edit_after_edit_for_the_same_failures() -> None:
    """Ten runs over ten changes that fail alike are told; failures from before the change are not."""
    turns = [turn(n, edit("a.py", f"x{n}"), ran("t::a", "t::old"), change=patch("a.py")) for n in range(1, 11)]
    assert pattern(turns[:9]) is None
    found = find_stuck(turns)
    assert found is not None
    assert found.pattern == "same_failures"
    assert "t::a" in found.sentence
    assert pattern(turns, known_failing=frozenset({"t::a", "t::old"})) is None
    turns[4] = turn(5, edit("a.py", "z"), ran("t::a", passed=6), change=patch("a.py"))
    assert pattern(turns) is None


def test_a_person_who_speaks_resets() -> None:
    """What was before a new human text does not count."""
    turns = [turn(n, bash("ls")) for n in range(1, 5)]
    assert pattern(turns, since=2) is None
    assert pattern(turns, since=4) is None
    assert pattern([]) is None


def test_unreadable_calls_and_stray_results_are_no_crash() -> None:
    """Whatever a model sends is compared as the text it is."""
    for arguments in ("{", "[1]", "null", "", '{"command": 7}', "[" * 50_000):
        asked = ToolCall(id="x", name="bash", arguments=arguments)
        result = ToolResult(call_id="y", name="bash", content="?")
        odd = Turn(number=1, reply=Reply(tool_calls=(asked,)), results=(result,))
        assert read_step(odd).results == ()
        assert pattern([odd] * 3) is None


def test_the_look_is_bounded() -> None:
    """The ten-thousandth turn costs no more than the hundredth."""
    turns = [turn(n, bash(f"cat {n}.py", "x" * 20_000)) for n in range(1, 101)]
    started = time.thread_time()
    for _ in range(20):
        find_stuck(turns)
    few = time.thread_time() - started
    started = time.thread_time()
    many = turns * 100
    for _ in range(20):
        find_stuck(many)
    assert time.thread_time() - started < 5 * few + 0.5
