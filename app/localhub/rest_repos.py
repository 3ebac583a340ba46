"""REST: repositories, branches, commits, comparisons and files."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from app.localhub import bare
from app.localhub.acts_pulls import move_branch, person_of
from app.localhub.answers import Answer, Refusal, invalid_request, no_access, not_found
from app.localhub.auth import granted
from app.localhub.records import Json
from app.localhub.rest import Call, Routes
from app.localhub.shapes import full_repo_json
from app.localhub.shapes_git import commit_json, encoded, entry_json, file_json, full_commit_json

routes = Routes()
ONE_MB = 1024 * 1024
HUNDRED_MB = 100 * ONE_MB
WORKFLOWS = ".github/workflows/"


@routes.add("GET", "/repos/{owner}/{repo}", docs="repos/repos#get-a-repository")
@routes.add("GET", "/repositories/{repository_id:int}", docs="repos/repos#get-a-repository")
def get_repository(call: Call) -> Answer:
    """A repository by name or by id."""
    token = call.caller.token
    viewer = token.user if token and not token.installation else None
    return Answer(200, full_repo_json(call.links, call.repo, viewer=viewer))


@routes.add("GET", "/repos/{owner}/{repo}/branches", permission="contents", docs="branches/branches#list-branches")
def list_branches(call: Call) -> Answer:
    """The branches."""
    found = bare.refs(call.repo.path, "refs/heads/").items()

    def short(branch: tuple[str, str]) -> Json:
        url = f"{call.links.repo(call.repo)}/commits/{branch[1]}"
        return {
            "name": branch[0].removeprefix("refs/heads/"),
            "commit": {"sha": branch[1], "url": url},
            "protected": False,
        }

    return call.page(list(found), short)


@routes.add(
    "GET", "/repos/{owner}/{repo}/branches/{branch:path}", permission="contents", docs="branches/branches#get-a-branch"
)
def get_branch(call: Call) -> Answer:
    """One branch. Recorded: PullRequest.testDeleteBranch ("Branch not found")."""
    name = call.params["branch"]
    sha = bare.branch_sha(call.repo.path, name)
    if sha is None:
        raise Refusal(404, "Branch not found")
    commit = commit_json(call.links, call.repo, bare.read_commit(call.repo.path, sha), users=call.store.users)
    url = f"{call.links.repo(call.repo)}/branches/{name}"
    return Answer(
        200,
        {
            "name": name,
            "commit": commit,
            "_links": {"self": url, "html": f"{call.links.page(call.repo)}/tree/{name}"},
            "protected": False,
            "protection": {"enabled": False},
            "protection_url": f"{url}/protection",
        },
    )


@routes.add("GET", "/repos/{owner}/{repo}/commits", permission="contents", docs="commits/commits#list-commits")
def list_commits(call: Call) -> Answer:
    """The history of a branch, newest first. An empty repository is 409, as on GitHub."""
    if not bare.refs(call.repo.path, "refs/heads/"):
        raise Refusal(409, "Git Repository is empty.")
    path = call.query.get("path")
    start = call.commit(call.query.get("sha") or call.repo.default_branch)
    found = bare.read_commits(call.repo.path, start, *(["--", path] if path else []))
    return call.page(found, lambda commit: commit_json(call.links, call.repo, commit, users=call.store.users))


@routes.add(
    "GET", "/repos/{owner}/{repo}/commits/{ref:path}", permission="contents", docs="commits/commits#get-a-commit"
)
def get_commit(call: Call) -> Answer:
    """One commit with its files; 422 for a well-formed sha that is absent, as on GitHub."""
    ref = call.params["ref"]
    sha = bare.resolve(call.repo.path, ref)
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {ref}")
    commit = bare.read_commit(call.repo.path, sha)
    if call.accepts("sha"):
        return Answer(200, sha.encode(), media="application/vnd.github.sha; charset=utf-8")
    if call.accepts("diff"):
        base = commit.parents[0] if commit.parents else bare.NO_TREE
        return diff_answer(call, base, sha)
    return Answer(200, full_commit_json(call.links, call.repo, commit, users=call.store.users))


def diff_answer(call: Call, base: str, head: str) -> Answer:
    """The unified diff as text."""
    text = bare.diff_text(call.repo.path, base, head)
    return Answer(200, text.encode("utf-8", "replace"), media="application/vnd.github.diff; charset=utf-8")


@routes.add(
    "GET",
    "/repos/{owner}/{repo}/compare/{basehead:path}",
    permission="contents",
    docs="commits/commits#compare-two-commits",
)
def compare(call: Call) -> Answer:
    """Two revisions, ``BASE...HEAD``, each a branch, tag or sha."""
    base_name, dots, head_name = call.params["basehead"].partition("...")
    if not dots:
        raise not_found()
    prefix = f"{call.repo.owner.login}:"
    base, head = call.commit(base_name.removeprefix(prefix)), call.commit(head_name.removeprefix(prefix))
    path = call.repo.path
    start = bare.merge_base(path, base, head)
    if start is None:
        raise Refusal(404, f"No common ancestor between {base_name} and {head_name}.")
    if call.accepts("diff"):
        return diff_answer(call, start, head)
    ahead, behind = bare.ahead_behind(path, base, head)
    status = "diverged" if ahead and behind else "ahead" if ahead else "behind" if behind else "identical"
    url, page = f"{call.links.repo(call.repo)}/compare/", f"{call.links.page(call.repo)}/compare/"
    name = call.params["basehead"]

    def shown(sha: str) -> Json:
        return commit_json(call.links, call.repo, bare.read_commit(path, sha), users=call.store.users)

    commits, page_headers = _compared(call, bare.read_commits(path, "--reverse", f"{base}..{head}"))
    body: Json = {
        "url": url + name,
        "html_url": page + name,
        "permalink_url": f"{page}{base[:12]}...{head[:12]}",
        "diff_url": f"{page}{name}.diff",
        "patch_url": f"{page}{name}.patch",
        "base_commit": shown(base),
        "merge_base_commit": shown(start),
        "status": status,
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": ahead,
        "commits": [commit_json(call.links, call.repo, c, users=call.store.users) for c in commits],
        "files": [file_json(call.links, call.repo, f, head=head) for f in bare.diff_files(path, start, head)[:300]],
    }
    return Answer(200, body, page_headers)


def _compared(call: Call, commits: list[bare.Commit]) -> tuple[list[bare.Commit], dict[str, str]]:
    """A page of them when one is asked for, else the first 250."""
    if not {"page", "per_page"} & set(call.query):
        return commits[:250], {}
    page = call.page(commits, lambda commit: commit)
    return page.body, page.headers


@routes.add(
    "GET", "/repos/{owner}/{repo}/contents/?", permission="contents", docs="repos/contents#get-repository-content"
)
@routes.add(
    "GET",
    "/repos/{owner}/{repo}/contents/{path:path}",
    permission="contents",
    docs="repos/contents#get-repository-content",
)
def get_contents(call: Call) -> Answer:
    """A file, link or submodule, or the list of a folder; the raw media type gives a file's bytes."""
    ref = call.query.get("ref") or call.repo.default_branch
    commit = bare.resolve(call.repo.path, ref)
    if commit is None:
        empty = not bare.refs(call.repo.path, "refs/heads/")
        raise Refusal(404, "This repository is empty." if empty else f"No commit found for the ref {ref}")
    path = call.params.get("path", "").strip("/")
    if any(part in ("", ".", "..") for part in path.split("/")) and path:
        raise invalid_request("path contains a malformed path component")
    entry = bare.entry_at(call.repo.path, commit, path) if path else bare.TreeEntry("040000", "tree", commit, None, "")
    if entry is None:
        raise not_found()
    if entry.type == "tree":
        return Answer(200, _folder(call, commit, path, ref))
    body = entry_json(call.links, call.repo, entry, ref=ref)
    if entry.type == "commit":
        return Answer(200, {**body, "submodule_git_url": None})
    content = bare.read_object(call.repo.path, "blob", entry.sha)
    if call.accepts("raw"):
        return Answer(200, content, media="application/vnd.github.raw+json; charset=utf-8")
    if len(content) > HUNDRED_MB:
        raise Refusal(403, "This API returns blobs up to 100 MB in size.")
    small = len(content) <= ONE_MB
    body |= {"content": encoded(content) if small else "", "encoding": "base64" if small else "none"}
    if body["type"] == "symlink":
        body |= {"target": content.decode(errors="replace")}
    return Answer(200, body)


