"""What is to be solved, with what, and what a change is called: the nouns of the main job's inner part."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workflows.agent.describe import Description
from workflows.git.mirrors import Mirror
from workflows.repository.policy import Policy
from workflows.repository.survey import Survey
from workflows.services import Model
from workflows.solving.workshop import Workshop
from workflows.texts.changelog import ChangelogEntry
from workflows.trajectory.log import MemoryLogs, SessionLog
from workflows.types import Budget, CommandOptions, Comment, Issue, Job, Noun, Patch, Usage


@dataclass(frozen=True)
class Assignment:
    """What is to be solved, and with what. ``mirror`` gives the mirror with the survey's base commit in it.

    ``workshop`` raises BrokenWorld when there is no engine; ``test_seconds`` bounds one run of the tests.
    ``log`` opens the trajectory of a session by its name; ``model_for`` gives the model of each attempt after the
    first. ``answer`` is what people said to the question with which the session ended, fenced; ``words``, unless None,
    is what they say with which it goes on however it stopped.
    ``options`` are the command's; of them ``paths`` are the only ones that a change may touch.
    ``request`` is what is asked for beside the issue's own text, in our words with those of others fenced. ``scope``
    keeps the set-up's snapshots of code that is not on the default branch apart from all others.
    ``compared_with`` is the commit whose tests the change is judged by where it is not the base: a merge is judged by
    the branch as it was.
    ``map_cache`` is the folder of repository maps; None: no map is offered.
    """

    job: Job
    issue: Issue
    comments: Sequence[Comment]
    policy: Policy
    survey: Survey
    mirror: Callable[[], Mirror]
    workshop: Callable[[], Workshop]
    model: Model
    budget: Budget
    test_seconds: float
    secrets: Collection[str] = ()
    log: Callable[[str], SessionLog] = field(default_factory=MemoryLogs)
    attempts: int = 1
    model_for: Callable[[int], Model] | None = None
    answer: str = ""
    words: str | None = None
    request: str = ""
    options: CommandOptions = field(default_factory=CommandOptions)
    scope: str = ""
    compared_with: str = ""
    may_ask: bool = False
    map_cache: Path | None = None
    context_cap: int | None = None


class Described(Noun):
    """The texts and the final patch. ``problems`` say why it may not be published; ``diff`` is cut when long.

    ``notes`` are what the sandboxes of the work say of themselves.
    """

    patch: Patch
    description: Description
    changelog: ChangelogEntry | None = None
    usage: Usage = Usage()
    problems: tuple[str, ...] = ()
    diff: str = ""
    notes: tuple[str, ...] = ()
