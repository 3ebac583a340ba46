"""A pull request's changelog entry, in the repository's own way: one commit on its branch, or said in the comment."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.agent.describe import ChangelogText
from workflows.agent.word_changelog import WordedEntry, word_changelog
from workflows.git.patch import PatchRules, check_patch, secrets_in
from workflows.git.plain_text import fit_to_parse
from workflows.outcome import Outcome, Status
from workflows.progress.stages import Stages
from workflows.progress.tracking import StageName
from workflows.publishing.publish import Published
from workflows.publishing.pull_request import render_commit_message
from workflows.pulls.pull_change import PullChange, read_change, read_diff, say_change
from workflows.pulls.pull_work import Head, push_commit, read_head
from workflows.requests.job_services import JobServices
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.services import BrokenWorld, Run
from workflows.solving.interruptible import InterruptibleModel
from workflows.texts.changelog import ChangelogEntry, plan_changelog
from workflows.texts.conventional import are_conventional
from workflows.texts.outbound import code_block, code_span
from workflows.types import Job, Noun, Patch, PullRequest

NAME = "write_changelog"
STAGES: dict[StageName, str] = {
    "accept": "Accepted",
    "fetch": "Fetch the change",
    "describe": "Word the entry",
    "publish": "Push the entry",
}
_PROBE = ChangelogText(category="Changed", text="An entry.")


class Planned(Noun):
    """The entry as it is to be written, None when there is nothing to write; ``why`` says why not."""

    entry: ChangelogEntry | None = None
    why: str = ""
    problems: tuple[str, ...] = ()


def write_changelog(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end; asked again, it finds the entry and writes none beside it."""
    return work_on_thread(run, job, services, lambda thread: _Changelog(thread).carry_out())


@dataclass(frozen=True)
class _Changelog:
    thread: Thread

    def carry_out(self) -> Outcome:
        """From the fetch to the commit. Raises BrokenWorld and JobCancelled."""
        thread = self.thread
        thread.tracking.follow(STAGES)
        stages = Stages(thread.run, thread.tracking)
        head = read_head(thread)
        if head.pull is None:
            raise BrokenWorld("github", head.problem)
        pull = head.pull
        if thread.asked.policy.changelog == "none":
            return self._end(stages, "no_change", "The policy wants no entries: `changelog: none`.")
        change = stages.step("fetch", lambda: read_change(thread, pull), PullChange, say_change)
        planned = stages.step("describe", lambda: self._plan(pull, change), Planned, _say_planned)
        if planned.entry is None:
            return self._end(stages, "no_change", planned.why)
        if planned.problems:
            listed = "\n".join(f"- {thread.services.clean(problem)}" for problem in planned.problems)
            reason = "The entry breaks the rules for changes."
            return self._end(stages, "rejected", reason, more=f"{listed}\n\n{_render_entry(planned.entry)}")
        if planned.entry.file is None or head.problem:
            return self._say_entry(stages, head, planned.entry)
        return self._push(stages, pull, change, planned.entry)

    def _plan(self, pull: PullRequest, change: PullChange) -> Planned:
        """The entry in the repository's way; the model is only asked when there is none yet."""
        thread = self.thread
        if not change.paths:
            return Planned(why="The pull request changes nothing.")
        there = self._entry(_PROBE, pull, change)
        if there is not None and there.path is not None and there.file is None:
            return Planned(why=f"The pull request has an entry already, in {code_span(there.path)}.")
        diff = read_diff(thread, pull, change)
        model = InterruptibleModel(thread.services.model, thread.run)
        worded: WordedEntry = word_changelog(model, pull, diff=diff, messages=change.messages)
        entry = self._entry(worded.entry, pull, change)
        if entry is None:
            return Planned(why=f"No entry is needed: {worded.reason}")
        return Planned(entry=entry, problems=self._problems(pull, change, entry))

    def _entry(self, text: ChangelogText | None, pull: PullRequest, change: PullChange) -> ChangelogEntry | None:
        mirror = self.thread.mirror(change.head, pull=pull.number)
        return plan_changelog(
            text,
            issue=pull.number,
            style=self.thread.asked.policy.changelog,
            names=[entry.path for entry in mirror.tree(change.head)],
            read=lambda path: fit_to_parse(mirror.read_file(change.head, path)),
            patched=change.paths,
        )

    def _problems(self, pull: PullRequest, change: PullChange, entry: ChangelogEntry) -> tuple[str, ...]:
        """What the rules for changes say against it, as against any change."""
        if entry.file is None:
            return ()
        mirror = self.thread.mirror(change.head, pull=pull.number)
        patch = Patch(base=change.head, files=(entry.file,))
        names = [each.path for each in mirror.tree(change.head)]
        broken = check_patch(patch, PatchRules(protected=self.thread.asked.policy.protected), existing=names)
        known = self.thread.services.secrets
        return (*broken, *secrets_in(patch, lambda path: mirror.read_file(change.head, path), known=known))

    def _push(self, stages: Stages, pull: PullRequest, change: PullChange, entry: ChangelogEntry) -> Outcome:
        thread = self.thread
        assert entry.file is not None, "what is nowhere is said"
        title = "docs: add the changelog entry" if are_conventional(change.subjects) else "Add the changelog entry"
        secrets = thread.services.secrets
        message = render_commit_message(title, entry.text, issue=None, requester=thread.job.actor, secrets=secrets)
        patch = Patch(base=change.head, files=(entry.file,))

        def push() -> Published:
            return push_commit(thread, pull, patch, message)

        published = stages.step("publish", push, Published, lambda done: done.commit[:10] or done.reason)
        if published.reason:
            return self._end(stages, "rejected", published.reason, more=_render_entry(entry))
        words = f"Done: the entry is in {code_span(entry.file.path)}, commit {published.commit[:10]}."
        thread.close(f"{words}\n\n{_render_entry(entry)}")
        return Outcome(
            status="pushed",
            reason="The changelog entry was pushed.",
            pull_request=pull.number,
            url=pull.html_url,
            branch=published.branch,
            commit=published.commit,
            seconds=stages.seconds,
        )

    def _say_entry(self, stages: Stages, head: Head, entry: ChangelogEntry) -> Outcome:
        """The entry in the comment: it has no file, or nothing can be pushed to the branch."""
        where = f"It belongs into {code_span(entry.path)}." if entry.path else "It belongs into no file here."
        words = " ".join(part for part in ("**The changelog entry**, to be taken over by hand.", head.problem) if part)
        self.thread.close(f"{words}\n\n{where} {_render_entry(entry)}")
        return Outcome(status="answered", reason="The changelog entry was said.", seconds=stages.seconds)

    def _end(self, stages: Stages, status: Status, reason: str, *, more: str = "") -> Outcome:
        words = "**Nothing was pushed:**" if status == "rejected" else "**No changelog entry was written:**"
        self.thread.close(f"{words} {self.thread.services.clean(reason)}\n\n{more}".strip())
        return Outcome(status=status, reason=reason, seconds=stages.seconds)


def _say_planned(planned: Planned) -> str:
    return planned.entry.category if planned.entry is not None else "none"


def _render_entry(entry: ChangelogEntry) -> str:
    """The entry to copy: as its file has it, where the file is the entry's alone."""
    alone = entry.file is not None and entry.style != "keepachangelog" and entry.file.content is not None
    text = entry.file.content.decode("utf-8", "replace") if alone and entry.file and entry.file.content else ""
    return f"Under **{entry.category}**:\n\n{code_block(text or f'- {entry.text}', 'markdown')}"
