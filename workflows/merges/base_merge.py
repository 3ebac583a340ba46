"""A pull request's branch beside its base: what merging the base into it gives, as a commit that only we have."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workflows.evidence.markdown import render_evidence, render_verdict_line
from workflows.git.mirror_commits import Conflict
from workflows.git.mirrors import Mirror
from workflows.progress.stages import Stages
from workflows.publishing.publish import AUTHOR, Published, Shown, conclude, show_check
from workflows.publishing.pull_request import render_commit_message
from workflows.pulls.pull_work import fetch_head, push_made
from workflows.pulls.salvage import SHOWN
from workflows.requests.thread_work import Thread
from workflows.texts.outbound import code_span
from workflows.types import Noun, Patch, PullRequest, Verdict

WORDS = {"verified": "verified", "unverified": "**not verified**", "no_tests": "**not tested**"}


class Situation(Noun):
    """Head and base as they were fetched. ``draft`` is the merge of the two; its files hold the markers of the
    ``conflicts``; ``tried``: an earlier job could not resolve them. ``current``: the head has all of the base.
    ``problem`` says why there is nothing to merge.
    """

    head: str
    base: str = ""
    meeting: str = ""
    draft: str = ""
    conflicts: tuple[Conflict, ...] = ()
    tried: bool = False
    current: bool = False
    problem: str = ""

    @property
    def clean(self) -> bool:
        """Whether the base can be merged without anybody's help."""
        return bool(self.draft) and not self.conflicts


def read_situation(thread: Thread, pull: PullRequest) -> Situation:
    """Fetch, and try the merge. Raises BrokenWorld."""
    mirror = fetch_head(thread, pull)
    head = pull.head_sha
    base = mirror.resolve(pull.base)
    if base is None:
        return Situation(head=head, problem=f"The base branch {code_span(pull.base)} is gone.")
    if mirror.is_ancestor(base, head):
        return Situation(head=head, base=base, current=True)
    meeting = mirror.merge_base(head, base)
    if meeting is None:
        problem = f"The branch and {code_span(pull.base)} have no commit in common, so there is nothing to merge."
        return Situation(head=head, base=base, problem=problem)
    merged = mirror.merge(head, base)
    draft = commit_merge(thread, pull, mirror, merged.tree, (head, base))
    tried = bool(merged.conflicts) and _is_tried(thread, head, base)
    return Situation(head=head, base=base, meeting=meeting, draft=draft, conflicts=merged.conflicts, tried=tried)


def _is_tried(thread: Thread, head: str, base: str) -> bool:
    records = thread.services.jobs.thread(thread.job.repository.id, thread.job.number)
    return any(one.outcome is not None and one.outcome.unresolved == (head, base) for one in records)


@dataclass(frozen=True)
class BaseMerge:
    """One merge of the base into a pull request's branch, under way.

    ``carried`` is what was made before somebody pushed to the branch: the draft is that, merged with what they pushed.
    """

    thread: Thread
    pull: PullRequest
    stages: Stages
    situation: Situation
    carried: Carried | None = None

    @property
    def base(self) -> str:
        """The base for people: branch and commit."""
        return f"{code_span(self.pull.base)} at `{self.situation.base[:10]}`"

    def mirror(self) -> Mirror:
        """The mirror with the draft in it: it is made again where another machine began this job."""
        situation = self.situation
        mirror = self.thread.mirror(situation.head, situation.base)
        if not mirror.holds(situation.draft):
            other = situation.base if self.carried is None else self.carried.commit()
            merged = mirror.merge(situation.head, other)
            commit_merge(self.thread, self.pull, mirror, merged.tree, (situation.head, situation.base))
        return mirror

    def commit(self, mirror: Mirror, patch: Patch) -> str:
        """The merge commit with both parents, whose tree is the draft's with ``patch`` on it."""
        situation = self.situation
        date = self.thread.job.created_at
        changed = mirror.commit(
            patch, base=situation.draft, message="draft", author=AUTHOR, committer=AUTHOR, date=date
        )
        tree = mirror.tree_of(changed)
        return commit_merge(self.thread, self.pull, mirror, tree, (situation.head, situation.base))

    def push(self, patch: Patch, verdict: Verdict) -> Published:
        """Push the merge with ``patch`` on it, and show its check run, as the stage "publish"."""
        thread = self.thread
        shown = Shown(render_verdict_line(verdict), thread.services.scrub(render_evidence(verdict)), conclude(verdict))

        def push() -> Published:
            made = push_made(thread, self.pull, self.mirror, lambda mirror: self.commit(mirror, patch))
            if not made.reason:
                made = made.model_copy(update={"note": show_check(thread.github, thread.job, made.commit, shown)})
            thread.published = made
            return made

        return self.stages.step("publish", push, Published, lambda done: done.reason or f"`{done.commit[:10]}`")

    def moved_on(self, refused: Published, patch: Patch) -> BaseMerge | None:
        """The merge with ``patch``, whose push was refused, on top of what somebody pushed meanwhile; a stage.

        None when nobody did, so that it was refused for another reason. Its situation may be a problem.
        """
        if not refused.reason or not refused.branch:
            return None
        resolved = self.carried is not None or not patch.empty
        carried = Carried(self, patch) if resolved else None
        looked = self.stages.step("salvage", lambda: _Looked(now=self._look(carried)), _Looked, _say_looked).now
        if looked is None:
            return None
        pull = self.pull.model_copy(update={"head_sha": looked.head})
        return replace(self, pull=pull, situation=looked, carried=carried)

    def _look(self, carried: Carried | None) -> Situation | None:
        before, mirror = self.situation, self.thread.fetch()
        head = mirror.resolve(self.pull.head)
        if head is None:
            return Situation(head=before.head, problem=f"The branch {code_span(self.pull.head)} was deleted meanwhile.")
        if head == before.head:
            return None
        if carried is None:
            return read_situation(self.thread, self.pull.model_copy(update={"head_sha": head}))
        if mirror.is_ancestor(before.base, head):
            return Situation(head=head, base=before.base, current=True)
        return carried.bring_onto(head, mirror)


