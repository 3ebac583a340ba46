"""How good reviews are on the seeded-bug set, end to end on the local GitHub: precision, recall, comments.

``python -m tests.bench.bench_review_set [language …]``. With OPENAI_BASE_URL set the model there reviews; without it
replies that were written for the set are played, which measures the scaffolding, not a model.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from app.localhub.records import ReviewComment
from app.models import connect_attempt
from app.settings import Settings
from sandbox.authorities import find_authorities
from sandbox.engine import ensure_engine
from sandbox.images import ensure_image
from tests.review_set.cases import Case, load_cases
from tests.review_set.recorded import RecordedModel, load_replies
from tests.review_set.score import Said, render_score, score
from tests.stories.conftest import open_world
from tests.stories.inside import Inside
from tests.stories.world import World

PATIENCE = 1_800.0
"""Seconds for one review by a real model."""


def main(languages: Sequence[str]) -> None:
    """Review each change of the set as a pull request, and say what was found."""
    engine = ensure_engine(install=True, say=print)
    ensure_image(engine, say=print, authorities=find_authorities(os.environ), environment=os.environ)
    cases = load_cases(*languages)
    real = bool(os.environ.get("OPENAI_BASE_URL"))
    with (
        tempfile.TemporaryDirectory() as folder,
        open_world(Path(folder) / "world", engine, files={"README.md": "Nothing."}, session=[]) as world,
    ):
        inside = world.serve_inside(worker_concurrency=2, review_unasked=True)
        model = connect_attempt(Settings(), 1) if real else RecordedModel(cases)
        inside.composition.__dict__["model"] = model
        began = time.monotonic()
        said = {name: _said(found) for name, found in review_all(world, inside, cases).items()}
        seconds = time.monotonic() - began
    if not real:
        raw = {case.id: _handed_over(case) for case in cases}
        print(render_score(score(cases, raw), model="the replies as they are, without the scaffolding", recorded=True))
        print()
    print(render_score(score(cases, said), model=model.name, recorded=not real))
    print(f"{len(cases)} reviews in {seconds:.0f} s")


def review_all(world: World, inside: Inside, cases: Sequence[Case]) -> dict[str, list[ReviewComment]]:
    """The comments on lines of every change, by case. Raises when a review does not end as one."""
    opened = {}
    for case in cases:
        repository = world.create_repository(case.id, case.base)
        world.hub.commit(repository, dict(case.changed), branch="change", start="main")
        pull = world.hub.open_pull_request(repository, "alice", head="change", title=case.title, body=case.body)
        opened[case.id] = (repository, pull.number)
    found = {}
    for name, (repository, number) in opened.items():
        record = world.end_of(repository, number, timeout=PATIENCE)
        if record.outcome is None or record.outcome.status not in ("reviewed", "clean"):
            raise RuntimeError(f"{name} was not reviewed: {record.outcome}")
        change = world.hub.issue(repository, number).pull
        found[name] = change.comments if change is not None else []
    return found


def _said(comments: Sequence[ReviewComment]) -> list[Said]:
    return [Said(one.path, one.line or 0, one.start_line) for one in comments]


def _handed_over(case: Case) -> list[Said]:
    findings = load_replies().get(case.id, {}).get("findings", [])
    return [Said(one["path"], one["line"], one.get("start_line"), one["title"]) for one in findings]


if __name__ == "__main__":
    main(sys.argv[1:])
