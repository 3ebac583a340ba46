"""kill -9 of a story's Forgehand at writes of its choice."""

from __future__ import annotations

import threading

from app.localhub.faults import Fault
from tests.stories.world import World


class Kill(Fault):
    """kill -9 of the world's Forgehand once a write has happened."""

    def __init__(self, world: World, path: str, *, method: str = "POST", nth: int = 1) -> None:
        super().__init__("reset", method=method, path=f"{path}$", after_write=True, nth=nth)
        self.world = world
        self.done = threading.Event()

    def act(self) -> None:
        """Kill, and say so."""
        self.world.kill()
        self.done.set()


def survive(kill: Kill) -> None:
    """Start Forgehand again once it was killed."""
    assert kill.done.wait(120), f"no {kill.method} {kill.path} within 120 s"
    kill.world.serve()
