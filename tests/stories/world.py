"""A whole world for a story: local GitHub, scripted model, and Forgehand as `forgehand serve` runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from app.demo.scripted_model import ScriptedModel
from app.localhub.records import Issue
from app.localhub.server import LocalHub
from workflows.queue import JobRecord, Queue

SECRET = "a webhook secret of the stories"
REPOSITORY = "octo/project"
ROOT = Path(__file__).parent.parent.parent


class World:
    """Seeded with a repository and a person who may write; :meth:`serve` starts Forgehand in a process of its own."""

    def __init__(self, folder: Path, *, files: Mapping[str, bytes | str], model: ScriptedModel | str) -> None:
        self.folder = folder
        self.port = free_port()
        self.model = model
        self.hub = LocalHub(
            folder / "github", webhook_url=f"http://127.0.0.1:{self.port}/webhook", webhook_secret=SECRET
        ).start()
        self.hub.create_repository(REPOSITORY, files=files)
        self.hub.create_user("alice")
        self.hub.set_permission(REPOSITORY, "alice", "write")
        self._key = folder / "app.pem"
        self._key.write_text(self.hub.private_key_pem)
        self.data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log.jsonl"

    def serve(self, **settings: str) -> None:
        """Start `forgehand serve` and return when it is live."""
        url = self.model if isinstance(self.model, str) else self.model.url
        ours = ("FORGEHAND", "OPENAI", "DATABASE_URL")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment |= {
            "FORGEHAND_APP_ID": str(self.hub.app_id),
            "FORGEHAND_PRIVATE_KEY_PATH": str(self._key),
            "FORGEHAND_WEBHOOK_SECRETS": SECRET,
            "FORGEHAND_GITHUB_API_URL": self.hub.api_url,
            "FORGEHAND_DATA_DIR": str(self.data),
            "FORGEHAND_PORT": str(self.port),
            "FORGEHAND_MODEL": "scripted-session",
            "FORGEHAND_LOG_FORMAT": "json",
            "OPENAI_BASE_URL": url,
            **settings,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        self.wait_until(self._live, 60, "`forgehand serve` to answer")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End everything."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if isinstance(self.model, ScriptedModel):
            self.model.stop()
        self.hub.stop()

    def ask(self, issue: str, *, label: str = "qwen", actor: str = "alice") -> int:
        """Open an issue (title in the first line), label it, and return its number."""
        title, _, body = issue.partition("\n")
        number = self.hub.create_issue(REPOSITORY, "alice", title.removeprefix("# ").strip(), body.strip()).number
        self.hub.add_label(REPOSITORY, number, label, actor)
        return number

    def ended(self, *, jobs: int = 1, timeout: float = 240) -> list[JobRecord]:
        """The jobs once that many have ended, oldest first."""
        queue = Queue(f"sqlite:///{self.data / 'forgehand.sqlite3'}", worker=False)
        queue.start()
        try:

            def all_ended() -> bool:
                found = queue.jobs()
                return len(found) >= jobs and all(job.state in ("ended", "cancelled") for job in found)

            self.wait_until(all_ended, timeout, f"{jobs} jobs to end")
            return list(reversed(queue.jobs()))
        finally:
            queue.stop()

    def pull_requests(self) -> list[Issue]:
        """All pull requests of the repository."""
        return self.hub.pull_requests(REPOSITORY)

    def comments(self, number: int) -> list[str]:
        """The bodies of an issue's comments."""
        return [comment.body for comment in self.hub.comments(REPOSITORY, number)]

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


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
