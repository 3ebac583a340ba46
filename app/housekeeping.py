"""A worker's housekeeping: snapshots, layers and containers that nobody needs any more leave the engine."""

from __future__ import annotations

import threading
from datetime import timedelta

import docker
import sqlalchemy as sa
import structlog

from sandbox.container import SandboxUnavailable
from sandbox.docker import DockerSandboxes
from sandbox.images import ImageUnavailable, prune_adopted
from sandbox.snapshots import Snapshots
from workflows.durable.queue import JobRecord, Queue, QueueUnavailable
from workflows.solving.workshop import snapshot_scope

log = structlog.get_logger()

MOST_SNAPSHOTS = 50
OLDEST = timedelta(days=14)
"""A repository that nobody worked on for so long can be set up once more."""
MOST_RUNNING = 10_000


class Housekeeper:
    """Tidies up at once and then every ``every`` seconds, in a thread of its own. What it cannot do waits."""

    def __init__(
        self,
        client: docker.DockerClient,
        sandboxes: DockerSandboxes,
        snapshots: Snapshots,
        queue: Queue,
        *,
        every: float = 3600.0,
    ) -> None:
        self._client = client
        self._sandboxes = sandboxes
        self._snapshots = snapshots
        self._queue = queue
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a request under way may still finish."""
        self._ended.set()
        self._thread.join(timeout=5)

    def tidy(self) -> None:
        """Remove what is not needed now. Raises SandboxUnavailable, ImageUnavailable and the database's errors."""
        containers = self._remove_containers()
        unended = self._unended()
        spare = {snapshot_scope(record.job.repository) for record in unended}
        snapshots = self._snapshots.prune(MOST_SNAPSHOTS, older_than=OLDEST, spare=spare)
        layers = 0 if unended else prune_adopted(self._client, older_than=OLDEST)
        if containers or snapshots or layers:
            log.info("tidied_up", containers=containers, snapshots=snapshots, layers=layers)

    def _unended(self) -> list[JobRecord]:
        return self._queue.jobs(states=["queued", "running"], limit=MOST_RUNNING)

    def _remove_containers(self) -> int:
        """Those of ended jobs. A job that the queue does not know is a developer's on this machine, and goes on."""
        removed = 0
        for job_id in self._sandboxes.jobs():
            record = self._queue.job(job_id)
            if record is not None and record.state in ("ended", "cancelled"):
                removed += self._sandboxes.remove_leftovers(job_id)
        return removed

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.tidy()
            except (SandboxUnavailable, ImageUnavailable, QueueUnavailable, sa.exc.SQLAlchemyError) as error:
                log.warning("housekeeping_postponed", reason=str(error).splitlines()[0])
            self._ended.wait(self._every)
