"""The notes of a range of versions: complete or not at all, in the tracking comment and in a draft release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workflows.agent.write_highlights import write_highlights
from workflows.outcome import Outcome, Status
from workflows.progress.stages import Stages
from workflows.progress.tracking import StageName
from workflows.releases.release_notes import Commit, check_release_notes, render_release_notes
from workflows.releases.release_span import ReleaseSpan, find_span
from workflows.releases.version_range import RangeMistake, VersionRange, parse_version_range
from workflows.requests.job_services import JobServices
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.services import Run
from workflows.solving.interruptible import InterruptibleModel, leave_when_over
from workflows.texts.outbound import code_span
from workflows.types import Job, MergedPull, Noun, Release

NAME = "release_notes"
MARKER = "<!-- forgehand:release-notes -->"
LONGEST_RELEASE = 125_000 - len(MARKER) - 2
"""What GitHub takes as a release's text, without our marker: ``app/github_releases``."""
LONGEST_COMMENT = 60_000
"""What the tracking comment has room for beside its stages."""
MOST_MISSING = 20
STAGES: dict[StageName, str] = {
    "accept": "Accepted",
    "fetch": "Find the range",
    "describe": "Collect what was merged",
    "publish": "Draft the release",
}


class Notes(Noun):
    """The notes as a release and as a comment hold them; the latter is empty when it would have to leave out entries.

    ``missing`` are sentences on what is not in ``text``: then it is not to be used.
    """

    text: str = ""
    comment: str = ""
    missing: tuple[str, ...] = ()
    pulls: int = 0
    commits: int = 0


class Drafted(Noun):
    """The release, where there is one. ``reason``: why none could be drafted."""

    release: Release | None = None
    reason: str = ""


def write_notes(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end. What is incomplete is published nowhere; a published release is never changed."""
    return work_on_thread(run, job, services, lambda thread: _Notes(thread).carry_out())


@dataclass(frozen=True)
class _Notes:
    thread: Thread

    def carry_out(self) -> Outcome:
        """From the range to the draft. Raises BrokenWorld and JobCancelled."""
        thread = self.thread
        thread.tracking.follow(STAGES)
        stages = Stages(thread.run, thread.tracking)
        wanted = parse_version_range(thread.job.command.text if thread.job.command else "")
        if isinstance(wanted, RangeMistake):
            return self._end(stages, "refused", wanted.message)
        span = stages.step("fetch", lambda: self._find(wanted), ReleaseSpan, _say_span)
        if span.mistake:
            return self._end(stages, "refused", span.mistake)
        notes = stages.step("describe", lambda: self._collect(wanted, span), Notes, _say_notes)
        if notes.missing:
            listed = "\n".join(f"- {each}" for each in notes.missing[:MOST_MISSING])
            reason = "The notes would not be complete, so they are published nowhere."
            return self._end(stages, "failed", reason, more=listed)
        if not span.tag and not notes.comment:
            reason = (
                "The notes are longer than a comment may be. Let the range end with a tag: then a release holds them."
            )
            return self._end(stages, "refused", reason)
        drafted = Drafted()
        if span.tag:
            drafted = stages.step("publish", lambda: self._draft(span, notes), Drafted, _say_drafted)
        if drafted.reason:
            return self._end(stages, "rejected", drafted.reason)
        return self._say(stages, span, notes, drafted.release)

    def _find(self, wanted: VersionRange) -> ReleaseSpan:
        branch = self.thread.asked.repository.default_branch
        return find_span(self.thread.fetch(), wanted, default_branch=branch)

    def _collect(self, wanted: VersionRange, span: ReleaseSpan) -> Notes:
        """Everything that GitHub says was merged, and the model's opening where there is one; checked."""
        thread = self.thread
        github, run = thread.github, thread.run
        pulls = leave_when_over(run, lambda: github.fetch_merged_pulls(span.base, span.head))
        commits = leave_when_over(run, lambda: github.fetch_compared_commits(span.base, span.head))
        highlights = write_highlights(InterruptibleModel(thread.services.model, run), pulls)
        text = self._render(wanted, pulls, commits, highlights, limit=LONGEST_RELEASE)
        comment = self._render(wanted, pulls, commits, highlights, limit=LONGEST_COMMENT)
        return Notes(
            text=text,
            comment="" if check_release_notes(comment, pulls, commits) else comment,
            missing=check_release_notes(text, pulls, commits),
            pulls=len(pulls),
            commits=len(commits),
        )

    def _render(
        self, wanted: VersionRange, pulls: Sequence[MergedPull], commits: Sequence[Commit], opening: str, *, limit: int
    ) -> str:
        services = self.thread.services
        return render_release_notes(
            wanted,
            pulls,
            commits,
            highlights=opening,
            secrets=services.secrets,
            hosts=services.hosts,
            limit=limit,
        )

    def _draft(self, span: ReleaseSpan, notes: Notes) -> Drafted:
        thread = self.thread
        lost = thread.lost_permission()
        if lost:
            return Drafted(reason=lost)
        body = f"{notes.text}\n\n{MARKER}"
        release = thread.github.find_or_create_release(
            tag=span.tag, target=span.head, name=span.tag, body=body, marker=MARKER
        )
        return Drafted(release=release)

    def _say(self, stages: Stages, span: ReleaseSpan, notes: Notes, release: Release | None) -> Outcome:
        if release is None:
            head = "**The notes.** The range does not end with a tag, so no release was drafted."
        elif release.draft:
            head = f"**The notes**, also in a [draft release]({release.html_url}) of {code_span(span.tag)}."
        else:
            head = f"**The notes.** {code_span(span.tag)} is published already, and was left as it is."
        body = notes.comment
        if not body:
            kept = "They are in the release alone" if release and release.draft else "They are shown nowhere"
            body = f"{kept}: they are longer than a comment may be ({_say_notes(notes)})."
        self.thread.close(f"{head}\n\n{body}")
        return Outcome(
            status="answered",
            reason=f"The notes were written: {_say_notes(notes)}.",
            url=release.html_url if release is not None else None,
            seconds=stages.seconds,
        )

    def _end(self, stages: Stages, status: Status, reason: str, *, more: str = "") -> Outcome:
        clean = self.thread.services.clean
        self.thread.close(f"**No notes:** {clean(reason)}\n\n{clean(more)}".strip())
        return Outcome(status=status, reason=reason, seconds=stages.seconds)


def _say_span(span: ReleaseSpan) -> str:
    return "none" if span.mistake else f"`{span.base[:10]}` to `{span.head[:10]}`"


def _say_notes(notes: Notes) -> str:
    pulls = f"{notes.pulls} pull {'request' if notes.pulls == 1 else 'requests'}"
    return f"{pulls}, {notes.commits} {'commit' if notes.commits == 1 else 'commits'}"


def _say_drafted(drafted: Drafted) -> str:
    if drafted.release is None:
        return "none"
    return "drafted" if drafted.release.draft else "published already, left as it is"
