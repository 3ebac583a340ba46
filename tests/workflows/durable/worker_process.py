"""A worker in a process of its own, for the tests that kill it.

Each job makes STEPS steps. A step appends a line to FOLDER/steps, then waits while FOLDER/hold-<k> exists.
FOLDER/stopping-<pid> is there once no further step begins.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from workflows.durable.queue import Queue
from workflows.outcome import Outcome
from workflows.services import BrokenWorld, Run
from workflows.types import Job

STEPS = 6
DRAIN_SECONDS = 5.0


def count(run: Run, job: Job, folder: Path) -> Outcome:
    """Six steps with a broken one in the middle; the outcome tells what they gave, and when they began."""
    results = [run.now().isoformat()]
    for number in range(STEPS):
        results.append(run.step(f"step-{number}", lambda number=number: _take_step(folder, job, number), str))
        if number == STEPS // 2:
            try:
                run.step("broken", lambda: _break(folder, job), str)
            except BrokenWorld as broken:
                results.append(f"{broken.kind}:{broken.message}")
    return Outcome(status="no_change", reason=" ".join(results))


def poison(run: Run, job: Job, folder: Path) -> Outcome:
    """Ends its worker, as a process that runs out of memory does."""
    with (folder / "steps").open("a") as steps:
        steps.write(f"{job.id} poison {os.getpid()}\n")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _take_step(folder: Path, job: Job, number: int) -> str:
    with (folder / "steps").open("a") as steps:
        steps.write(f"{job.id} {number} {os.getpid()}\n")
    while (folder / f"hold-{number}").exists():
        time.sleep(0.01)
    return f"value-{number}-{os.getpid()}"


def _break(folder: Path, job: Job) -> str:
    with (folder / "steps").open("a") as steps:
        steps.write(f"{job.id} broken {os.getpid()}\n")
    raise BrokenWorld("github", f"broken-{os.getpid()}")


def _tell_when_it_stops(queue: Queue, folder: Path) -> None:
    assert queue._worker is not None
    queue._worker._stopping.wait()
    (folder / f"stopping-{os.getpid()}").touch()


def main(url: str, folder: Path, lease_seconds: float) -> None:
    """Work until SIGTERM."""
    queue = Queue(url, worker=True, concurrency=4, lease_seconds=lease_seconds, poll_seconds=0.05, max_attempts=2)
    queue.register("count", lambda run, job: count(run, job, folder))
    queue.register("poison", lambda run, job: poison(run, job, folder))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    queue.start()
    threading.Thread(target=_tell_when_it_stops, args=(queue, folder), daemon=True).start()
    (folder / f"ready-{os.getpid()}").touch()
    stop.wait()
    drained = queue.stop(DRAIN_SECONDS)
    os._exit(0 if drained else 3)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
