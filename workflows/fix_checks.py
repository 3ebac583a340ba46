"""Failed checks: run again where the machinery failed, after the base where it is stale, mended where it is the code.

A failed check is a state: each head is judged once, unless a command asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from workflows.checks.red_checks import RedCheck, RedChecks, fetch_red_checks, render_check_task, say_checks
from workflows.conversation.replies import answer_once
from workflows.durable.job_records import JobRecord
from workflows.merges.base_merge import begin_merge, look_at_base
from workflows.merges.proving import prove_and_push
from workflows.outcome import Outcome
from workflows.progress.stages import Stages
from workflows.progress.tracking import TITLES
from workflows.publishing.pull_request import parse_job_id
from workflows.pulls.pull_work import Head, head_now, open_pull_work, read_head
from workflows.repository.policy import WRITERS
from workflows.requests.asked import Asked
from workflows.requests.job_services import JobServices, opened_by_us
from workflows.requests.thread_work import Thread, show_state, work_on_thread
from workflows.requests.wording import render_request
from workflows.resolve_conflicts import resolve_conflicts, resolves_unasked
from workflows.services import GitHub, Run
from workflows.solving.solve import Solution
from workflows.texts.outbound import code_span
from workflows.types import Actor, Job, Noun, PullRequest
from workflows.update_branch import TITLES as MERGE_TITLES
from workflows.update_branch import say_pushed

NAME = "fix_checks"
MOST_RERUNS = 2
"""New runs of one check on one head; what fails after that for the same kind of reason is for people."""

_NOBODY = "Nobody who asked for this pull request has write permission now."


def fix_checks(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end. What no command asked for ends unsaid when there is nothing to do."""
    detail = "" if job.command is not None else f"checks failed on `{(job.head or '')[:10]}`"
    return work_on_thread(run, job, services, _carry_out, detail=detail, look=_look)


class _Authority(Noun):
    """Who asked for the pull request, and so for its repair; nobody: None."""

    actor: Actor | None = None


