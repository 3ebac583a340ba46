"""The client on check runs of all Apps, their logs and their next attempts, against the local GitHub."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.github_checks import LOG_BYTES
from app.github_repository import RepositoryClient
from app.localhub.acts_checks import Outcome
from app.localhub.server import Fault
from tests.app.conftest import FAULTS, WORKING, Place
from tests.app.rude_server import answer, rude_server
from workflows.services import BrokenWorld
from workflows.types import Annotation, CheckRun

FAILED = Outcome(
    "failure",
    title="2 failed",
    summary="test_add, test_sub",
    text="the long of it",
    annotations=[
        {
            "path": "calc.py",
            "start_line": 1,
            "end_line": 2,
            "annotation_level": "failure",
            "message": "no",
            "title": "T",
        }
    ],
    log="2026-01-01T00:00:00Z ##[error]Process completed with exit code 1.\n",
)
BRANCH = "qwen/issue-1"


@pytest.fixture
def github(place: Place) -> RepositoryClient:
    """A client whose token has the optional permission, because the installation was granted it."""
    place.hub.grant("actions", "write")
    return place.app.for_repository(place.ref, WORKING, optional={"actions": "write"})


def the_run(place: Place, run_id: int) -> CheckRun:
    found = place.github.fetch_check_runs(place.hub.branches(place.name)[BRANCH])
    return next(each for each in found if each.id == run_id)


def test_checks_of_all_apps(place: Place) -> None:
    """The latest run of each App and name on a commit, of ours and of others, with what they found."""
    sha = place.hub.branches(place.name)[BRANCH]
    place.hub.add_check_run(place.name, BRANCH, "tests", outcome=FAILED)
    again = place.hub.add_check_run(place.name, BRANCH, "tests", outcome=FAILED, details_url="https://ci.invalid/7").id
    lint = place.hub.add_check_run(place.name, BRANCH, "tests", app="lint-bot").id
    ours = place.check(head_sha=sha)
    place.hub.add_check_run(place.name, "main", "tests")
    found = place.github.fetch_check_runs(sha)
    assert [(each.id, each.app_slug) for each in found] == [
        (again, "github-actions"),
        (lint, "lint-bot"),
        (ours, "forgehand"),
    ]
    failed, running = found[0], found[1]
    assert (failed.status, failed.conclusion, failed.title) == ("completed", "failure", "2 failed")
    assert (failed.summary, failed.text, failed.annotations) == ("test_add, test_sub", "the long of it", 1)
    assert (failed.details_url, failed.head_sha, failed.completed_at is None) == ("https://ci.invalid/7", sha, False)
    assert (running.status, running.conclusion, running.completed_at) == ("in_progress", None, None)


def test_jobs_of_one_name_in_two_workflows(place: Place, github: RepositoryClient) -> None:
    """Jobs of two workflows with one name are both seen, and one that runs is not taken for the other's new attempt."""
    red = place.hub.add_check_run(place.name, BRANCH, "build", workflow="CI", outcome=FAILED)
    green = place.hub.add_check_run(place.name, BRANCH, "build", workflow="Docs", outcome=Outcome("success"))
    found = github.fetch_check_runs(red.head_sha)
    assert [(each.id, each.conclusion) for each in found] == [(red.id, "failure"), (green.id, "success")]
    assert github.rerun_check(found[0]) is True
    assert [(each.suite.workflow, each.attempt) for each in place.hub.check_runs(place.name)] == [
        ("CI", 1),
        ("Docs", 1),
        ("CI", 2),
    ]


def test_annotations_are_capped(place: Place) -> None:
    """Annotations are read over pages, and no more than 500 of them."""
    many = [{**FAILED.annotations[0], "start_line": n, "end_line": n} for n in range(1, 613)]
    run = place.hub.add_check_run(place.name, BRANCH, "tests", outcome=replace(FAILED, annotations=many))
    found = place.github.fetch_annotations(run.id)
    assert [each.start_line for each in found] == list(range(1, 501))
    assert found[0] == Annotation(path="calc.py", start_line=1, end_line=1, level="failure", message="no", title="T")
    with pytest.raises(BrokenWorld, match="deleted"):
        place.github.fetch_annotations(999_999)