@dataclass(frozen=True)
class Carried:
    """What was made of an earlier merge: ``patch`` on its draft."""

    merge: BaseMerge
    patch: Patch

    def commit(self) -> str:
        """It, as a commit with both parents."""
        return self.merge.commit(self.merge.mirror(), self.patch)

    def bring_onto(self, head: str, mirror: Mirror) -> Situation:
        """It and what ``head`` has more than the head that it was made on, merged by git."""
        before, pull = self.merge.situation, self.merge.pull
        branch = code_span(pull.head)
        if not mirror.is_ancestor(before.head, head):
            # Merged all the same, it would bring back what they took out.
            return Situation(head=head, problem=f"{branch} was rewritten meanwhile, and the work began before.")
        merged = mirror.merge(head, self.commit())
        if merged.conflicts:
            paths = ", ".join(code_span(conflict.path) for conflict in merged.conflicts[:SHOWN])
            more = f" and {len(merged.conflicts) - SHOWN} more" if len(merged.conflicts) > SHOWN else ""
            pushed = f"Somebody pushed to {branch} meanwhile"
            return Situation(head=head, problem=f"{pushed}, and the merge conflicts with that in {paths}{more}.")
        draft = commit_merge(self.merge.thread, pull, mirror, merged.tree, (head, before.base))
        return Situation(head=head, base=before.base, meeting=before.meeting, draft=draft)


class _Looked(Noun):
    now: Situation | None = None


def _say_looked(found: _Looked) -> str:
    now = found.now
    return "the branch did not move" if now is None else now.problem or f"onto `{now.head[:10]}`"


def look_at_base(thread: Thread, pull: PullRequest, stages: Stages) -> Situation:
    """Where head and base stand, as the stage "fetch". Raises BrokenWorld."""

    def say(found: Situation) -> str:
        return f"{code_span(pull.head)} at `{found.head[:10]}`, {code_span(pull.base)} at `{found.base[:10]}`"

    return stages.step("fetch", lambda: read_situation(thread, pull), Situation, say)


def begin_merge(thread: Thread, pull: PullRequest, stages: Stages, situation: Situation) -> BaseMerge:
    """The merge, its stages shown as a check run on the head from now on."""
    thread.show_check(pull.head_sha)
    shown = Stages(thread.run, thread.progress)
    shown.seconds.update(stages.seconds)
    return BaseMerge(thread, pull, shown, situation)


def commit_merge(thread: Thread, pull: PullRequest, mirror: Mirror, tree: str, parents: tuple[str, str]) -> str:
    """The merge commit with this tree: the head is its first parent, the base its second."""
    message = render_commit_message(
        f"Merge branch '{pull.base}' into {pull.head}",
        "",
        issue=None,
        requester=thread.job.actor,
        secrets=thread.services.secrets,
    )
    return mirror.commit_tree(
        tree, parents, message=message, author=AUTHOR, committer=AUTHOR, date=thread.job.created_at
    )
