"""REST: check runs and their annotations, which only Apps write; and those that are jobs of GitHub Actions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.localhub import bare
from app.localhub.acts_checks import announce_check, new_check, rerequest_check, rerun_job
from app.localhub.answers import Answer, Refusal, invalid_request, not_found
from app.localhub.records import CheckRun
from app.localhub.rest import Call, Routes
from app.localhub.shapes_checks import ACTIONS, annotation_json, check_json, job_json

routes = Routes()
RUNS = "/repos/{owner}/{repo}/check-runs"
RUN = RUNS + "/{check_run_id:int}"
JOB = "/repos/{owner}/{repo}/actions/jobs/{job_id:int}"
STATUSES = ("queued", "in_progress", "completed", "waiting", "requested", "pending")
CONCLUSIONS = (
    "action_required",
    "cancelled",
    "failure",
    "neutral",
    "success",
    "skipped",
    "stale",
    "timed_out",
)
LEVELS = ("notice", "warning", "failure")
ANNOTATIONS = 50
TEXT_LIMIT = 65535


def _run(call: Call) -> CheckRun:
    found = call.repo.check_runs.get(int(call.params["check_run_id"]))
    if found is None:
        raise not_found()
    return found


def _member(call: Call, name: str, allowed: tuple[str, ...]) -> str | None:
    value = call.text(name)
    if value is not None and value not in allowed:
        quoted = ", ".join(f'"{word}"' for word in allowed)
        raise invalid_request(f"{value} is not a member of [{quoted}].")
    return value


def _moment(call: Call, name: str) -> datetime | None:
    text = call.text(name)
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise invalid_request(f"{text} is not a valid date-time.") from None


def _apply(call: Call, run: CheckRun) -> None:
    """Take over what the body says; a conclusion completes the run. Raises Refusal 422."""
    status = _member(call, "status", STATUSES)
    conclusion = _member(call, "conclusion", CONCLUSIONS)
    output = call.body.get("output")
    if status == "completed" and conclusion is None and run.conclusion is None:
        raise invalid_request('"conclusion" wasn\'t supplied.')
    if output is not None:
        _apply_output(run, output)
    run.name = call.text("name") or run.name
    run.external_id = call.text("external_id") or run.external_id
    run.details_url = call.text("details_url") or run.details_url
    run.started_at = _moment(call, "started_at") or run.started_at
    if conclusion is not None:
        run.status, run.conclusion = "completed", conclusion
        run.completed_at = _moment(call, "completed_at") or call.store.now()
    elif status is not None:
        run.status = status
        if status != "completed":
            run.conclusion = run.completed_at = None


def _apply_output(run: CheckRun, output: Any) -> None:
    if not isinstance(output, dict) or not isinstance(output.get("summary"), str):
        raise invalid_request('"summary" wasn\'t supplied.')
    for name in ("summary", "text"):
        length = len(output.get(name) or "")
        if length > TEXT_LIMIT:
            raise invalid_request(f"Only {TEXT_LIMIT} characters are allowed; {length} were supplied.")
    annotations = output.get("annotations") or []
    if len(annotations) > ANNOTATIONS:
        raise invalid_request(f"No more than {ANNOTATIONS} items are allowed; {len(annotations)} were supplied.")
    for item in annotations:
        missing = [n for n in ("path", "start_line", "end_line", "annotation_level", "message") if n not in item]
        if missing or item["annotation_level"] not in LEVELS:
            raise invalid_request(f'"{(missing or ["annotation_level"])[0]}" wasn\'t supplied.')
    run.title, run.summary = output.get("title", run.title), output["summary"]
    run.text = output.get("text", run.text)
    run.annotations.extend(annotations)


@routes.add("POST", RUNS, permission="checks", docs="checks/runs#create-a-check-run")
def create_check(call: Call) -> Answer:
    """Make a check run on a commit. A second one with the same name is another run, as on GitHub."""
    app = call.actor.app
    if app is None:
        raise Refusal(403, "You must authenticate via a GitHub App.")
    name, sha = call.needed("name"), call.needed("head_sha")
    if bare.resolve(call.repo.path, sha) is None:
        raise Refusal(422, f"No commit found for SHA: {sha}")
    run = new_check(call.store, call.repo, app, name=name, sha=sha)
    try:
        _apply(call, run)
    except Refusal:
        del call.repo.check_runs[run.id]
        raise
    announce_check(call.store, call.repo, run, action="created", actor=call.actor)
    if run.status == "completed":
        announce_check(call.store, call.repo, run, action="completed", actor=call.actor)
    shown = check_json(call.links, call.repo, run)
    return Answer(201, shown, {"Location": shown["url"]})


@routes.add("GET", RUN, permission="checks", docs="checks/runs#get-a-check-run")
def get_check(call: Call) -> Answer:
    """One check run."""
    return Answer(200, check_json(call.links, call.repo, _run(call)))


@routes.add("PATCH", RUN, permission="checks", docs="checks/runs#update-a-check-run")
def update_check(call: Call) -> Answer:
    """Change a check run of the same App; annotations are added to those before."""
    run, app = _run(call), call.actor.app
    if app is None:
        raise Refusal(403, "You must authenticate via a GitHub App.")
    if run.app is not app:
        raise Refusal(
            403, f"Invalid app_id `{app.id}` - check run can only be modified by the GitHub App that created it."
        )
    was = run.status
    _apply(call, run)
    if run.status == "completed" and was != "completed":
        announce_check(call.store, call.repo, run, action="completed", actor=call.actor)
    return Answer(200, check_json(call.links, call.repo, run))


@routes.add("GET", RUN + "/annotations", permission="checks", docs="checks/runs#list-check-run-annotations")
def list_annotations(call: Call) -> Answer:
    """The annotations gathered so far."""
    run = _run(call)
    return call.page(run.annotations, lambda item: annotation_json(call.links, call.repo, run=run, annotation=item))


@routes.add(
    "GET",
    "/repos/{owner}/{repo}/commits/{ref:path}/check-runs",
    permission="checks",
    docs="checks/runs#list-check-runs-for-a-git-reference",
)
def list_checks(call: Call) -> Answer:
    """The check runs of a commit; by default only the latest of each name and suite."""
    sha = bare.resolve(call.repo.path, call.params["ref"])
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {call.params['ref']}")
    query = call.query
    found = [
        run
        for run in sorted(call.repo.check_runs.values(), key=lambda run: run.id, reverse=True)
        if run.head_sha == sha
        and query.get("check_name") in (None, run.name)
        and query.get("status") in (None, run.status)
        and query.get("app_id") in (None, str(run.app.id))
    ]
    if query.get("filter", "latest") == "latest":
        latest = {(run.suite.id, run.name): run for run in reversed(found)}
        found = [run for run in found if latest[run.suite.id, run.name] is run]
    page = call.page(found, lambda run: check_json(call.links, call.repo, run))
    return Answer(200, {"total_count": len(found), "check_runs": page.body}, page.headers)


@routes.add("POST", RUN + "/rerequest", permission="checks", docs="checks/runs#rerequest-a-check-run")
def rerequest(call: Call) -> Answer:
    """Ask for a run again; an App may for its own alone."""
    rerequest_check(call.store, call.repo, _run(call), actor=call.actor)
    return Answer(201, {})


def _job(call: Call) -> CheckRun:
    run = call.repo.check_runs.get(int(call.params["job_id"]))
    if run is None or run.app.slug != ACTIONS:
        raise not_found()
    return run


@routes.add("GET", JOB, permission="actions", docs="actions/workflow-jobs#get-a-job-for-a-workflow-run")
def get_job(call: Call) -> Answer:
    """One job."""
    return Answer(200, job_json(call.links, call.repo, _job(call)))


@routes.add(
    "GET",
    JOB + "/logs",
    permission="actions",
    docs="actions/workflow-jobs#download-job-logs-for-a-workflow-run",
)
def get_log(call: Call) -> Answer:
    """Where the log is kept: an address for anybody who has it. A job that did not end has none, as on GitHub."""
    run = _job(call)
    if run.log is None:
        raise not_found()
    return Answer(302, None, {"Location": call.store.add_download(run.log)})


@routes.add("POST", JOB + "/rerun", permission="actions", docs="actions/workflow-runs#re-run-a-job-from-a-workflow-run")
def rerun(call: Call) -> Answer:
    """Run a job again, as a new attempt."""
    rerun_job(call.store, call.repo, _job(call), actor=call.actor)
    return Answer(201, {})
