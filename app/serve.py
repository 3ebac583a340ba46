"""Running the service: web server, worker, or both, until a signal ends it."""

from __future__ import annotations

import os
import signal
import sys
import threading

import structlog

from app.composition import Composition
from app.listening import check_address
from app.logging import configure_logging
from app.settings import Settings, SettingsError
from app.sweep import Sweeper
from sandbox.authorities import BadAuthorities
from sandbox.container import SandboxUnavailable
from sandbox.engine import EngineMissing
from sandbox.images import ImageUnavailable
from workflows.durable.queue import Queue, QueueUnavailable
from workflows.services import BrokenWorld

log = structlog.get_logger()

_FAILURES = (
    QueueUnavailable,
    EngineMissing,
    ImageUnavailable,
    SandboxUnavailable,
    BadAuthorities,
    BrokenWorld,
    SettingsError,
)


def run_service(settings: Settings, *, web: bool, worker: bool) -> int:
    """Run until SIGTERM or SIGINT; the exit code. Running jobs stop after their step and go on after a restart."""
    missing = settings.missing_for_app()
    if missing:
        print("\n".join(missing), file=sys.stderr)
        return 2
    if web != worker and settings.database.startswith("sqlite"):
        advice = "Several processes need PostgreSQL: set DATABASE_URL=postgresql://…, or use `forgehand serve`."
        print(advice, file=sys.stderr)
        return 2
    composition = Composition(settings, say=lambda line: log.info("set-up", line=line))
    configure_logging(style=settings.log_format, level=settings.log_level, redactor=composition.redactor)
    try:
        return _run(composition, web=web, worker=worker)
    except _FAILURES as error:
        log.error("cannot start", reason=str(error))
        return 1
    finally:
        composition.close()


def _run(composition: Composition, *, web: bool, worker: bool) -> int:
    settings = composition.settings
    if web:
        check_address(settings.host, settings.port)
    _ = composition.github  # a key that cannot sign is said before anything begins
    queue = composition.queue(worker=worker)
    queue.start(prepare=lambda: _prepare_worker(composition))
    log.info("started", web=web, worker=worker, model=settings.model, github=settings.github_api_url)
    housekeeper = None
    try:
        if worker:
            housekeeper = composition.housekeeper(queue)
            housekeeper.start()
        if web:
            _serve_web(composition, queue)
        else:
            _wait_for_signal()
    finally:
        if housekeeper:
            housekeeper.stop()
        drained = queue.stop()
        log.info("stopped", drained=drained)
    if not drained:
        # The step's thread would hold the process; the step runs again after the restart.
        os._exit(0)
    return 0


def _serve_web(composition: Composition, queue: Queue) -> None:
    from app.server import make_server  # a worker alone needs no web server

    server = make_server(composition.web(queue), host=composition.settings.host, port=composition.settings.port)
    sweeper = Sweeper(composition.github, queue, ready=lambda: server.started)
    sweeper.start()
    try:
        server.run()
    finally:
        sweeper.stop()


def _prepare_worker(composition: Composition) -> None:
    """Have image and model ready before the first job, and the containers of a killed predecessor gone."""
    _ = composition.model  # its package is loaded beside the rest
    composition.image()
    if composition.settings.database.startswith("sqlite"):
        removed = composition.remove_leftovers()
        if removed:
            log.info("leftover containers removed", count=removed)


def _wait_for_signal() -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
