"""What happens to branches and pull requests: a moved ref moves the heads that follow it, and the webhooks say so."""

from __future__ import annotations

from app.localhub import bare
from app.localhub.acts import Actor, announce_issue, check_texts, new_issue, set_state, touch
from app.localhub.answers import Refusal, validation_failed
from app.localhub.events import announce_deleted_ref, announce_push, links_of
from app.localhub.records import Issue, Json, Pull, Repository, User
from app.localhub.shapes import user_json
from app.localhub.shapes_pulls import pull_of
from app.localhub.store import Store, has_role


def open_pull(
    store: Store,
    repo: Repository,
    actor: Actor,
    *,
    head: str,
    base: str,
    title: str,
    body: str | None,
    draft: bool = False,
    fork: Repository | None = None,
) -> Issue:
    """Open a pull request between two branches of one repository; ``fork``: as if its head were in that one.

    Raises Refusal 422 in GitHub's words: unknown branch (quoted in spdx/spdx-online-tools#425), nothing to merge
    (piceaTech/node-gitlab-2-github#91), one open already (renovatebot/renovate#11481).
    """
    check_texts("PullRequest", title=title, body=body)
    branch = head.removeprefix(f"{repo.owner.login}:")
    head_sha, base_sha = bare.branch_sha(repo.path, branch), bare.branch_sha(repo.path, base)
    if base_sha is None:
        raise validation_failed("PullRequest", field="base", code="invalid")
    if head_sha is None or ":" in branch:
        raise validation_failed("PullRequest", field="head", code="invalid")
    open_ones = [i for i in repo.issues.values() if i.pull and i.state == "open"]
    if any(pull_of(i).head == branch and pull_of(i).base == base for i in open_ones):
        message = f"A pull request already exists for {repo.owner.login}:{branch}."
        raise validation_failed("PullRequest", code="custom", message=message)
    if bare.ahead_behind(repo.path, base_sha, head_sha)[0] == 0:
        message = f"No commits between {base} and {branch}"
        raise validation_failed("PullRequest", code="custom", message=message)
    issue = new_issue(store, repo, actor, title=title, body=body)
    issue.pull = Pull(store.new_id(), branch, base, head_sha=head_sha, base_sha=base_sha, draft=draft, fork=fork)
    _keep_head(repo, issue)
    announce_issue(store, repo, issue, action="opened", actor=actor)
    return issue


def _keep_head(repo: Repository, issue: Issue) -> None:
    bare.move_ref(repo.path, f"refs/pull/{issue.number}/head", pull_of(issue).head_sha)


def move_branch(
    store: Store, repo: Repository, ref: str, *, after: str, actor: Actor, before: str | None = None
) -> None:
    """Set a ref by REST and tell everyone; ``before`` given means: only from there."""
    was = bare.resolve(repo.path, ref, "object") or bare.ZERO
    try:
        bare.move_ref(repo.path, ref, after, before)
    except bare.GitRefused as refused:
        raise Refusal(422, "Reference cannot be updated") from refused
    ref_moved(store, repo, ref, before=was, after=after, actor=actor)


def ref_moved(store: Store, repo: Repository, ref: str, *, before: str, after: str, actor: Actor) -> None:
    """A ref is where it is now: journal and ``push``, then the open pull requests whose head or base it is."""
    repo.pushed_at = store.now()
    moved: Json = {"ref": ref, "before": before, "after": after}
    store.record("PUSH", f"{repo.full_name} {ref}", actor=actor.user.login, body=moved, status=200)
    announce_push(store, repo, ref, before=before, after=after, pusher=actor.user)
    if after == bare.ZERO and ref.startswith(("refs/heads/", "refs/tags/")):
        announce_deleted_ref(store, repo, ref, actor=actor.user)
    branch = ref.removeprefix("refs/heads/")
    if branch == ref:
        return
    for issue in list(repo.issues.values()):
        if not issue.pull or issue.state != "open":
            continue
        own = issue.pull.head == branch and issue.pull.fork is None
        if own and after == bare.ZERO:
            set_state(store, repo, issue, actor=actor, state="closed")
        elif own:
            issue.pull.head_sha = after
            issue.pull.base_sha = bare.branch_sha(repo.path, issue.pull.base) or issue.pull.base_sha
            _keep_head(repo, issue)
            touch(store, issue)
            extra: Json = {"before": before, "after": after}
            announce_issue(store, repo, issue, action="synchronize", actor=actor, extra=extra)
        elif issue.pull.base == branch and after != bare.ZERO:
            _note_merged(store, repo, issue, actor=actor, base_before=before, base_after=after)


