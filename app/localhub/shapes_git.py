"""Git objects, files and diffs as GitHub's JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import quote

from app.localhub import bare
from app.localhub.records import Json, Repository, User
from app.localhub.shapes import Links, accounts_by_email, node_id, user_json

UNSIGNED: Json = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


def person_json(person: bare.Person) -> Json:
    """Author or committer inside a commit."""
    return {"name": person.name, "email": person.email, "date": person.date}


def commit_json(links: Links, repo: Repository, commit: bare.Commit, *, users: Mapping[str, User]) -> Json:
    """A commit as the commits API and pull requests list it."""
    url, page = f"{links.repo(repo)}/commits/{commit.sha}", f"{links.page(repo)}/commit/{commit.sha}"

    def account(person: bare.Person) -> Json | None:
        user = accounts_by_email(dict(users), person.email)
        return user_json(links, user) if user else None

    return {
        "sha": commit.sha,
        "node_id": node_id("Commit", commit.sha),
        "commit": {
            "author": person_json(commit.author),
            "committer": person_json(commit.committer),
            "message": commit.message,
            "tree": {"sha": commit.tree, "url": f"{links.repo(repo)}/git/trees/{commit.tree}"},
            "url": f"{links.repo(repo)}/git/commits/{commit.sha}",
            "comment_count": 0,
            "verification": UNSIGNED,
        },
        "url": url,
        "html_url": page,
        "comments_url": f"{url}/comments",
        "author": account(commit.author),
        "committer": account(commit.committer),
        "parents": [_parent(links, repo, sha, part="commits") for sha in commit.parents],
    }


def _parent(links: Links, repo: Repository, sha: str, *, part: str) -> Json:
    return {"sha": sha, "url": f"{links.repo(repo)}/{part}/{sha}", "html_url": f"{links.page(repo)}/commit/{sha}"}


def full_commit_json(links: Links, repo: Repository, commit: bare.Commit, *, users: Mapping[str, User]) -> Json:
    """A commit with its files and counts against the first parent."""
    base = commit.parents[0] if commit.parents else bare.NO_TREE
    files = bare.diff_files(repo.path, base, commit.sha)
    added, removed = sum(f.additions for f in files), sum(f.deletions for f in files)
    return {
        **commit_json(links, repo, commit, users=users),
        "stats": {"additions": added, "deletions": removed, "total": added + removed},
        "files": [file_json(links, repo, entry, head=commit.sha) for entry in files],
    }


def git_commit_json(links: Links, repo: Repository, commit: bare.Commit) -> Json:
    """A commit as the git database API gives it."""
    return {
        "sha": commit.sha,
        "node_id": node_id("Commit", commit.sha),
        "url": f"{links.repo(repo)}/git/commits/{commit.sha}",
        "html_url": f"{links.page(repo)}/commit/{commit.sha}",
        "author": person_json(commit.author),
        "committer": person_json(commit.committer),
        "tree": {"sha": commit.tree, "url": f"{links.repo(repo)}/git/trees/{commit.tree}"},
        "message": commit.message,
        "parents": [_parent(links, repo, sha, part="git/commits") for sha in commit.parents],
        "verification": UNSIGNED,
    }


def ref_json(links: Links, repo: Repository, ref: str, *, sha: str, kind: str = "commit") -> Json:
    """A ref."""
    part = "tags" if kind == "tag" else "commits"
    return {
        "ref": ref,
        "node_id": node_id("Ref", ref),
        "url": f"{links.repo(repo)}/git/{quote(ref)}",
        "object": {"sha": sha, "type": kind, "url": f"{links.repo(repo)}/git/{part}/{sha}"},
    }


def file_json(links: Links, repo: Repository, entry: bare.FileDiff, *, head: str) -> Json:
    """A changed file of a commit, comparison or pull request."""
    name = quote(entry.path)
    body: Json = {
        "sha": entry.sha,
        "filename": entry.path,
        "status": entry.status,
        "additions": entry.additions,
        "deletions": entry.deletions,
        "changes": entry.additions + entry.deletions,
        "blob_url": f"{links.page(repo)}/blob/{head}/{name}",
        "raw_url": f"{links.page(repo)}/raw/{head}/{name}",
        "contents_url": f"{links.repo(repo)}/contents/{name}?ref={head}",
    }
    if entry.patch is not None:
        body["patch"] = entry.patch
    if entry.old_path:
        body["previous_filename"] = entry.old_path
    return body


def tree_json(links: Links, repo: Repository, sha: str, *, entries: list[bare.TreeEntry]) -> Json:
    """A tree; submodules have no address."""
    shown = []
    for entry in entries:
        item: Json = {"path": entry.path, "mode": entry.mode, "type": entry.type, "sha": entry.sha}
        if entry.size is not None:
            item["size"] = entry.size
        if entry.type != "commit":
            item["url"] = f"{links.repo(repo)}/git/{entry.type}s/{entry.sha}"
        shown.append(item)
    return {"sha": sha, "url": f"{links.repo(repo)}/git/trees/{sha}", "tree": shown, "truncated": False}


def entry_json(links: Links, repo: Repository, entry: bare.TreeEntry, *, ref: str) -> Json:
    """A file, folder, link or submodule as a contents listing names it; ``path`` is the whole path."""
    kind = {"tree": "dir", "commit": "submodule"}.get(entry.type, "symlink" if entry.mode == "120000" else "file")
    name, wanted = quote(entry.path), quote(ref)
    url = f"{links.repo(repo)}/contents/{name}?ref={wanted}"
    part = "tree" if kind == "dir" else "blob"
    git_url = f"{links.repo(repo)}/git/{part}s/{entry.sha}" if kind != "submodule" else None
    page = f"{links.page(repo)}/{part}/{wanted}/{name}"
    return {
        "name": entry.path.rsplit("/", 1)[-1],
        "path": entry.path,
        "sha": entry.sha,
        "size": entry.size or 0,
        "url": url,
        "html_url": page,
        "git_url": git_url,
        "download_url": f"{links.page(repo)}/raw/{wanted}/{name}" if kind in ("file", "symlink") else None,
        "type": kind,
        "_links": {"self": url, "git": git_url, "html": page},
    }


def encoded(content: bytes) -> str:
    """Base64 in lines of 60 characters, as GitHub writes it."""
    text = base64.b64encode(content).decode()
    return "".join(text[start : start + 60] + "\n" for start in range(0, len(text), 60))
