"""The labels by which people see and filter how far our work on an issue or a pull request is; one at most is on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from workflows.types import Noun

State = Literal["working", "needs-info", "in-review", "blocked"]
STATES: tuple[State, ...] = ("working", "needs-info", "in-review", "blocked")
LONGEST_NAME = 50  # GitHub refuses longer ones

# Colour without "#", and a description of at most 100 characters:
# https://docs.github.com/rest/issues/labels#create-a-label
_LOOKS: dict[State, tuple[str, str]] = {
    "working": ("1d76db", "Forgehand is working on this"),
    "needs-info": ("fbca04", "Forgehand has a question: answer it in a comment"),
    "in-review": ("0e8a16", "Forgehand is done: a person's review is next"),
    "blocked": ("b60205", "Forgehand cannot go on by itself: a person is needed"),
}


class StateLabel(Noun):
    """A label as the repository is to have it."""

    name: str
    color: str
    description: str


def state_label(state: State, *, trigger: str) -> StateLabel:
    """The label of a state, such as ``qwen:working`` where the ``trigger`` label is ``qwen`` or ``qwen:fix``.

    It is never the trigger label itself.
    """
    color, description = _LOOKS[state]
    return StateLabel(name=_names(trigger)[state], color=color, description=description)


def labels_for(
    state: State | None, present: Collection[str], *, trigger: str
) -> tuple[tuple[StateLabel, ...], tuple[str, ...]]:
    """What to add and what to remove (as written there), so that of our labels the one of ``state`` alone is on.

    None: no label of ours stays. GitHub does not tell labels apart by case.
    """
    names = _names(trigger)
    ours = {name.casefold() for name in names.values()}
    wanted = names[state] if state is not None else ""
    add = state is not None and wanted.casefold() not in {name.casefold() for name in present}
    remove = sorted(name for name in present if name.casefold() in ours - {wanted.casefold()})
    return ((state_label(state, trigger=trigger),) if state is not None and add else ()), tuple(remove)


def _names(trigger: str) -> dict[State, str]:
    stem = trigger.strip().partition(":")[0].strip() or "qwen"
    longest = LONGEST_NAME - max(len(state) for state in STATES) - 1
    names: dict[State, str] = {state: f"{stem[:longest].strip()}:{state}" for state in STATES}
    if trigger.strip().casefold() in {name.casefold() for name in names.values()}:
        names = {state: f"{stem[: longest - 6].strip()}:state:{state}" for state in STATES}
    return names
