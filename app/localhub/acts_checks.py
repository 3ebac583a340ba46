"""What Apps do with check runs, and what follows: the suite completes, a job runs again as a new attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.localhub.acts import Actor
from app.localhub.answers import Refusal, no_access
from app.localhub.events import announce, links_of
from app.localhub.records import App, CheckRun, CheckSuite, Json, Repository
from app.localhub.shapes_checks import ACTIONS, check_json, conclusion_of, latest_runs, suite_json
from app.localhub.store import Store

ALREADY = "The workflow run containing this job is already running"
"""GitHub's answer (403) while any job of the run is at work; quoted in many public trackers."""


@dataclass(frozen=True)
class Outcome:
    """How a check run ended: GitHub's conclusion, its texts, annotations as REST takes them, and a job's log."""

    conclusion: str
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: Sequence[Json] = ()
    log: str | bytes | None = None


def new_check(store: Store, repo: Repository, app: App, *, name: str, sha: str, workflow: str = "") -> CheckRun:
    """A queued check run, not yet announced, in the App's suite on that commit."""
    now, key = store.now(), (app.id, sha, workflow)
    if key not in repo.check_suites:
        repo.check_suites[key] = CheckSuite(store.new_id(), app, sha, workflow, created_at=now)
    run = CheckRun(store.new_id(), repo.check_suites[key], name, started_at=now)
    repo.check_runs[run.id] = run
    return run


def announce_check(
    store: Store, repo: Repository, run: CheckRun, *, action: str, actor: Actor, only: App | None = None
) -> None:
    """A ``check_run`` event, and ``check_suite.completed`` after the last run of a suite is."""
    links = links_of(store)
    details: Json = {"check_run": check_json(links, repo, run)}
    announce(store, repo, "check_run", action=action, sender=actor.user, details=details, only=only)
    suite = run.suite
    if action == "completed" and conclusion_of(latest_runs(repo, suite)):
        details = {"check_suite": suite_json(links, repo, suite)}
        announce(store, repo, "check_suite", action="completed", sender=actor.user, details=details)


def complete_check(store: Store, repo: Repository, run: CheckRun, *, outcome: Outcome, actor: Actor) -> None:
    """End a run."""
    run.status, run.conclusion, run.completed_at = "completed", outcome.conclusion, store.now()
    run.title, run.summary, run.text = outcome.title, outcome.summary, outcome.text
    run.annotations = [dict(each) for each in outcome.annotations]
    run.log = outcome.log.encode() if isinstance(outcome.log, str) else outcome.log
    announce_check(store, repo, run, action="completed", actor=actor)


def rerun_job(store: Store, repo: Repository, run: CheckRun, *, actor: Actor) -> CheckRun:
    """Run a job of GitHub Actions again: a new attempt, which is a new check run of the same name, queued.

    Raises Refusal 403 in GitHub's words while any job of the same run is at work.
    """
    if any(each.status != "completed" for each in latest_runs(repo, run.suite)):
        raise Refusal(403, ALREADY)
    again = new_check(store, repo, run.app, name=run.name, sha=run.head_sha, workflow=run.suite.workflow)
    again.details_url, again.attempt = run.details_url, run.attempt + 1
    announce_check(store, repo, again, action="created", actor=actor)
    return again


def rerequest_check(store: Store, repo: Repository, run: CheckRun, *, actor: Actor) -> None:
    """Ask the App of a check run to run it again: that App alone hears of it.

    Raises Refusal 403 for an App's request about a check run that is another App's.
    """
    if actor.app not in (None, run.app):
        raise no_access()
    announce_check(store, repo, run, action="rerequested", actor=actor, only=run.app)


def rerun_check(store: Store, repo: Repository, run: CheckRun, *, actor: Actor) -> CheckRun:
    """What the "Re-run" button does; the run that will have the new conclusion."""
    if run.app.slug == ACTIONS:
        return rerun_job(store, repo, run, actor=actor)
    rerequest_check(store, repo, run, actor=actor)
    return run
