"""All benches, one after the other, each against its floor in the same run: `make bench`."""

from __future__ import annotations

import runpy

BENCHES = (
    "tests.bench.bench_repo_map",
    "tests.bench.bench_review_diff",
    "tests.bench.bench_toolbox",
    "tests.bench.bench_webhook",
    "tests.bench.bench_agent",
)

for bench in BENCHES:
    print(f"\n== {bench} ==", flush=True)
    runpy.run_module(bench, run_name="__main__")
