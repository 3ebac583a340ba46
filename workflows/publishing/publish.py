"""Publishing: the permission once more, one commit, one branch, one draft pull request, one check run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workflows.git.mirror_commits import Identity
from workflows.git.mirror_remote import PushResult
from workflows.git.mirrors import Mirror
from workflows.git.patience import persist
from workflows.publishing.change_texts import Texts
from workflows.publishing.pull_body import first_body, renewed_body
from workflows.publishing.pull_request import branch_name
from workflows.repository.policy import WRITERS, Policy
from workflows.repository.survey import Survey
from workflows.services import BrokenWorld, Conclusion, GitHub
from workflows.solving.solve import Solution
from workflows.types import Issue, Job, Noun, Repository, Verdict

CHECK_NAME = "Forgehand"
MOST_BRANCHES = 9
AUTHOR = Identity("Forgehand", "forgehand@users.noreply.github.com")
_CONCLUSIONS: dict[str, Conclusion] = {
    "verified": "success",
    "unverified": "neutral",
    "no_tests": "neutral",
    "worse": "failure",
}


class Published(Noun):
    """What was published. Without a pull request, ``reason`` says why; ``note`` is a sentence on what is missing."""

    branch: str = ""
    commit: str = ""
    pull_request: int | None = None
    url: str | None = None
    reason: str = ""
    note: str = ""


@dataclass(frozen=True)
class Shown:
    """What the check run on a pushed commit shows."""

    title: str
    evidence: str
    conclusion: Conclusion


@dataclass(frozen=True)
class Publisher:
    """Everything a pull request is made of. Each write is found again when it is repeated.

    ``draft`` None: as the policy says. ``earlier`` gives the open pull request of the session that goes on, if there is
    one: a commit comes on top of it, unless somebody else pushed to its branch.
    """

    job: Job
    issue: Issue
    policy: Policy
    repository: Repository
    survey: Survey
    github: GitHub
    mirror: Callable[[], Mirror]
    draft: bool | None = None
    earlier: Callable[[], Published | None] = lambda: None

    def publish(self, solution: Solution, texts: Texts) -> Published:
        """Publish a solution. Raises BrokenWorld; a lost permission and a refused push are values."""
        permission = self.github.fetch_permission(self.job.actor.login)
        if permission not in WRITERS:
            return Published(reason=f"`{self.job.actor.login}` no longer has write permission ({permission}).")
        earlier = self.earlier()
        on_top = self._push_on_top(earlier, solution, texts) if earlier is not None else None
        if on_top is not None:
            return on_top
        branch, commit, pushed = self._push(solution, texts.commit_message)
        if not pushed.ok:
            reason = f"GitHub refused the branch `{branch}`: {pushed.reason}."
            return Published(branch=branch, commit=commit, reason=reason)
        pull_request = self.github.find_or_create_pull_request(
            head=branch,
            base=self.survey.branch,
            title=texts.title,
            body=first_body(texts.body),
            draft=self.policy.draft if self.draft is None else self.draft,
        )
        return Published(
            branch=branch,
            commit=commit,
            pull_request=pull_request.number,
            url=pull_request.html_url,
            note=self._check(solution, texts, commit),
        )

    def _push_on_top(self, earlier: Published, solution: Solution, texts: Texts) -> Published | None:
        """The change as one more commit of the earlier pull request; None when its branch is not as we left it."""
        assert earlier.pull_request is not None, "it is a pull request that was found"
        mirror = self.mirror()
        if not mirror.holds(earlier.commit):
            return None
        whole = commit_solution(mirror, solution, self.job, texts.commit_message)
        commit = earlier.commit
        if mirror.tree_of(whole) != mirror.tree_of(earlier.commit):
            commit = mirror.commit_tree(
                mirror.tree_of(whole),
                (earlier.commit,),
                message=texts.commit_message,
                author=AUTHOR,
                committer=AUTHOR,
                date=self.job.created_at,
            )
        pushed = self._push_to(mirror, earlier.branch, commit, create=False)
        if not pushed.ok:
            return None
        notes = [self._renew_text(earlier.pull_request, texts.body), self._check(solution, texts, commit)]
        return earlier.model_copy(update={"commit": commit, "note": " ".join(filter(None, notes))})

    def _renew_text(self, number: int, text: str) -> str:
        """Put the text into the pull request's body beside people's; why not, when there is no room for it."""
        now = self.github.fetch_pull_request(number)
        if now is None:
            return ""
        body = renewed_body(now.body, text)
        if body is None:
            return "The pull request's own text leaves no room for the new description."
        if body != now.body:
            self.github.update_pull_request(number, body=body)
        return ""

    def _push(self, solution: Solution, message: str) -> tuple[str, str, PushResult]:
        """The first of the branch's names that is free or ours: what others pushed is never touched."""
        mirror = self.mirror()
        commit = commit_solution(mirror, solution, self.job, message)
        name = branch_name(self.policy.branch_prefix, self.issue.number, self.issue.title)
        for number in range(1, MOST_BRANCHES + 1):
            branch = name if number == 1 else f"{name}-{number}"
            pushed = self._push_to(mirror, branch, commit, create=True)
            if pushed.ok or "not ours" not in pushed.reason:
                return branch, commit, pushed
        raise BrokenWorld("git", f"The branches {name} to {name}-{MOST_BRANCHES} are all taken. Delete some of them.")

    def _push_to(self, mirror: Mirror, branch: str, commit: str, *, create: bool) -> PushResult:
        def push() -> PushResult:
            return mirror.push(self.repository.clone_url, commit, branch, self.github.git_token(), create=create)

        return persist(push, renew=self.github.fetch_repository)

    def _check(self, solution: Solution, texts: Texts, commit: str) -> str:
        shown = Shown(texts.verdict_line, texts.evidence, conclude(solution.verdict))
        return show_check(self.github, self.job, commit, shown)


def show_check(github: GitHub, job: Job, commit: str, shown: Shown) -> str:
    """Write the check run on a pushed commit; why it is missing, when it could not be written: the rest stands."""
    try:
        github.find_or_create_check_run(
            head_sha=commit,
            name=CHECK_NAME,
            external_id=job.id,
            title=shown.title,
            summary=shown.evidence,
            conclusion=shown.conclusion,
        )
    except BrokenWorld as broken:
        return f"The check run is missing: {broken.message}"
    return ""


def conclude(verdict: Verdict) -> Conclusion:
    """The conclusion of a check run that shows this verdict."""
    return _CONCLUSIONS[verdict.status]


def commit_solution(mirror: Mirror, solution: Solution, job: Job, message: str) -> str:
    """The commit of a solution: the same id whenever it is made again."""
    patch = solution.described.patch
    return mirror.commit(patch, base=patch.base, message=message, author=AUTHOR, committer=AUTHOR, date=job.created_at)
