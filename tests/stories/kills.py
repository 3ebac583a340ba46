"""kill -9 of a story's Forgehand at a write of its choice."""

from __future__ import annotations

import threading

from app.localhub.faults import Fault
from tests.stories.world import World


class Kill(Fault):
    """kill -9 of the world's Forgehand once a write has happened."""

    def __init__(self, world: World, path: str) -> None:
        super().__init__("reset", method="POST", path=f"{path}$", after_write=True)
        self.world = world
        self.done = threading.Event()

    def act(self) -> None:
        """Kill, and say so."""
        self.world.kill()
        self.done.set()
