"""A pull request described from its change: the words stand between markers in its body, the author's stay theirs."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.agent.describe_pull import PullDescription
from workflows.agent.describe_pull import describe_pull as ask_model
from workflows.outcome import Outcome
from workflows.progress.stages import Stages
from workflows.progress.tracking import StageName
from workflows.pulls.pull_change import PullChange, read_change, read_diff, read_pull, say_change
from workflows.pulls.pull_work import changed_since
from workflows.requests.job_services import JobServices
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.services import Run
from workflows.solving.interruptible import InterruptibleModel
from workflows.texts.conventional import are_conventional
from workflows.texts.diff_cut import FittedDiff, list_left_out
from workflows.texts.marked_section import parse_section, put_section, section_room
from workflows.texts.outbound import clean_line, clean_outbound, code_span
from workflows.types import Job, Noun, PullRequest

NAME = "describe_pull"
SECTION = "description"
LEAST_ROOM = 1_000
MOST_FILES = 50
STAGES: dict[StageName, str] = {
    "accept": "Accepted",
    "fetch": "Fetch the change",
    "describe": "Describe it",
    "publish": "Put the description into the pull request",
}


class Described(Noun):
    """The model's words, and the paths whose change it did not see, or not whole."""

    text: PullDescription
    cut: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class Put(Noun):
    """Where the description went. ``reason``: nowhere, and why; ``section``: it had no room there, so it is said."""

    reason: str = ""
    section: str = ""


def describe_pull(run: Run, job: Job, services: JobServices) -> Outcome:
    """Run the job to its end. Nothing is pushed, so a fork's pull request can be described as well."""
    return work_on_thread(run, job, services, lambda thread: _Describe(thread).carry_out())


@dataclass(frozen=True)
class _Describe:
    thread: Thread

    def carry_out(self) -> Outcome:
        """From the fetch to the pull request's body. Raises BrokenWorld and JobCancelled."""
        thread = self.thread
        thread.tracking.follow(STAGES)
        stages = Stages(thread.run, thread.tracking)
        pull = read_pull(thread)
        change = stages.step("fetch", lambda: read_change(thread, pull), PullChange, say_change)
        if not change.paths:
            thread.close("**Nothing to describe:** the pull request changes nothing.")
            return Outcome(status="no_change", reason="The pull request changes nothing.", seconds=stages.seconds)
        described = stages.step(
            "describe", lambda: self._describe(pull, change), Described, lambda done: done.text.type
        )
        put = stages.step("publish", lambda: self._put(pull, change, described), Put, lambda done: done.reason)
        if put.reason:
            thread.close(f"**Not put into the pull request:** {thread.services.clean(put.reason)}")
            return Outcome(status="rejected", reason=put.reason, seconds=stages.seconds)
        thread.close(_last_word(put))
        reason = "The pull request was described."
        return Outcome(
            status="answered", reason=reason, pull_request=pull.number, url=pull.html_url, seconds=stages.seconds
        )

    def _describe(self, pull: PullRequest, change: PullChange) -> Described:
        thread = self.thread
        own = pull.model_copy(update={"body": _without_section(pull.body)})
        diff = read_diff(thread, pull, change)
        model = InterruptibleModel(thread.services.model, thread.run)
        text = ask_model(model, own, diff=diff, messages=change.messages, paths=change.paths)
        return Described(text=text, cut=diff.cut, left_out=diff.left_out)

    def _put(self, pull: PullRequest, change: PullChange, described: Described) -> Put:
        """The section into the body as it is now; a second time it is replaced."""
        thread = self.thread
        services = thread.services
        problem = changed_since(thread, pull)
        now = thread.github.fetch_pull_request(pull.number)
        if problem or now is None:
            return Put(reason=problem or "The pull request is gone.")
        text = render_section(now, change, described, services)
        room = section_room(now.body, name=SECTION)
        if room < LEAST_ROOM:
            return Put(section=services.scrub(text))
        section = clean_outbound(text, services.secrets, hosts=services.hosts, limit=room)
        body = put_section(now.body, section, name=SECTION)
        if body is None:
            return Put(section=services.scrub(text))
        if body != now.body:
            thread.github.update_pull_request(pull.number, body=body)
        return Put()


def render_section(pull: PullRequest, change: PullChange, described: Described, services: JobServices) -> str:
    """The section in Markdown; the model's words in it are made dead."""
    text = described.text
    title = text.conventional if are_conventional(change.subjects) else text.title
    head = [f"**Type:** {code_span(text.type)}{', **breaking**' if text.breaking else ''}"]
    if title != pull.title.strip():
        head.insert(0, f"**Suggested title:** {code_span(title)}")
    return "\n\n".join(
        part
        for part in (
            "### What this changes",
            "  \n".join(head),
            services.clean(text.summary),
            _render_files(text, change, services),
            f"<sub>{_say_source(pull, change, described)}</sub>",
        )
        if part
    )


def _render_files(text: PullDescription, change: PullChange, services: JobServices) -> str:
    told = [path for path in change.paths if path in text.files]
    lines = [
        f"- {code_span(path)}: {clean_line(text.files[path], services.secrets, hosts=services.hosts)}"
        for path in told[:MOST_FILES]
    ]
    more = len(change.paths) - len(lines)
    if lines and more:
        lines.append(f"- and {more} more {'file' if more == 1 else 'files'}")
    return "\n".join(lines)


def _say_source(pull: PullRequest, change: PullChange, described: Described) -> str:
    commits = f"{code_span(change.head[:10])} against {code_span(pull.base)}"
    words = f"Written by a model from the change {commits}; nothing was run."
    fitted = FittedDiff("", described.cut, described.left_out)
    return f"{words} {clean_line(list_left_out(fitted), limit=1_000)}".strip()


def _last_word(put: Put) -> str:
    if not put.section:
        return "Done: the description stands in the pull request, between markers; asking again replaces it."
    return f"The pull request's own text leaves no room for the description, so it stands here.\n\n{put.section}"


def _without_section(body: str) -> str:
    """The author's words alone."""
    if parse_section(body, name=SECTION) is None:
        return body
    return put_section(body, "", name=SECTION) or body
