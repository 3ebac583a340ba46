"""Merge conflicts resolved by the agent, and claimed only when no mark is left, the merge is clean and tests ran.

Asked for by a command, or where the policy says ``resolve: auto`` before any other work on a pull request of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from workflows.git.protected import protecting_pattern
from workflows.merges.base_merge import WORDS, BaseMerge, Situation, look_at_base
from workflows.merges.conflicts import MOST_CONFLICTS, Sides, marks_left, render_conflict_task, say_conflicts
from workflows.merges.proving import prove_and_push
from workflows.outcome import Outcome, Status
from workflows.progress import closing, tracking
from workflows.progress.stages import Stages
from workflows.progress.tracking import StageName
from workflows.publishing.publish import Published
from workflows.pulls.pull_work import PullWork, is_ours, survey_pull
from workflows.repository.survey import Survey
from workflows.requests.thread_work import Thread
from workflows.solving.solve import Solution, solve
from workflows.texts.outbound import code_span
from workflows.types import Noun, Patch, PullRequest, Verdict

TITLES: dict[StageName, str] = {
    "accept": "Accepted",
    "fetch": "Fetch the repository and try the merge",
    "sandbox": "Prepare the sandbox",
    "baseline": "Run the tests on the branch as it is",
    "agent": "Resolve the conflicts",
    "describe": "Look for what is left",
    "verify": "Run the tests on the merge, in a fresh container",
    "repair": "Mend what the tests showed",
    "salvage": "Bring the merge onto what was pushed meanwhile",
    "publish": "Push the merge",
}


class Prepared(Noun):
    """What the session begins with."""

    survey: Survey
    sides: tuple[Sides, ...]


class Merged(Noun):
    """What became of the conflicts. ``marked`` are the files with marks left, ``remaining`` what does not merge with
    the base even so; ``whole`` are files that were taken from one side as they are, with the side.
    """

    marked: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    whole: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Ending:
    """How it ended, for people: ``word`` in bold, the reason, ``more``. ``published``: the merge was pushed."""

    status: Status
    reason: str
    word: str
    more: str = ""
    published: Published | None = None


def resolve_conflicts(merge: BaseMerge) -> Outcome:
    """The whole of it, to the last word. Raises BrokenWorld and JobCancelled."""
    ended = _settle(merge)
    return merge.thread.end(
        ended.status,
        ended.reason,
        word=ended.word,
        more=ended.more,
        seconds=merge.stages.seconds,
        published=ended.published,
    )


def resolves_unasked(thread: Thread, pull: PullRequest, situation: Situation) -> bool:
    """Whether the policy has the conflicts resolved when other work on this pull request begins.

    What could not be resolved is not tried again before branch or base moves; that is noted.
    """
    if not situation.conflicts or not _is_auto(thread, pull):
        return False
    if situation.tried:
        told = f"{code_span(pull.base)} at `{situation.base[:10]}` conflicts with the branch, and that could not be "
        again = f"resolved before. Neither has moved since: `{thread.services.spoken.prefix} resolve` tries again."
        thread.tracking.note((told + again,))
    return not situation.tried


def resolve_first(thread: Thread, pull: PullRequest) -> PullRequest:
    """The pull request as the work on it begins: with its conflicts resolved, where it has some and policy says so.

    What came of it is noted; conflicts that are left do not end the work.
    """
    if not _is_auto(thread, pull):
        return pull
    stages = Stages(thread.run, thread.tracking)
    situation = look_at_base(thread, pull, stages)
    if not resolves_unasked(thread, pull, situation):
        return pull
    merge = BaseMerge(thread, pull, stages, situation)
    ended = _settle(merge, session="conflicts")
    thread.tracking.follow(tracking.TITLES, anew=True)
    if thread.solution is not None:
        thread.spent += thread.solution.usage
    thread.solution = None
    if ended.published is None:
        thread.tracking.note((f"{merge.base} conflicts with the branch, and that was not resolved. {ended.reason}",))
        return pull
    thread.tracking.note((ended.reason,))
    return pull.model_copy(update={"head_sha": ended.published.commit})


def _settle(merge: BaseMerge, *, session: str = "") -> Ending:
    """``session`` names the sessions of it, where the job has others as well."""
    merge.thread.tracking.follow(TITLES)
    beyond = _beyond_us(merge.thread, merge.situation)
    if beyond:
        listed = say_conflicts(merge.situation.conflicts)
        return Ending("refused", beyond, "Not begun", f"The conflicts:\n\n{listed}")
    return _Resolution(merge, session).carry_out()


@dataclass(frozen=True)
class _Resolution:
    merge: BaseMerge
    session: str = ""

    def carry_out(self) -> Ending:
        merge, thread = self.merge, self.merge.thread
        prepared = thread.run.step("survey", self._prepare, Prepared)
        request = render_conflict_task(prepared.sides, base=merge.pull.base)
        assignment = replace(
            PullWork(thread, merge.pull, merge.stages, request).assign(prepared.survey),
            mirror=merge.mirror,
            compared_with=merge.situation.head,
            # What the merge brings has its entries already.
            policy=thread.asked.policy.model_copy(update={"changelog": "none"}),
        )
        if self.session:
            log = assignment.log
            assignment = replace(assignment, log=lambda name: log(f"{self.session}-{name}"))
        solution = solve(thread.run, merge.stages, thread.progress, assignment)
        thread.solution = solution
        thread.spend(closing.render_receipt(solution, sum(merge.stages.seconds.values())))
        patch = solution.described.patch
        merged = thread.run.step("judge", lambda: self._judge(patch), Merged)
        trouble = self._trouble(solution, merged)
        if trouble is not None:
            thread.unresolved = (merge.situation.head, merge.situation.base)
            return trouble
        return self._publish(solution, merged)

    def _publish(self, solution: Solution, merged: Merged) -> Ending:
        patch, verdict = solution.described.patch, solution.verdict
        published = self.merge.push(patch, verdict)
        moved = self.merge.moved_on(published, patch)
        if moved is not None:
            return self._publish_on_top(moved, solution, merged)
        return self._say_published(self.merge, published, solution, merged)

    def _publish_on_top(self, moved: BaseMerge, solution: Solution, merged: Merged) -> Ending:
        """Somebody pushed meanwhile: the resolution is merged with that and proved again, or shown."""
        if moved.situation.clean:
            proved = prove_and_push(moved, borne_out=_borne_out)
            moved = proved.merge
            if proved.published is not None and proved.verdict is not None:
                judged = solution.model_copy(update={"verdict": proved.verdict})
                return self._say_published(moved, proved.published, judged, merged)
            if proved.verdict is not None:
                told = "Somebody pushed to the branch meanwhile, and on top of that the merge makes things worse"
                reason = self.merge.thread.services.clean(" ".join(proved.verdict.reasons[0].split()))
                return self._not_pushed(f"{told}: {reason}", solution)
        told = f"Somebody merged {code_span(moved.pull.base)} into the branch meanwhile."
        return self._not_pushed(moved.situation.problem or told, solution)

    def _not_pushed(self, reason: str, solution: Solution) -> Ending:
        return Ending("rejected", reason, "Not pushed", closing.render_patch(solution))

    def _say_published(self, merge: BaseMerge, published: Published, solution: Solution, merged: Merged) -> Ending:
        verdict = solution.verdict
        if published.reason:
            return self._not_pushed(published.reason, solution)
        files = _count(len(self.merge.situation.conflicts))
        told = f"{merge.base} is merged as `{published.commit[:10]}`, with {files} resolved, {WORDS[verdict.status]}."
        return Ending(
            "pushed",
            told,
            "Resolved" if _ran(verdict) else "Merged, but not claimed as resolved",
            self._more(solution, merged, published),
            published,
        )

    def _more(self, solution: Solution, merged: Merged, published: Published) -> str:
        clean = self.merge.thread.services.clean
        said = solution.finish.summary if solution.finish else ""
        parts = [clean(solution.verdict.reasons[0])]
        if not _ran(solution.verdict):
            parts.append("No mark of a conflict is left, but no test ran: read the merge before you rely on it.")
        if solution.unfinished:
            parts.append(f"**Perhaps not finished:** {clean(solution.unfinished).rstrip('.')}.")
        if merged.whole:
            listed = "\n".join(f"- {code_span(path)}: {side}" for path, side in merged.whole)
            parts.append(f"Taken from one side as it was:\n\n{listed}")
        if said.strip():
            parts.append(f"The model's words:\n\n{clean(said).strip()}")
        return "\n\n".join([*parts, clean(published.note)]).strip()

    def _trouble(self, solution: Solution, merged: Merged) -> Ending | None:
        """The end of a session whose merge may not be pushed; None when it may."""
        described, verdict = solution.described, solution.verdict
        clean = self.merge.thread.services.clean
        if described.problems:
            listed = "\n".join(f"- {clean(' '.join(problem.split()))}" for problem in described.problems[:20])
            return self._not_resolved("rejected", "The resolution breaks the rules for changes.", listed, solution)
        if described.patch.empty:
            said = clean(solution.finish.summary).strip() if solution.finish else clean(solution.unfinished)
            reason = "Nothing was changed, so the conflicts are as they were."
            return self._not_resolved("no_change", reason, said, solution)
        left = (*merged.marked, *(path for path in merged.remaining if path not in merged.marked))
        if left:
            listed = "\n".join(f"- {code_span(path)}" for path in left[:20])
            told = f"Conflict marks are left, or the base does not merge cleanly, in {_count(len(left))}."
            return self._not_resolved("rejected", told, listed, solution)
        if not _borne_out(verdict):
            listed = "\n".join(f"- {clean(' '.join(reason.split()))}" for reason in verdict.reasons)
            told = "No mark is left, but the tests do not bear it out."
            return self._not_resolved("worse", told, listed, solution)
        return None

    def _not_resolved(self, status: Status, reason: str, more: str, solution: Solution) -> Ending:
        shown = closing.render_patch(solution) if solution.described.diff else ""
        text = "\n\n".join(part for part in (more, "Nothing was pushed.", shown) if part)
        return Ending(status, reason, "Not resolved", text)

    def _judge(self, patch: Patch) -> Merged:
        """What is left of the conflicts once the patch is on the draft, from git alone."""
        mirror, situation = self.merge.mirror(), self.merge.situation
        made = self.merge.commit(mirror, patch)
        marked, whole = [], []
        for conflict in situation.conflicts:
            after, ours, theirs = (
                mirror.read_file(commit, conflict.path, limit=10_000_000)
                for commit in (made, situation.head, situation.base)
            )
            if marks_left(after, ours, theirs):
                marked.append(conflict.path)
            elif after == ours:
                whole.append((conflict.path, "the branch's" if after is not None else "deleted, as on the branch"))
            elif after == theirs:
                whole.append((conflict.path, "the base's" if after is not None else "deleted, as on the base"))
        again = mirror.merge(made, situation.base)
        return Merged(marked=tuple(marked), remaining=tuple(one.path for one in again.conflicts), whole=tuple(whole))

    def _prepare(self) -> Prepared:
        mirror, situation = self.merge.mirror(), self.merge.situation
        since = situation.meeting
        sides = tuple(
            Sides(
                conflict=conflict,
                ours=mirror.commits_touching(conflict.path, since=since, until=situation.head),
                theirs=mirror.commits_touching(conflict.path, since=since, until=situation.base),
            )
            for conflict in situation.conflicts
        )
        return Prepared(
            survey=survey_pull(self.merge.thread, self.merge.pull, mirror, base=situation.draft), sides=sides
        )


def _is_auto(thread: Thread, pull: PullRequest) -> bool:
    return thread.asked.policy.resolve == "auto" and is_ours(thread, pull)


def _beyond_us(thread: Thread, situation: Situation) -> str:
    """Why these conflicts are not for an agent; empty when they are."""
    conflicts = situation.conflicts
    if len(conflicts) > MOST_CONFLICTS:
        return f"{len(conflicts):,} files conflict; {MOST_CONFLICTS} are the most that one session is given."
    patterns = thread.asked.policy.protected
    held = [one.path for one in conflicts if one.submodule or protecting_pattern(one.path, patterns)]
    if held:
        names = ", ".join(code_span(path) for path in held[:5])
        return f"A person must resolve this one: {names} may not be changed by an agent."
    return ""


def _ran(verdict: Verdict) -> bool:
    after = verdict.after
    return verdict.status != "no_tests" and after is not None and after.exit_code is not None


def _borne_out(verdict: Verdict) -> bool:
    """Whether the tests do not speak against it; a run that did not end says nothing, and that is not enough."""
    unended = verdict.after is not None and (verdict.after.timed_out or verdict.after.exit_code is None)
    return verdict.status != "worse" and not unended


def _count(files: int) -> str:
    return f"{files} conflicting file{'' if files == 1 else 's'}"
