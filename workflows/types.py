"""The nouns that cross a checkpoint: frozen, JSON-serialisable, without behaviour beyond their own fields."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, model_validator


class Noun(BaseModel):
    """A frozen value that survives ``model_dump(mode="json")`` and back unchanged."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RepositoryRef(Noun):
    """A repository of one installation. Keyed on ``id``: names can be renamed and squatted."""

    installation_id: int
    id: int
    full_name: str


class Actor(Noun):
    """Who caused an event (GitHub's ``sender``)."""

    id: int
    login: str
    type: Literal["User", "Bot", "Organization", "Mannequin"] = "User"


GHOST = Actor(id=10137, login="ghost")
"""The account in whose name GitHub shows what deleted accounts left."""


class IssueText(Noun):
    """An issue's words at one moment."""

    title: str
    body: str


CommentKind = Literal["issue", "review", "review_comment"]


class CommentRef(Noun):
    """The comment that asked: one of the conversation, a submitted review, or one on a line of a diff."""

    kind: CommentKind
    id: int


class CommandOptions(Noun):
    """What a command asks for beside its word. Everything can only lower or narrow what policy and operator grant.

    ``usd``, ``turns`` and ``seconds`` are limits; ``paths`` are globs; None and empty mean: not said.
    """

    usd: float | None = None
    turns: int | None = None
    seconds: float | None = None
    model: str | None = None
    attempts: int | None = None
    branch: str | None = None
    paths: tuple[str, ...] = ()
    draft: bool | None = None


class Command(Noun):
    """One command of a comment, as the grammar reads it. ``word`` is the table's name of it (an alias is resolved),
    "do" for a request in free words; ``text`` is what follows, such as a question, as the actor wrote it.

    ``line`` is the 1-based line of the comment.
    """

    word: str
    text: str = ""
    options: CommandOptions = CommandOptions()
    line: int = 1


class CommandError(Noun):
    """A line that was meant as a command and cannot be read: ``message`` says what to write instead."""

    message: str
    line: int = 1


class Ends(Noun):
    """The two ends of a pull request's change: its head, a commit, and its base, a branch; empty where not known."""

    head: str = ""
    base: str = ""


class Job(Noun):
    """One durable instance of a workflow; ``created_at`` also dates the commit, so that a retry makes the same one.

    ``text`` is the issue as it stood in the event: whoever may edit the issue must not change what was asked for.
    ``trigger`` is the label that asked, or empty when a ``command`` did or something happened, such as a red check.
    ``comment`` is where the command stands; ``words`` are told to the thread by a job that only answers.
    ``request`` is equal for requests that ask for the same, so that fifty are one; empty: never the same as another.
    ``on_pull_request``: ``number`` is a pull request's. ``head`` is the commit that the event was about,
    ``left`` what the pull request was moved away from, as the event says: its head by a push, its base by an edit.
    ``admission``: looked at before it is queued (``requests/admission``). ``delay`` is the seconds for which it is
    kept back, so that what comes in bursts is one job. ``plan`` is the approved plan to carry out, word for word.
    ``approval`` tells people who approved it, and where it stands. ``tracking`` is the comment in which its progress is
    shown, once there is one. ``continues`` is the job with whose session it goes on: with the people's ``answer`` to
    its question, or, unless that is None, with what the actor says, ``going_on``, however it stopped; both are fenced,
    and stand as they stood when it was asked for. ``fresh``: it begins anew, whatever waits for an answer.
    ``label`` is the one that starts work in the repository, after which the labels of its state are named; empty before
    the admission, but for what tidies up after a label that was taken off: that one.
    """

    id: str
    workflow: str
    repository: RepositoryRef
    number: int
    actor: Actor
    trigger: str
    delivery_id: str
    created_at: datetime
    text: IssueText | None = None
    command: Command | None = None
    comment: CommentRef | None = None
    words: str = ""
    request: str = ""
    on_pull_request: bool = False
    head: str | None = None
    left: Ends = Ends()
    admission: bool = False
    delay: float = 0.0
    plan: str = ""
    tracking: int | None = None
    continues: str | None = None
    answer: str = ""
    going_on: str | None = None
    fresh: bool = False
    approval: str = ""
    label: str = ""

    @property
    def unasked(self) -> bool:
        """Whether it was an event alone that asked: no command, and no label."""
        return self.command is None and not self.trigger


