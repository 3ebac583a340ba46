"""Review of a pull request: read by an agent that runs the code, each point tried to be disproved, said once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from workflows.agent.equipment import Reading
from workflows.agent.prompts import render_prompt
from workflows.asked import Asked
from workflows.git import Mirror
from workflows.job_services import JobServices
from workflows.outcome import Outcome
from workflows.policy import WRITERS
from workflows.pull_change import PullChange, read_change, read_pull
from workflows.pull_work import opened_by_us
from workflows.reading_session import ReadingSession, handed_over
from workflows.review.anchors import LineMap, map_lines
from workflows.review.diff import Diff, render_file
from workflows.review.finding_reply import FINDINGS_FORMAT, parse_findings
from workflows.review.findings import Finding, RecordedRun, matters, pick_inline
from workflows.review.posting import Posted, Poster
from workflows.review.reading import read_attributes, read_diff
from workflows.review.refuting import Refuted, refute
from workflows.review.render import Told, parse_finding_marker, render_title
from workflows.review.runs import recorded_runs
from workflows.review.trying import try_suggestions
from workflows.services import GitHub, Run
from workflows.stages import Stages
from workflows.survey import Survey
from workflows.thread_work import Thread, work_on_thread
from workflows.tracking import StageName
from workflows.types import Job, Noun, PullRequest, ReviewComment, TestRun
from workflows.untrusted import fence_untrusted

NAME = "review_pull"
SESSION = "review"
LONGEST_DIFF = 80_000
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


class Found(Noun):
    """What a session handed over, read; ``refused`` says what was not taken. ``stopped``: why it is perhaps not all."""

    findings: tuple[Finding, ...] = ()
    runs: tuple[RecordedRun, ...] = ()
    refused: tuple[str, ...] = ()
    stopped: str = ""


class Tried(Noun):
    """The findings with what became of their suggestions."""

    findings: tuple[Finding, ...] = ()


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


@dataclass(frozen=True)
class _Review:
    thread: Thread

    def carry_out(self) -> Outcome:
        """From the fetch to the review. Raises BrokenWorld and JobCancelled."""
        thread = self.thread
        thread.tracking.follow(STAGES)
        pull = read_pull(thread)
        thread.show_check(pull.head_sha)
        change = thread.run.step("change", lambda: read_change(thread, pull), PullChange)
        stages = Stages(thread.run, thread.progress)
        material = _Material(thread, pull, change)
        ours = (pull.head_repository or "").casefold() == thread.asked.repository.ref.full_name.casefold()
        reading = Reading(f"The findings as one JSON object:\n{FINDINGS_FORMAT}", material.objection)
        request = thread.run.step("request", material.request, str)
        session = ReadingSession(thread, stages, SESSION, request, reading, pull, tests=ours)
        survey = session.survey()
        before = session.prepare(survey) if ours else None
        result = session.carry_out(survey, before)
        text, stopped = handed_over(result)
        runs = recorded_runs(result.turns, test_command=survey.test_command)
        found = thread.run.step("findings", lambda: material.read(text, runs, stopped), Found)
        found = self._without_fallen(stages, material, found)
        tried = stages.step("verify", lambda: self._try(session, survey, found, before, material), Tried, _say_tried)
        return self._say(stages, pull, change, found.model_copy(update={"findings": tried.findings}), material)

    def _without_fallen(self, stages: Stages, material: _Material, found: Found) -> Found:
        texts = {one.id: f"{one.path}: {one.title}\n{one.body}\n{one.evidence.reasoning}" for one in found.findings}
        model = self.thread.services.model
        refuted = stages.step(
            "describe", lambda: refute(model, texts, diff=material.shown), Refuted, lambda one: _say_fallen(one, texts)
        )
        kept = tuple(one for one in found.findings if one.id not in refuted.fallen)
        return found.model_copy(update={"findings": kept})

    def _try(
        self, session: ReadingSession, survey: Survey, found: Found, before: TestRun | None, material: _Material
    ) -> Tried:
        bench = session.bench(survey)
        try:
            run = bench.tests if session.tests and survey.test_command else None
            tried = try_suggestions(
                found.findings, head=survey.base, read=material.file_at_head, run=run, before=before
            )
        finally:
            bench.close()
        return Tried(findings=tried)

    def _say(self, stages: Stages, pull: PullRequest, change: PullChange, found: Found, material: _Material) -> Outcome:
        thread = self.thread
        inline, folded = pick_inline(found.findings, most=thread.asked.policy.review.comments)
        disturbs = matters(found.findings)
        if not disturbs and thread.quiet:
            return Outcome(status="clean", reason="Reviewed: nothing that matters was found.", seconds=stages.seconds)
        told = Told(
            head=change.head,
            inline=inline,
            folded=folded,
            unread=material.unread,
            runs=found.runs,
            notes=(f"The review is perhaps not complete: {found.stopped}.",) if found.stopped else (),
        )
        marker = f"<!-- forgehand:review job={thread.job.id} -->"
        poster = Poster(thread.github, thread.services, pull.number, marker)
        posted = stages.step("publish", lambda: poster.post(told), Posted, _say_posted)
        title = render_title(found.findings)
        where = f"{pull.html_url}#pullrequestreview-{posted.review}"
        thread.close(f"Reviewed `{change.head[:10]}`: {title}. [The review]({where}).")
        reason = f"Reviewed: {title}." if disturbs else "Nothing that matters was found."
        return Outcome(status="reviewed" if disturbs else "clean", reason=reason, url=where, seconds=stages.seconds)


@dataclass(frozen=True)
class _Material:
    """What is reviewed: the diff in lines, and what a reply about it means."""

    thread: Thread
    pull: PullRequest
    change: PullChange

    @cached_property
    def diff(self) -> Diff:
        """The change, with what is generated or vendored told by the base."""
        base = self.change.base
        return read_diff(self._mirror, base, self.change.head, attributes=read_attributes(self._mirror, base))

    @cached_property
    def maps(self) -> dict[str, LineMap]:
        """The lines on which GitHub takes a comment."""
        return map_lines(self.diff)

    @cached_property
    def shown(self) -> str:
        """The change as it is told to models: whole files, as far as they have room."""
        parts, left = [], LONGEST_DIFF
        for file in self.diff.readable:
            text = render_file(file)
            if len(text) <= left:
                parts.append(text)
                left -= len(text)
        return "\n".join(parts)

    @property
    def unread(self) -> tuple[tuple[str, str], ...]:
        """What was not read, and why."""
        return tuple((path, str(reason)) for path, reason in self.diff.left_out)

    def request(self) -> str:
        """What the reviewer is asked for, with the change and what was said before, fenced."""
        job = self.thread.job
        parts = [render_prompt("review_task", base=self.change.base), fence_untrusted("change", self.shown)]
        named = [file.path for file in self.diff.readable if file.path not in self.shown]
        if named:
            parts.append(f"Not shown for length, read them yourself: {', '.join(named[:50])}.")
        earlier = self._said_before()
        if earlier:
            parts.append(f"Said in an earlier review, do not say it again:\n{fence_untrusted('earlier', earlier)}")
        command = job.command
        if command is not None and command.options.paths:
            parts.append(f"Only these paths are asked for: {', '.join(command.options.paths)}.")
        return "\n\n".join(parts)

    def objection(self, text: str) -> str:
        """What is wrong with a reply, for the model."""
        return parse_findings(text, self.maps, paths=self._names).mistake

    def read(self, text: str, runs: tuple[RecordedRun, ...], stopped: str) -> Found:
        """The findings of a reply that were not said before."""
        parsed = parse_findings(text, self.maps, runs=runs, paths=self._names)
        known = {parse_finding_marker(comment.body) for comment in self._our_comments()}
        new = tuple(one for one in parsed.findings if one.id not in known)
        refused = tuple(f"{one.what}: {one.reason}" for one in parsed.refused)
        return Found(findings=new, runs=runs, refused=refused, stopped=stopped)

    def file_at_head(self, path: str) -> tuple[str, bytes] | None:
        """Mode and content of a file of the head."""
        content = self._mirror.read_file(self.change.head, path)
        mode = self._modes.get(path)
        return None if content is None or mode is None else (mode, content)

    def _said_before(self) -> str:
        return "\n".join(comment.body.partition("\n")[0] for comment in self._our_comments())

    def _our_comments(self) -> list[ReviewComment]:
        login = self.thread.services.spoken.login
        found = self.thread.github.fetch_review_comments(self.pull.number)
        return [one for one in found if one.author.login == login and parse_finding_marker(one.body)]

    @cached_property
    def _modes(self) -> dict[str, str]:
        return {entry.path: entry.mode for entry in self._mirror.tree(self.change.head)}

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(self._modes)

    @property
    def _mirror(self) -> Mirror:
        return self.thread.mirror(self.change.base, self.change.head, pull=self.pull.number)


def _say_fallen(refuted: Refuted, texts: dict[str, str]) -> str:
    if not refuted.read:
        return f"{len(texts)} findings, which nobody challenged"
    return f"{len(texts)} findings, {len(refuted.fallen)} of them disproved"


def _say_posted(posted: Posted) -> str:
    return f"{len(posted.inline)} on their lines"


def _say_tried(tried: Tried) -> str:
    checks = [one.check.status for one in tried.findings if one.check]
    return f"{len(checks)} suggestions, {checks.count('tested')} of them tested"