def _note_merged(
    store: Store, repo: Repository, issue: Issue, *, actor: Actor, base_before: str, base_after: str
) -> None:
    pull = pull_of(issue)
    if bare.merge_base(repo.path, base_after, pull.head_sha) == pull.head_sha:
        _mark_merged(store, repo, issue, actor=actor, base_before=base_before, merged=base_after)


def _mark_merged(store: Store, repo: Repository, issue: Issue, *, actor: Actor, base_before: str, merged: str) -> None:
    pull = pull_of(issue)
    pull.base_sha = base_before
    pull.merged_at, pull.merged_by, pull.merge_commit_sha = store.now(), actor.user, merged
    set_state(store, repo, issue, actor=actor, state="closed")


def merge_pull(store: Store, repo: Repository, issue: Issue, *, actor: Actor, squash: bool = False) -> str:
    """Merge with a merge commit, or with one commit for all, and return its id.

    Raises Refusal 405 in GitHub's words when it cannot be done.
    """
    pull = pull_of(issue)
    tip = bare.branch_sha(repo.path, pull.base)
    tree = bare.merge_tree(repo.path, tip, pull.head_sha) if tip else None
    if issue.state != "open" or pull.draft or tip is None or tree is None:
        raise Refusal(405, "Pull Request is not mergeable")
    person = person_of(store, actor)
    message = f"Merge pull request #{issue.number} from {repo.owner.login}/{pull.head}\n\n{issue.title}"
    parents = [tip, pull.head_sha]
    if squash:
        message, parents, person = f"{issue.title} (#{issue.number})", [tip], person_of(store, Actor(issue.author))
    merged = bare.write_commit(repo.path, tree, parents, message, author=person)
    move_branch(store, repo, f"refs/heads/{pull.base}", after=merged, actor=actor)
    if squash:
        _mark_merged(store, repo, issue, actor=actor, base_before=tip, merged=merged)
    return merged


def request_review(store: Store, repo: Repository, issue: Issue, *, actor: Actor, reviewers: list[User]) -> None:
    """Ask people for a review; each new one is announced. Raises Refusal 422 for the author and for strangers.

    The first message is quoted in cli/cli#4844, the second in peter-evans/create-pull-request#155.
    """
    pull = pull_of(issue)
    if issue.author in reviewers:
        raise Refusal(422, "Review cannot be requested from pull request author.")
    if any(user.type == "User" and not has_role(repo, user, "read") for user in reviewers):
        words = "Reviews may only be requested from collaborators."
        raise Refusal(422, f"{words} One or more of the users or teams you specified is not a collaborator.")
    for user in (user for user in reviewers if user not in pull.requested_reviewers):
        pull.requested_reviewers.append(user)
        touch(store, issue)
        _announce_request(store, repo, issue, actor=actor, user=user, action="review_requested")


def withdraw_request(store: Store, repo: Repository, issue: Issue, *, actor: Actor, reviewer: User) -> None:
    """Ask no longer; nobody asked is fine."""
    pull = pull_of(issue)
    if reviewer in pull.requested_reviewers:
        pull.requested_reviewers.remove(reviewer)
        touch(store, issue)
        _announce_request(store, repo, issue, actor=actor, user=reviewer, action="review_request_removed")


def _announce_request(store: Store, repo: Repository, issue: Issue, *, actor: Actor, user: User, action: str) -> None:
    extra = {"requested_reviewer": user_json(links_of(store), user)}
    announce_issue(store, repo, issue, action=action, actor=actor, extra=extra)


def person_of(store: Store, actor: Actor) -> bare.Person:
    """The actor as the author of a commit made by the server."""
    user = actor.user
    email = f"{user.id}+{user.login}@users.noreply.localhub.invalid"
    return bare.Person(user.login, email, store.now().strftime("%Y-%m-%dT%H:%M:%SZ"))


def edit_pull(store: Store, repo: Repository, issue: Issue, *, actor: Actor, base: str) -> None:
    """Change the base branch."""
    pull = pull_of(issue)
    sha = bare.branch_sha(repo.path, base)
    if sha is None:
        raise validation_failed("PullRequest", field="base", code="invalid")
    changes: Json = {"base": {"ref": {"from": pull.base}, "sha": {"from": pull.base_sha}}}
    pull.base, pull.base_sha = base, sha
    announce_issue(store, repo, issue, action="edited", actor=actor, extra={"changes": changes})


def mark_ready(store: Store, repo: Repository, issue: Issue, *, actor: Actor) -> None:
    """A draft becomes ready for review (GitHub offers this in the page and in GraphQL alone)."""
    pull_of(issue).draft = False
    announce_issue(store, repo, issue, action="ready_for_review", actor=actor)


def convert_to_draft(store: Store, repo: Repository, issue: Issue, *, actor: Actor) -> None:
    """Back to a draft."""
    pull_of(issue).draft = True
    announce_issue(store, repo, issue, action="converted_to_draft", actor=actor)
