"""The collector: what it looks through while a program loads and when it ends."""

from __future__ import annotations

import json
import subprocess
import sys

COUNT = """
import gc, json
from app.collector import collect_seldom
looks, usual = [], gc.get_threshold()
gc.callbacks.append(lambda phase, info: looks.append(info["generation"]) if phase == "start" else None)
with collect_seldom():
    import app.serve
print(json.dumps([len(looks), looks.count(2), gc.get_freeze_count(), gc.get_threshold() == usual]))
"""


def test_what_is_loaded_is_seldom_looked_through_and_not_at_the_end() -> None:
    """By default Python looks some 300 times, two of them at everything, and once more when the program ends."""
    done = subprocess.run([sys.executable, "-c", COUNT], check=True, capture_output=True, text=True)
    looks, full, frozen, as_before = json.loads(done.stdout)
    assert 0 < looks < 60
    assert full == 0
    assert frozen > 100_000
    assert as_before
