"""A whole world for a story: local GitHub, scripted model, and Forgehand as `forgehand serve` runs it, or inside."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import docker

from app.demo.scripted_model import ScriptedModel
from app.localhub.records import Issue
from app.localhub.server import LocalHub
from sandbox.container import JOB_LABEL
from tests.ports import ReservedPort
from tests.stories.inside import Inside
from workflows.durable.queue import JobRecord, Queue

_STATE_LABEL = re.compile(r"POST labels|POST issues/\d+/labels|DELETE issues/\d+/labels/\w+%3A[a-z-]+")
_EDITED = ("issues/comments/", "check-runs/")
SECRET = "a webhook secret of the stories"
REPOSITORY = "octo/project"
ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 180
"""How long a process of ours has until it answers: on a busy machine it has taken more than 60 s."""
JOB_SECONDS = 300
"""How long jobs have until they end: on a busy machine three in a row have taken 110 s."""


class World:
    """Seeded with a repository and a person who may write; :meth:`serve` starts Forgehand in a process of its own."""

    def __init__(self, folder: Path, *, files: Mapping[str, bytes | str], model: ScriptedModel | str) -> None:
        self.folder = folder
        self._reserved = ReservedPort()
        self.port = self._reserved.number
        self.model = model
        self.hub = LocalHub(
            folder / "github", webhook_url=f"http://127.0.0.1:{self.port}/webhook", webhook_secret=SECRET
        ).start()
        self.hub.create_repository(REPOSITORY, files=files)
        self.hub.create_user("alice")
        self.hub.set_permission(REPOSITORY, "alice", "write")
        self._key = folder / "app.pem"
        self._key.write_text(self.hub.private_key_pem)
        # Sockets lie in it, whose paths have at most 107 bytes: the folder of a test is too deep.
        self._short = Path(tempfile.mkdtemp(prefix="world-"))
        self.data = self._short / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._inside: Inside | None = None
        self.log = folder / "log.jsonl"

    def serve(self, **settings: str) -> None:
        """Start `forgehand serve` and return when it is live."""
        self._process = self.spawn("serve", **settings)
        self.wait_until(self._live, START_SECONDS, "`forgehand serve` to answer")

    def spawn(self, command: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start `forgehand COMMAND` with this world's settings, and those given on top of them."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "app.cli", command],
                cwd=ROOT,
                env=self.environment(**settings),
                stdout=log,
                stderr=log,
            )

    def environment(self, **settings: str) -> dict[str, str]:
        """The environment of Forgehand in a process of its own."""
        url = self.model if isinstance(self.model, str) else self.model.url
        ours = ("FORGEHAND", "OPENAI", "DATABASE_URL")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return environment | {
            "FORGEHAND_APP_ID": str(self.hub.app_id),
            "FORGEHAND_PRIVATE_KEY_PATH": str(self._key),
            "FORGEHAND_WEBHOOK_SECRETS": SECRET,
            "FORGEHAND_GITHUB_API_URL": self.hub.api_url,
            "FORGEHAND_DATA_DIR": str(self.data),
            "FORGEHAND_PORT": str(self.port),
            "FORGEHAND_MODEL": "scripted-session",
            "FORGEHAND_LOG_FORMAT": "json",
            "FORGEHAND_GITHUB_WRITE_SECONDS": "0",
            "OPENAI_BASE_URL": url,
            "FORGEHAND_REVIEW_UNASKED": "false",
            **settings,
        }

    def serve_inside(self, **settings: Any) -> Inside:
        """Start Forgehand in threads of this process, of which only one may be there at a time; much faster."""
        url = self.model if isinstance(self.model, str) else self.model.url
        # Most stories have pull requests, and are not about their reviews.
        settings = {"review_unasked": False, **settings}
        self._inside = Inside(
            log=self.log,
            app_id=self.hub.app_id,
            private_key=self.hub.private_key_pem,
            webhook_secrets=(SECRET,),
            github_api_url=self.hub.api_url,
            data_dir=self.data,
            port=self.port,
            model="scripted-session",
            openai_base_url=url,
            **settings,
        )
        return self._inside

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End everything."""
        if self._inside is not None:
            self._inside.stop()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if isinstance(self.model, ScriptedModel):
            self.model.stop()
        self.hub.stop()
        self._reserved.close()
        shutil.rmtree(self._short, ignore_errors=True)

    def ask(self, issue: str, *, label: str = "qwen", actor: str = "alice", repository: str = REPOSITORY) -> int:
        """Open an issue (title in the first line), label it, and return its number."""
        title, _, body = issue.partition("\n")
        number = self.hub.create_issue(repository, "alice", title.removeprefix("# ").strip(), body.strip()).number
        self.hub.add_label(repository, number, label, actor)
        return number

    def create_repository(self, name: str, files: Mapping[str, bytes | str]) -> str:
        """One more repository in which alice may write; its full name."""
        full_name = f"{REPOSITORY.partition('/')[0]}/{name}"
        self.hub.create_repository(full_name, files=files)
        self.hub.set_permission(full_name, "alice", "write")
        return full_name

    def branch(self, repository: str, name: str) -> str:
        """Make a branch as alice does it in the page, at the default branch's tip; its commit."""
        tip = self.hub.branches(repository)[self.hub.repository(repository).default_branch]
        self.rest("POST", f"/repos/{repository}/git/refs", {"ref": f"refs/heads/{name}", "sha": tip})
        return tip

    def rest(self, method: str, path: str, body: Any = None) -> None:
        """One request to the local GitHub as alice, which must work."""
        headers = {"Authorization": f"Bearer {self.hub.create_token('alice')}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.hub.api_url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60):
            pass

    def end_of(self, repository: str, number: int, *, jobs: int = 1, timeout: float = JOB_SECONDS) -> JobRecord:
        """The last job of an issue, once it has had that many and none is left; for Forgehand inside."""
        assert self._inside is not None
        queue = self._inside.queue

        def of_issue() -> list[JobRecord]:
            found = queue.jobs(limit=1000)
            own = [r for r in found if (r.job.repository.full_name, r.job.number) == (repository, number)]
            return [record for record in own if record.job.workflow != "tidy" and not _unasked(record)]

        def all_ended() -> bool:
            found = of_issue()
            return len(found) >= jobs and all(record.state in ("ended", "cancelled") for record in found)

        self.wait_until_heard()
        self.wait_until(all_ended, timeout, f"{jobs} jobs of {repository}#{number} to end")
        assert len(of_issue()) == jobs
        return of_issue()[0]

    def writes(self, repository: str) -> list[str]:
        """What our App wrote to a repository, oldest first.

        Left out are edits of comments and of check runs, of which there are many, the state labels
        (:meth:`state_labels` has those), and what goes over GraphQL, which names no repository.
        """
        found = []
        for entry in self.hub.journal:
            if entry.actor != self.hub.bot_login or entry.status >= 400:
                continue
            path = entry.path.removeprefix(f"/repos/{repository}/")
            if entry.method == "PUSH" and path.startswith(f"{repository} "):
                found.append(f"PUSH {path.removeprefix(f'{repository} refs/heads/')}")
            elif path != entry.path and not (entry.method == "PATCH" and path.startswith(_EDITED)):
                found.append(f"{entry.method} {path}")
        return [write for write in found if not _STATE_LABEL.fullmatch(write)]

    def state_labels(self, repository: str, number: int) -> list[str]:
        """The state labels that an issue or pull request has now."""
        return [label.name for label in self.hub.issue(repository, number).labels if ":" in label.name]

    def containers(self, client: docker.DockerClient) -> list[str]:
        """The containers of this world's jobs that are there now."""
        jobs = {f"gh-{delivery.guid}" for delivery in self.hub.deliveries}
        found = client.containers.list(all=True, filters={"label": JOB_LABEL}, ignore_removed=True)
        return [container.name for container in found if container.labels[JOB_LABEL] in jobs]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's lines with this event; for Forgehand inside."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines())
        return [line for line in lines if line["event"] == name]

    def ended(self, *, jobs: int = 1, timeout: float = JOB_SECONDS) -> list[JobRecord]:
        """The jobs once that many have ended, oldest first."""
        self.wait_until_heard()
        queue = Queue(f"sqlite:///{self.data / 'forgehand.sqlite3'}", worker=False)
        queue.start()
        try:

            def asked_for() -> list[JobRecord]:
                return [record for record in queue.jobs() if not _unasked(record)]

            def all_ended() -> bool:
                found = asked_for()
                return len(found) >= jobs and all(job.state in ("ended", "cancelled") for job in found)

            self.wait_until(all_ended, timeout, f"{jobs} jobs to end")
            return list(reversed(asked_for()))
        finally:
            queue.stop()

    def pull_requests(self, repository: str = REPOSITORY) -> list[Issue]:
        """All pull requests of the repository."""
        return self.hub.pull_requests(repository)

    def comments(self, number: int, repository: str = REPOSITORY) -> list[str]:
        """The bodies of an issue's comments."""
        return [comment.body for comment in self.hub.comments(repository, number)]

    def wait_until_heard(self) -> None:
        """Wait until Forgehand has stored all that happened so far: what is counted before may end without its last."""
        self.hub.wait_for_deliveries()

    def wait_until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait for a condition; when it does not come true, show the log's end."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self._process is not None and self._process.poll() not in (None, -signal.SIGKILL):
                raise AssertionError(f"Forgehand ended with {self._process.returncode}:\n{self._log_end()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"Waited {timeout} s for {what}:\n{self._log_end()}")
            time.sleep(0.05)

    def _live(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def _log_end(self) -> str:
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else "(no log)"


def _unasked(record: JobRecord) -> bool:
    """Whether it is a review that the policy did not want: every push of a person's has one."""
    ignored = record.outcome is not None and record.outcome.status == "ignored"
    return ignored and record.job.workflow == "review_pull" and record.job.command is None
