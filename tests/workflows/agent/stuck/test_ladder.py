"""The rungs that follow one another, what resets them, and the change that is put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.workflows.agent.told import answered, bash, call, edit, patch, ran, turn
from workflows.agent.stuck.checkpoints import Checkpoints
from workflows.agent.stuck.failures import list_failures
from workflows.agent.stuck.ladder import next_rung
from workflows.types import Intervention, Turn

Play = Callable[[int], Turn]


def play(turns: list[Turn], more: int, step: Play, **options: object) -> list[str]:
    """Go on as the loop does, each intervention stored with its turn; the kinds in order, "stop" at the end."""
    seen: list[str] = []
    for _ in range(more):
        rung = next_rung(turns, **options)  # type: ignore[arg-type]
        if rung == "stop":
            return [*seen, "stop"]
        if rung is not None:
            seen.append(rung.kind)
        turns.append(step(len(turns) + 1).model_copy(update={"intervention": rung}))
    return seen


def interventions(turns: Sequence[Turn]) -> list[tuple[int, Intervention]]:
    return [(turn.number, turn.intervention) for turn in turns if turn.intervention]


def test_a_model_that_never_moves_climbs_every_rung() -> None:
    """Nudge, new plan, back to the best change, stop: each after it had a chance to react."""
    turns: list[Turn] = []
    kinds = play(turns, 100, lambda n: turn(n, bash("ls")))
    assert kinds == ["nudge", "replan", "rollback", "stop"]
    assert [number for number, _ in interventions(turns)] == [5, 7, 9]
    assert len(turns) == 12, "the fresh context is given four turns of its own"


def test_a_model_that_only_talks_climbs_every_rung() -> None:
    """As with any other circle; the fresh context has three replies of its own."""
    turns: list[Turn] = [turn(1, bash("make", "exit code 2\nno rule", failed=True))]
    assert play(turns, 100, lambda n: turn(n, content=f"thought {n}")) == ["nudge", "replan", "rollback", "stop"]
    assert [number for number, _ in interventions(turns)] == [5, 7, 9]
    assert len(turns) == 11
    (_, nudge), (_, replan), (_, rollback) = interventions(turns)
    assert "`finish`" in nudge.words
    for rung, times in ((replan, 5), (rollback, 7)):
        assert f"a reply without a whole tool call: nothing happened ({times} times)" in rung.words
        assert "$ make" in rung.words


def test_idle_turns_climb_slowly_and_end() -> None:
    """Forty turns, then twenty after each word: what is slow to see is slow to judge."""
    turns: list[Turn] = []
    kinds = play(turns, 300, lambda n: turn(n, bash(f"cat {n}.py", str(n))))
    assert kinds == ["nudge", "replan", "rollback", "stop"]
    assert [number for number, _ in interventions(turns)] == [41, 61, 81]
    assert len(turns) == 120


def test_a_quiet_time_begins_the_ladder_anew() -> None:
    """Fifteen turns in which nothing repeats: the next circle is a new one."""
    turns: list[Turn] = []
    assert play(turns, 6, lambda n: turn(n, bash("ls"))) == ["nudge"]
    play(turns, 15, lambda n: turn(n, bash(f"cat {n}.py", str(n))))
    assert play(turns, 5, lambda n: turn(n, bash("pwd"))) == ["nudge"]


def test_a_soon_return_to_the_circle_goes_on_climbing() -> None:
    """Three other calls are no recovery."""
    turns: list[Turn] = []
    play(turns, 5, lambda n: turn(n, bash("ls")))
    play(turns, 3, lambda n: turn(n, bash(f"cat {n}.py", str(n))))
    assert play(turns, 5, lambda n: turn(n, bash("pwd"))) == ["replan"]


def test_a_change_with_fewer_failures_begins_the_ladder_anew() -> None:
    """Progress in the tests counts, a change alone does not."""
    for failing, expected in ((("t::a",), "nudge"), (("t::a", "t::b"), "replan")):
        turns = [turn(1, edit(), ran("t::a", "t::b"), change=patch("a.py"))]
        play(turns, 6, lambda n: turn(n, bash("ls")))
        turns.append(turn(len(turns) + 1, edit("a.py", "z"), ran(*failing), change=patch("a.py")))
        assert play(turns, 5, lambda n: turn(n, bash("ls"))) == [expected]


def test_a_person_who_speaks_begins_the_ladder_anew() -> None:
    """Neither old circles nor old interventions count after a new human text."""
    turns: list[Turn] = []
    play(turns, 8, lambda n: turn(n, bash("ls")))
    said = len(turns)
    assert play(turns, 6, lambda n: turn(n, bash("ls")), since=said) == ["nudge"]


def test_the_new_plan_lists_what_failed() -> None:
    """Commands, refused edits and failing tests, each in a line, fenced as material of others."""
    turns: list[Turn] = [
        turn(1, edit("sums.py", "a - b", "`old_string` is not in sums.py.\nNearest: …", failed=True)),
        turn(2, bash("npm ci", "exit code 1\nnoise\nnetwork unreachable", failed=True)),
        turn(3, ran("t::add", "t::old")),
    ]
    play(turns, 8, lambda n: turn(n, bash("ls")), known_failing=frozenset({"t::old"}))
    (_, nudge), (_, replan) = interventions(turns)[:2]
    assert "`bash" in nudge.words
    assert "sums.py" not in nudge.words
    for told in (
        "edit sums.py at 'a - b'",
        "$ npm ci: exit code 1 … network unreachable",
        "the test t::add: still fails",
    ):
        assert told in replan.words
    assert "t::old" not in replan.words
    assert replan.words.count("<untrusted-") == 1
    assert "update_plan" in replan.words


def test_the_rollback_says_what_the_files_are() -> None:
    """Its words stand alone, for a context in which nothing else is left."""
    turns: list[Turn] = [turn(1, bash("false", "exit code 1\nboom", failed=True))]
    play(turns, 12, lambda n: turn(n, bash("ls")), best=patch("a.py", "b.py"))
    rollback = interventions(turns)[-1][1]
    assert rollback.kind == "rollback"
    assert "`a.py`, `b.py`" in rollback.words
    assert "boom" in rollback.words
    turns = []
    play(turns, 12, lambda n: turn(n, bash("ls")))
    assert "before any change" in interventions(turns)[-1][1].words


def test_the_list_of_failures_is_bounded() -> None:
    """A session that only fails is told in few and short lines; the same call is one line with its count."""
    turns = [turn(n, bash(f"run {n} " + "x" * 5_000, "exit code 1\n" + "y" * 5_000, failed=True)) for n in range(99)]
    lines = list_failures([*turns, turn(100, ran(*[f"t::{n}" * 400 for n in range(150)]))])
    assert len(lines) <= 18
    assert sum(map(len, lines)) < 8_000
    again = [turn(n, bash("make", "exit code 2\nno rule", failed=True)) for n in range(5)]
    assert list_failures(again) == ["$ make: exit code 2 … no rule (5 times)"]
    assert list_failures([turn(1, ran("a")), turn(2, ran())]) == []
    assert list_failures([turn(1, answered(call("grep"), "", failed=True))]) == ["grep: failed"]


def test_the_best_change_has_the_fewest_failures() -> None:
    """The later of equals; a worse one is not kept."""
    first, second, third, fourth = (patch(f"{n}.py") for n in range(4))
    kept = Checkpoints()
    kept.add(turn(1, ran("a", "b", "c")))
    assert kept.best is None
    kept.add(turn(2, edit(), ran("a", "b"), change=first))
    assert kept.best is first
    kept.add(turn(3, edit(), ran("a", "b", "c"), change=second))
    assert kept.best is first
    kept.add(turn(4, edit(), change=third))
    kept.add(turn(5, ran("b", "c")))
    assert kept.best is third
    kept.add(turn(6, edit(), ran(exit_code=None, counted=False), change=fourth))
    assert kept.best is third, "tests that do not end are worse than any that fail"


def test_without_tests_the_newest_change_is_the_best() -> None:
    """Nothing speaks against it."""
    kept = Checkpoints()
    assert kept.best is None
    change = patch("a.py")
    kept.add(turn(1, edit(), change=change))
    kept.add(turn(2, bash("ls")))
    assert kept.best is change
    kept.add(turn(3, bash("git checkout ."), change=patch()))
    assert kept.best is None


def test_a_run_speaks_of_the_change_it_saw() -> None:
    """A run before an edit of the same turn is the earlier change's; one between two edits is nobody's."""
    first, second, third = (patch(f"{n}.py") for n in range(3))
    kept = Checkpoints()
    kept.add(turn(1, edit(), ran("a", "b"), change=first))
    kept.add(turn(2, ran("a"), edit(), change=second))
    assert kept.best is first
    kept.add(turn(3, edit(), ran(), edit(), change=third))
    assert kept.best is first
    kept.add(turn(4, ran()))
    assert kept.best is third


def test_a_second_look_can_take_the_best_away() -> None:
    """A change that passes its own tests and breaks all others is not the best any more once that is seen."""
    first, second = patch("a.py"), patch("b.py")
    kept = Checkpoints(frozenset({"old"}))
    kept.add(turn(1, edit(), ran(targets="a.py"), change=first))
    kept.add(turn(2, ran("x", "y", "old")))
    kept.add(turn(3, edit(), ran("x", "old"), change=second))
    assert kept.best is second