class Repository(Noun):
    """What GitHub says of a repository. ``clone_url`` carries no credentials."""

    ref: RepositoryRef
    default_branch: str
    clone_url: str
    html_url: str
    private: bool
    archived: bool = False


class Comment(Noun):
    """An issue comment."""

    id: int
    author: Actor
    body: str
    created_at: datetime
    updated_at: datetime


class LabelAct(Noun):
    """A label put on an issue, or taken off (``on`` False), by ``actor``."""

    label: str
    on: bool
    actor: Actor


class Issue(Noun):
    """An issue as it was when read."""

    number: int
    title: str
    body: str
    author: Actor
    state: Literal["open", "closed"]
    labels: tuple[str, ...]
    html_url: str
    is_pull_request: bool = False


class PullRequest(Noun):
    """A pull request; ``head`` and ``base`` are branch names.

    ``head_repository`` is the full name of where the head branch is, None when that fork was deleted. ``mergeable`` is
    None while GitHub has not worked it out, and in lists. ``requested_reviewers`` are logins.
    """

    number: int
    title: str
    body: str
    head: str
    base: str
    head_sha: str
    draft: bool
    state: Literal["open", "closed"]
    html_url: str
    author: Actor = GHOST
    head_repository: str | None = None
    base_sha: str = ""
    merged: bool = False
    mergeable: bool | None = None
    labels: tuple[str, ...] = ()
    requested_reviewers: tuple[str, ...] = ()

    def comes_from(self, full_name: str) -> bool:
        """Whether its branch is in the repository of that name, and not in a fork or gone."""
        return (self.head_repository or "").casefold() == full_name.casefold()


class Review(Noun):
    """A review of a pull request; a pending one was not submitted yet."""

    id: int
    author: Actor
    state: Literal["approved", "changes_requested", "commented", "dismissed", "pending"]
    body: str
    commit_id: str
    submitted_at: datetime | None


Side = Literal["LEFT", "RIGHT"]


class ReviewComment(Noun):
    """A comment on lines of a pull request's diff, or with ``in_reply_to`` an answer to one.

    ``line`` and ``start_line`` (1-based, inclusive) are where it stands in the diff as it is now: None on a whole file,
    and once the lines changed. ``side``: LEFT is the base, RIGHT the head. ``diff_hunk`` ends with the commented line.
    """

    id: int
    review_id: int | None
    in_reply_to: int | None
    author: Actor
    body: str
    path: str
    line: int | None
    start_line: int | None
    side: Side
    diff_hunk: str
    commit_id: str
    created_at: datetime
    updated_at: datetime


class DraftComment(Noun):
    """A comment on lines of the diff, as it is to be made. ``start_line`` begins a range that ends with ``line``.

    Lines count from 1 on the given side of the diff.
    """

    path: str
    body: str
    line: int
    start_line: int | None = None
    side: Literal["LEFT", "RIGHT"] = "RIGHT"


class ReviewThread(Noun):
    """A comment on the diff with its answers: ``comments`` are their ids, oldest first. ``id`` is a node id.

    ``outdated``: the commented lines changed since. ``resolved_by`` is a person's login, empty for an App's or none.
    """

    id: str
    resolved: bool
    resolved_by: str = ""
    outdated: bool
    comments: tuple[int, ...]


