"""The protocols a workflow is handed: GitHub, the model, the checkpointing run; and the errors of a broken world."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Event
from typing import Any, Literal, Protocol, TypeVar

from workflows.types import (
    Annotation,
    CheckRun,
    Comment,
    CommentRef,
    DraftComment,
    Issue,
    LabelAct,
    MergedPull,
    PullRequest,
    Release,
    Reply,
    Repository,
    Review,
    ReviewComment,
    ReviewThread,
)

T = TypeVar("T")

Permission = Literal["none", "read", "triage", "write", "maintain", "admin"]
ReviewEvent = Literal["COMMENT", "REQUEST_CHANGES", "APPROVE"]
Conclusion = Literal["success", "neutral", "failure", "cancelled", "action_required"]
Reaction = Literal["eyes", "rocket", "confused", "+1", "-1"]


class BrokenWorld(Exception):
    """Something outside failed for good (GitHub, model, engine, git). The message tells a user what to do next.

    ``kind`` is a short stable word for logs and tests: "github", "model", "sandbox", "git".
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class ContextTooLong(BrokenWorld):
    """The model refused a request because the conversation exceeds its context: shrink it, or stop."""

    def __init__(self, message: str) -> None:
        super().__init__("model", message)


class JobCancelled(Exception):
    """The job was cancelled from outside; it ends at the next step boundary, or where it waits."""


class GitHub(Protocol):
    """One repository, seen through one installation. Reads are retried; writes are find-or-create or idempotent.

    Every method raises BrokenWorld("github", …) when GitHub cannot be reached or refuses for good.
    """

    def fetch_repository(self) -> Repository:
        """The repository; renames are followed by id."""

    def fetch_issue(self, number: int) -> Issue | None:
        """The issue or pull request, or None when it is gone."""

    def fetch_comments(self, number: int) -> list[Comment]:
        """All comments of an issue, oldest first."""

    def fetch_permission(self, login: str) -> Permission:
        """The actor's permission now. Fails closed: a 404 is "none", any other failure raises."""

    def fetch_file(self, path: str, ref: str) -> bytes | None:
        """A file's bytes at a ref, or None when it does not exist. At most 1 MB."""

    def fetch_folder(self, path: str, ref: str) -> list[str]:
        """The names in a folder at a ref; empty when it does not exist."""

    def react(self, number: int, reaction: Reaction) -> None:
        """React to the issue; a second time changes nothing."""

    def react_to_comment(self, comment: CommentRef, number: int, reaction: Reaction) -> None:
        """React to a comment on ``number``; a second time changes nothing, and a comment that is gone is fine.

        A submitted review takes no reactions over REST: nothing happens.
        """

    def add_label(self, number: int, label: str, *, color: str, description: str) -> None:
        """Put a label on an issue or pull request; when the repository has no such label it is created first.

        ``color`` is six hex digits without ``#``. A label that exists keeps its colour and description.
        """

    def remove_label(self, number: int, label: str) -> None:
        """Take a label off an issue; absent is fine."""

    def fetch_label_acts(self, number: int) -> list[LabelAct]:
        """Every label that was put on the issue or taken off, oldest first."""

    def find_or_create_comment(self, number: int, marker: str, body: str) -> int:
        """The id of our own comment that carries ``marker`` (a hidden HTML comment in ``body``), created when absent.

        Only comments by our own App are searched: a marker can be forged.
        """

    def update_comment(self, comment_id: int, body: str) -> None:
        """Edit our comment in place."""

    def update_comment_if(self, comment_id: int, body: str, *, holds: Callable[[str], bool]) -> None:
        """Edit our comment where ``holds`` is true of its text; no other edit of this process comes in between.

        Nothing where it was deleted, or where another edit of it is under way for seconds.
        """

    def find_or_create_pull_request(self, *, head: str, base: str, title: str, body: str, draft: bool) -> PullRequest:
        """The pull request from ``head``, by our App, in any state; created or updated."""

    def fetch_pull_request(self, number: int) -> PullRequest | None:
        """The pull request, or None when it is gone or the number is an issue's."""

    def fetch_pull_requests(self, *, head: str) -> list[PullRequest]:
        """The pull requests from a branch of this repository, in any state and by anyone, newest first."""

    def update_pull_request(self, number: int, *, title: str | None = None, body: str | None = None) -> None:
        """Change title, body or both; None leaves as it is."""

    def request_review(self, number: int, login: str) -> None:
        """Ask a person for a review. That this person cannot review is logged, not raised."""

    def fetch_reviews(self, number: int) -> list[Review]:
        """The reviews of a pull request, oldest first."""

    def fetch_review_comments(self, number: int) -> list[ReviewComment]:
        """All comments on the lines of a pull request's diff, oldest first."""

    def fetch_review_threads(self, number: int) -> list[ReviewThread]:
        """The threads of a pull request, in GitHub's order; empty when it is gone."""

    def find_or_create_review(
        self,
        number: int,
        *,
        commit: str,
        marker: str,
        body: str,
        comments: Sequence[DraftComment],
        event: ReviewEvent = "COMMENT",
    ) -> int | None:
        """The id of our own review whose body carries ``marker``, made with all its comments at once when absent.

        None: GitHub refuses the place of a comment, the commit, or the event, and nothing was made;
        :meth:`find_refused` tells of the comments.
        """

    def find_refused(self, number: int, *, commit: str, comments: Sequence[DraftComment]) -> tuple[int, ...]:
        """The indices of the comments whose place GitHub refuses, each tried in a review that nobody sees."""

    def dismiss_review(self, number: int, review_id: int, message: str) -> bool:
        """Take an approval or requested changes of ours back, for a reason that people see. Again it changes nothing.

        False when GitHub refuses: the branch's protection says who may dismiss reviews.
        """

    def resolve_thread(self, thread_id: str) -> None:
        """Resolve a thread; one that is resolved already, or gone, is fine."""

    def find_or_create_reply(self, number: int, comment_id: int, marker: str, body: str) -> int:
        """The id of our own answer with ``marker`` in the thread that ``comment_id`` belongs to, created when absent.

        Only answers by our own App are searched. BrokenWorld when the thread was deleted.
        """

    def fetch_check_runs(self, sha: str) -> list[CheckRun]:
        """The latest check runs on a commit, of all Apps: one of each name in each suite (Actions: each workflow)."""

    def fetch_annotations(self, check_run_id: int) -> list[Annotation]:
        """What a check run says of lines; at most 500."""

    def fetch_check_log(self, check_run_id: int) -> str | None:
        """The end of the log of a job of GitHub Actions, at most 200 kB, from the beginning of a line.

        None when the check run is no such job, has no log (any more), or the App may not read logs.
        """

    def rerun_check(self, check: CheckRun) -> bool:
        """Have a check run once more: a job of GitHub Actions, or a check of our own App. True as well when it was.

        False when GitHub refuses: another App's check, no permission, too old, gone, or another job of the same
        workflow run is still at work (ask again when its check suite is completed).
        """

    def fetch_compared_commits(self, base: str, head: str) -> list[tuple[str, str, str | None]]:
        """The commits of ``head`` that ``base`` has not, oldest first: id, message, and the author's login if known.

        Both are branches, tags or commit ids. BrokenWorld when one is unknown.
        """

    def fetch_merged_pulls(self, base: str, head: str) -> list[MergedPull]:
        """The merged pull requests that brought those commits, each once, oldest merge first."""

    def find_or_create_release(self, *, tag: str, target: str, name: str, body: str, marker: str) -> Release:
        """Our draft release for ``tag`` with ``marker`` in its text, created or updated; ``target`` is a branch or sha.

        A published release of that tag is never changed: it is returned as it is, and no draft is made beside it.
        """

    def find_or_create_check_run(
        self, *, head_sha: str, name: str, external_id: str, title: str, summary: str, conclusion: Conclusion | None
    ) -> int:
        """The check run with ``external_id`` on ``head_sha``, created or updated; no conclusion: in progress."""

    def add_annotations(self, check_run_id: int, annotations: Sequence[Annotation]) -> None:
        """Say these of lines in a check run of ours, 50 a request; those that it has already are counted, not repeated.

        Call it with the same list each time: GitHub takes none back.
        """

    def git_token(self) -> str:
        """A token for git over HTTPS as ``x-access-token``, valid for at least five more minutes."""


