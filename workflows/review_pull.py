"""Review of a pull request: read by an agent that runs the code, each point tried to be disproved, said once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from workflows.outcome import Outcome, Status
from workflows.progress.stages import Stages
from workflows.progress.tracking import StageName
from workflows.pulls.pull_change import PullChange, read_change, read_pull
from workflows.repository.policy import ReviewPolicy
from workflows.requests.job_services import JobServices, opened_by_us
from workflows.requests.one_waiting import does_it_all
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.review.approvals import stands_approved
from workflows.review.check import Checked, say_stopped, show_check
from workflows.review.demands import Demands, fetch_demands, say_demands
from workflows.review.findings import Finding, matters, pick_inline
from workflows.review.hearing import judge
from workflows.review.ledger import (
    Entry,
    Ledger,
    Merged,
    keep_unsaid,
    merge_review,
    note_comments,
    note_unread,
    note_unshown,
    withdraw,
)
from workflows.review.material import Found, Material, Scope
from workflows.review.posting import Posted, Poster
from workflows.review.readers import Read, Readers
from workflows.review.rebutting import Judged, Judgements
from workflows.review.refuting import Refuted, refute
from workflows.review.render import Told, render_title
from workflows.review.settling import Settler, with_judgements
from workflows.review.standing import Standing, keep_ledger, read_standing, read_threads
from workflows.review.unasked import look_unasked
from workflows.review.verdict import blocks, decide_event, is_guarded, settle_verdicts
from workflows.services import ReviewEvent, Run
from workflows.texts.outbound import code_span
from workflows.types import Ends, Job, Noun, PullRequest

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
    return work_on_thread(
        run, job, services, lambda thread: _Review(thread).carry_out(), look=look_unasked, silent=True
    )


class _Now(Noun):
    """The pull request's ends once everything was read, and whether the next review waits to read what is there."""

    ends: Ends
    superseded: bool = False


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
        material = material.within(scope)
        full_name = thread.asked.repository.ref.full_name
        demands = run.step("demands", lambda: fetch_demands(thread.github, pull.body, full_name), Demands)
        ours = pull.comes_from(full_name)
        stages = Stages(run, thread.progress)
        readers = Readers(stages, material, standing.ledger, demands.demands, tests=ours)
        return _Conclusion(thread, pull, stages, material, standing, demands).carry_out(readers)


@dataclass(frozen=True)
class _Weighed:
    """What a reading found, and what is left of it: ``new`` is to be said, unless it was ``refuted``.

    ``ledger`` and ``event`` are what :meth:`_Conclusion._weigh` makes of that.
    """

    read: Read | None
    merged: Merged
    new: tuple[Finding, ...]
    refuted: Refuted
    judged: tuple[Judged, ...]
    ledger: Ledger
    event: ReviewEvent = "COMMENT"

    @property
    def found(self) -> Found:
        """What the sessions handed over."""
        return self.read.found if self.read is not None else Found()


