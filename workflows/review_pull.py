"""Review of a pull request: read by an agent that runs the code, each point tried to be disproved, said once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workflows.outcome import Outcome
from workflows.progress.stages import Stages
from workflows.progress.tracking import StageName
from workflows.pulls.pull_change import PullChange, read_change, read_pull
from workflows.pulls.pull_work import opened_by_us
from workflows.repository.policy import WRITERS
from workflows.requests.asked import Asked
from workflows.requests.job_services import JobServices
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.review.check import show_check
from workflows.review.demands import Demand, fetch_demands
from workflows.review.findings import Finding, matters, pick_inline
from workflows.review.hearing import judge
from workflows.review.ledger import Ledger, Merged, merge_review, note_comments, withdraw
from workflows.review.material import Found, Material, Scope
from workflows.review.posting import Posted, Poster
from workflows.review.readers import Readers
from workflows.review.rebutting import Judgements
from workflows.review.refuting import Refuted, refute
from workflows.review.render import Told, render_title
from workflows.review.settling import Settler, with_judgements
from workflows.review.standing import Standing, keep_ledger, read_standing, read_threads
from workflows.services import GitHub, Run
from workflows.types import Job, Noun, PullRequest

NAME = "review_pull"
STAGES: dict[StageName, str] = {
    "accept": "Accepted",
    "fetch": "Fetch the repository",
    "sandbox": "Prepare the sandbox",
    "baseline": "Run the tests at the head",
    "agent": "Read the change",
    "describe": "Try to disprove each finding",
    "verify": "Try the suggestions",
    "publish": "Say what was found",
}


def review_pull(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end. What nobody asked for is said in the review and its check alone, if there is anything."""
    return work_on_thread(run, job, services, lambda thread: _Review(thread).carry_out(), look=_look, silent=True)


