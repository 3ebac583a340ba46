"""The fault knob: errors, silence, cut connections, limits, and writes that happen although the answer fails."""

from __future__ import annotations

import time

import pytest
import requests
from github import Github, GithubException, RateLimitExceededException

from app.localhub.faults import Fault
from app.localhub.server import LocalHub
from tests.localhub.conftest import REPO, Rest, git, mint

ISSUES = f"/repos/{REPO}/issues"


def test_an_error_for_the_nth_call(hub: LocalHub, rest: Rest) -> None:
    """Only the wanted call fails, as often as wanted, and nothing is written by it."""
    fault = hub.faults.add(Fault("status", method="POST", path="/issues$", nth=2, times=2, status=500))
    codes = [rest("POST", ISSUES, {"title": f"n{n}"}).status_code for n in range(4)]
    assert codes == [201, 500, 500, 201]
    assert (fault.seen, fault.struck, len(hub.repository(REPO).issues)) == (4, 2, 2)


def test_write_happens_behind_a_502(hub: LocalHub, rest: Rest) -> None:
    """The answer is 502 and the issue is there; the journal shows the write with its true status."""
    hub.faults.add(Fault("status", method="POST", path="/issues$", after_write=True))
    answer = rest("POST", ISSUES, {"title": "there"})
    assert (answer.status_code, answer.json()) == (502, {"error": "Server Error"})
    assert hub.issue(REPO, 1).title == "there"
    assert (hub.journal[-1].path, hub.journal[-1].status) == (ISSUES, 201)


def test_push_happens_behind_a_502(hub: LocalHub, tmp_path: object) -> None:
    """The same for git: the ref moves although git reports an error."""
    folder = f"{tmp_path}/clone"
    token = mint(hub)
    git("clone", "-q", hub.clone_url(REPO), folder, token=token)
    hub.faults.add(Fault("status", method="POST", path="git-receive-pack$", after_write=True))
    done = git("-C", folder, "push", "origin", "HEAD:refs/heads/x", token=token)
    assert done.returncode != 0
    assert "x" in hub.branches(REPO)


def test_reset(hub: LocalHub, rest: Rest) -> None:
    """A reset connection is a connection error for the client, before or after the write."""
    hub.faults.add(Fault("reset", method="POST", path="/issues$"))
    hub.faults.add(Fault("reset", method="POST", path="/comments$", after_write=True))
    with pytest.raises(requests.ConnectionError):
        rest("POST", ISSUES, {"title": "lost"})
    number = hub.create_issue(REPO, "alice", "kept").number
    with pytest.raises(requests.ConnectionError):
        rest("POST", f"{ISSUES}/{number}/comments", {"body": "kept too"})
    assert [issue.title for issue in hub.repository(REPO).issues.values()] == ["kept"]
    assert [comment.body for comment in hub.comments(REPO, number)] == ["kept too"]


def test_silence(hub: LocalHub, rest: Rest) -> None:
    """A time-out says nothing until the client gives up, and does not hold up other calls or the end of the server."""
    hub.faults.add(Fault("timeout", path="/issues$", seconds=60))
    with pytest.raises(requests.Timeout):
        requests.get(hub.api_url + ISSUES, timeout=0.3)
    begun = time.monotonic()
    assert rest("GET", f"/repos/{REPO}").status_code == 200
    assert time.monotonic() - begun < 10


def test_secondary_limit(hub: LocalHub, rest: Rest, github: Github) -> None:
    """The secondary limit has GitHub's message and Retry-After, as 403 or as 429."""
    for status in (403, 429):
        hub.faults.clear()
        hub.faults.add(Fault("secondary_limit", status=status, retry_after=7))
        answer = rest("GET", f"/repos/{REPO}")
        assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
        assert answer.json()["message"].startswith("You have exceeded a secondary rate limit")
    hub.faults.clear()
    hub.faults.add(Fault("secondary_limit"))
    with pytest.raises(RateLimitExceededException):
        github.get_repo(REPO)


def test_primary_limit(hub: LocalHub, rest: Rest) -> None:
    """The primary limit says that nothing remains and when it resets."""
    hub.faults.add(Fault("primary_limit", retry_after=3))
    answer = rest("GET", f"/repos/{REPO}")
    assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (403, "0")
    assert 0 <= int(answer.headers["x-ratelimit-reset"]) - time.time() <= 4
    assert rest("GET", "/rate_limit").json()["rate"]["remaining"] == 5000


def test_html_error(hub: LocalHub, github: Github) -> None:
    """A 503 comes as HTML, as GitHub's front end sends it, and PyGithub makes an exception of it."""
    hub.faults.add(Fault("status", status=503))
    with pytest.raises(GithubException) as caught:
        github.get_repo(REPO)
    assert caught.value.status == 503
