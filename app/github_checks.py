"""Check runs on a commit: our own, and what those of other Apps found, logged, and can be asked to do again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import structlog

from app.github_calls import RepositoryCalls
from app.github_json import parse_annotation, parse_check_run
from app.github_text import SUMMARY_LIMIT, fit_body, fit_title, same_text, scrub
from workflows.services import Conclusion
from workflows.types import Annotation, CheckRun

log = structlog.get_logger()

ACTIONS = "github-actions"
ANNOTATIONS_CAP = 500
MESSAGE_LIMIT = 16_000
"""Characters of an annotation; GitHub takes 64 KB."""
ANNOTATIONS_AT_ONCE = 50
"""https://docs.github.com/en/rest/checks/runs#update-a-check-run"""
LOG_BYTES = 200_000


class CheckCalls(RepositoryCalls):
    """What GitHub's checks API does, and the two calls of its Actions API that need the optional permission."""

    def fetch_check_runs(self, sha: str) -> list[CheckRun]:
        """The latest run of each name in each check suite, oldest first: two workflows may name a job the same."""
        latest: dict[tuple[int, str], dict[str, Any]] = {}
        for run in self._pages(f"/commits/{sha}/check-runs", item="check_runs"):
            key = (_suite(run), run["name"])
            if key not in latest or run["id"] > latest[key]["id"]:
                latest[key] = run
        return sorted(map(parse_check_run, latest.values()), key=lambda run: run.id)

    def fetch_annotations(self, check_run_id: int) -> list[Annotation]:
        """The first ANNOTATIONS_CAP annotations; none of a run that is gone."""
        path = f"/check-runs/{check_run_id}/annotations"
        return [parse_annotation(each) for each in islice(self._pages(path), ANNOTATIONS_CAP)]

    def fetch_check_log(self, check_run_id: int) -> str | None:
        """The log's last LOG_BYTES from a line's beginning. A job of GitHub Actions has the id of its check run.

        https://docs.github.com/en/rest/actions/workflow-jobs#download-job-logs-for-a-workflow-run
        """
        answer = self._send("GET", f"/actions/jobs/{check_run_id}/logs")
        if not answer.moved:
            if answer.status not in {403, 404, 410}:
                self._accept("reading the log of a check", answer)
            log.info("no_check_log", check_run_id=check_run_id, status=answer.status, reason=answer.message)
            return None
        text = self._session.download("the log of a check", answer.headers.get("location", ""), limit=LOG_BYTES)
        return scrub(text) if text is not None else None

    def rerun_check(self, check: CheckRun) -> bool:
        """Ask for a run unless there is a newer one: a new attempt of a job is a check run of its own.

        https://docs.github.com/en/rest/actions/workflow-runs#re-run-a-job-from-a-workflow-run
        https://docs.github.com/en/rest/checks/runs#rerequest-a-check-run
        """
        actions = check.app_slug == ACTIONS
        path = f"/actions/jobs/{check.id}/rerun" if actions else f"/check-runs/{check.id}/rerequest"
        with self._locks.hold((self._ref.id, "rerun", check.id)):
            if self._runs_again(check):
                return True
            answer = self._send("POST", path, repeatable=True)
            if answer.status not in {403, 404, 410, 422}:
                self._accept(f"running the check {check.name} again", answer)
                return True
            # A first try of ours whose answer was lost, or another job of the same workflow run: the list tells.
            if "already running" in answer.message and self._runs_again(check):
                return True
        log.info("check_not_rerun", check=check.name, status=answer.status, reason=answer.message)
        return False

    def _runs_again(self, check: CheckRun) -> bool:
        """Whether there is a newer run of this name in the same check suite; new attempts stay in it."""
        wanted = {"check_name": check.name, "filter": "all"}
        runs = list(self._pages(f"/commits/{check.head_sha}/check-runs", wanted, item="check_runs"))
        suites = {_suite(run) for run in runs if run["id"] == check.id}
        return any(run["id"] > check.id and _suite(run) in suites for run in runs)

    def find_or_create_check_run(
        self, *, head_sha: str, name: str, external_id: str, title: str, summary: str, conclusion: Conclusion | None
    ) -> int:
        """The id of our check run with ``external_id``, now with this title, summary and conclusion."""
        what = f"reporting the check {name}"
        output = {"title": fit_title(title), "summary": fit_body(summary, limit=SUMMARY_LIMIT)}
        state: dict[str, Any] = {"status": "in_progress", "output": output}
        if conclusion is not None:
            state |= {"status": "completed", "conclusion": conclusion}

        def look() -> dict[str, Any] | None:
            ours = {"check_name": name, "app_id": str(self._identity.id), "filter": "all"}
            for run in self._pages(f"/commits/{head_sha}/check-runs", ours, item="check_runs"):
                if run.get("external_id") == external_id and (run.get("app") or {}).get("id") == self._identity.id:
                    return run
            return None

        def create() -> dict[str, Any]:
            new = {"name": name, "head_sha": head_sha, "external_id": external_id, **state}
            created: dict[str, Any] = self._accept(what, self._send("POST", "/check-runs", body=new))
            return created

        with self._locks.hold((self._ref.id, "check", head_sha, external_id)):
            run = self._session.find_or_create(what, look, create)
            if not _shows(run, state):
                self._accept(what, self._send("PATCH", f"/check-runs/{run['id']}", body=state))
        return int(run["id"])

    def add_annotations(self, check_run_id: int, annotations: Sequence[Annotation]) -> None:
        """Add what the run has not yet. GitHub appends, so how many are there says where to go on after a crash."""
        what, path = "annotating a check", f"/check-runs/{check_run_id}"
        wanted = [_annotation(one) for one in annotations[:ANNOTATIONS_CAP]]
        with self._locks.hold((self._ref.id, "annotations", check_run_id)):
            for begin in range(0, len(wanted), ANNOTATIONS_AT_ONCE):
                end = min(len(wanted), begin + ANNOTATIONS_AT_ONCE)
                # Appending is not repeatable: after an answer that was lost, the count tells whether it was done.
                look = partial(self._annotated, what, path, least=end)
                self._session.find_or_create(what, look, partial(self._append, what, path, wanted, end=end))

    def _annotated(self, what: str, path: str, *, least: int) -> dict[str, Any] | None:
        run: dict[str, Any] = self._accept(what, self._send("GET", path))
        return run if run["output"]["annotations_count"] >= least else None

    def _append(self, what: str, path: str, wanted: Sequence[dict[str, Any]], *, end: int) -> dict[str, Any]:
        run: dict[str, Any] = self._accept(what, self._send("GET", path))
        shown, there = run["output"], run["output"]["annotations_count"]
        output = {"title": shown["title"], "summary": shown["summary"], "annotations": list(wanted[there:end])}
        answer = self._send("PATCH", path, body={"output": output}, repeatable=False)
        appended: dict[str, Any] = self._accept(what, answer)
        return appended


def _annotation(one: Annotation) -> dict[str, Any]:
    told = {"path": one.path, "start_line": one.start_line, "end_line": one.end_line, "annotation_level": one.level}
    return {**told, "message": fit_body(one.message, limit=MESSAGE_LIMIT), "title": fit_title(one.title)}


def _suite(run: Mapping[str, Any]) -> int:
    return int((run.get("check_suite") or {}).get("id") or 0)


def _shows(run: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Whether a check run already looks as wanted."""
    output = run.get("output") or {}
    return (
        (run.get("status"), run.get("conclusion")) == (state["status"], state.get("conclusion"))
        and same_text(state["output"]["title"], output.get("title"))
        and same_text(state["output"]["summary"], output.get("summary"))
    )
