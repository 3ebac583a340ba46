"""Runs one case of ``stuck.json`` (abstract events A/O/E/M/U/C) through ``workflows.agent.stuck.patterns``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from workflows.agent.commands import is_read_only
from workflows.agent.stuck.patterns import Stuck, find_repetition
from workflows.agent.stuck.steps import READING, Step


def is_stuck(case: Mapping[str, Any]) -> bool:
    """Whether the case's events end in a repetition."""
    return find_pattern(case) is not None


def find_pattern(case: Mapping[str, Any]) -> Stuck | None:
    """The repetition in which the case's events end, or None.

    Words of a person reset in the mode "interactive" only; in "headless" the events say that they are nobody's.
    """
    events: list[Sequence[str]] = case["events"]
    if case.get("mode") == "interactive":
        spoken = [at for at, event in enumerate(events) if event[0] == "U"]
        events = events[spoken[-1] + 1 :] if spoken else events
    steps = read_steps([event for event in events if event[0] != "U"])
    return find_repetition(steps, errors=case.get("error_limit", 3))


def read_steps(events: Sequence[Sequence[str]]) -> list[Step]:
    """One step for each action with what came back, each message and each compaction; the tree is not known."""
    steps: list[Step] = []
    for kind, *words in events:
        text = words[0] if words else ""
        if kind == "M":
            steps.append(Step())
        elif kind == "C":
            steps.append(Step(compactions=1))
        elif kind == "A":
            steps.append(Step(calls=(text,), reads=_reads(text)))
        else:
            spoken = max((at for at, step in enumerate(steps) if not step.calls), default=-1)
            waiting = [at for at, step in enumerate(steps) if at > spoken and not step.results]
            at = waiting[0] if waiting else len(steps)
            asked = steps[at] if waiting else Step(calls=("",))
            tool = asked.calls[0].partition(" ")[0]
            failed = kind == "E"
            errors = frozenset({(tool, text)}) if failed else frozenset()
            steps[at:] = [
                replace(asked, results=(f"{kind} {text}",), errors=errors, failed=failed),
                *steps[at + 1 :],
            ]
    return steps


def _reads(action: str) -> bool:
    """An action is one of our tools with its arguments, or a command."""
    return action.partition(" ")[0] in READING or is_read_only(action)
