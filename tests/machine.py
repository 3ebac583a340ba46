"""What is done to the machine itself, such as installing packages: by one test process at a time."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Nobody else is in here meanwhile, in whatever process."""
    with (Path(tempfile.gettempdir()) / f"forgehand-tests-{os.getuid()}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
