"""git's own client against git's own server, with a token for each repository and right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import requests

from app.localhub.server import LocalHub
from tests.localhub.conftest import REPO, Receiver, commit_all, git, mint


@pytest.fixture
def clone(hub: LocalHub, tmp_path: Path) -> Path:
    """A clone of octo/calc."""
    folder = tmp_path / "clone"
    done = git("clone", "-q", hub.clone_url(REPO), str(folder), token=mint(hub))
    assert done.returncode == 0, done.stderr
    return folder


def test_reading_needs_the_token(hub: LocalHub, tmp_path: Path) -> None:
    """A private repository is cloned with a token for it, and with no other or none."""
    url = hub.clone_url(REPO)
    assert git("ls-remote", url, token=mint(hub, contents="read")).returncode == 0
    assert "could not read Username" in git("ls-remote", url).stderr
    wrong = url.replace("://", f"://x-access-token:ghs_{'x' * 36}@")
    assert "Authentication failed" in git("ls-remote", wrong).stderr
    assert "403" in git("ls-remote", url, token=mint(hub, issues="write")).stderr
    assert "not found" in git("ls-remote", f"{hub.html_url}/octo/none.git", token=mint(hub)).stderr
    assert "not found" in git("ls-remote", url, token=hub.create_token("mallory")).stderr
    hub.expire_tokens()
    hub.create_repository("octo/open", files={"a": "b"}, private=False)
    assert git("ls-remote", hub.clone_url("octo/open")).returncode == 0


def test_push_needs_write(hub: LocalHub, clone: Path) -> None:
    """A push with a reading token is 403 and moves nothing; one with write makes the branch."""
    (clone / "new.txt").write_text("new\n")
    sha = commit_all(clone)
    refused = git("push", "-q", "origin", "HEAD:refs/heads/x", token=mint(hub, contents="read"), cwd=clone)
    assert "403" in refused.stderr
    assert "x" not in hub.branches(REPO)
    reader = hub.create_token("mallory")
    hub.set_permission(REPO, "mallory", "read")
    denied = git("push", "-q", "origin", "HEAD:refs/heads/x", token=reader, cwd=clone).stderr
    assert "Permission to octo/calc.git denied to mallory." in denied
    assert (
        git("push", "-q", "origin", "HEAD:refs/heads/x", token=mint(hub, contents="write"), cwd=clone).returncode == 0
    )
    assert hub.branches(REPO)["x"] == sha
    entry = [entry for entry in hub.journal if entry.method == "PUSH"][-1]
    assert (entry.path, entry.actor, entry.body["after"]) == (f"{REPO} refs/heads/x", "forgehand[bot]", sha)


def test_push_moves_the_pull_request(hub: LocalHub, clone: Path, receiver: Receiver) -> None:
    """A push to a head branch sends ``push`` and ``synchronize``; the pull request has the new head at once."""
    token = mint(hub)
    (clone / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    commit_all(clone)
    git("push", "-q", "origin", "HEAD:refs/heads/fix", token=token, cwd=clone)
    number = hub.open_pull_request(REPO, "alice", head="fix", title="Fix").number
    (clone / "more.txt").write_text("more\n")
    sha = commit_all(clone)
    git("push", "-q", "origin", "HEAD:refs/heads/fix", token=token, cwd=clone)
    pull = hub.issue(REPO, number).pull
    assert pull
    assert pull.head_sha == sha
    hub.wait_for_deliveries()
    assert receiver.payload("pull_request.synchronize")["after"] == sha
    assert receiver.payload("push")["head_commit"]["added"] == ["more.txt"]
    listed = git("ls-remote", "origin", "refs/pull/*", token=token, cwd=clone).stdout
    assert f"{sha}\trefs/pull/{number}/head" in listed


def test_protocol_two_partial_and_shallow(hub: LocalHub, tmp_path: Path) -> None:
    """Protocol version 2 is spoken; partial and shallow clones work, and a commit can be fetched by its id."""
    token, url = mint(hub), hub.clone_url(REPO)
    first = hub.branches(REPO)["main"]
    hub.commit(REPO, {"later.txt": "later\n"})
    partial, shallow = tmp_path / "partial", tmp_path / "shallow"
    assert git("clone", "-q", "--filter=blob:none", "--no-checkout", url, str(partial), token=token).returncode == 0
    missing = git("rev-list", "--objects", "--all", "--missing=print", cwd=partial).stdout
    assert sum(line.startswith("?") for line in missing.splitlines()) == 4
    assert git("cat-file", "-p", "HEAD:calc.py", token=token, cwd=partial).stdout.startswith("def add")
    assert git("clone", "-q", "--depth=1", url, str(shallow), token=token).returncode == 0
    assert git("rev-list", "--count", "HEAD", cwd=shallow).stdout.strip() == "1"
    assert git("fetch", "-q", "--depth=1", "origin", first, token=token, cwd=shallow).returncode == 0
    answer = requests.get(
        f"{url}/info/refs?service=git-upload-pack",
        auth=("x-access-token", token),
        headers={"Git-Protocol": "version=2"},
        timeout=30,
    )
    assert b"version 2" in answer.content


def test_large_push(hub: LocalHub, clone: Path) -> None:
    """A push of 8 MB that does not compress arrives whole."""
    content = os.urandom(8 * 1024 * 1024)
    (clone / "big.bin").write_bytes(content)
    commit_all(clone)
    done = git("push", "-q", "origin", "HEAD:refs/heads/big", token=mint(hub), cwd=clone)
    assert done.returncode == 0, done.stderr
    assert hub.read_file(REPO, "big.bin", "big") == content


def test_force_lease_and_delete(hub: LocalHub, clone: Path) -> None:
    """No fast-forward and a stale lease are refused, a true lease goes through, a branch is deleted."""
    token, start = mint(hub), hub.branches(REPO)["main"]
    hub.commit(REPO, {"theirs.txt": "x\n"}, branch="x")
    (clone / "ours.txt").write_text("y\n")
    sha = commit_all(clone)
    assert git("push", "origin", "HEAD:refs/heads/x", token=token, cwd=clone).returncode != 0
    lease = "--force-with-lease=refs/heads/x:"
    assert git("push", lease + start, "origin", "HEAD:refs/heads/x", token=token, cwd=clone).returncode != 0
    now = hub.branches(REPO)["x"]
    assert git("push", lease + now, "origin", "HEAD:refs/heads/x", token=token, cwd=clone).returncode == 0
    assert hub.branches(REPO)["x"] == sha
    assert git("push", "origin", ":refs/heads/x", token=token, cwd=clone).returncode == 0
    assert "x" not in hub.branches(REPO)
    assert git("push", "origin", "HEAD:refs/pull/1/head", token=token, cwd=clone).returncode != 0


def test_workflow_files_are_refused(hub: LocalHub, clone: Path) -> None:
    """A push with a workflow file is refused in GitHub's words without the permission, and goes with it."""
    (clone / ".github" / "workflows").mkdir(parents=True)
    (clone / ".github" / "workflows" / "ci.yml").write_text("on: push\n")
    commit_all(clone)
    refused = git("push", "origin", "HEAD:refs/heads/ci", token=mint(hub), cwd=clone)
    assert refused.returncode != 0
    words = (
        "[remote rejected] HEAD -> ci (refusing to allow a GitHub App to create or update workflow "
        "`.github/workflows/ci.yml` without `workflows` permission)"
    )
    assert words in refused.stderr
    assert "ci" not in hub.branches(REPO)
    assert git("push", "origin", "HEAD:refs/heads/ci", token=hub.create_token("alice"), cwd=clone).returncode == 0
    assert "ci" in hub.branches(REPO)


def test_archived_takes_no_push(hub: LocalHub, clone: Path) -> None:
    """An archived repository is read-only over git too."""
    hub.archive_repository(REPO)
    (clone / "x").write_text("x")
    commit_all(clone)
    assert "archived" in git("push", "origin", "HEAD:refs/heads/x", token=mint(hub), cwd=clone).stderr


def test_nothing_else_of_the_folder_is_served(hub: LocalHub) -> None:
    """Neither the configuration, nor objects, nor a path out of the repository is handed out."""
    token = mint(hub)
    for path in ("config", "HEAD", "objects/info/packs", "info/refs/../../config", "%2e%2e/%2e%2e/etc/passwd"):
        answer = requests.get(f"{hub.clone_url(REPO)}/{path}", auth=("x-access-token", token), timeout=30)
        assert answer.status_code == 404, path