class CheckRun(Noun):
    """A check run by any App on one commit, in GitHub's words; ``conclusion`` is None until it is completed.

    ``app_slug`` is "github-actions" for a job of GitHub Actions. ``annotations`` counts them. ``external_id`` is the
    name that its App gave it.
    """

    id: int
    name: str
    head_sha: str
    status: str
    conclusion: str | None
    app_slug: str
    details_url: str
    title: str = ""
    summary: str = ""
    text: str = ""
    annotations: int = 0
    completed_at: datetime | None = None
    external_id: str = ""


class Annotation(Noun):
    """What a check run says of lines of a file; ``level`` is "notice", "warning" or "failure"."""

    path: str
    start_line: int
    end_line: int
    level: str
    message: str
    title: str = ""


class MergedPull(Noun):
    """A merged pull request as release notes name it; ``commits`` are those that it brought to the range asked for."""

    number: int
    title: str
    author: Actor
    labels: tuple[str, ...]
    merge_commit: str
    merged_at: datetime
    html_url: str
    body: str = ""
    commits: tuple[str, ...] = ()


class Release(Noun):
    """A release; a draft is seen by people who may push, and has no tag in git yet."""

    id: int
    tag: str
    name: str
    draft: bool
    html_url: str


class PatchFile(Noun):
    """One path of a patch: git's octal ``mode`` string; a deletion has neither mode nor content."""

    path: str
    mode: str | None
    content: Base64Bytes | None