@dataclass(frozen=True)
class _Conclusion:
    """What a reading comes to, held against what stood before it."""

    thread: Thread
    pull: PullRequest
    stages: Stages
    material: Material
    standing: Standing
    demands: Demands

    def carry_out(self, readers: Readers) -> Outcome:
        """The reading, its points tried, and what is left of them said."""
        scope = self.material.scope
        read = readers.read() if not scope.nothing and self.material.partition.parts else None
        merged = self._merge(read)
        refuted = self._refute(merged.new)
        new = tuple(_as_shown(one, refuted) for one in merged.new if one.id not in refuted.fallen)
        new = readers.try_suggestions(read, new, most=self.policy.comments) if read is not None else ()
        judgements = self.thread.run.step(
            "judge", lambda: judge(self.thread, self.material, self.standing, merged), Judgements
        )
        now = self.thread.run.step("now", self._look_again, _Now)
        if now.superseded:
            reason = "The branch moved on meanwhile: the next review, which waits already, reads what is there now."
            self.thread.close(reason)
            return Outcome(status="ignored", reason=reason, seconds=self.stages.seconds)
        return self._say(self._weigh(_Weighed(read, merged, new, refuted, judgements.judged, merged.ledger), now))

    @property
    def policy(self) -> ReviewPolicy:
        """What the repository wants of reviews."""
        return self.thread.asked.policy.review

    def _weigh(self, weighed: _Weighed, now: _Now) -> _Weighed:
        """The same with the ledger that it comes to, and what the policy makes of it."""
        ledger = note_unshown(weighed.merged.ledger, weighed.refuted.unshown)
        for name in weighed.refuted.fallen:
            ledger = withdraw(ledger, name)
        ledger = with_judgements(ledger, weighed.judged).model_copy(update=self._reach(weighed.found))
        read, scope = weighed.read, self.material.scope
        gone = () if scope.nothing else [one.id for one in weighed.merged.fixed]
        ledger = note_unread(ledger, gone, is_read=partial(self._has_read, weighed.found))
        event = decide_event(
            self.policy,
            self.pull,
            repository=self.thread.asked.repository.ref.full_name,
            ours=opened_by_us(self.pull, self.thread.services),
            inline=pick_inline(weighed.new, most=self.policy.comments)[0],
            ledger=ledger,
            approvable=not ledger.partial and not ledger.lost and not scope.paths and now.ends == _ends(self.pull),
            tests=read.before if read is not None else None,
            guarded=self.policy.approve and is_guarded(self.material.diff, self.thread.asked.policy.protected),
        )
        if event == "APPROVE":
            ledger = ledger.model_copy(update={"approved": now.ends})
        return replace(weighed, ledger=ledger, event=event)

    def _reach(self, found: Found) -> dict[str, object]:
        """How far the ledger reaches after this: what was not asked for stays new, what had no room stays unread."""
        scope, before, diff = self.material.scope, self.standing.ledger, self.material.diff
        unread = self.material.still_unread(before.unread, stopped=bool(found.stopped))
        if scope.paths or scope.nothing:
            return {"head": before.head, "unread": unread}
        # Of what an earlier review left out for another reason nobody knows that it is gone.
        left_out = bool(scope.since and before.partial and not before.unread)
        partial = bool(found.stopped or unread or diff.left_out or self.material.has_unreadable or left_out)
        return {"base": self.material.change.base, "partial": partial, "unread": unread, "lost": found.lost}

    def _has_read(self, found: Found, entry: Entry) -> bool:
        """Whether somebody read what took the place of a finding's code."""
        scope = self.material.scope
        if scope.nothing or found.stopped or found.lost:
            return False
        if scope.since == self.material.change.head and entry.path not in scope.again:
            return False
        return self.material.is_wanted(entry.path) and entry.path not in self.material.unseen

    def _merge(self, read: Read | None) -> Merged:
        material, found = self.material, read.found if read is not None else Found()
        return merge_review(
            self.standing.ledger,
            found.findings,
            head=material.change.head,
            diff=material.diff,
            maps=material.maps,
            files=material.files,
            threads=self.standing.threads,
            blocks=partial(blocks, self.policy),
            is_read=lambda entry: read is not None and self._has_read(found, entry),
        )

    def _refute(self, findings: Sequence[Finding]) -> Refuted:
        """What a second reader makes of them. What was closed and is back for its command alone falls without that."""
        closed = {one.id for one in self.standing.ledger.entries if one.state in ("rebutted", "withdrawn")}

        def ask() -> Refuted:
            refuted = refute(self.thread.services.model, self.material.by_part(findings))
            again = {name: "its command does not show it" for name in refuted.unshown if name in closed}
            return refuted.model_copy(update={"fallen": {**again, **refuted.fallen}})

        return self.stages.step("describe", ask, Refuted, lambda one: _say_fallen(one, len(findings)))

    def _look_again(self) -> _Now:
        """Where the ends are now, and whether another review waits that reads there all that this one was to read."""
        thread = self.thread
        now = thread.github.fetch_pull_request(self.pull.number)
        if now is None or _ends(now) == _ends(self.pull):
            return _Now(ends=_ends(self.pull))
        records = thread.services.jobs.thread(thread.job.repository.id, self.pull.number)
        # Of what is not admitted yet nobody knows whether it will be a review.
        waiting = [one.job for one in records if one.state == "queued" and one.job.workflow == NAME]
        return _Now(
            ends=_ends(now), superseded=any(not one.admission and does_it_all(one, thread.job) for one in waiting)
        )

    def _say(self, weighed: _Weighed) -> Outcome:
        """Post what is new, settle what is not, and put the ledger down: each once, whenever it is begun again."""
        thread, head, new, ledger = self.thread, self.material.change.head, weighed.new, weighed.ledger
        disturbs = matters(new)
        silent = not disturbs and (thread.quiet or self.material.scope.nothing)
        if weighed.event == "APPROVE":
            thread.run.step("approving", lambda: self._note_approval(ledger), type(None))
            silent = thread.run.step("approved", lambda: self._is_approved(head), bool)
        posted = None if silent else self._post(weighed)
        thread.run.step("settle", lambda: self._settle(weighed), int)
        thread.run.step("verdicts", lambda: self._settle_verdicts(ledger, posted), int)
        unread, whole = self.material.partition.unread, self._is_whole(weighed)
        checked = Checked(new, posted is not None, unread, self._notes(weighed), whole=whole)
        thread.run.step("check", lambda: show_check(thread, head, checked, ledger), int)
        known = {one.id for one in self.standing.ledger.entries}
        kept = ledger if posted is not None else keep_unsaid(ledger, {one.id for one in new}, known=known)
        thread.run.step("record", lambda: self._record(kept), type(None))
        if posted is None:
            reason = _say_silence(self.material.scope, weighed.merged, self._say_rest(weighed))
            thread.close(reason)
            return Outcome(status="clean" if whole else "reviewed", reason=reason, seconds=self.stages.seconds)
        title = render_title(new)
        where = f"{self.pull.html_url}#pullrequestreview-{posted.review}"
        thread.close(f"Reviewed `{head[:10]}`: {title}. [The review]({where}).")
        reason = f"Reviewed: {title}." if disturbs else _say_nothing(self._say_rest(weighed))
        status: Status = "clean" if whole and not disturbs else "reviewed"
        return Outcome(status=status, reason=reason, url=where, seconds=self.stages.seconds)

    def _note_approval(self, ledger: Ledger) -> None:
        """Put down what is approved before it is: whoever moves it meanwhile looks here for what to take back."""
        keep_ledger(self.thread, self.standing.ledger.model_copy(update={"approved": ledger.approved}))

    def _is_approved(self, head: str) -> bool:
        reviews = self.thread.github.fetch_reviews(self.pull.number)
        return stands_approved(reviews, self.thread.services.spoken.login, head)

    def _is_whole(self, weighed: _Weighed) -> bool:
        """Whether by now all of the change was read that is not generated and the like, up to the head."""
        ledger, material = weighed.ledger, self.material
        if weighed.found.stopped or ledger.unread or material.has_unreadable:
            return False
        return ledger.head == material.change.head or material.reads_all_new(self.standing.ledger)

    def _notes(self, weighed: _Weighed) -> tuple[str, ...]:
        """What a reader must know of how much was read."""
        scope = self.material.scope
        notes = [f"Only what is new since `{scope.since[:12]}` was read."] if scope.since and not scope.nothing else []
        if scope.again:
            notes = [f"What is new since `{scope.since[:12]}` was read, and what the review of it had no room for."]
        if scope.paths:
            notes.append(f"Only these paths were asked for: {', '.join(code_span(path) for path in scope.paths)}.")
        unchallenged = sum(one.id in weighed.refuted.unchallenged for one in weighed.new)
        if unchallenged:
            points = "1 point was" if unchallenged == 1 else f"{unchallenged} points were"
            notes.append(f"{points} not challenged by a second reader.")
        held = say_demands(self.demands) if weighed.read is not None else ""
        return (*notes, *(note for note in (held, self._say_rest(weighed)) if note))

    def _say_rest(self, weighed: _Weighed) -> str:
        """What of the change nobody has read yet, and how somebody will; empty when there is nothing."""
        if weighed.found.stopped:
            return say_stopped(weighed.found.stopped)
        left = len(weighed.ledger.unread)
        if not left:
            return ""
        files = "1 changed file was" if left == 1 else f"{left:,} changed files were"
        more = code_span(f"{self.thread.services.spoken.prefix} review")
        return f"{files} not read to the end by any review yet: {more} reads on."

    def _post(self, weighed: _Weighed) -> Posted:
        thread, head = self.thread, self.material.change.head
        inline, folded = pick_inline(weighed.new, most=self.policy.comments)
        told = Told(
            head=head,
            blob=f"{self.pull.html_url.rpartition('/pull/')[0]}/blob/{head}",
            inline=inline,
            folded=folded,
            fixed=tuple(one.title for one in weighed.merged.fixed if one.said),
            open_before=sum(one.said for one in weighed.merged.open),
            unread=self.material.partition.unread,
            runs=weighed.found.runs,
            notes=self._notes(weighed),
        )
        marker = f"<!-- forgehand:review job={thread.job.id} -->"
        # Nobody can push to a fork for its author, so no fix is offered there.
        inside = self.pull.comes_from(thread.asked.repository.ref.full_name)
        prefix = thread.services.spoken.prefix if inside else ""
        threshold = self.policy.request_changes_on
        poster = Poster(thread.github, thread.services, self.pull.number, marker, self._follow, prefix, threshold)
        return self.stages.step("publish", lambda: poster.post(told, weighed.event), Posted, _say_posted)

    def _follow(self, told: Told) -> Told:
        """What is told, on the head that is there now: its points on the lines where their code is by then."""
        now = self.thread.github.fetch_pull_request(self.pull.number)
        if now is None or now.head_sha == told.head:
            return told
        maps = Material(self.thread, now, read_change(self.thread, now)).maps
        inline, folded = [], list(told.folded)
        for one in told.inline:
            placed = maps[one.path].place(one.anchor).anchor if one.anchor and one.path in maps else None
            if placed is None:
                folded.append(one)
            else:
                # What replaced the lines then was not tried on what is there now.
                inline.append(one.model_copy(update={"anchor": placed, "suggestion": None}))
        note = f"The branch moved to {code_span(now.head_sha[:12])} while this was read."
        return replace(told, commit=now.head_sha, inline=inline, folded=folded, notes=(*told.notes, note))

    def _settle(self, weighed: _Weighed) -> int:
        thread = self.thread
        settler = Settler(thread.github, self.pull.number, self.standing, thread.services.clean)
        new = {one.id for one in weighed.merged.fixed}
        before = {one.id for one in self.standing.ledger.entries if one.unread}
        known = [one for one in weighed.ledger.entries if one.state == "fixed"]
        fixed = [one for one in known if one.id in new or (one.id in before and not one.unread)]
        return settler.settle(fixed, weighed.judged, weighed.merged.kept)

    def _settle_verdicts(self, ledger: Ledger, posted: Posted | None) -> int:
        return settle_verdicts(self.thread, self.pull.number, ledger, inline=posted.inline if posted else ())

    def _record(self, ledger: Ledger) -> None:
        threads = read_threads(self.thread.github, self.thread.services, self.pull)
        keep_ledger(self.thread, note_comments(ledger, {one.finding: one.comment for one in threads}))