def test_log_of_a_job(place: Place, github: RepositoryClient) -> None:
    """The log is read from where GitHub keeps it, without our token, and only its end from the beginning of a line."""
    small = place.hub.add_check_run(place.name, BRANCH, "small", outcome=FAILED).id
    lines = "".join(f"line {n} ä\n" for n in range(40_000))
    large = place.hub.add_check_run(place.name, BRANCH, "large", outcome=replace(FAILED, log=lines)).id
    assert github.fetch_check_log(small) == FAILED.log
    tail = github.fetch_check_log(large)
    assert tail is not None
    assert lines.endswith(tail)
    assert LOG_BYTES - 20 < len(tail.encode()) <= LOG_BYTES
    assert tail.startswith("line ")


def test_no_log(place: Place, github: RepositoryClient) -> None:
    """There is none of another App's check, of a job at work, of one that is gone, or without the permission."""
    other = place.hub.add_check_run(place.name, BRANCH, "x", app="lint-bot", outcome=FAILED).id
    running = place.hub.add_check_run(place.name, BRANCH, "y").id
    done = place.hub.add_check_run(place.name, BRANCH, "z", outcome=FAILED).id
    assert [github.fetch_check_log(each) for each in (other, running, 999_999)] == [None, None, None]
    assert place.github.fetch_check_log(done) is None
    place.hub.faults.add(Fault("status", path=f"/jobs/{done}/logs$", status=410))
    assert github.fetch_check_log(done) is None
    place.hub.store.downloads.clear()
    place.hub.faults.add(Fault("status", path="/localhub-downloads/", status=404))
    assert github.fetch_check_log(done) is None


@pytest.mark.parametrize("fault", ["502", "reset"])
def test_log_that_fails_on_the_way(place: Place, github: RepositoryClient, fault: str) -> None:
    """A download that fails is repeated."""
    run = place.hub.add_check_run(place.name, BRANCH, "tests", outcome=FAILED).id
    rule = place.hub.faults.add(Fault(**FAULTS[fault], path="/localhub-downloads/", times=2))
    assert github.fetch_check_log(run) == FAILED.log
    assert rule.struck == 2


def test_log_is_asked_without_our_token(place: Place) -> None:
    """The place of the log learns no credential, and a place without https on another host is never asked."""
    token = {"token": "ghs_x", "expires_at": "2999-01-01T00:00:00Z"}
    repo = {"id": place.ref.id, "full_name": place.name}
    with rude_server() as elsewhere, rude_server() as server:
        moved = [answer(302, text="", Location=f"{url}/log?sig=1") for url in (server.url, elsewhere.url)]
        told = [answer(200, {"id": 5, "slug": "forgehand"}), answer(201, token), answer(200, repo), moved[0]]
        server._answers += [*told, answer(200, text="the log"), moved[1]]
        github = place.on(server.url)
        assert github.fetch_check_log(1) == "the log"
        assert b"GET /log?sig=1 " in server.requests[4]
        assert b"ghs_x" in server.requests[3]
        assert b"uthorization" not in server.requests[4]
        with pytest.raises(BrokenWorld, match="without https"):
            github.fetch_check_log(1)
        assert elsewhere.requests == []


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_job_runs_again_once(place: Place, github: RepositoryClient, fault: str | None) -> None:
    """A failed job gets one new attempt, whatever the answer was and however often it is asked."""
    run = place.hub.add_check_run(place.name, BRANCH, "tests", outcome=FAILED)
    check = the_run(place, run.id)
    if fault == "timeout":
        place.hurry()
        github = place.app.for_repository(place.ref, WORKING, optional={"actions": "write"})
    if fault:
        place.hub.faults.add(Fault(**FAULTS[fault], method="POST", path="/rerun$", after_write=True))
    assert github.rerun_check(check) is True
    assert github.rerun_check(check) is True
    attempts = [each for each in place.hub.check_runs(place.name) if each.name == "tests"]
    assert [(each.attempt, each.status) for each in attempts] == [(1, "completed"), (2, "queued")]
    place.hub.finish_check(place.name, attempts[1].id, Outcome("success"))
    assert github.rerun_check(check) is True
    assert len([each for each in place.hub.check_runs(place.name) if each.name == "tests"]) == 2
    [latest] = place.github.fetch_check_runs(check.head_sha)
    assert (latest.id, latest.conclusion) == (attempts[1].id, "success")


