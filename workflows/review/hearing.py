"""Earlier findings looked at without a new reading: which are fixed by now, and what people answered to the others."""

from __future__ import annotations

from functools import partial

from workflows.pulls.pull_change import PullChange, read_change
from workflows.requests.thread_work import Thread
from workflows.review.check import conclude_again
from workflows.review.ledger import Merged, merge_review, note_unread
from workflows.review.material import Material
from workflows.review.rebutting import Judgements, judge_rebuttals
from workflows.review.settling import Settler, with_judgements
from workflows.review.standing import Standing, keep_ledger, read_standing
from workflows.review.verdict import blocks, settle_verdicts
from workflows.types import Noun, PullRequest


class Heard(Noun):
    """How many findings were fixed, how many withdrawn, and how many answers were answered and the finding stands."""

    fixed: int = 0
    withdrawn: int = 0
    answered: int = 0


def hear(thread: Thread, pull: PullRequest, *, judging: bool) -> Heard:
    """Bring the ledger and the threads of a pull request up to date with its head. Raises BrokenWorld.

    ``judging``: what people answered is judged and answered too. Does nothing on a pull request without findings.
    """
    run = thread.run
    change = run.step("change", lambda: read_change(thread, pull), PullChange)
    material = Material(thread, pull, change)
    standing = run.step("standing", lambda: read_standing(thread, pull, material.maps), Standing)
    before = standing.ledger
    if not before.entries:
        return Heard()
    merged = merge_review(
        before,
        (),
        head=change.head,
        diff=material.diff,
        maps=material.maps,
        files=material.files,
        threads=standing.threads,
        blocks=partial(blocks, thread.asked.policy.review),
    )
    judgements = run.step("judge", lambda: judge(thread, material, standing, merged), Judgements) if judging else None
    judged = judgements.judged if judgements is not None else ()
    settler = Settler(thread.github, pull.number, standing, thread.services.clean)
    # Nothing new was read: the next review reads it. What our own session changed it has proved.
    kept = {"head": before.head, "partial": before.partial}
    gone = {one.id for one in merged.fixed} if judging and change.head != before.head else set()
    ledger = note_unread(with_judgements(merged.ledger, judged).model_copy(update=kept), gone)
    fixed = [one for one in ledger.entries if one.id in {each.id for each in merged.fixed}]
    run.step("settle", lambda: settler.settle(fixed, judged, merged.kept), int)
    run.step("verdicts", lambda: settle_verdicts(thread, pull.number, ledger), int)
    if ledger.entries != before.entries:
        # A review of some paths shows its check on a head that counts as unread: both stand.
        for head in dict.fromkeys((before.head, change.head)):
            run.step("check", partial(conclude_again, thread, head, ledger), type(None))
    run.step("record", lambda: keep_ledger(thread, ledger), type(None))
    withdrawn = sum(one.closed == "withdrawn" for one in judged)
    answered = sum(not one.later for one in judged) - withdrawn
    return Heard(fixed=len(merged.fixed), withdrawn=withdrawn, answered=answered)


def judge(thread: Thread, material: Material, standing: Standing, merged: Merged) -> Judgements:
    """What the model says to people's answers, held against the change."""
    said = {one.finding: one.said for one in standing.threads}
    return judge_rebuttals(thread.services.model, merged.rebuttals, said=said, diff=material.shown)
