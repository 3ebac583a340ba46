"""Releases, drafts and the comparison that release notes are made from."""

from __future__ import annotations

from app.localhub.server import LocalHub
from tests.localhub.conftest import REPO, Rest, person

RELEASES = f"/repos/{REPO}/releases"


def test_a_draft_until_it_is_published(hub: LocalHub, rest: Rest) -> None:
    """A draft is seen by those who may push, makes no tag, may share one; publishing makes the tag, once."""
    new = {"tag_name": "v1", "name": "One", "body": "News", "draft": True}
    first, second = (rest("POST", RELEASES, new).json() for _ in range(2))
    assert (first["draft"], first["published_at"], "untagged" in first["html_url"]) == (True, None, True)
    hub.set_permission(REPO, "mallory", "read")
    reader = person(hub, "mallory")
    assert reader("GET", RELEASES).json() == []
    assert reader("GET", f"{RELEASES}/{first['id']}").status_code == 404
    assert len(person(hub, "alice")("GET", RELEASES).json()) == 2
    assert rest("GET", f"/repos/{REPO}/git/ref/tags/v1").status_code == 404
    done = rest("PATCH", f"{RELEASES}/{first['id']}", {"draft": False}).json()
    assert (done["draft"], done["tag_name"]) == (False, "v1")
    assert rest("GET", f"/repos/{REPO}/git/ref/tags/v1").json()["object"]["sha"] == hub.branches(REPO)["main"]
    assert reader("GET", f"{RELEASES}/tags/v1").json()["id"] == first["id"]
    taken = rest("PATCH", f"{RELEASES}/{second['id']}", {"draft": False})
    assert (taken.status_code, taken.json()["errors"][0]["code"]) == (422, "already_exists")
    assert rest("DELETE", f"{RELEASES}/{second['id']}").status_code == 204
    assert [each["id"] for each in rest("GET", RELEASES).json()] == [first["id"]]


def test_refused_releases(hub: LocalHub, rest: Rest) -> None:
    """Too long a text, an unknown target and a reader are refused, and nothing is made."""
    long = rest("POST", RELEASES, {"tag_name": "v1", "body": "x" * 125_001, "draft": True})
    assert "maximum is 125000" in long.json()["errors"][0]["message"]
    assert rest("POST", RELEASES, {"tag_name": "v1", "target_commitish": "nowhere"}).status_code == 422
    hub.set_permission(REPO, "mallory", "read")
    assert person(hub, "mallory")("POST", RELEASES, {"tag_name": "v1"}).status_code == 403
    assert rest("GET", f"{RELEASES}/tags/v1").status_code == 404
    assert hub.releases(REPO) == []


def test_comparison_over_pages(hub: LocalHub, rest: Rest) -> None:
    """A comparison has its commits page by page when asked, and at most 250 of them otherwise."""
    base = hub.branches(REPO)["main"]
    for n in range(255):
        hub.commit(REPO, {"n": str(n)}, announce=False)
    whole = rest("GET", f"/repos/{REPO}/compare/{base}...main").json()
    assert (whole["total_commits"], len(whole["commits"])) == (255, 250)
    page = rest("GET", f"/repos/{REPO}/compare/{base}...main?per_page=100&page=3")
    assert (len(page.json()["commits"]), "next" in page.links) == (55, False)


def test_pulls_of_a_commit(hub: LocalHub, rest: Rest) -> None:
    """A commit on the default branch has the merged pull request that brought it; elsewhere the open one."""
    sha = hub.commit(REPO, {"x": "y"}, branch="fix", author="alice")
    number = hub.open_pull_request(REPO, "alice", head="fix", title="Fix").number

    def pulls(commit: str) -> list[int]:
        return [each["number"] for each in rest("GET", f"/repos/{REPO}/commits/{commit}/pulls").json()]

    assert (pulls(sha), pulls("main")) == ([number], [])
    merged = hub.merge_pull_request(REPO, number, "alice")
    later = hub.commit(REPO, {"z": "z"})
    assert (pulls(sha), pulls(merged), pulls(later)) == ([number], [number], [])
    assert rest("GET", f"/repos/{REPO}/commits/{'1' * 40}/pulls").status_code == 422
