"""Repositories, files, branches, comparisons and the git database over REST."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from github import Github, GithubException, InputGitTreeElement

from app.localhub import bare
from app.localhub.server import LocalHub
from tests.localhub.conftest import FILES, REPO, Rest, mint

CONTENTS = f"/repos/{REPO}/contents"


def test_files_and_folders(hub: LocalHub, github: Github, rest: Rest) -> None:
    """A file comes as base64 or raw, a folder as a list, a missing path or ref as 404."""
    repo = github.get_repo(REPO)
    assert repo.get_contents("calc.py").decoded_content.decode() == FILES["calc.py"]  # type: ignore[union-attr]
    assert sorted(x.path for x in repo.get_contents("")) == ["README.md", "calc.py", "docs"]  # type: ignore[union-attr]
    assert [x.path for x in repo.get_contents("docs")] == ["docs/guide.md"]  # type: ignore[union-attr]
    raw = rest("GET", f"{CONTENTS}/docs/guide.md", Accept="application/vnd.github.raw+json")
    assert raw.text == FILES["docs/guide.md"]
    assert rest("GET", f"{CONTENTS}/nothing.py").json()["message"] == "Not Found"
    assert rest("GET", f"{CONTENTS}/calc.py?ref=nowhere").json()["message"] == "No commit found for the ref nowhere"
    assert rest("GET", f"{CONTENTS}/--output=x").status_code == 404


def test_odd_files(hub: LocalHub, rest: Rest) -> None:
    """A link, an executable, an empty file, a file above 1 MB and an odd name each come back as GitHub gives them."""
    big = b"x" * (1024 * 1024 + 1)
    hub.commit(REPO, {"run.sh": b"#!/bin/sh\n", "empty": b"", "big.bin": big, "a ü[1]*.txt": "odd"})
    assert rest("GET", f"{CONTENTS}/empty").json()["content"] == ""
    large = rest("GET", f"{CONTENTS}/big.bin").json()
    assert (large["encoding"], large["content"], large["size"]) == ("none", "", len(big))
    assert rest("GET", f"{CONTENTS}/big.bin", Accept="application/vnd.github.raw").content == big
    odd = rest("GET", f"{CONTENTS}/a%20%C3%BC%5B1%5D*.txt").json()
    assert b64decode(odd["content"]) == b"odd"
    tree = rest("GET", f"/repos/{REPO}/git/trees/main?recursive=1").json()["tree"]
    assert {x["path"]: x["mode"] for x in tree if x["path"] == "run.sh"} == {"run.sh": "100755"}


def test_empty_repository(hub: LocalHub, rest: Rest) -> None:
    """An empty repository has no contents (404, said so), no commits (409) and no branches."""
    hub.create_repository("octo/empty")
    answer = rest("GET", "/repos/octo/empty/contents/README.md")
    assert (answer.status_code, answer.json()["message"]) == (404, "This repository is empty.")
    assert rest("GET", "/repos/octo/empty/commits").json()["message"] == "Git Repository is empty."
    assert rest("GET", "/repos/octo/empty/branches").json() == []
    made = rest("PUT", "/repos/octo/empty/contents/a.txt", {"message": "first", "content": b64encode(b"hi").decode()})
    assert made.status_code == 201
    assert hub.read_file("octo/empty", "a.txt") == b"hi"


def test_write_a_file(hub: LocalHub, rest: Rest) -> None:
    """PUT makes one commit; changing needs the sha of what is there."""
    body = {"message": "change", "content": b64encode(b"new").decode(), "branch": "main"}
    assert rest("PUT", f"{CONTENTS}/calc.py", body).json()["message"] == 'Invalid request.\n\n"sha" wasn\'t supplied.'
    assert rest("PUT", f"{CONTENTS}/calc.py", {**body, "sha": "0" * 40}).status_code == 409
    sha = rest("GET", f"{CONTENTS}/calc.py").json()["sha"]
    done = rest("PUT", f"{CONTENTS}/calc.py", {**body, "sha": sha})
    assert (done.status_code, hub.branches(REPO)["main"]) == (200, done.json()["commit"]["sha"])
    assert rest("PUT", f"{CONTENTS}/x/y.txt", {**body, "branch": "nowhere"}).status_code == 404


def test_workflow_files_need_the_permission(hub: LocalHub, rest: Rest) -> None:
    """Without ``workflows`` an App writes no workflow file, neither by contents nor by a ref to a commit with one."""
    body = {"message": "ci", "content": b64encode(b"on: push").decode()}
    path = ".github/workflows/ci.yml"
    assert rest("PUT", f"{CONTENTS}/{path}", body).status_code == 403
    base = hub.branches(REPO)["main"]
    tree = rest(
        "POST",
        f"/repos/{REPO}/git/trees",
        {"base_tree": base, "tree": [{"path": path, "mode": "100644", "type": "blob", "content": "on: push"}]},
    ).json()["sha"]
    commit = rest("POST", f"/repos/{REPO}/git/commits", {"message": "m", "tree": tree, "parents": [base]}).json()["sha"]
    assert rest("POST", f"/repos/{REPO}/git/refs", {"ref": "refs/heads/x", "sha": commit}).status_code == 403
    hub.app.permissions["workflows"] = "write"
    for installation in hub.store.installations.values():
        installation.permissions["workflows"] = "write"
    allowed = Rest(hub.api_url, mint(hub))
    assert allowed("POST", f"/repos/{REPO}/git/refs", {"ref": "refs/heads/x", "sha": commit}).status_code == 201


def test_git_database(hub: LocalHub, github: Github) -> None:
    """Blob, tree, commit and ref made by REST are one real commit on a real branch."""
    repo = github.get_repo(REPO)
    base = repo.get_branch("main").commit
    blob = repo.create_git_blob("def add(a, b):\n    return a + b\n", "utf-8")
    entries = [InputGitTreeElement("calc.py", "100755", "blob", sha=blob.sha)]
    entries.append(InputGitTreeElement("README.md", "100644", "blob", sha=None))
    tree = repo.create_git_tree(entries, base.commit.tree)
    commit = repo.create_git_commit("Fix add", tree, [base.commit])
    ref = repo.create_git_ref("refs/heads/qwen/fix", commit.sha)
    assert hub.read_file(REPO, "calc.py", "qwen/fix") == b"def add(a, b):\n    return a + b\n"
    assert hub.read_file(REPO, "README.md", "qwen/fix") is None
    assert repo.get_git_ref("heads/qwen/fix").object.sha == commit.sha
    assert [r.ref for r in repo.get_git_matching_refs("heads/qwen")] == ["refs/heads/qwen/fix"]
    assert repo.get_git_commit(commit.sha).parents[0].sha == base.sha
    assert repo.get_git_blob(blob.sha).content
    assert [f.filename for f in repo.get_commit(commit.sha).files] == ["README.md", "calc.py"]
    ref.edit(base.sha, force=True)
    ref.delete()
    assert list(hub.branches(REPO)) == ["main"]


def test_refs_are_guarded(hub: LocalHub, github: Github, rest: Rest) -> None:
    """A second ref of a name, an absent commit, a move that is no fast-forward and a missing ref are 422."""
    repo, sha = github.get_repo(REPO), hub.branches(REPO)["main"]
    repo.create_git_ref("refs/heads/x", sha)
    with pytest.raises(GithubException, match="Reference already exists"):
        repo.create_git_ref("refs/heads/x", sha)
    refs = f"/repos/{REPO}/git/refs"
    assert rest("POST", refs, {"ref": "refs/heads/y", "sha": "1" * 40}).json()["message"] == "Object does not exist"
    assert rest("POST", refs, {"ref": "heads/y", "sha": sha}).status_code == 422
    newer = hub.commit(REPO, {"a": "b"}, branch="x")
    assert rest("PATCH", f"{refs}/heads/x", {"sha": sha}).json()["message"] == "Update is not a fast forward"
    assert rest("PATCH", f"{refs}/heads/main", {"sha": newer}).status_code == 200
    assert rest("PATCH", f"{refs}/heads/none", {"sha": newer}).json()["message"] == "Reference does not exist"
    assert rest("GET", f"/repos/{REPO}/git/ref/heads/none").status_code == 404
    assert rest("GET", f"/repos/{REPO}/branches/none").json()["message"] == "Branch not found"


def test_compare(hub: LocalHub, github: Github, rest: Rest) -> None:
    """A comparison counts commits both ways and shows the files since the branches parted."""
    hub.commit(REPO, {"calc.py": "changed\n"}, branch="feature/x")
    hub.commit(REPO, {"README.md": "# news\n"})
    comparison = github.get_repo(REPO).compare("main", "feature/x")
    assert (comparison.status, comparison.ahead_by, comparison.behind_by) == ("diverged", 1, 1)
    assert [f.filename for f in comparison.files] == ["calc.py"]
    assert rest("GET", f"/repos/{REPO}/compare/main...main").json()["status"] == "identical"
    assert rest("GET", f"/repos/{REPO}/compare/main...nowhere").status_code == 404
    diff = rest("GET", f"/repos/{REPO}/compare/main...feature/x", Accept="application/vnd.github.v3.diff")
    assert diff.text.startswith("diff --git a/calc.py b/calc.py")


def test_renamed_repository(hub: LocalHub, github: Github, rest: Rest) -> None:
    """The old name redirects to the id, and PyGithub ends at the new name."""
    number = hub.create_issue(REPO, "alice", "still here").number
    hub.rename_repository(REPO, "calculator")
    moved = rest("GET", f"/repos/{REPO}")
    assert (moved.status_code, moved.headers["Location"].rsplit("/", 2)[1]) == (301, "repositories")
    assert github.get_repo(REPO).full_name == "octo/calculator"
    assert github.get_repo(hub.repository("octo/calculator").id).full_name == "octo/calculator"
    assert github.get_repo("octo/calculator").get_issue(number).title == "still here"


def test_odd_diffs(hub: LocalHub, github: Github) -> None:
    """Renames, binary files, changes of mode and of type each have their own row, with the right path and status."""
    hub.commit(REPO, {"old name.txt": "\n".join(map(str, range(40))), "picture": b"\0\1\2", "thing": "a file\n"})
    repo = hub.repository(REPO)
    main = hub.branches(REPO)["main"]
    link = bare.write_blob(repo.path, b"README.md")
    moved = bare.entry_at(repo.path, main, "old name.txt")
    assert moved
    tree = bare.write_tree(
        repo.path,
        main,
        {
            "old name.txt": None,
            "new näme.txt": ("100644", moved.sha),
            "picture": ("100644", bare.write_blob(repo.path, b"\0\1\3")),
            "thing": ("120000", link),
            "calc.py": ("100755", bare.entry_at(repo.path, main, "calc.py").sha),  # type: ignore[union-attr]
        },
    )
    person = bare.Person("T", "t@example.invalid", "2026-01-01T00:00:00Z")
    sha = bare.write_commit(repo.path, tree, [main], "odd", author=person)
    files = {f.filename: f for f in github.get_repo(REPO).get_commit(sha).files}
    assert {name: f.status for name, f in files.items()} == {
        "new näme.txt": "renamed",
        "picture": "modified",
        "thing": "changed",
        "calc.py": "modified",
    }
    assert files["new näme.txt"].previous_filename == "old name.txt"
    assert files["picture"].patch is None
    assert "+README.md" in files["thing"].patch