def _ends(pull: PullRequest) -> Ends:
    return Ends(head=pull.head_sha, base=pull.base)


def _say_nothing(rest: str) -> str:
    nothing = "Nothing that matters was found."
    return f"{nothing} {rest}" if rest else nothing


def _say_silence(scope: Scope, merged: Merged, rest: str) -> str:
    if scope.nothing and scope.paths:
        return f"Nothing was read: no changed file is at {', '.join(code_span(path) for path in scope.paths)}."
    if scope.nothing:
        return "Nothing was pushed since the last review; `review full` reads everything again."
    count = sum(one.said for one in merged.fixed)
    fixed = f"; {count} earlier points are fixed" if count else ""
    said = f"Reviewed: nothing that matters was found{fixed}."
    return f"{said} {rest}" if rest else said


def _as_shown(finding: Finding, refuted: Refuted) -> Finding:
    """A finding without the run that does not show it."""
    if finding.id not in refuted.unshown:
        return finding
    return finding.model_copy(update={"evidence": finding.evidence.model_copy(update={"run": None})})


def _say_fallen(refuted: Refuted, count: int) -> str:
    unchallenged = len(refuted.unchallenged)
    nobody = f", {unchallenged} challenged by nobody" if unchallenged else ""
    return f"{count} findings, {len(refuted.fallen)} of them disproved{nobody}"


def _say_posted(posted: Posted) -> str:
    return f"{len(posted.inline)} on their lines"