class Model(Protocol):
    """An OpenAI-compatible chat model."""

    @property
    def name(self) -> str:
        """The model's name as sent to the endpoint."""

    @property
    def context_window(self) -> int:
        """How many tokens a request and its reply may have together."""

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        cancelled: Event | None = None,
    ) -> Reply:
        """One whole reply within ``deadline`` seconds, retries included.

        Once ``cancelled`` is set nobody wants the reply: a stream is cut soon, and nothing more is asked for.

        Raises BrokenWorld("model", …), its subclass ContextTooLong when the conversation is what is too large.
        """


class Run(Protocol):
    """One attempt of a job, as its workflow sees it. The port over the durable engine (DBOS), or inline without one."""

    @property
    def job_id(self) -> str:
        """The job's id."""

    @property
    def over(self) -> Event:
        """Set when waiting must end: within seconds of a cancellation, and a while after the process began to stop.

        ``check`` raises from then on.
        """

    def step(self, name: str, function: Callable[[], T], returns: type[T]) -> T:
        """The stored result of this step, or the result of running it now, stored before it is returned.

        Steps are identified by their order, so code around them must be deterministic. The value passes through JSON
        in both cases (``returns`` names its type), so that a replay cannot differ from the first run. BrokenWorld is
        stored and raised again on replay; anything else a step raises is a bug and ends the job.
        """

    def now(self) -> datetime:
        """The time, as a step: the same on replay."""

    def check(self) -> None:
        """Raise JobCancelled once the job is cancelled, and end the thread's work when the process stops.

        For work that is durable without being a step. Any thread may ask.
        """