class _Reran(Noun):
    """The checks that run again, and those that GitHub would not run."""

    again: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def _look(github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome | None:
    """Why failed checks start nothing; None when they start something. Spent attempts are handed over, and that is
    said.
    """
    head = head_now(github, job, asked)
    reason = _why_ignored(github, job, asked, services, head)
    if reason or head.pull is None:
        return Outcome(status="ignored", reason=reason)
    found = fetch_red_checks(github, head.pull.head_sha, our_slug=_slug(services))
    if not found.ours_to_mend and not found.machinery:
        waiting = ", ".join(one.check.name for one in found.waiting)
        reason = f"What failed waits for others: {waiting}." if waiting else "No check is failed any more."
        return Outcome(status="ignored", reason=reason)
    spent = _why_spent(job, asked, services, found)
    if not spent:
        return None
    text = (
        f"**Handed over to people.** {spent} I do nothing more about it by myself; a comment with "
        f"`{services.spoken.prefix} ci` asks for one more attempt.\n\n{say_checks(found.red)}"
    )
    answer_once(github, job, services, text, name="handed-over checks")
    if asked.policy.state_labels:
        show_state(github, job, asked, services, "blocked")
    return Outcome(status="refused", reason=spent)


def _why_ignored(github: GitHub, job: Job, asked: Asked, services: JobServices, head: Head) -> str:
    pull = head.pull
    if pull is None or head.problem:
        return head.problem
    if not opened_by_us(pull, services):
        return "The checks are of a pull request that is not ours."
    if job.head != pull.head_sha:
        return "The checks are of a commit that is not the head any more."
    if not asked.policy.checks.auto:
        return "The policy has `checks.auto: false`: a command starts a repair."
    if any(_judged(record, pull.head_sha) for record in _earlier(job, services)):
        return "The failed checks of this head were dealt with already."
    if _find_authority(github, job, services, pull).actor is None:
        return _NOBODY
    return ""


def _find_authority(github: GitHub, job: Job, services: JobServices, pull: PullRequest) -> _Authority:
    """The actor of the job that opened a pull request of ours, if that person may still write."""
    opened = services.jobs.job(parse_job_id(pull.body) or "")
    if opened is None or opened.job.repository.id != job.repository.id:
        return _Authority()
    actor = opened.job.actor
    return _Authority(actor=actor if github.fetch_permission(actor.login) in WRITERS else None)


def _earlier(job: Job, services: JobServices) -> list[JobRecord]:
    found = services.jobs.thread(job.repository.id, job.number)
    return [record for record in found if record.job.workflow == NAME and record.job.id != job.id]


def _judged(record: JobRecord, sha: str) -> bool:
    """Whether a job that an event asked for came to an end about this head; running again is none."""
    outcome = record.outcome
    if outcome is None or record.job.command is not None or record.job.head != sha:
        return False
    return outcome.status not in ("ignored", "joined", "cancelled") and outcome.follow_up != "rerun"


def _why_spent(job: Job, asked: Asked, services: JobServices, found: RedChecks) -> str:
    """Why nothing more is tried by itself; empty when something is."""
    if found.ours_to_mend:
        most = asked.policy.checks.attempts
        repairs = sum(one.outcome is not None and one.outcome.follow_up == "repair" for one in _earlier(job, services))
        told = f"After {repairs} repair{'s' * (repairs != 1)} checks still fail; the policy allows {most}."
        return told if repairs >= most else ""
    left = _to_run_again(job, services, found)
    return "" if left else f"Checks fail for reasons outside of the code, after {MOST_RERUNS} new runs of each."


def _to_run_again(job: Job, services: JobServices, found: RedChecks) -> tuple[RedCheck, ...]:
    """The checks that failed with the machinery and were not run again too often on this head; a command runs all."""
    if job.command is not None:
        return found.machinery
    heads = [one.outcome.heard for one in _earlier(job, services) if one.outcome and one.job.head == job.head]
    times = Counter(name for heard in heads for name in heard)
    return tuple(one for one in found.machinery if times[f"check:{one.check.name}"] < MOST_RERUNS)


def _carry_out(thread: Thread) -> Outcome:
    head = read_head(thread)
    pull = head.pull
    if pull is None or head.problem:
        return thread.end("refused", head.problem, word="Not begun")
    if thread.job.command is None:
        if pull.head_sha != thread.job.head:
            return thread.end("no_change", "The branch moved on meanwhile; its new checks say how it is.")
        if not _take_authority(thread, pull):
            return thread.end("refused", _NOBODY, word="Not begun")
    slug = _slug(thread.services)
    found = thread.run.step("checks", lambda: fetch_red_checks(thread.github, pull.head_sha, our_slug=slug), RedChecks)
    if found.ours_to_mend:
        return _mend(thread, pull, found)
    if found.machinery:
        return _run_again(thread, pull, found)
    at = f"at `{pull.head_sha[:10]}`"
    if found.waiting:
        told = f"What failed {at} is for people:"
        return thread.end("no_change", told, more=say_checks(found.waiting))
    running = f" {len(found.running)} still run." if found.running else ""
    return thread.end("no_change", f"No check has failed {at}.{running}")


def _take_authority(thread: Thread, pull: PullRequest) -> bool:
    """From now on the one who asked for the pull request is the one in whose name it is repaired; False: nobody."""

    def find() -> _Authority:
        return _find_authority(thread.github, thread.job, thread.services, pull)

    actor = thread.run.step("authority", find, _Authority).actor
    if actor is None:
        return False
    thread.job = thread.job.model_copy(update={"actor": actor})
    return True


def _run_again(thread: Thread, pull: PullRequest, found: RedChecks) -> Outcome:
    """Have the machinery try again."""

    def ask() -> _Reran:
        wanted = _to_run_again(thread.job, thread.services, found)
        done = [(one.check.name, thread.github.rerun_check(one.check)) for one in wanted]
        return _Reran(
            again=tuple(name for name, again in done if again), refused=tuple(name for name, again in done if not again)
        )

    reran = thread.run.step("run again", ask, _Reran)
    parts = [say_checks(found.machinery)]
    if reran.refused:
        names = ", ".join(code_span(name) for name in reran.refused)
        # GitHub runs one job of a workflow run again at a time; its end is an event, and the others' turn.
        alone = "press “Re-run”, or give the App `actions: write`"
        later = "their turn comes when that run has ended" if reran.again else alone
        parts.append(f"GitHub does not let me run {names} again now: {later}.")
    parts += _for_people(found.waiting)
    if not reran.again:
        told = "What failed is not the code, and nothing could be run again."
        return thread.end("refused", told, word="Not run again", more="\n\n".join(parts))
    told = (
        f"{len(reran.again)} check{'s' * (len(reran.again) != 1)} at `{pull.head_sha[:10]}`: the code is not at fault."
    )
    outcome = thread.end("answered", told, word="Run again", more="\n\n".join(parts))
    heard = tuple(f"check:{name}" for name in reran.again)
    return outcome.model_copy(update={"follow_up": "rerun", "heard": heard})


def _mend(thread: Thread, pull: PullRequest, found: RedChecks) -> Outcome:
    """Merge a stale base first, and let the checks speak again; else mend the code."""
    stages = Stages(thread.run, thread.tracking)
    situation = look_at_base(thread, pull, stages)
    if situation.clean and not _is_update(thread, pull.head_sha):
        merge = begin_merge(thread, pull, stages, situation)
        thread.tracking.follow(MERGE_TITLES)
        proved = prove_and_push(merge)
        if proved.verdict is None:
            return thread.end("no_change", "The branch moved on meanwhile; its new checks say how it is.")
        if proved.published is not None:
            outcome = say_pushed(proved.merge, proved.verdict, proved.published)
            return outcome.model_copy(update={"follow_up": "update"}) if outcome.status == "pushed" else outcome
        # A base that is broken itself must not keep the branch broken.
        thread.tracking.follow(TITLES)
        told = f"{merge.base} was not merged in, because it makes things worse: {proved.verdict.reasons[0]}"
        thread.tracking.note((told,))
    if resolves_unasked(thread, pull, situation):
        outcome = resolve_conflicts(begin_merge(thread, pull, stages, situation))
        return outcome.model_copy(update={"follow_up": "update"}) if outcome.status == "pushed" else outcome
    request = "\n\n".join(
        part for part in (render_request(thread.job), render_check_task(found.ours_to_mend, sha=pull.head_sha)) if part
    )
    work = open_pull_work(thread, pull, request)
    survey = work.survey()
    solution = work.solve(survey)
    outcome = work.publish(survey, solution)
    if outcome.status != "pushed":
        return outcome
    thread.close(_last_word(thread, solution, found, outcome.commit or ""))
    return outcome.model_copy(update={"follow_up": "repair"})


def _is_update(thread: Thread, sha: str) -> bool:
    """Whether this head is what an earlier job merged: what is red on it is not the base's age."""

    def find() -> bool:
        outcomes = [record.outcome for record in _earlier(thread.job, thread.services) if record.outcome is not None]
        return any(outcome.follow_up == "update" and outcome.commit == sha for outcome in outcomes)

    return thread.run.step("updated before", find, bool)


def _last_word(thread: Thread, solution: Solution, found: RedChecks, commit: str) -> str:
    clean = thread.services.clean
    verdict = solution.verdict
    word = {"verified": "verified", "unverified": "**not verified**", "no_tests": "**not tested**"}[verdict.status]
    parts = [
        f"Mended in {commit}, {word}. {clean(' '.join(verdict.reasons[0].split()))}",
        f"What had failed:\n\n{say_checks(found.ours_to_mend)}",
    ]
    if solution.finish is not None and solution.finish.summary.strip():
        parts.append(f"The model's words:\n\n{clean(solution.finish.summary).strip()}")
    if solution.unfinished:
        parts.append(f"**Perhaps not finished:** {clean(solution.unfinished).rstrip('.')}.")
    if found.machinery:
        parts.append(f"Not the code's fault, and run again with the new commit:\n\n{say_checks(found.machinery)}")
    parts += _for_people(found.waiting)
    if thread.published is not None and thread.published.note:
        parts.append(clean(thread.published.note))
    return "\n\n".join(parts)


def _for_people(waiting: Sequence[RedCheck]) -> list[str]:
    return [f"Left to people:\n\n{say_checks(waiting)}"] if waiting else []


def _slug(services: JobServices) -> str:
    return services.spoken.login.removesuffix("[bot]")
