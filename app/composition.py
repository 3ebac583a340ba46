"""The composition root: from settings to the parts that receive events and run jobs.

What not every command needs (the web server, the client of GitHub, the durable engine) is loaded where it is made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import docker

from app.commands.help import render_help
from app.dispatch import Audience
from app.models import connect_attempt, offered_models
from app.readiness import Check
from app.redaction import Redactor
from app.settings import Settings, SettingsError
from sandbox.authorities import find_authorities
from sandbox.container import SandboxUnavailable
from sandbox.docker import DockerSandboxes
from sandbox.engine import EngineMissing, engine_report, find_engine
from sandbox.images import ImageUnavailable, ensure_custom_image, ensure_image
from sandbox.references import is_allowed, parse_reference
from sandbox.snapshots import Snapshots
from workflows import (
    address_feedback,
    answer_question,
    describe_pull,
    fix_checks,
    fix_issue,
    hear_replies,
    plan_issue,
    review_pull,
    update_branch,
    write_changelog,
    write_release_notes,
)
from workflows.agent.client.fallbacks import FallbackModel
from workflows.agent.client.llm import OpenAIModel
from workflows.durable.database import QueueUnavailable, open_engine
from workflows.git.mirrors import Mirrors
from workflows.outcome import Outcome
from workflows.requests.admission import admit, show_positions
from workflows.requests.job_services import JobServices, NoJobs, Spoken
from workflows.requests.thread_work import answer_bug
from workflows.review.ledgers import DatabaseLedgers
from workflows.services import BrokenWorld, GitHub, Run
from workflows.solving.workshop import Workshop
from workflows.trajectory.database import DatabaseTrajectories
from workflows.types import Job, RepositoryRef

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.github import GitHubApp
    from app.github_retry import RetryRules
    from app.housekeeping import Housekeeper
    from workflows.durable.queue import Queue

Say = Callable[[str], None]
Work = Callable[[Run, Job, JobServices], Outcome]
WORKFLOWS: Mapping[str, Work] = {
    address_feedback.NAME: address_feedback.address_feedback,
    fix_issue.NAME: fix_issue.fix_issue,
    review_pull.NAME: review_pull.review_pull,
    describe_pull.NAME: describe_pull.describe_pull,
    write_changelog.NAME: write_changelog.write_changelog,
    write_release_notes.NAME: write_release_notes.write_notes,
    hear_replies.NAME: hear_replies.hear_replies,
    answer_question.NAME: answer_question.answer_question,
    fix_checks.NAME: fix_checks.fix_checks,
    update_branch.NAME: update_branch.update_branch,
    plan_issue.NAME: plan_issue.plan_issue,
}
PATIENCE = 5.0
"""Seconds that an admission, or a job that begins, waits for GitHub on its thread: those of others wait behind it."""
LEAST_FREE_BYTES = 1_000_000_000
"""A job that would start with less room on the data folder's disk is refused."""


