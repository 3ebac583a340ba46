"""Signed webhooks, their log, and redelivery."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from pathlib import Path

from app.localhub.server import EVENTS, PERMISSIONS, LocalHub
from tests.localhub.conftest import REPO, SECRET, Receiver, Rest, integration
from tests.localhub.test_auth import signed


def test_the_events_of_an_issue(hub: LocalHub, receiver: Receiver) -> None:
    """Each act sends its event, in order, signed over the raw bytes, with the installation and the sender."""
    number = hub.create_issue(REPO, "alice", "title", labels=["bug"]).number
    hub.edit_issue(REPO, number, "alice", title="better title")
    hub.add_label(REPO, number, "qwen", "alice")
    hub.remove_label(REPO, number, "qwen", "bob")
    comment = hub.add_comment(REPO, number, "alice", "/qwen fix")
    hub.edit_comment(REPO, comment.id, "alice", "/qwen plan")
    hub.close_issue(REPO, number, "alice")
    hub.reopen_issue(REPO, number, "alice")
    hub.ping()
    hub.wait_for_deliveries()
    assert receiver.events() == [
        "issues.opened",
        "issues.labeled",
        "issues.edited",
        "issues.labeled",
        "issues.unlabeled",
        "issue_comment.created",
        "issue_comment.edited",
        "issues.closed",
        "issues.reopened",
        "ping",
    ]
    for headers, body in receiver.got:
        assert headers["x-hub-signature-256"] == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert str(uuid.UUID(headers["x-github-delivery"])) == headers["x-github-delivery"]
        assert headers["user-agent"].startswith("GitHub-Hookshot/")
        assert headers["content-type"] == "application/json"
        assert headers["connection"] == "close", "a kept one may be closed just as the next delivery goes out"
    labeled = json.loads(receiver.got[3][1])
    assert (labeled["label"]["name"], labeled["sender"]["login"]) == ("qwen", "alice")
    assert labeled["installation"]["id"] == integration(hub).get_repo_installation("octo", "calc").id
    assert receiver.payload("issues.edited")["changes"] == {"title": {"from": "title"}}
    assert receiver.payload("issue_comment.edited")["changes"] == {"body": {"from": "/qwen fix"}}


def test_delivery_log_and_redelivery(hub: LocalHub, receiver: Receiver) -> None:
    """The log tells what was sent and what came back; a redelivery has the same GUID and bytes, and a new row."""
    receiver.status = 503
    hub.create_issue(REPO, "alice", "title")
    hub.wait_for_deliveries()
    app = signed(hub)
    row = app("GET", "/app/hook/deliveries").json()[0]
    assert (row["status"], row["status_code"], row["event"], row["action"], row["redelivery"]) == (
        "Invalid HTTP Response: 503",
        503,
        "issues",
        "opened",
        False,
    )
    assert len(receiver.got) == 1, "a failed delivery is never sent again by itself"
    receiver.status = 202
    assert app("POST", f"/app/hook/deliveries/{row['id']}/attempts").status_code == 202
    hub.wait_for_deliveries()
    again = app("GET", "/app/hook/deliveries").json()[0]
    assert (again["status"], again["guid"], again["redelivery"]) == ("OK", row["guid"], True)
    assert again["id"] != row["id"]
    assert receiver.got[0][1] == receiver.got[1][1]
    assert receiver.got[0][0]["x-github-delivery"] == receiver.got[1][0]["x-github-delivery"]
    whole = app("GET", f"/app/hook/deliveries/{again['id']}").json()
    assert whole["request"]["payload"]["issue"]["title"] == "title"
    assert whole["request"]["headers"]["X-GitHub-Event"] == "issues"
    assert app("GET", "/app/hook/deliveries/1").status_code == 404


def test_log_pages(hub: LocalHub) -> None:
    """The log is paged by cursor."""
    for count in range(5):
        hub.create_issue(REPO, "alice", f"n{count}")
    hub.wait_for_deliveries()
    app, path, seen = signed(hub), "/app/hook/deliveries?per_page=2", []
    while path:
        answer = app("GET", path)
        seen += [row["id"] for row in answer.json()]
        path = answer.links.get("next", {}).get("url", "").removeprefix(hub.api_url)
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 5
    assert len(app("GET", "/app/hook/deliveries?status=failure").json()) == 0


def test_slow_receiver_times_out(tmp_path: Path, receiver: Receiver, app_key: str) -> None:
    """A receiver that does not answer in time is given up and noted as timed out; other calls go on meanwhile."""
    receiver.hold.clear()
    with LocalHub(tmp_path, webhook_url=receiver.url, webhook_seconds=1.0, private_key_pem=app_key) as hub:
        hub.create_repository(REPO, files={"a": "b"})
        hub.set_permission(REPO, "alice", "read")
        hub.create_issue(REPO, "alice", "slow")
        assert Rest(hub.api_url, hub.create_token("alice"))("GET", f"/repos/{REPO}/issues/1").status_code == 200
        hub.wait_for_deliveries()
        assert (hub.deliveries[-1].status, hub.deliveries[-1].duration >= 1.0) == ("timed out", True)


def test_nobody_listens(tmp_path: Path, app_key: str) -> None:
    """A webhook to a closed port is noted as not connected; without an address nothing is sent at all."""
    with LocalHub(tmp_path, webhook_url="http://127.0.0.1:9/", private_key_pem=app_key) as hub:
        hub.create_repository(REPO, files={"a": "b"})
        hub.create_issue(REPO, "alice", "one")
        hub.wait_for_deliveries()
        assert [d.status for d in hub.deliveries] == ["failed to connect to host"]
        hub.set_webhook(None)
        hub.create_issue(REPO, "alice", "two")
        assert len(hub.deliveries) == 1


def test_only_installed_and_subscribed(hub: LocalHub, receiver: Receiver) -> None:
    """An App hears nothing of repositories it is not installed on, nor of events it did not ask for."""
    hub.create_repository("else/where", files={"a": "b"}, install=False)
    hub.create_issue("else/where", "alice", "unheard")
    hub.app.events = ("push",)
    hub.create_issue(REPO, "alice", "unheard too")
    hub.commit(REPO, {"x": "y"})
    hub.wait_for_deliveries()
    assert receiver.events() == ["push"]


def test_what_goes_away_is_told(hub: LocalHub, receiver: Receiver) -> None:
    """A deleted branch or tag, issue and comment are each told; a reaction that is taken back is not."""
    number = hub.create_issue(REPO, "alice", "title").number
    comment = hub.add_comment(REPO, number, "alice", "hello").id
    hub.react(REPO, number, "alice", "+1", comment_id=comment)
    hub.remove_reaction(REPO, number, "alice", "+1", comment_id=comment)
    assert hub.reactions(REPO, number, comment) == []
    hub.commit(REPO, {"x": "y"}, branch="fix", author="alice")
    pull = hub.open_pull_request(REPO, "alice", head="fix", title="Fix").number
    hub.create_tag(REPO, "v1", "alice")
    hub.wait_for_deliveries()
    receiver.got.clear()
    hub.delete_comment(REPO, comment, "alice")
    hub.delete_issue(REPO, number, "alice")
    hub.delete_branch(REPO, "fix", "alice")
    Rest(hub.api_url, hub.create_token("alice"))("DELETE", f"/repos/{REPO}/git/refs/tags/v1")
    hub.wait_for_deliveries()
    assert receiver.events() == [
        "issue_comment.deleted",
        "issues.deleted",
        "push",
        "delete",
        "pull_request.closed",
        "push",
        "delete",
    ]
    gone = [json.loads(body) for headers, body in receiver.got if headers["x-github-event"] == "delete"]
    assert [(each["ref_type"], each["ref"]) for each in gone] == [("branch", "fix"), ("tag", "v1")]
    assert hub.issue(REPO, pull).state == "closed"


def test_the_app_hears_what_its_manifest_asks_for() -> None:
    """The local App is subscribed to the events of the manifest that operators use, and to pushes besides."""
    manifest = json.loads((Path(__file__).parents[2] / ".github" / "app-manifest.json").read_text())
    assert set(EVENTS) == {*manifest["default_events"], "push"}
    assert manifest["default_permissions"] == PERMISSIONS
