"""A large pull request's diff in files, lines and maps: seconds, memory, and how both grow to 50 MB and 10^6 hunks.

``python -m tests.bench.bench_review_diff``. The floor is looking for every line end once. Each measurement is made in
a process of its own, because memory is told by the highest that a process ever held.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from workflows.review.anchors import LineMap
from workflows.review.diff import parse_diff

LINES = (
    " def read_price(item, rate):",
    "-    return item.price * rate",
    "+    if rate is None:",
    "+        rate = DEFAULT_RATE",
    "+    return round(item.price * rate, 2)",
    " ",
    " ",
    "-def total(items): return sum(read_price(item, None) for item in items)",
    "+def total(items, *, rate=None): return sum(read_price(item, rate) for item in items)",
    " # the end of the part",
)


def generate(path: Path, files: int, lines: int) -> Path:
    """A diff of so many files, with so many lines in hunks of ten each, written to a file."""
    old, new = sum(line[0] != "+" for line in LINES), sum(line[0] != "-" for line in LINES)
    body = "\n".join(LINES)
    parts = []
    for number in range(files):
        name = f"src/part_{number % 97}/module_{number}.py"
        parts.append(f"diff --git a/{name} b/{name}\nindex 1111111..2222222 100644\n--- a/{name}\n+++ b/{name}\n")
        for hunk in range(lines // 10):
            at = 1 + hunk * 50
            parts.append(f"@@ -{at},{old} +{at + hunk},{new} @@ def before():\n{body}\n")
    path.write_text("".join(parts))
    return path


def generate_hunks(path: Path, files: int, hunks: int) -> Path:
    """A diff of so many files, with so many hunks each of one changed line."""
    parts = []
    for number in range(files):
        name = f"src/part_{number % 97}/module_{number}.py"
        parts.append(f"diff --git a/{name} b/{name}\nindex 1111111..2222222 100644\n--- a/{name}\n+++ b/{name}\n")
        for hunk in range(hunks):
            at = 1 + hunk * 9
            parts.append(f"@@ -{at} +{at} @@\n-value_{hunk} = {hunk}\n+value_{hunk} = 1 + {hunk}\n")
    path.write_text("".join(parts))
    return path


class Measured(NamedTuple):
    """Size in MB, CPU seconds of the floor and of the work, MB of memory on top of the text, and what came of it.

    ``files`` were parsed, with ``changed`` lines; ``mapped`` are the lines of the head that their hunks show.
    """

    size: float
    floor: float
    seconds: float
    grown: float
    files: int
    changed: int
    mapped: int


def measure(path: Path, keep: bool) -> Measured:
    """``keep``: all maps are held at once; otherwise one is after the other."""
    raw = path.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    raw.count(b"\n")
    floor = time.process_time() - began
    began = time.process_time()
    diff = parse_diff(raw)
    maps = (LineMap(file) for file in diff.files)
    mapped = sum(len(one.numbers("RIGHT")) for one in (list(maps) if keep else maps))
    seconds = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    changed = sum(file.lines_changed for file in diff.files)
    return Measured(len(raw) / 1e6, floor, seconds, grown, len(diff.files), changed, mapped)


def main() -> None:
    # A fresh process each: one that was used before would have its highest memory already.
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(max_workers=1, mp_context=spawn, max_tasks_per_child=1) as pool,
    ):

        def measured(
            files: int, many: int, keep: bool = False, make: Callable[[Path, int, int], Path] = generate
        ) -> Measured:
            path = pool.submit(make, Path(name) / "diff", files, many).result()
            return pool.submit(measure, path, keep).result()

        held = measured(5_000, 40, True)
        _check_mapped(held, files=5_000, lines=40)
        print(
            f"{held.files:,} files, 200,000 lines, {held.size:.1f} MB: parsed, and {held.mapped:,} of the head mapped"
        )
        print(f"review_diff floor, the line ends:       {held.floor * 1000:9.1f} ms")
        print(f"review_diff parsed and mapped, CPU:     {held.seconds * 1000:9.1f} ms")
        print(f"review_diff memory over the text, held: {held.grown:9.1f} MB")
        small, large = measured(300, 450), measured(3_000, 450)
        for one in (small, large):
            print(f"one map at a time: {one.size:5.1f} MB, {one.mapped:,} lines: {_say_cost(one)}")
        memory = large.grown / max(small.grown, 0.1)
        print(f"review_diff ratios: {_say_ratios(large, small)}, memory {memory:.1f}x")
        few, many = measured(300, 334, make=generate_hunks), measured(3_000, 334, make=generate_hunks)
        for hunks, one in ((100_200, few), (1_002_000, many)):
            print(f"{hunks:,} hunks: {one.size:5.1f} MB: {_say_cost(one)}")
        print(f"review_diff hunks ratios: {_say_ratios(many, few)}")
        one = measured(1, 1_000_000, make=generate_hunks)
        took = f"{one.size:.1f} MB: {one.seconds * 1000:.1f} ms"
        print(f"1,000,000 hunks in one file, which is too large to be read: {took}")
        print(f"review_diff one file over the floor: {one.seconds / one.floor:.1f}x")


def _say_cost(one: Measured) -> str:
    return f"{one.seconds:.2f} s, {one.grown:.1f} MB over the text"


def _say_ratios(large: Measured, small: Measured) -> str:
    return f"text {large.size / small.size:.1f}x, CPU {large.seconds / small.seconds:.1f}x"


def _check_mapped(measured: Measured, *, files: int, lines: int) -> None:
    """Raises AssertionError unless all files were parsed whole, and all of their lines mapped."""
    per_hunk, of_head = sum(line[0] in "+-" for line in LINES), sum(line[0] != "-" for line in LINES)
    assert measured.files == files, measured
    assert measured.changed == files * lines // 10 * per_hunk, measured
    assert measured.mapped == files * lines // 10 * of_head, measured


if __name__ == "__main__":
    main()