class Composition:
    """The parts of one process, each made on first use. ``say`` is told of slow set-up such as building the image.

    ``rules`` are the GitHub client's patience; ``owner`` names our containers on a shared engine (default: by the data
    folder, so that two installations leave each other's alone).
    """

    def __init__(
        self, settings: Settings, *, say: Say, rules: RetryRules | None = None, owner: str | None = None
    ) -> None:
        self.settings = settings
        self.redactor = Redactor(_secrets(settings))
        self._say = say
        if rules is not None:
            self.rules = rules
        self._queue: Queue | None = None
        self.owner = owner or "forgehand-" + hashlib.sha256(str(settings.data_dir).encode()).hexdigest()[:12]

    @cached_property
    def rules(self) -> RetryRules:
        """The GitHub client's patience."""
        from app.github_retry import RetryRules

        return RetryRules(between_writes=self.settings.github_write_seconds)

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The process's environment, with what the settings say of it."""
        found = dict(os.environ)
        if self.settings.docker_host:
            found["DOCKER_HOST"] = self.settings.docker_host
        return found

    @cached_property
    def data_dir(self) -> Path:
        """The data folder, there and closed to the host's other users: in it are private code and the proxy's sockets.

        Containers get at what is mounted from it all the same, because the engine mounts as root. Raises SettingsError
        when it can be neither made nor written to.
        """
        folder = self.settings.data_dir
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SettingsError(
                f"FORGEHAND_DATA_DIR: {folder} cannot be made: {reason}. Name another folder."
            ) from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SettingsError(f"FORGEHAND_DATA_DIR: {folder} cannot be written to. Correct its rights.")
        return folder

    @cached_property
    def engine(self) -> docker.DockerClient:
        """The Docker engine that answers. Raises EngineMissing with what to do."""
        client = find_engine(self.environment)
        if client is None:
            raise EngineMissing(
                "No Docker engine answers. Start it (`systemctl start docker`), set DOCKER_HOST, or let `make demo` "
                "install one."
            )
        return client

    @cached_property
    def sandboxes(self) -> DockerSandboxes:
        """The one that opens containers."""
        return DockerSandboxes(self.engine, self.owner, sockets=self.data_dir / "sockets")

    @cached_property
    def workshop(self) -> Workshop:
        """Images, snapshots and sandboxes."""
        folder = self.data_dir / "egress"
        snapshots = Snapshots(
            self.engine,
            self.sandboxes,
            owner=self.owner,
            proxy_folder=folder,
            environment=self.environment,
            limits=self.settings.limits,
        )
        return Workshop(
            self.sandboxes, snapshots, self.image, self.settings.limits, allowed_hosts=self.settings.allowed_hosts
        )

    def find_workshop(self) -> Workshop:
        """The workshop, for a job. Raises BrokenWorld when no engine answers now or the disk is nearly full.

        The next job looks again.
        """
        free = shutil.disk_usage(self.data_dir).free
        if free < LEAST_FREE_BYTES:
            raise BrokenWorld(
                "sandbox",
                f"The disk of the data folder has {free // 1_000_000} MB left, and a job needs "
                f"{LEAST_FREE_BYTES // 1_000_000}. Let the operator make room there, then label the issue again.",
            )
        try:
            return self.workshop
        except (EngineMissing, SandboxUnavailable) as error:
            raise BrokenWorld("sandbox", str(error)) from error

    def image(self, custom: str | None = None) -> str:
        """The image a job starts from: the policy's, the operator's, or ours, built on first use.

        Raises ImageUnavailable, also for a ``custom`` image that the operator does not allow.
        """
        if custom:
            self._refuse_image(custom)
        name = custom or self.settings.sandbox_image
        authorities = find_authorities(self.environment)
        if name:
            return ensure_custom_image(self.engine, name, authorities=authorities, say=self._say)
        return ensure_image(self.engine, say=self._say, authorities=authorities, environment=self.environment)

    def _refuse_image(self, custom: str) -> None:
        reference = parse_reference(custom)
        own = parse_reference(self.settings.sandbox_image) if self.settings.sandbox_image else None
        if reference is None or reference == own or is_allowed(reference, self.settings.allowed_images):
            return
        raise ImageUnavailable(
            f"This installation does not allow the policy's image {reference.name}. Take `image:` out of the policy, "
            "or ask the operator to add the image to FORGEHAND_ALLOWED_IMAGES."
        )

    @cached_property
    def model(self) -> OpenAIModel | FallbackModel:
        """The model, with those that stand in for it. Raises SettingsError without an endpoint."""
        return connect_attempt(self.settings, 1)

    def choose_model(self, name: str, attempt: int) -> OpenAIModel | FallbackModel:
        """The model of this name, for an attempt; the others stand in for it."""
        if attempt == 1 and name == self.settings.model:
            return self.model
        return connect_attempt(self.settings, attempt, first=name)

    def model_for(self, attempt: int) -> OpenAIModel | FallbackModel:
        """The model of an attempt after the first: it answers at another temperature."""
        return connect_attempt(self.settings, attempt)

    @cached_property
    def trajectories(self) -> DatabaseTrajectories:
        """The records of all sessions, in the database. Raises QueueUnavailable."""
        _ = self.data_dir  # SQLite's file is in it
        return DatabaseTrajectories(open_engine(self.settings.database, wait_seconds=30.0))

    @cached_property
    def ledgers(self) -> DatabaseLedgers:
        """What became of the findings of our reviews, in the database. Raises QueueUnavailable."""
        _ = self.data_dir  # SQLite's file is in it
        return DatabaseLedgers(open_engine(self.settings.database, wait_seconds=30.0, connections=2))

    @cached_property
    def mirrors(self) -> Mirrors:
        """The bare mirrors, in the data folder."""
        return Mirrors(self.data_dir / "mirrors")

    @cached_property
    def github(self) -> GitHubApp:
        """The App on GitHub. Raises SettingsError when it is not set up."""
        from app.github import GitHubApp

        key = self.settings.read_private_key()
        if self.settings.app_id is None or key is None:
            raise SettingsError("The App is not set up: set FORGEHAND_APP_ID and FORGEHAND_PRIVATE_KEY_PATH.")
        return GitHubApp(
            self.settings.app_id, key.get_secret_value(), api_url=self.settings.github_api_url, rules=self.rules
        )

    def repository(self, ref: RepositoryRef, *, patience: float | None = None) -> GitHub:
        """One repository, with the permissions that jobs need, those they can use where granted, and no others."""
        return self.github.for_repository(
            ref, fix_issue.PERMISSIONS, optional=fix_issue.OPTIONAL_PERMISSIONS, patience=patience
        )

    @cached_property
    def job_services(self) -> JobServices:
        """What workflows work with, still without our name on GitHub: work on a checkout needs none."""
        return JobServices(
            github=self.repository,
            model=self.model,
            mirrors=self.mirrors,
            workshop=self.find_workshop,
            budget=self.settings.budget,
            test_seconds=self.settings.test_seconds,
            default_label=self.settings.default_label,
            secrets=tuple(_secrets(self.settings)),
            hosts=("github.com", urlsplit(self.settings.github_web_url).netloc),
            trajectories=self.trajectories,
            long_turns=self.settings.budget_long_turns,
            attempts=self.settings.attempts,
            model_for=self.model_for,
            models=offered_models(self.settings),
            choose_model=self.choose_model,
            map_cache=self.data_dir / "maps",
            context_cap=self.settings.context_cap,
            jobs=self._queue or NoJobs(),
            spoken=self._spoken(),
            ledgers=self.ledgers,
        )

    def named_services(self, *, patience: float | None = None) -> JobServices:
        """The same under our name on GitHub. Raises BrokenWorld while GitHub cannot be asked for it, or JobPostponed
        when that takes longer than ``patience`` seconds.
        """
        spoken = replace(self.job_services.spoken, login=self.github.identity(patience=patience).login)
        return replace(self.job_services, spoken=spoken)

    def admission_services(self) -> JobServices:
        """The same, with the patience of an admission."""
        hasty = partial(self.repository, patience=PATIENCE)
        return replace(self.named_services(patience=PATIENCE), github=hasty)

    def queue(self, *, worker: bool) -> Queue:
        """The queue, not yet started; a worker knows its workflows."""
        from workflows.durable.queue import Queue

        _ = self.data_dir  # SQLite's file is in it
        queue = Queue(
            self.settings.database,
            worker=worker,
            concurrency=self.settings.worker_concurrency,
            on_bug=self._answer_bug,
            lease_seconds=self.settings.worker_lease_seconds,
        )
        self._queue = queue
        if worker:
            for name, work in WORKFLOWS.items():
                queue.register(name, self._with_services(work))
            queue.register_admission(
                lambda run, job: admit(run, job, self.admission_services()),
                on_ended=lambda job: show_positions(job, self.named_services()),
            )
        return queue

    def web(self, queue: Queue) -> FastAPI:
        """The web application over a started queue."""
        from app.server import create_app

        secrets = [secret.get_secret_value() for secret in self.settings.webhook_secrets]
        audience = Audience(
            app_id=self.settings.app_id,
            prefix=self.settings.command_prefix,
            label=self.settings.default_label,
            reviews=self.settings.review_unasked,
            installations=frozenset(self.settings.installations),
        )
        # Asked once and without patience: an event cannot wait for the answer, and readiness asks again.
        self.github.check()
        return create_app(
            queue=queue,
            secrets=secrets,
            audience=audience,
            checks=self.checks(queue),
            waits=self._waits_for_answer,
            slug=lambda: self.github.known_slug,
        )

    def checks(self, queue: Queue | None = None) -> Mapping[str, Callable[[], Check]]:
        """What readiness and the doctor look at."""
        found: dict[str, Callable[[], Check]] = {
            "engine": self._check_engine,
            "github": lambda: Check(*self.github.check()),
            "model": lambda: Check(*self.model.check()),
        }
        if queue is not None:
            found["database"] = lambda: _check_database(queue)
        return found

    def remove_leftovers(self) -> int:
        """Remove containers that a killed process of ours left behind. For a single worker on this engine alone."""
        return self.sandboxes.remove_leftovers()

    def housekeeper(self, queue: Queue) -> Housekeeper:
        """The one that removes what a worker's jobs leave on the engine, not yet started."""
        from app.housekeeping import Housekeeper

        return Housekeeper(self.engine, self.sandboxes, self.workshop.snapshots, queue)

    def close(self) -> None:
        """Revoke tokens and close connections that were opened."""
        for part in ("github", "engine", "trajectories", "ledgers"):
            if part in self.__dict__:
                self.__dict__[part].close()

    def _with_services(self, work: Work) -> Callable[[Run, Job], Outcome]:
        def carry_out(run: Run, job: Job) -> Outcome:
            # Here nothing is under way yet. Later its edits wait beside it, and would come after those of its next run.
            self.github.leave_while_held(job.repository.installation_id, patience=PATIENCE)
            return work(run, job, self.named_services(patience=PATIENCE))

        return carry_out

    def _waits_for_answer(self, repository_id: int, number: int) -> bool:
        return self.trajectories.waiting(repository_id, number) is not None

    def _spoken(self) -> Spoken:
        settings = self.settings
        return Spoken(
            prefix=settings.command_prefix,
            help=lambda on_pull_request: render_help(prefix=settings.command_prefix, on_pull_request=on_pull_request),
            doctor=self._look_at_parts,
            settings=lambda: settings.limits_shown,
        )

    def _look_at_parts(self) -> list[tuple[str, bool, str]]:
        found = []
        for name, look in self.checks(self._queue).items():
            check = look()
            found.append((name, check.ok, check.reason))
        return found

    def _answer_bug(self, run: Run, job: Job, message: str) -> None:
        services = self.admission_services() if job.admission else self.named_services()
        answer_bug(job, message, services)

    def _check_engine(self) -> Check:
        try:
            self.engine.ping()
            report = engine_report(self.engine)
        except (EngineMissing, SandboxUnavailable) as error:
            return Check(False, str(error))
        except docker.errors.DockerException as error:
            return Check(False, f"The Docker engine does not answer ({error}). Start it: systemctl start docker")
        return Check(True, f"Docker {report.version}, {report.storage_driver}, cgroup v{report.cgroup_version}")


def _check_database(queue: Queue) -> Check:
    try:
        queue.check()
    except QueueUnavailable as error:
        return Check(False, str(error))
    return Check(True, "takes writes")


def _secrets(settings: Settings) -> list[str]:
    held = [settings.read_private_key(), settings.openai_api_key]
    held += [*settings.fallback_api_keys, *settings.webhook_secrets]
    if "@" in settings.database:
        held.append(settings.database_url)
    return [secret.get_secret_value() for secret in held if secret is not None]
