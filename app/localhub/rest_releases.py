"""REST: releases and their drafts, and which pull requests brought a commit."""

from __future__ import annotations

from app.localhub import bare
from app.localhub.acts_pulls import move_branch
from app.localhub.answers import Answer, Refusal, not_found, too_long, validation_failed
from app.localhub.auth import Caller, granted
from app.localhub.records import Issue, Release, Repository
from app.localhub.rest import Call, Routes
from app.localhub.shapes_pulls import base_commit, simple_pull_json
from app.localhub.shapes_releases import release_json
from app.localhub.store import has_role

routes = Routes()
RELEASES = "/repos/{owner}/{repo}/releases"
RELEASE = RELEASES + "/{release_id:int}"
BODY_LIMIT = 125_000


def _sees_drafts(caller: Caller, repo: Repository) -> bool:
    """Whoever may push sees drafts."""
    token = caller.token
    if token is None:
        return False
    return granted(token, "contents", "write") if token.installation else has_role(repo, token.user, "write")


@routes.add("GET", RELEASES, permission="contents", docs="releases/releases#list-releases")
def list_releases(call: Call) -> Answer:
    """The releases, newest first, with the drafts for those who may push."""
    drafts = _sees_drafts(call.caller, call.repo)
    found = [release for release in call.repo.releases.values() if drafts or not release.draft]
    found.sort(key=lambda release: release.id, reverse=True)
    return call.page(found, lambda release: release_json(call.links, call.repo, release))


@routes.add("POST", RELEASES, permission="contents", docs="releases/releases#create-a-release")
def create_release(call: Call) -> Answer:
    """Make a release; a draft makes no tag, and several drafts may share one tag."""
    release = Release(
        call.store.new_id(),
        call.actor.user,
        call.needed("tag_name"),
        call.text("target_commitish") or call.repo.default_branch,
        "",
        "",
        draft=True,
        prerelease=False,
        created_at=call.store.now(),
        published_at=None,
    )
    _apply(call, release, draft=bool(call.body.get("draft")))
    call.repo.releases[release.id] = release
    shown = release_json(call.links, call.repo, release)
    return Answer(201, shown, {"Location": shown["url"]})


def _apply(call: Call, release: Release, *, draft: bool) -> None:
    """Take over what the body says, and publish. Raises Refusal 422, before anything has changed."""
    body, tag = call.text("body"), call.text("tag_name") or release.tag
    if body is not None and len(body) > BODY_LIMIT:
        raise too_long("Release", limit=BODY_LIMIT)
    others = (each for each in call.repo.releases.values() if each is not release and not each.draft)
    if not draft and any(each.tag == tag for each in others):
        raise validation_failed("Release", code="already_exists", field="tag_name")
    target = call.text("target_commitish") or release.target
    sha = bare.resolve(call.repo.path, target)
    if not draft and bare.resolve(call.repo.path, f"refs/tags/{tag}") is None:
        if sha is None or not bare.valid_ref(f"refs/tags/{tag}"):
            raise validation_failed("Release", code="invalid", field="target_commitish")
        move_branch(call.store, call.repo, f"refs/tags/{tag}", after=sha, actor=call.actor, before=bare.ZERO)
    release.tag, release.target, release.draft = tag, target, draft
    release.name = (call.text("name") or "") if "name" in call.body else release.name
    release.body = body if body is not None else release.body
    release.prerelease = bool(call.body.get("prerelease", release.prerelease))
    if not draft and release.published_at is None:
        release.published_at = call.store.now()


def _release(call: Call) -> Release:
    found = call.repo.releases.get(int(call.params["release_id"]))
    if found is None or (found.draft and not _sees_drafts(call.caller, call.repo)):
        raise not_found()
    return found


@routes.add("GET", RELEASE, permission="contents", docs="releases/releases#get-a-release")
def get_release(call: Call) -> Answer:
    """One release."""
    return Answer(200, release_json(call.links, call.repo, _release(call)))


@routes.add(
    "GET", RELEASES + "/tags/{tag:path}", permission="contents", docs="releases/releases#get-a-release-by-tag-name"
)
def get_release_by_tag(call: Call) -> Answer:
    """The published release of a tag."""
    for release in call.repo.releases.values():
        if not release.draft and release.tag == call.params["tag"]:
            return Answer(200, release_json(call.links, call.repo, release))
    raise not_found()


@routes.add("PATCH", RELEASE, permission="contents", docs="releases/releases#update-a-release")
def update_release(call: Call) -> Answer:
    """Change a release, or publish a draft."""
    release = _release(call)
    _apply(call, release, draft=bool(call.body.get("draft", release.draft)))
    return Answer(200, release_json(call.links, call.repo, release))


@routes.add("DELETE", RELEASE, permission="contents", docs="releases/releases#delete-a-release")
def delete_release(call: Call) -> Answer:
    """Remove a release; its tag stays."""
    del call.repo.releases[_release(call).id]
    return Answer(204)


@routes.add(
    "GET",
    "/repos/{owner}/{repo}/commits/{commit_sha}/pulls",
    permission="pull_requests",
    docs="commits/commits#list-pull-requests-associated-with-a-commit",
)
def list_pulls_of_commit(call: Call) -> Answer:
    """The merged pull requests that brought a commit to the default branch; elsewhere the open ones as well."""
    repo, sha = call.repo, bare.resolve(call.repo.path, call.params["commit_sha"])
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {call.params['commit_sha']}")
    tip = bare.branch_sha(repo.path, repo.default_branch)
    landed = bool(tip and bare.is_ancestor(repo.path, sha, tip))

    def brought(issue: Issue) -> bool:
        pull = issue.pull
        if pull is None or (landed and pull.merged_at is None):
            return False
        start = base_commit(repo, pull)
        inside = bare.is_ancestor(repo.path, sha, pull.head_sha)
        return sha == pull.merge_commit_sha or (inside and not bare.is_ancestor(repo.path, sha, start))

    found = [issue for issue in repo.issues.values() if issue.pull and brought(issue)]
    return call.page(found, lambda issue: simple_pull_json(call.links, repo, issue))