def _folder(call: Call, commit: str, path: str, ref: str) -> list[Json]:
    found = []
    for entry in bare.read_tree(call.repo.path, commit, at=path)[:1000]:
        whole = f"{path}/{entry.path}" if path else entry.path
        placed = bare.TreeEntry(entry.mode, entry.type, entry.sha, entry.size, whole)
        found.append(entry_json(call.links, call.repo, placed, ref=ref))
    return found


def guard_workflows(call: Call, paths: list[str]) -> None:
    """Only the ``workflows`` permission lets an App write workflow files. Raises Refusal 403."""
    token = call.caller.token
    touched = any(path.startswith(WORKFLOWS) for path in paths)
    if touched and token and token.installation and not granted(token, "workflows", "write"):
        raise no_access()


@routes.add(
    "PUT",
    "/repos/{owner}/{repo}/contents/{path:path}",
    permission="contents",
    docs="repos/contents#create-or-update-file-contents",
)
def put_contents(call: Call) -> Answer:
    """Create or change one file as one commit on a branch."""
    path, message = call.params["path"], call.needed("message")
    content = _decoded(call.needed("content"))
    guard_workflows(call, [path])
    branch = call.text("branch") or call.repo.default_branch
    tip = bare.branch_sha(call.repo.path, branch)
    if tip is None and bare.refs(call.repo.path, "refs/heads/"):
        raise Refusal(404, f"Branch {branch} not found")
    now = bare.entry_at(call.repo.path, tip, path) if tip else None
    given = call.text("sha")
    if now and given is None:
        raise invalid_request('"sha" wasn\'t supplied.')
    if now and given != now.sha:
        raise Refusal(409, f"{path} does not match {given}")
    blob = bare.write_blob(call.repo.path, content)
    mode = now.mode if now and now.type == "blob" else "100644"
    tree = bare.write_tree(call.repo.path, tip, {path: (mode, blob)})
    author = _person(call, "author") or _person(call, "committer") or person_of(call.store, call.actor)
    committer = _person(call, "committer") or person_of(call.store, call.actor)
    parents = [tip] if tip else []
    sha = bare.write_commit(call.repo.path, tree, parents, message, author=author, committer=committer)
    move_branch(call.store, call.repo, f"refs/heads/{branch}", after=sha, actor=call.actor, before=tip or bare.ZERO)
    entry = bare.TreeEntry(mode, "blob", blob, len(content), path)
    commit = commit_json(call.links, call.repo, bare.read_commit(call.repo.path, sha), users=call.store.users)
    inner: Json = {**commit["commit"], **{k: commit[k] for k in ("sha", "node_id", "url", "html_url", "parents")}}
    shown = entry_json(call.links, call.repo, entry, ref=branch)
    return Answer(200 if now else 201, {"content": shown, "commit": inner})


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        raise Refusal(422, "content is not valid Base64") from None


def _person(call: Call, name: str) -> bare.Person | None:
    given: Any = call.body.get(name)
    if not isinstance(given, dict):
        return None
    default = person_of(call.store, call.actor)
    return bare.Person(
        str(given.get("name", default.name)),
        str(given.get("email", default.email)),
        str(given.get("date", default.date)),
    )