def test_job_of_a_run_that_is_at_work(place: Place, github: RepositoryClient) -> None:
    """GitHub refuses while another job of the same run is at work; afterwards it is done."""
    run = place.hub.add_check_run(place.name, BRANCH, "tests", outcome=FAILED)
    other = place.hub.add_check_run(place.name, BRANCH, "lint")
    check = the_run(place, run.id)
    assert github.rerun_check(check) is False
    place.hub.finish_check(place.name, other.id, Outcome("success"))
    assert github.rerun_check(check) is True


def test_checks_that_we_may_not_rerun(place: Place, github: RepositoryClient) -> None:
    """Another App's check, a job without the permission, and a job that is gone are refused; nothing is repeated."""
    other = place.hub.add_check_run(place.name, BRANCH, "x", app="lint-bot", outcome=FAILED)
    job = place.hub.add_check_run(place.name, BRANCH, "y", outcome=FAILED)
    check = the_run(place, job.id)
    assert github.rerun_check(the_run(place, other.id)) is False
    assert place.github.rerun_check(check) is False
    del place.hub.repository(place.name).check_runs[job.id]
    assert github.rerun_check(check) is False
    assert place.time.sleeps == []


def test_our_own_check_is_asked_of_us(place: Place) -> None:
    """A check of ours can be asked for again, which GitHub tells us alone."""
    sha = place.hub.branches(place.name)[BRANCH]
    made = place.check("failure", head_sha=sha)
    place.hub.set_webhook("http://127.0.0.1:9/nobody", "s")
    assert place.github.rerun_check(the_run(place, made)) is True
    place.hub.wait_for_deliveries()
    place.hub.set_webhook(None)
    last = place.hub.deliveries[-1]
    assert (last.event, last.action) == ("check_run", "rerequested")


@pytest.mark.parametrize(
    ("granted", "minted"),
    [({}, {}), ({"actions": "read"}, {"actions": "read"}), ({"actions": "write"}, {"actions": "write"})],
)
def test_optional_permission_follows_the_grant(place: Place, granted: dict[str, str], minted: dict[str, str]) -> None:
    """The token has the optional permission as far as the installation was granted it, and is minted in any case."""
    installation = place.hub.store.installations[place.ref.installation_id]
    installation.permissions.pop("actions", None)
    installation.permissions.update(granted)
    github = place.app.for_repository(place.ref, WORKING, optional={"actions": "write", "pages": "read"})
    github.fetch_repository()
    asked = [each.body["permissions"] for each in place.hub.journal if each.path.endswith("/access_tokens")][-1]
    assert asked == {**WORKING, **minted}


def test_annotations_are_added_fifty_at_a_time(place: Place) -> None:
    """All of them, in order, none twice: not when it is asked again, and not when an answer was lost on the way."""
    many = [
        Annotation(
            path="calc.py", start_line=n, end_line=n, level="warning", message=f"{n} is wrong", title="Important"
        )
        for n in range(1, 121)
    ]
    run = place.check("neutral")
    place.hub.faults.add(Fault("reset", method="PATCH", path=f"/check-runs/{run}$", times=1, after_write=True))
    place.github.add_annotations(run, many)
    place.github.add_annotations(run, many)
    assert place.github.fetch_annotations(run) == many
    patches = [write.body for write in place.writes("PATCH", f"/check-runs/{run}")]
    assert len(patches) == 3
