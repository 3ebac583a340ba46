"""Check runs, which only Apps write."""

from __future__ import annotations

import json

from github import Github

from app.localhub.acts_checks import Outcome
from app.localhub.server import LocalHub
from tests.localhub.conftest import REPO, Receiver, Rest, mint, person

RUNS = f"/repos/{REPO}/check-runs"


def note(line: int) -> dict[str, object]:
    return {"path": "calc.py", "start_line": line, "end_line": line, "annotation_level": "warning", "message": "m"}


def test_a_check_from_begin_to_end(hub: LocalHub, github: Github, receiver: Receiver) -> None:
    """A run goes from in progress to a conclusion, is listed for branch and commit, and its events arrive."""
    sha = hub.branches(REPO)["main"]
    repo = github.get_repo(REPO)
    run = repo.create_check_run(
        "forgehand", sha, status="in_progress", external_id="job-1", output={"title": "Working", "summary": "…"}
    )
    assert (run.status, run.conclusion, run.app.slug) == ("in_progress", None, "forgehand")
    run.edit(conclusion="success", output={"title": "Verified", "summary": "3 passed"})
    for ref in (sha, "main"):
        listed = list(repo.get_commit(ref).get_check_runs(check_name="forgehand"))
        assert [(r.external_id, r.status, r.conclusion) for r in listed] == [("job-1", "completed", "success")]
    hub.wait_for_deliveries()
    assert receiver.events() == ["check_run.created", "check_run.completed", "check_suite.completed"]


def test_annotations_gather(hub: LocalHub, rest: Rest) -> None:
    """Fifty annotations a call are the limit; the next call adds to them."""
    sha = hub.branches(REPO)["main"]
    output = {"title": "t", "summary": "s", "annotations": [note(1)] * 50}
    run = rest("POST", RUNS, {"name": "x", "head_sha": sha, "output": output}).json()
    rest("PATCH", f"{RUNS}/{run['id']}", {"output": {**output, "annotations": [note(2)] * 3}})
    assert rest("GET", f"{RUNS}/{run['id']}").json()["output"]["annotations_count"] == 53
    assert len(rest("GET", f"{RUNS}/{run['id']}/annotations?per_page=100").json()) == 53
    too_many = rest("PATCH", f"{RUNS}/{run['id']}", {"output": {**output, "annotations": [note(2)] * 51}})
    assert too_many.status_code == 422
    assert too_many.json()["message"] == "Invalid request.\n\nNo more than 50 items are allowed; 51 were supplied."
    too_long = rest("PATCH", f"{RUNS}/{run['id']}", {"output": {"title": "t", "summary": "x" * 65536}})
    assert "Only 65535 characters are allowed; 65536 were supplied." in too_long.json()["message"]


def test_refused_checks(hub: LocalHub, rest: Rest) -> None:
    """An unknown commit, status or conclusion is 422; people and Apps without ``checks`` are 403."""
    sha = hub.branches(REPO)["main"]
    assert rest("POST", RUNS, {"name": "x", "head_sha": "1" * 40}).status_code == 422
    for bad in ({"status": "done"}, {"conclusion": "great"}, {"status": "completed"}):
        assert rest("POST", RUNS, {"name": "x", "head_sha": sha, **bad}).status_code == 422
    wanted = {"name": "x", "head_sha": sha}
    assert person(hub, "alice")("POST", RUNS, wanted).json()["message"] == "You must authenticate via a GitHub App."
    assert Rest(hub.api_url, mint(hub, contents="read"))("POST", RUNS, wanted).status_code == 403


def test_latest_of_a_name(hub: LocalHub, rest: Rest) -> None:
    """Runs of one name are several; the list shows the latest unless all are asked for."""
    sha = hub.branches(REPO)["main"]
    ids = [rest("POST", RUNS, {"name": "x", "head_sha": sha}).json()["id"] for _ in range(2)]
    listed = rest("GET", f"/repos/{REPO}/commits/{sha}/check-runs").json()
    assert (listed["total_count"], listed["check_runs"][0]["id"]) == (1, ids[1])
    assert rest("GET", f"/repos/{REPO}/commits/{sha}/check-runs?filter=all").json()["total_count"] == 2


