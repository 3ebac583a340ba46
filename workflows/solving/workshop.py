"""Where a job's containers come from: the image, the snapshot of the repository's set-up, and the limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import structlog

from sandbox.authorities import BadAuthorities
from sandbox.container import Limits, Sandboxes, SandboxSpec, SandboxUnavailable
from sandbox.images import ImageUnavailable
from sandbox.snapshots import Prepared, Snapshots
from workflows.git.mirrors import Mirror
from workflows.repository.policy import Policy, effective_hosts
from workflows.repository.survey import Survey
from workflows.services import BrokenWorld, Run
from workflows.texts.outbound import code_span
from workflows.types import Noun, RepositoryRef

log = structlog.get_logger()

SETUP_SECONDS = 1800.0


class SetupReport(Noun):
    """What the set-up came to, as a checkpoint keeps it. ``failed`` names the command that failed, and how."""

    commands: tuple[str, ...] = ()
    cached: bool = True
    failed: str = ""
    log_tail: str = ""
    blocked_hosts: tuple[str, ...] = ()


class Images(Protocol):
    """Finds or makes the image a job starts from."""

    def __call__(self, custom: str | None) -> str:
        """The image's name: the policy's ``custom`` one, else the operator's or ours. Raises ImageUnavailable."""


@dataclass(frozen=True)
class Workshop:
    """One engine's sandboxes and snapshots. ``allowed_hosts`` are the operator's for set-up commands.

    ``run`` is whose end ends a set-up, where it is for one.
    """

    sandboxes: Sandboxes
    snapshots: Snapshots
    images: Images
    limits: Limits
    allowed_hosts: tuple[str, ...]
    setup_seconds: float = SETUP_SECONDS
    run: Run | None = None

    def prepare(
        self, *, job_id: str, repository: str, policy: Policy, mirror: Mirror, survey: Survey
    ) -> tuple[SandboxSpec, SetupReport]:
        """What this job's containers start from; instant when the snapshot is there. Raises BrokenWorld("sandbox")."""
        try:
            prepared = self.snapshots.prepare(
                job_id=job_id,
                image=self.images(policy.image),
                mirror=mirror.path,
                commit=survey.base,
                repository=repository,
                commands=survey.setup.commands,
                lock_files=survey.lock_files,
                timeout=self.setup_seconds,
                allowed_hosts=effective_hosts(self.allowed_hosts, policy),
                say=lambda line: log.info("set-up", line=line),
                cancelled=self.run.over if self.run is not None else None,
            )
        except (SandboxUnavailable, ImageUnavailable, BadAuthorities) as error:
            raise BrokenWorld("sandbox", str(error)) from error
        finally:
            if self.run is not None and self.run.over.is_set():
                self.run.check()
        spec = SandboxSpec(
            image=prepared.image, job_id=job_id, mirror=mirror.path, commit=survey.base, limits=self.limits
        )
        return spec, _report(prepared, survey)


def snapshot_scope(repository: RepositoryRef) -> str:
    """The name under which a repository's snapshots are kept: its id too, for names are given away and used again."""
    return f"{repository.id}:{repository.full_name}"


def lazily(prepare: Callable[[], SandboxSpec]) -> Callable[[], SandboxSpec]:
    """``prepare`` called once, on first use; other threads wait for it."""
    kept: list[SandboxSpec] = []
    preparing = Lock()

    def spec() -> SandboxSpec:
        with preparing:
            if not kept:
                kept.append(prepare())
            return kept[0]

    return spec


def _report(prepared: Prepared, survey: Survey) -> SetupReport:
    failed = ""
    if prepared.failed is not None:
        code = prepared.failed.exit_code
        how = "ran out of time" if code is None else f"ended with exit code {code}"
        failed = f"{code_span(prepared.failed_command)} {how}"
    return SetupReport(
        commands=survey.setup.commands,
        cached=prepared.cached,
        failed=failed,
        log_tail=prepared.log[-4000:],
        blocked_hosts=prepared.blocked_hosts,
    )
