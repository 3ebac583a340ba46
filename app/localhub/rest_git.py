"""REST: the git database - refs, commits, trees and blobs."""

from __future__ import annotations

import base64
from typing import Any

from app.localhub import bare
from app.localhub.acts_pulls import move_branch, person_of
from app.localhub.answers import Answer, Refusal, invalid_request, not_found
from app.localhub.records import Json
from app.localhub.rest import Call, Routes
from app.localhub.rest_repos import guard_workflows
from app.localhub.shapes_git import encoded, git_commit_json, ref_json, tree_json

routes = Routes()
MODES = {"100644": "blob", "100755": "blob", "120000": "blob", "040000": "tree", "160000": "commit"}


def _kind(call: Call, sha: str) -> str:
    return bare.git(call.repo.path, "cat-file", "-t", sha).decode().strip()


def _ref(call: Call, ref: str, sha: str) -> Json:
    return ref_json(call.links, call.repo, ref, sha=sha, kind=_kind(call, sha))


@routes.add("GET", "/repos/{owner}/{repo}/git/ref/{ref:path}", permission="contents", docs="git/refs#get-a-reference")
@routes.add("GET", "/repos/{owner}/{repo}/git/refs/{ref:path}", permission="contents", docs="git/refs#get-a-reference")
def get_ref(call: Call) -> Answer:
    """One ref; ``heads/x`` without ``refs/``."""
    name = f"refs/{call.params['ref']}"
    sha = bare.refs(call.repo.path, name).get(name)
    if sha is None:
        raise not_found()
    return Answer(200, _ref(call, name, sha))


@routes.add(
    "GET",
    "/repos/{owner}/{repo}/git/matching-refs/{ref:path}",
    permission="contents",
    docs="git/refs#list-matching-references",
)
def list_matching_refs(call: Call) -> Answer:
    """The refs that begin with these letters; none is an empty list."""
    start = f"refs/{call.params['ref']}"
    found = [(name, sha) for name, sha in bare.refs(call.repo.path).items() if name.startswith(start)]
    return call.page(found, lambda pair: _ref(call, pair[0], pair[1]))


def _new_commits_files(call: Call, sha: str) -> list[str]:
    listing = bare.git(
        call.repo.path, "log", "--no-renames", "--format=", "--name-only", "-z", sha, "--not", "--branches", "--tags"
    )
    return listing.decode(errors="replace").replace("\n", "\0").split("\0")


def _object(call: Call) -> str:
    sha = call.needed("sha")
    if len(sha) != len(bare.ZERO) or bare.resolve(call.repo.path, sha, "commit") is None:
        raise Refusal(422, "Object does not exist")
    return sha


@routes.add("POST", "/repos/{owner}/{repo}/git/refs", permission="contents", docs="git/refs#create-a-reference")
def create_ref(call: Call) -> Answer:
    """Make a branch or tag on an existing commit. Raises Refusal 422 for a name that exists."""
    ref, sha = call.needed("ref"), _object(call)
    if not ref.startswith(("refs/heads/", "refs/tags/")) or not bare.valid_ref(ref):
        raise Refusal(422, "Reference name must start with 'refs/' and contain at least two slashes.")
    if bare.refs(call.repo.path, ref).get(ref):
        raise Refusal(422, "Reference already exists")
    guard_workflows(call, _new_commits_files(call, sha))
    move_branch(call.store, call.repo, ref, after=sha, actor=call.actor, before=bare.ZERO)
    return Answer(201, _ref(call, ref, sha), {"Location": f"{call.links.repo(call.repo)}/git/{ref}"})


@routes.add(
    "PATCH", "/repos/{owner}/{repo}/git/refs/{ref:path}", permission="contents", docs="git/refs#update-a-reference"
)
def update_ref(call: Call) -> Answer:
    """Move a ref forward, or anywhere with ``force``."""
    ref, sha = f"refs/{call.params['ref']}", _object(call)
    now = bare.refs(call.repo.path, ref).get(ref)
    if now is None:
        raise Refusal(422, "Reference does not exist")
    if not call.body.get("force") and bare.merge_base(call.repo.path, now, sha) != now:
        raise Refusal(422, "Update is not a fast forward")
    guard_workflows(call, _new_commits_files(call, sha))
    if now != sha:
        move_branch(call.store, call.repo, ref, after=sha, actor=call.actor, before=now)
    return Answer(200, _ref(call, ref, sha))


@routes.add(
    "DELETE", "/repos/{owner}/{repo}/git/refs/{ref:path}", permission="contents", docs="git/refs#delete-a-reference"
)
def delete_ref(call: Call) -> Answer:
    """Remove a ref."""
    ref = f"refs/{call.params['ref']}"
    if not bare.refs(call.repo.path, ref).get(ref):
        raise Refusal(422, "Reference does not exist")
    move_branch(call.store, call.repo, ref, after=bare.ZERO, actor=call.actor)
    return Answer(204)