def test_a_job_of_github_actions(hub: LocalHub, receiver: Receiver) -> None:
    """A job by Actions has a log at an address for anybody, runs again as a new check run, and its suite completes."""
    hub.grant("actions", "write")
    rest = Rest(hub.api_url, mint(hub))
    run = hub.add_check_run(REPO, "main", "tests", outcome=Outcome("failure", title="2 failed", log="boom\n"))
    lint = hub.add_check_run(REPO, "main", "lint")
    jobs = f"/repos/{REPO}/actions/jobs"
    assert rest("GET", f"{jobs}/{run.id}").json()["conclusion"] == "failure"
    moved = rest("GET", f"{jobs}/{run.id}/logs")
    assert (moved.status_code, Rest(moved.headers["location"])("GET", "").text) == (302, "boom\n")
    assert rest("GET", f"{jobs}/{lint.id}/logs").status_code == 404
    busy = rest("POST", f"{jobs}/{run.id}/rerun")
    assert (busy.status_code, "already running" in busy.json()["message"]) == (403, True)
    hub.finish_check(REPO, lint.id, Outcome("success"))
    assert rest("POST", f"{jobs}/{run.id}/rerun").status_code == 201
    again = hub.check_runs(REPO)[-1]
    assert (again.name, again.attempt, again.status, again.id != run.id) == ("tests", 2, "queued", True)
    hub.finish_check(REPO, again.id, Outcome("success"))
    listed = rest("GET", f"/repos/{REPO}/commits/main/check-runs").json()["check_runs"]
    assert {(each["name"], each["conclusion"]) for each in listed} == {("tests", "success"), ("lint", "success")}
    hub.wait_for_deliveries()
    assert receiver.events() == [
        "check_run.created",
        "check_run.completed",
        "check_suite.completed",
        "check_run.created",
        "check_run.completed",
        "check_suite.completed",
        "check_run.created",
        "check_run.completed",
        "check_suite.completed",
    ]
    ends = [json.loads(body)["check_suite"] for _, body in receiver.got if b'"check_suite":{"id"' in body[:60]]
    assert [each["conclusion"] for each in ends] == ["failure", "failure", "success"]
    assert (ends[-1]["latest_check_runs_count"], ends[-1]["head_branch"]) == (2, "main")


def test_who_may_run_a_check_again(hub: LocalHub, rest: Rest, receiver: Receiver) -> None:
    """An App asks for its own checks alone; a person's wish is told to that App alone; jobs need a permission."""
    sha = hub.branches(REPO)["main"]
    other = hub.add_check_run(REPO, sha, "x", app="lint-bot", outcome=Outcome("failure"))
    job = hub.add_check_run(REPO, sha, "y", outcome=Outcome("failure", log="z"))
    ours = rest("POST", RUNS, {"name": "forgehand", "head_sha": sha, "conclusion": "failure"}).json()["id"]
    assert rest("POST", f"{RUNS}/{other.id}/rerequest").status_code == 403
    assert rest("POST", f"/repos/{REPO}/actions/jobs/{job.id}/rerun").status_code == 403
    assert rest("GET", f"/repos/{REPO}/actions/jobs/{job.id}/logs").status_code == 403
    assert rest("GET", f"/repos/{REPO}/actions/jobs/{other.id}").status_code == 403
    hub.rerun_check(REPO, other.id, "alice")
    hub.wait_for_deliveries()
    assert "check_run.rerequested" not in receiver.events()
    hub.rerun_check(REPO, ours, "alice")
    hub.wait_for_deliveries()
    told = receiver.payload("check_run.rerequested")
    assert (told["check_run"]["id"], told["sender"]["login"]) == (ours, "alice")
