"""The state labels: whatever was on before, afterwards exactly the one that tells the truth is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.progress.state_labels import LONGEST_NAME, STATES, State, labels_for, state_label


@pytest.mark.parametrize(
    ("trigger", "name"),
    [
        ("qwen", "qwen:working"),
        ("qwen:plan", "qwen:working"),
        ("AI please", "AI please:working"),
        (" qwen ", "qwen:working"),
        (":fix", "qwen:working"),
        ("x" * 50, "x" * 39 + ":working"),
        ("qwen:working", "qwen:state:working"),
        ("Qwen:Blocked", "Qwen:state:working"),
    ],
)
def test_names(trigger: str, name: str) -> None:
    """Names share the trigger label's stem, and are never the trigger itself."""
    assert state_label("working", trigger=trigger).name == name


@pytest.mark.parametrize("state", STATES)
def test_looks(state: State) -> None:
    """Every label is one that GitHub takes: six hexadecimal digits, at most 100 characters of description."""
    label = state_label(state, trigger="qwen")
    assert re.fullmatch("[0-9a-f]{6}", label.color)
    assert 0 < len(label.description) <= 100


@pytest.mark.parametrize(
    ("state", "present", "add", "remove"),
    [
        ("working", (), ("qwen:working",), ()),
        ("working", ("bug", "qwen"), ("qwen:working",), ()),
        ("working", ("qwen:working",), (), ()),
        ("working", ("QWEN:Working",), (), ()),
        ("in-review", ("qwen:working", "bug"), ("qwen:in-review",), ("qwen:working",)),
        ("blocked", ("Qwen:Working", "qwen:blocked", "qwen:needs-info"), (), ("Qwen:Working", "qwen:needs-info")),
        (None, ("qwen:working", "qwen", "qwen:other"), (), ("qwen:working",)),
        (None, (), (), ()),
    ],
)
def test_exactly_one(
    state: State | None, present: tuple[str, ...], add: tuple[str, ...], remove: tuple[str, ...]
) -> None:
    """The state's label is added when absent, our other ones go, and everybody else's stay."""
    added, removed = labels_for(state, present, trigger="qwen")
    assert (tuple(label.name for label in added), removed) == (add, remove)


@given(
    st.one_of(st.none(), st.sampled_from(STATES)),
    st.text(min_size=1, max_size=50),
    st.sets(st.sampled_from(STATES)),
    st.sets(st.text(max_size=5)),
)
def test_any_trigger(state: State | None, trigger: str, on: set[State], others: set[str]) -> None:
    """Whatever the trigger label is called: one of ours is on afterwards, never the trigger, never too long."""
    names = {one: state_label(one, trigger=trigger).name for one in STATES}
    present = {names[one] for one in on} | others
    added, removed = labels_for(state, present, trigger=trigger)
    after = (present | {label.name for label in added}) - set(removed)
    assert {name for name in names.values() if name in after} == ({names[state]} if state else set())
    assert others - set(names.values()) <= after
    assert trigger.casefold() not in {name.casefold() for name in names.values()}
    assert all(len(name) <= LONGEST_NAME for name in names.values())
    assert labels_for(state, after, trigger=trigger) == ((), ())
