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

from workflows.review.anchors import LineMap, map_lines
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


def measure(path: Path, keep: bool) -> tuple[float, float, float, float, int]:
    """Size in MB, CPU seconds of the floor and of the work, MB of memory on top of the text, and lines mapped.

    ``keep``: all maps are held at once, as for a review of everything; otherwise one after the other.
    """
    raw = path.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    raw.count(b"\n")
    floor = time.process_time() - began
    began = time.process_time()
    diff = parse_diff(raw)
    if keep:
        mapped = sum(len(lines_.numbers("RIGHT")) for lines_ in map_lines(diff).values())
    else:
        mapped = sum(len(LineMap(file).numbers("RIGHT")) for file in diff.files)
    seconds = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return len(raw) / 1e6, floor, seconds, grown, mapped


def main() -> None:
    # A fresh process each: one that was used before would have its highest memory already.
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(max_workers=1, mp_context=spawn, max_tasks_per_child=1) as pool,
    ):

        def measured(
            files: int, many: int, keep: bool = False, make: Callable[[Path, int, int], Path] = generate
        ) -> tuple[float, float, float, float, int]:
            path = pool.submit(make, Path(name) / "diff", files, many).result()
            return pool.submit(measure, path, keep).result()

        size, floor, seconds, grown, mapped = measured(5_000, 40, True)
        print(f"5,000 files, 200,000 lines, {size:.1f} MB: parsed, and {mapped:,} lines of the head mapped")
        print(f"review_diff floor, the line ends:       {floor * 1000:9.1f} ms")
        print(f"review_diff parsed and mapped, CPU:     {seconds * 1000:9.1f} ms")
        print(f"review_diff memory over the text, held: {grown:9.1f} MB")
        small, large = measured(300, 450), measured(3_000, 450)
        for size, _, seconds, grown, mapped in (small, large):
            print(f"one map at a time: {size:5.1f} MB, {mapped:,} lines: {seconds:.2f} s, {grown:.1f} MB over the text")
        text, time_, memory = large[0] / small[0], large[2] / small[2], large[3] / max(small[3], 0.1)
        print(f"review_diff ratios: text {text:.1f}x, CPU {time_:.1f}x, memory {memory:.1f}x")
        few, many = measured(300, 334, make=generate_hunks), measured(3_000, 334, make=generate_hunks)
        for hunks, (size, _, seconds, grown, _) in ((100_200, few), (1_002_000, many)):
            print(f"{hunks:,} hunks: {size:5.1f} MB: {seconds:.2f} s, {grown:.1f} MB over the text")
        text, time_ = many[0] / few[0], many[2] / few[2]
        print(f"review_diff hunks ratios: text {text:.1f}x, CPU {time_:.1f}x")
        size, floor, seconds, grown, _ = measured(1, 1_000_000, make=generate_hunks)
        print(f"1,000,000 hunks in one file, which is too large to be read: {size:.1f} MB: {seconds * 1000:.1f} ms")
        print(f"review_diff one file over the floor: {seconds / floor:.1f}x")


if __name__ == "__main__":
    main()
