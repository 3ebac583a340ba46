"""Of the reviews of a pull request a single one waits: a later request joins it, or takes its place and its reach."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.requests.options import merge_options, options_of
from workflows.types import Command, CommandOptions, Job, Noun


class Place(Noun):
    """Where a request goes: it ``joins`` the waiting job of that id, or ``job`` is queued in place of those it names.

    ``job`` does all that they would have done.
    """

    job: Job
    joins: str = ""
    replaces: tuple[str, ...] = ()


def find_place(job: Job, waiting: Sequence[Job]) -> Place:
    """The place of a review among those that wait, oldest first; what people said is answered to them all the same."""
    replaced: list[str] = []
    for other in waiting:
        if not replaced and does_it_all(other, job):
            return Place(job=job, joins=other.id)
        job = _for_both(other, job)
        replaced.append(other.id)
    return Place(job=job, replaces=tuple(replaced))


def wants_all(job: Job) -> bool:
    """Whether a review reads everything, and not only what is new since the last one."""
    return job.command is not None and job.command.text.strip().casefold() == "full"


def does_it_all(waiting: Job, job: Job) -> bool:
    """Whether the waiting job reads all that is asked for, for somebody who is answered, in the way that was said."""
    there, wanted = options_of(waiting), options_of(job)
    reads_paths = not there.paths or bool(wanted.paths and {*wanted.paths} <= {*there.paths})
    if not reads_paths or (wants_all(job) and not wants_all(waiting)):
        return False
    alike = wanted.model_copy(update={"paths": ()}) == there.model_copy(update={"paths": ()})
    return job.unasked or (not waiting.unasked and alike)


def _for_both(waiting: Job, job: Job) -> Job:
    """The later request with the reach of both; when nobody asked for it, in the name of who asked for the other."""
    first, later = options_of(waiting), options_of(job)
    paths = tuple(dict.fromkeys((*first.paths, *later.paths))) if first.paths and later.paths else ()
    text = "full" if wants_all(waiting) or wants_all(job) else ""
    asked = job
    if job.unasked:
        kept = ("actor", "trigger", "comment", "tracking", "command", "label", "text")
        asked = job.model_copy(update={name: getattr(waiting, name) for name in kept})
    options = merge_options(first, later).model_copy(update={"paths": paths})
    if not waiting.unasked and not job.unasked:
        # The narrower limit of one is no wish of the other, whom perhaps more is granted.
        options = options.model_copy(update={name: _wider(first, later, name) for name in ("turns", "seconds", "usd")})
    command = asked.command
    if command is None and text:
        command = Command(word="review")
    if command is not None:
        command = command.model_copy(update={"text": text, "options": options})
    return asked.model_copy(update={"command": command})


def _wider(first: CommandOptions, later: CommandOptions, limit: str) -> float | None:
    """The larger of two limits; none where one of them has none."""
    one, other = getattr(first, limit), getattr(later, limit)
    return None if one is None or other is None else max(one, other)