@routes.add(
    "GET", "/repos/{owner}/{repo}/git/commits/{sha}", permission="contents", docs="git/commits#get-a-commit-object"
)
def get_commit(call: Call) -> Answer:
    """A commit object by its sha."""
    sha = call.commit(call.params["sha"])
    return Answer(200, git_commit_json(call.links, call.repo, bare.read_commit(call.repo.path, sha)))


@routes.add("POST", "/repos/{owner}/{repo}/git/commits", permission="contents", docs="git/commits#create-a-commit")
def create_commit(call: Call) -> Answer:
    """Make a commit object; no ref moves."""
    tree, message = call.needed("tree"), call.needed("message")
    parents = call.body.get("parents") or []
    if bare.resolve(call.repo.path, tree, "tree") is None:
        raise Refusal(422, "Tree SHA does not exist")
    if any(bare.resolve(call.repo.path, str(parent)) != parent for parent in parents):
        raise Refusal(422, "Parent SHA does not exist or is not a commit object")
    author = _person(call, "author") or person_of(call.store, call.actor)
    committer = _person(call, "committer") or author
    sha = bare.write_commit(call.repo.path, tree, parents, message, author=author, committer=committer)
    return Answer(201, git_commit_json(call.links, call.repo, bare.read_commit(call.repo.path, sha)))


def _person(call: Call, name: str) -> bare.Person | None:
    given: Any = call.body.get(name)
    if given is None:
        return None
    if not isinstance(given, dict) or not given.get("name") or not given.get("email"):
        raise invalid_request(f"For 'properties/{name}', {given!r} is not an object with a name and an email.")
    return bare.Person(given["name"], given["email"], given.get("date") or person_of(call.store, call.actor).date)


@routes.add("GET", "/repos/{owner}/{repo}/git/trees/{sha:path}", permission="contents", docs="git/trees#get-a-tree")
def get_tree(call: Call) -> Answer:
    """A tree by sha, branch or commit; ``recursive`` with any value lists all below it."""
    sha = bare.resolve(call.repo.path, call.params["sha"], "tree")
    if sha is None:
        raise not_found()
    entries = bare.read_tree(call.repo.path, sha, recursive="recursive" in call.query)
    return Answer(200, tree_json(call.links, call.repo, sha, entries=entries))


@routes.add("POST", "/repos/{owner}/{repo}/git/trees", permission="contents", docs="git/trees#create-a-tree")
def create_tree(call: Call) -> Answer:
    """Make a tree from entries, on top of ``base_tree`` when given; ``sha`` null removes a path."""
    items, base = call.body.get("tree"), call.text("base_tree")
    if not isinstance(items, list) or not items:
        raise Refusal(422, "Invalid tree info")
    if base and bare.resolve(call.repo.path, base, "tree") is None:
        raise Refusal(422, "base_tree is not a valid tree oid")
    entries = dict(_entry(call, item) for item in items)
    try:
        sha = bare.write_tree(call.repo.path, base, entries)
    except bare.GitRefused as refused:
        raise Refusal(422, "Invalid tree info") from refused
    return Answer(201, tree_json(call.links, call.repo, sha, entries=bare.read_tree(call.repo.path, sha)))


def _entry(call: Call, item: Json) -> tuple[str, tuple[str, str] | None]:
    path, mode = item.get("path"), item.get("mode")
    if not isinstance(path, str) or not path or path.startswith("/"):
        raise Refusal(422, "tree.path contains a malformed path component")
    if "sha" in item and item["sha"] is None:
        return path, None
    if mode not in MODES:
        raise Refusal(422, "Must supply a valid tree.mode")
    if "content" in item:
        return path, (mode, bare.write_blob(call.repo.path, item["content"].encode("utf-8", "replace")))
    return path, (mode, str(item.get("sha")))


@routes.add("GET", "/repos/{owner}/{repo}/git/blobs/{sha}", permission="contents", docs="git/blobs#get-a-blob")
def get_blob(call: Call) -> Answer:
    """A blob, in base64 or raw."""
    sha = bare.resolve(call.repo.path, call.params["sha"], "blob")
    if sha is None:
        raise not_found()
    content = bare.read_object(call.repo.path, "blob", sha)
    if call.accepts("raw"):
        return Answer(200, content, media="application/vnd.github.raw+json; charset=utf-8")
    url = f"{call.links.repo(call.repo)}/git/blobs/{sha}"
    body: Json = {"sha": sha, "node_id": sha, "size": len(content), "url": url, "encoding": "base64"}
    return Answer(200, {**body, "content": encoded(content)})


@routes.add("POST", "/repos/{owner}/{repo}/git/blobs", permission="contents", docs="git/blobs#create-a-blob")
def create_blob(call: Call) -> Answer:
    """Store a blob given as text or base64."""
    content = call.needed("content")
    raw = base64.b64decode(content) if call.text("encoding") == "base64" else content.encode("utf-8", "replace")
    sha = bare.write_blob(call.repo.path, raw)
    url = f"{call.links.repo(call.repo)}/git/blobs/{sha}"
    return Answer(201, {"sha": sha, "url": url}, {"Location": url})