def _look(github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome | None:
    """Why a pull request is not reviewed without being asked; None when it is."""
    policy, pull = asked.policy.review, github.fetch_pull_request(job.number)
    reason = ""
    if pull is None or pull.state == "closed":
        reason = "The pull request is closed."
    elif policy.auto == "never":
        reason = "The policy has `review.auto: never`: a command starts a review."
    elif opened_by_us(pull, services):
        reason = "Our own pull request is reviewed by people."
    elif pull.draft and not policy.drafts:
        reason = "Drafts are not reviewed without being asked."
    elif pull.author.type != "User" and not policy.bots:
        reason = "Pull requests of bots are not reviewed without being asked."
    elif job.delay and not policy.push:
        reason = "What is pushed is not reviewed without being asked: the policy has `review.push: false`."
    elif policy.auto == "writers" and not _by_writer(github, pull):
        reason = "Its author has no write permission: a command starts a review."
    return Outcome(status="ignored", reason=reason) if reason else None


def _by_writer(github: GitHub, pull: PullRequest) -> bool:
    return pull.author.type != "User" or github.fetch_permission(pull.author.login) in WRITERS


class _Demands(Noun):
    demands: tuple[Demand, ...] = ()


@dataclass(frozen=True)
class _Review:
    thread: Thread

    def carry_out(self) -> Outcome:
        """From the fetch to the review. Raises BrokenWorld and JobCancelled."""
        thread, run = self.thread, self.thread.run
        thread.tracking.follow(STAGES)
        pull = read_pull(thread)
        thread.show_check(pull.head_sha)
        change = run.step("change", lambda: read_change(thread, pull), PullChange)
        material = Material(thread, pull, change)
        standing = run.step("standing", lambda: read_standing(thread, pull, material.maps), Standing)
        scope = run.step("scope", lambda: material.choose_scope(standing.ledger), Scope)
        material = Material(thread, pull, change, scope)
        full_name = thread.asked.repository.ref.full_name
        demands = run.step(
            "demands", lambda: _Demands(demands=fetch_demands(thread.github, pull.body, full_name)), _Demands
        )
        ours = (pull.head_repository or "").casefold() == full_name.casefold()
        stages = Stages(run, thread.progress)
        readers = Readers(stages, material, standing.ledger, demands.demands, tests=ours)
        return _Conclusion(thread, pull, stages, material, standing).carry_out(readers)


@dataclass(frozen=True)
class _Conclusion:
    """What a reading comes to, held against what stood before it."""

    thread: Thread
    pull: PullRequest
    stages: Stages
    material: Material
    standing: Standing

    def carry_out(self, readers: Readers) -> Outcome:
        """The reading, its points tried, and what is left of them said."""
        scope = self.material.scope
        read = readers.read() if not scope.nothing and self.material.partition.parts else None
        found = read.found if read is not None else Found()
        merged = self._merge(found)
        fallen = self._refute(merged.new).fallen
        new = tuple(one for one in merged.new if one.id not in fallen)
        new = readers.try_suggestions(read, new) if read is not None else ()
        judgements = self.thread.run.step(
            "judge", lambda: judge(self.thread, self.material, self.standing, merged), Judgements
        )
        if self.thread.run.step("superseded", self._is_superseded, bool):
            reason = "The branch moved on meanwhile: the next review, which waits already, reads what is there now."
            self.thread.close(reason)
            return Outcome(status="ignored", reason=reason, seconds=self.stages.seconds)
        ledger = merged.ledger
        for name in fallen:
            ledger = withdraw(ledger, name)
        if scope.paths or scope.nothing:
            # The rest was not read: it stays new.
            ledger = ledger.model_copy(update={"head": self.standing.ledger.head})
        return self._say(found, merged, new, with_judgements(ledger, judgements.judged), judgements)

    def _merge(self, found: Found) -> Merged:
        material = self.material
        return merge_review(
            self.standing.ledger,
            found.findings,
            head=material.change.head,
            diff=material.diff,
            maps=material.maps,
            threads=self.standing.threads,
        )

    def _refute(self, findings: Sequence[Finding]) -> Refuted:
        texts = {one.id: f"{one.path}: {one.title}\n{one.body}\n{one.evidence.reasoning}" for one in findings}
        model, shown = self.thread.services.model, self.material.shown
        return self.stages.step(
            "describe", lambda: refute(model, texts, diff=shown), Refuted, lambda one: _say_fallen(one, texts)
        )

    def _is_superseded(self) -> bool:
        """Whether the head moved and another review of this pull request waits."""
        thread = self.thread
        now = thread.github.fetch_pull_request(self.pull.number)
        if now is None or now.head_sha == self.pull.head_sha:
            return False
        records = thread.services.jobs.thread(thread.job.repository.id, self.pull.number)
        waiting = [one for one in records if one.state == "queued" and one.job.id != thread.job.id]
        return any(one.job.workflow == NAME for one in waiting)

    def _say(
        self, found: Found, merged: Merged, new: tuple[Finding, ...], ledger: Ledger, judgements: Judgements
    ) -> Outcome:
        """Post what is new, settle what is not, and put the ledger down: each once, whenever it is begun again."""
        thread, head = self.thread, self.material.change.head
        disturbs = matters(new)
        silent = not disturbs and (thread.quiet or self.material.scope.nothing)
        posted = None if silent else self._post(found, merged, new)
        thread.run.step("settle", lambda: self._settle(merged, judgements), int)
        thread.run.step("check", lambda: self._show_check(new, ledger), int)
        said = {one.id for one in new} if posted is not None else set()
        known = {one.id for one in self.standing.ledger.entries}
        fallen = {one.id for one in ledger.entries if one.state == "withdrawn"}
        kept = tuple(one for one in ledger.entries if one.id in said | known | fallen)
        thread.run.step("record", lambda: self._record(ledger.model_copy(update={"entries": kept})), type(None))
        if posted is None:
            reason = _say_silence(self.material.scope, merged)
            thread.close(reason)
            return Outcome(status="clean", reason=reason, seconds=self.stages.seconds)
        title = render_title(new)
        where = f"{self.pull.html_url}#pullrequestreview-{posted.review}"
        thread.close(f"Reviewed `{head[:10]}`: {title}. [The review]({where}).")
        reason = f"Reviewed: {title}." if disturbs else "Nothing that matters was found."
        return Outcome(
            status="reviewed" if disturbs else "clean", reason=reason, url=where, seconds=self.stages.seconds
        )

    def _post(self, found: Found, merged: Merged, new: tuple[Finding, ...]) -> Posted:
        thread, scope = self.thread, self.material.scope
        inline, folded = pick_inline(new, most=thread.asked.policy.review.comments)
        notes = [f"Only what is new since `{scope.since[:12]}` was read."] if scope.since else []
        notes += [f"The review is perhaps not complete: {found.stopped}."] if found.stopped else []
        told = Told(
            head=self.material.change.head,
            inline=inline,
            folded=folded,
            fixed=tuple(one.title for one in merged.fixed),
            open_before=len(merged.open),
            unread=self.material.partition.unread,
            runs=found.runs,
            notes=tuple(notes),
        )
        marker = f"<!-- forgehand:review job={thread.job.id} -->"
        poster = Poster(thread.github, thread.services, self.pull.number, marker)
        return self.stages.step("publish", lambda: poster.post(told), Posted, _say_posted)

    def _settle(self, merged: Merged, judgements: Judgements) -> int:
        thread = self.thread
        settler = Settler(thread.github, self.pull.number, self.standing, thread.services.clean)
        return settler.settle(merged.fixed, judgements.judged)

    def _show_check(self, new: tuple[Finding, ...], ledger: Ledger) -> int:
        thread, head = self.thread, self.material.change.head
        fail_on = thread.asked.policy.review.fail_on
        title = render_title(new)
        return show_check(
            thread.github,
            thread.job,
            head=head,
            fail_on=fail_on,
            new=new,
            ledger=ledger,
            title=title,
            secrets=thread.services.secrets,
        )

    def _record(self, ledger: Ledger) -> None:
        threads = read_threads(self.thread.github, self.thread.services, self.pull)
        keep_ledger(self.thread, note_comments(ledger, {one.finding: one.comment for one in threads}))


def _say_silence(scope: Scope, merged: Merged) -> str:
    if scope.nothing:
        return "Nothing was pushed since the last review; `review full` reads everything again."
    fixed = f"; {len(merged.fixed)} earlier points are fixed" if merged.fixed else ""
    return f"Reviewed: nothing that matters was found{fixed}."


def _say_fallen(refuted: Refuted, texts: dict[str, str]) -> str:
    if not refuted.read:
        return f"{len(texts)} findings, which nobody challenged"
    return f"{len(texts)} findings, {len(refuted.fallen)} of them disproved"


def _say_posted(posted: Posted) -> str:
    return f"{len(posted.inline)} on their lines"
