"""A question about the code, answered by a session that reads: the tracking comment becomes the answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from workflows.agent.equipment import Reading
from workflows.agent.loop import AgentResult
from workflows.git.mirrors import Mirror
from workflows.outcome import Outcome
from workflows.plans.cited_paths import Checked, check_citations, say_missing
from workflows.progress.closing import render_failure
from workflows.progress.stages import Stages
from workflows.progress.tracking import StageName
from workflows.pulls.pull_change import read_pull
from workflows.repository.survey import Survey
from workflows.requests.job_services import JobServices
from workflows.requests.reading_session import ReadingSession, handed_over
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.services import Run
from workflows.texts.outbound import clean_line, clean_words
from workflows.texts.untrusted import clean_inbound, fence_untrusted, show_hidden
from workflows.types import Job, PullRequest

NAME = "answer_question"
SESSION = "ask"
LONGEST_ANSWER = 50_000
LONGEST_HUNK = 4_000
STAGES: dict[StageName, str] = {
    "accept": "Accepted",
    "fetch": "Fetch the repository",
    "sandbox": "Prepare the sandbox",
    "agent": "Read the code",
}
HANDOVER = (
    "The whole answer, in Markdown: first the answer itself in one or two sentences, then what it rests on, each thing "
    "with its `path:line`. No headings. What you could not find out, said as such."
)


def answer_question(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end. Nothing is pushed, and nothing but the tracking comment is written."""
    return work_on_thread(run, job, services, lambda thread: _Answer(thread).carry_out())


@dataclass(frozen=True)
class _Answer:
    thread: Thread

    def carry_out(self) -> Outcome:
        """From the fetch to the answer. Raises BrokenWorld and JobCancelled."""
        thread = self.thread
        thread.tracking.follow(STAGES)
        stages = Stages(thread.run, thread.tracking)
        pull = read_pull(thread) if thread.job.on_pull_request else None
        place = thread.run.step("place", self._place, str)
        tree = _Tree(thread, pull)
        session = ReadingSession(thread, stages, SESSION, self._request(place), Reading(HANDOVER, tree.objection), pull)
        survey = tree.survey = session.survey()
        result = session.carry_out(survey)
        text, stopped = handed_over(result)
        if not text:
            reason = f"There is no answer: {stopped or 'the model handed none over'}."
            thread.close(render_failure(reason, clean=thread.services.clean))
            return Outcome(status="failed", reason=reason, seconds=stages.seconds)
        thread.close(self._render(tree.check(text), stopped, survey, result))
        return Outcome(status="answered", reason="The question was answered.", seconds=stages.seconds)

    def _place(self) -> str:
        """Where in a diff the question was put, fenced; empty for one of the conversation."""
        job = self.thread.job
        if job.comment is None or job.comment.kind != "review_comment":
            return ""
        comments = self.thread.github.fetch_review_comments(job.number)
        found = next((one for one in comments if one.id == job.comment.id), None)
        if found is None:
            return ""
        where = f"{found.path}:{found.line}" if found.line else found.path
        return fence_untrusted(f"lines of {where}", show_hidden(found.diff_hunk[-LONGEST_HUNK:]))

    def _request(self, place: str) -> str:
        job = self.thread.job
        asked = clean_inbound(job.command.text if job.command else "").text
        parts = [f"`{job.actor.login}` asks:", fence_untrusted(f"question by {job.actor.login}", asked)]
        if place:
            parts += ["It was asked at these lines of the diff:", place]
        return "\n\n".join([*parts, "Find the answer in the code, and hand it over."])

    def _render(self, checked: Checked, stopped: str, survey: Survey, result: AgentResult) -> str:
        services, job = self.thread.services, self.thread.job
        asked = clean_line(job.command.text if job.command else "", services.secrets, hosts=services.hosts)
        parts = [f"> {asked}", clean_words(checked.text, services.secrets, hosts=services.hosts, limit=LONGEST_ANSWER)]
        if stopped:
            parts.append(f"**Perhaps incomplete:** {services.clean(stopped)}.")
        if checked.missing:
            parts.append("**Take care:** what is marked above is cited, and it is not in the repository.")
        parts.append(f"<sub>Read at `{survey.branch}` `{survey.base[:10]}`, in {len(result.turns)} turns.</sub>")
        return "\n\n".join(parts)


@dataclass
class _Tree:
    """What the answer can cite: the tree that was read. ``survey`` is set before anything is asked."""

    thread: Thread
    pull: PullRequest | None
    survey: Survey | None = None

    def objection(self, text: str) -> str:
        """What is wrong with an answer, for the model."""
        return say_missing(self.check(text).missing) if text.strip() else "`summary` is empty: it is the answer."

    def check(self, text: str) -> Checked:
        """The answer with its citations held against the tree."""
        return check_citations(text, names=self._names, lines_of=self._lines_of)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(entry.path for entry in self._mirror.tree(self._commit))

    def _lines_of(self, path: str) -> int | None:
        content = self._mirror.read_file(self._commit, path)
        return None if content is None else content.count(b"\n") + (not content.endswith(b"\n"))

    @property
    def _mirror(self) -> Mirror:
        return self.thread.mirror(self._commit, pull=self.pull.number if self.pull is not None else None)

    @property
    def _commit(self) -> str:
        assert self.survey is not None, "the tree is read after the fetch"
        return self.survey.base
