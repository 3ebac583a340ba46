"""How good reviews are on the seeded-bug set, end to end on the local GitHub: precision, recall, comments.

``python -m tests.bench.bench_review_set [language …]``. With OPENAI_BASE_URL set the model there reviews; without it a
script's replies are played, which measures the scaffolding and no model. Exit code 0: every review counts; 1: some
could not be made and are named; 2: nothing was begun.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from app.models import connect_attempt
from app.settings import SettingsError, read_settings
from sandbox.engine import EngineMissing, ensure_engine
from sandbox.images import ImageUnavailable
from tests.review_set.cases import LANGUAGES, Case, load_cases
from tests.review_set.image import ensure_set_image
from tests.review_set.report import Report, Reviewed, Unscored, as_json, render_report
from tests.review_set.reviewing import Reviews
from tests.review_set.scripted import ScriptedReviewer
from tests.stories.conftest import open_world
from workflows.agent.client.fallbacks import FallbackModel
from workflows.agent.client.llm import OpenAIModel

NOTHING_BEGUN = 2


def main(arguments: Sequence[str]) -> int:
    """Review each change of the set as a pull request, say what was found, and give the exit code."""
    options = _parse(arguments)
    cases = [case for case in load_cases(*options.languages) if not options.only or _is_wanted(case, options.only)]
    if not cases:
        print(f"No case of the set has {' or '.join(options.only)} in its name.", file=sys.stderr)
        return NOTHING_BEGUN
    model: ScriptedReviewer | OpenAIModel | FallbackModel = ScriptedReviewer(cases)
    recorded = not os.environ.get("OPENAI_BASE_URL")
    if not recorded:
        try:
            model = connect_attempt(read_settings(), 1)
        except SettingsError as error:
            print(error, file=sys.stderr)
            return NOTHING_BEGUN
        answers, reason = model.check()
        print(reason)
        if not answers:
            return NOTHING_BEGUN
    try:
        report = _run(cases, model, recorded=recorded, patience=options.patience, at_once=options.at_once)
    except (EngineMissing, ImageUnavailable) as error:
        print(error, file=sys.stderr)
        return NOTHING_BEGUN
    print(f"\n{render_report(report)}")
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(report), indent=1) + "\n")
    return 1 if report.unscored else 0


def _run(
    cases: Sequence[Case],
    model: ScriptedReviewer | OpenAIModel | FallbackModel,
    *,
    recorded: bool,
    patience: float,
    at_once: int,
) -> Report:
    engine = ensure_engine(install=True, say=print)
    image = ensure_set_image(engine)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_world(Path(folder) / "world", engine, files={"README.md": "Nothing."}, session=[]) as world,
    ):
        inside = world.serve_inside(worker_concurrency=at_once, review_unasked=True, sandbox_image=image)
        inside.composition.__dict__["model"] = model
        began = time.monotonic()
        results = Reviews(world, inside, patience, at_once, say=lambda line: print(line, flush=True)).run(cases)
        seconds = time.monotonic() - began
        # A cancelled job's container goes within ten seconds.
        world.wait_until(lambda: world.containers(engine) == [], 30, "the last container to go")
    return Report(
        model.name,
        recorded,
        reviewed=tuple(one for one in results if isinstance(one, Reviewed)),
        unscored=tuple(one for one in results if isinstance(one, Unscored)),
        seconds=seconds,
    )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-review", description="Score reviews on the seeded-bug set.")
    parser.add_argument("languages", nargs="*", choices=[*LANGUAGES, []], help="all when none is named")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="cases with this in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report for programs as well")
    parser.add_argument("--patience", type=float, default=1_800.0, metavar="SECONDS", help="for one review")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="reviews at the same time")
    return parser.parse_args(arguments)


def _is_wanted(case: Case, words: Sequence[str]) -> bool:
    return any(word in case.id for word in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