class Patch(Noun):
    """What changed, as data: paths are relative to the repository's root and sorted."""

    base: str
    files: tuple[PatchFile, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        return not self.files


class Usage(Noun):
    """What a model call cost. ``estimated`` marks figures that the provider did not give."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=self.usd + other.usd,
            estimated=self.estimated or other.estimated,
        )


class ToolCall(Noun):
    """What the model asked for. ``arguments`` is the raw JSON text, so that a malformed call can be answered."""

    id: str
    name: str
    arguments: str


class Reply(Noun):
    """One whole reply of the model, with every dialect of tool calls already read.

    ``calls_from`` says where the calls stood: the protocol's own field, the text, or, when both were empty, the
    reasoning. ``incomplete`` names calls that were cut off: they are answered and never run. ``reasoning`` is kept for
    the trajectory and never sent back. ``model`` is the one that answered, when it is not the first of the list.
    """

    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    usage: Usage = Usage()
    seconds: float = 0.0
    calls_from: Literal["native", "content", "reasoning"] = "native"
    incomplete: tuple[str, ...] = ()
    reasoning: str = ""
    model: str = ""


class TestTally(Noun):
    """What one ``run_tests`` of the agent showed. ``failing`` holds at most 200 ids; ``targeted``: not the whole suite.

    ``counted`` False: the runner gave no report, so the exit code alone speaks.
    """

    __test__ = False

    exit_code: int | None
    passed: int = 0
    failed: int = 0
    failing: tuple[str, ...] = ()
    targeted: bool = False
    counted: bool = True


class ToolResult(Noun):
    """What came back from one tool call. ``tests`` is set by ``run_tests`` alone."""

    call_id: str
    name: str
    content: str
    failed: bool = False
    seconds: float = 0.0
    tests: TestTally | None = None


class PlanItem(Noun):
    """One line of the agent's plan."""

    text: str
    state: Literal["pending", "in_progress", "completed"] = "pending"


class Budget(Noun):
    """What one session may use, at most. ``tokens`` counts input and output of every call, cached ones too."""

    turns: int = 200
    tokens: int = 6_000_000
    seconds: float = 3600.0
    usd: float = 3.0


Stage = Literal["understand", "analyse", "read", "plan", "implement", "verify", "iterate", "complete"]


class Compaction(Noun):
    """How the conversation was shrunk before a request; pure data, so that a replay shrinks it the same.

    ``mask`` replaces the content of the messages at ``masked`` (indices). The others drop the messages between the
    opening two and ``kept_from`` and put ``words`` there as one user message: ``snapshot`` (the model's own summary),
    ``trim`` (no summary could be had), ``fresh`` (after a step back to a checkpoint). Tokens are estimates.
    """

    kind: Literal["mask", "snapshot", "trim", "fresh"]
    masked: tuple[int, ...] = ()
    kept_from: int = 0
    words: str = ""
    tokens_before: int = 0
    tokens_after: int = 0
    usage: Usage = Usage()


class Intervention(Noun):
    """What the harness did about an agent that was stuck; ``pattern`` names how, ``words`` were told to the model."""

    kind: Literal["nudge", "replan", "rollback"]
    pattern: str
    words: str


StopReason = Literal[
    "finished",
    "unproven",
    "asked",
    "turns",
    "tokens",
    "seconds",
    "money",
    "no_tool_calls",
    "malformed",
    "stuck",
    "model_unavailable",
    "cancelled",
]


class Turn(Noun):
    """One model reply with its tool results: the delta that a checkpoint stores.

    ``patch`` is set when the turn changed the workspace: the whole change so far, from which a new container resumes.
    ``stop`` is set on the last turn. ``notices`` are the harness's words before the reply, one user
    message each; ``seconds`` is the wall time of the whole turn. ``compactions`` come before the notices, in order.
    ``question`` is set with the stop reason "asked". ``changed`` stays true when the patch is taken out of a turn.
    """

    number: int
    reply: Reply
    notices: tuple[str, ...] = ()
    results: tuple[ToolResult, ...] = ()
    seconds: float = 0.0
    plan: tuple[PlanItem, ...] | None = None
    patch: Patch | None = None
    stop: StopReason | None = None
    finish: Finish | None = None
    stage: Stage = "understand"
    compactions: tuple[Compaction, ...] = ()
    intervention: Intervention | None = None
    question: str = ""
    changed: bool = False

    @model_validator(mode="before")
    @classmethod
    def _with_patch_is_changed(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and fields.get("patch") is not None:
            return {**fields, "changed": True}
        return fields


class Finish(Noun):
    """The agent's own closing words: not evidence. ``unproven`` are the harness's sentences on what they leave open.

    ``unexplained``: part of that was objected to as often as may be, and the words give no reason for it.
    """

    summary: str
    verification: str = ""
    no_change_needed: bool = False
    unproven: tuple[str, ...] = ()
    unexplained: bool = False


class TestCase(Noun):
    """One test of a report. ``id`` is stable between runs (classname::name)."""

    __test__ = False

    id: str
    outcome: Literal["passed", "failed", "error", "skipped"]
    seconds: float = 0.0
    message: str = ""


class TestRun(Noun):
    """One execution of a test command by the harness. ``cases`` is None when the runner gave no JUnit XML.

    ``notes`` are what its sandbox says of itself.
    """

    __test__ = False

    command: str
    exit_code: int | None
    seconds: float
    timed_out: bool = False
    out_of_memory: bool = False
    cases: tuple[TestCase, ...] | None = None
    log_tail: str = ""
    log_sha256: str = ""
    notes: tuple[str, ...] = ()


class Verdict(Noun):
    """Did it work? ``status`` is the harness's judgement; the lists hold test ids in SWE-bench's words."""

    status: Literal["verified", "unverified", "worse", "no_tests"]
    reasons: tuple[str, ...] = ()
    before: TestRun | None = None
    after: TestRun | None = None
    red: TestRun | None = None
    fail_to_pass: tuple[str, ...] = ()
    pass_to_pass: int = 0
    broken: tuple[str, ...] = ()
    still_failing: tuple[str, ...] = ()
    red_first: tuple[str, ...] = ()
    weakened: tuple[str, ...] = ()


class Decision(Noun):
    """May we? ``reasons`` are sentences for the actor; ``answer`` says whether they are posted or only recorded."""

    allowed: bool
    reasons: tuple[str, ...] = Field(min_length=1)
    answer: bool = True
