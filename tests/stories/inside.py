"""Forgehand in threads of the test's own process: the same parts as `forgehand serve`, without its waiting times."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from app.composition import Composition
from app.github_retry import Clock, RetryRules
from app.logging import CHATTY, configure_logging
from app.server import make_server
from app.settings import Settings
from workflows.agent.client.llm import OpenAIModel

HURRIED = RetryRules(between_writes=0.0, clock=Clock(sleep=lambda seconds: time.sleep(min(seconds, 0.01))))


class Inside:
    """Queue, worker and web server, running; at most one at a time, because there is one Queue a process.

    ``settings`` are those of :class:`Settings`. Retries wait as often as they do outside, but hardly any time.
    """

    def __init__(self, *, log: Path, **settings: Any) -> None:
        self._undo: list[Callable[[], Any]] = []
        try:
            self._start(log, Settings(_env_file=None, **settings))
        except BaseException:
            self.stop()
            raise

    def _start(self, log: Path, settings: Settings) -> None:
        self.composition = Composition(settings, say=print, rules=HURRIED)
        self.composition.model = OpenAIModel(
            str(settings.openai_base_url), "", model=settings.model, sleep=lambda seconds: None
        )
        self._undo.append(self.composition.close)
        self._keep_log(log, settings)
        self.queue = self.composition.queue(worker=True)
        self.queue.start()
        self._undo.append(self.queue.stop)
        server = make_server(self.composition.web(self.queue), host="127.0.0.1", port=settings.port, drain_seconds=1)
        web = threading.Thread(target=server.run, name="web", daemon=True)
        web.start()
        self._undo += [lambda: web.join(timeout=10), lambda: setattr(server, "should_exit", True)]
        deadline = time.monotonic() + 60
        while not server.started:
            assert web.is_alive(), "the web server ended"
            assert time.monotonic() < deadline, "the web server did not start within 60 s"
            time.sleep(0.01)

    def _keep_log(self, path: Path, settings: Settings) -> None:
        """Log into a file as a service would, and afterwards as the tests did before."""
        root, hook = logging.getLogger(), threading.excepthook
        handlers, level = root.handlers[:], root.level
        libraries = {name: logging.getLogger(name).level for name in CHATTY}
        stream = path.open("a")
        configure_logging(style="json", level="info", redactor=self.composition.redactor, stream=stream)

        def restore() -> None:
            structlog.reset_defaults()
            root.handlers[:] = handlers
            root.setLevel(level)
            for name, own in libraries.items():
                logging.getLogger(name).setLevel(own)
            logging.captureWarnings(False)
            threading.excepthook = hook
            stream.close()

        self._undo.append(restore)

    def stop(self) -> None:
        """Let running jobs reach the end of their step, and end everything; may be called twice."""
        while self._undo:
            self._undo.pop()()
