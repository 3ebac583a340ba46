"""What workflows are handed: the world outside, the limits, and what may never leave."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from workflows.durable.deliveries import DeliveryRecord
from workflows.durable.job_records import JobRecord
from workflows.git.mirrors import Mirrors
from workflows.plans.estimate import PastJob
from workflows.review.ledgers import Ledgers, LedgersInMemory
from workflows.services import GitHub, Model
from workflows.solving.workshop import Workshop
from workflows.texts.outbound import MARKER_ROOM, MAX_CHARACTERS, clean_outbound, clean_words
from workflows.trajectory.log import SessionLog
from workflows.types import Budget, Job, PullRequest, RepositoryRef


class Jobs(Protocol):
    """The jobs and deliveries on record."""

    def job(self, job_id: str) -> JobRecord | None:
        """The job, or None when it was never there or is forgotten."""

    def thread(self, repository_id: int, number: int) -> list[JobRecord]:
        """The jobs of one issue or pull request, oldest first."""

    def asked_by(self, repository_id: int, actor_id: int, *, since: datetime) -> list[Job]:
        """The jobs of one person's requests in a repository that were queued since then, in no order."""

    def deliveries_of(self, repository_id: int, number: int, limit: int = 30) -> list[DeliveryRecord]:
        """The last deliveries about one issue or pull request, newest first."""

    def cancel(self, job_id: str) -> bool:
        """Cancel a job that has not ended; whether there was one to cancel."""

    def cancel_issue(
        self, repository_id: int, number: int, *, label: str | None = None, before: datetime | None = None
    ) -> list[str]:
        """Cancel the jobs of one thread that were asked for until then; the ids of those that had not ended."""


class NoJobs:
    """The jobs where there is no queue, as for ``forgehand fix``: none."""

    def job(self, job_id: str) -> JobRecord | None:
        """None."""
        return None

    def thread(self, repository_id: int, number: int) -> list[JobRecord]:
        """None."""
        return []

    def asked_by(self, repository_id: int, actor_id: int, *, since: datetime) -> list[Job]:
        """None."""
        return []

    def deliveries_of(self, repository_id: int, number: int, limit: int = 30) -> list[DeliveryRecord]:
        """None."""
        return []

    def cancel(self, job_id: str) -> bool:
        """Nothing to cancel."""
        return False

    def cancel_issue(
        self, repository_id: int, number: int, *, label: str | None = None, before: datetime | None = None
    ) -> list[str]:
        """Nothing to cancel."""
        return []


@dataclass(frozen=True)
class Spoken:
    """What the edge alone knows how to say, for the answers that it is asked for.

    ``login`` is our own on GitHub. ``help`` takes whether it is for a pull request; ``doctor`` looks at every part now,
    as (name, well, finding); ``settings`` are those that people of a repository may see.
    """

    prefix: str = "/qwen"
    login: str = ""
    help: Callable[[bool], str] = lambda on_pull_request: ""
    doctor: Callable[[], list[tuple[str, bool, str]]] = list
    settings: Callable[[], dict[str, str]] = dict


class Trajectories(Protocol):
    """Where sessions are recorded, which of them waits for an answer, and what they needed."""

    def open(self, job_id: str, session: str = "agent") -> SessionLog:
        """The log of one session of a job."""

    def waiting(self, repository_id: int, number: int) -> tuple[str, datetime] | None:
        """The job of this issue whose session ended with a question that is open, and when it was put."""

    def past(self, repository_id: int, limit: int = 20) -> list[PastJob]:
        """What the last finished sessions of a repository used, newest first."""


@dataclass(frozen=True)
class JobServices:
    """What a workflow works with. ``secrets`` are the values that must never leave, ``hosts`` those whose links stay
    alive. ``attempts`` is the most that a policy may ask for. ``models`` are the names of those that a command may ask
    for, of which ``choose_model`` gives one, for an attempt by its number.
    """

    github: Callable[[RepositoryRef], GitHub]
    model: Model
    mirrors: Mirrors
    workshop: Callable[[], Workshop]
    budget: Budget
    test_seconds: float
    default_label: str
    secrets: Collection[str]
    hosts: Collection[str]
    trajectories: Trajectories
    long_turns: int
    attempts: int = 1
    model_for: Callable[[int], Model] | None = None
    models: tuple[str, ...] = ()
    choose_model: Callable[[str, int], Model] | None = None
    map_cache: Path | None = None
    context_cap: int | None = None
    jobs: Jobs = field(default_factory=NoJobs)
    spoken: Spoken = field(default_factory=Spoken)
    ledgers: Ledgers = field(default_factory=LedgersInMemory)

    def scrub(self, text: str) -> str:
        """``text`` fit for GitHub with a marker below it: no secret, no live mention, no image, no command."""
        return clean_outbound(text, self.secrets, hosts=self.hosts, limit=MAX_CHARACTERS - MARKER_ROOM)

    def clean(self, text: str) -> str:
        """The same for words of others, before they stand in a text of ours: nothing in them counts as ours."""
        return clean_words(text, self.secrets, hosts=self.hosts)


def opened_by_us(pull: PullRequest, services: JobServices) -> bool:
    """Whether our App opened a pull request."""
    return bool(services.spoken.login) and pull.author.login == services.spoken.login
