"""The repository's policy: ``.github/qwen.yml`` as a frozen value, and the decision whether a job may run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from workflows.repository.yaml_lines import Path, parse_yaml
from workflows.services import Permission
from workflows.types import Actor, Budget, Decision, Issue, Noun, Repository

POLICY_PATH = ".github/qwen.yml"
MAX_BYTES = 64_000
WRITERS: frozenset[Permission] = frozenset({"write", "maintain", "admin"})

Command = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000)]
Glob = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Host = Annotated[str, StringConstraints(to_lower=True, pattern=r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")]


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


OneOrMany = BeforeValidator(_one_or_many, json_schema_input_type=str | list[str])
Readable = Literal["ask", "review"]
Access = Literal["change", "control", "read", "answer", "automatic"]
"""What a request needs: ``change`` write permission and an open thread, ``control`` write permission alone, ``read``
that too unless the policy opens it to readers, ``answer`` only that the actor sees the repository; ``automatic`` was
asked for by an event and nobody."""
ChangelogStyle = Literal["auto", "keepachangelog", "towncrier", "changesets", "scriv", "fragments", "body", "none"]


class PolicyBudget(Noun):
    """What a repository grants one job. A value above the operator's maximum counts as that maximum."""

    turns: int | None = Field(default=None, ge=1, description="Turns of the agent.")
    tokens: int | None = Field(default=None, ge=1_000, description="Tokens, input and output.")
    minutes: float | None = Field(default=None, gt=0, description="Minutes.")
    usd: float | None = Field(default=None, gt=0, description="US dollars.")


class FeedbackPolicy(Noun):
    """How reviews of our own pull requests are followed up."""

    auto: bool = Field(default=True, description="Act on a submitted review without being asked.")
    rounds: int = Field(default=10, ge=1, le=100, description="Rounds on one pull request, then it is handed over.")
    critical_after: int = Field(
        default=5, ge=1, description="After so many rounds only requested changes, red checks and conflicts count."
    )
    growth: int = Field(
        default=800,
        ge=50,
        description="Lines by which all rounds together may grow the change, then it is handed over.",
    )


class ReviewPolicy(Noun):
    """How pull requests are reviewed."""

    auto: Literal["writers", "all", "never"] = Field(
        default="writers",
        description="Whose pull requests are reviewed unasked: those of people with write permission, all, or none.",
    )
    push: bool = Field(
        default=False, description="Review again what is pushed to a pull request, or when it is put onto another base."
    )
    reopened: bool = Field(default=True, description="Review what is new in a pull request that is opened again.")
    drafts: bool = Field(default=False, description="Review drafts without being asked.")
    bots: bool = Field(default=False, description="Review pull requests of bots without being asked.")
    comments: int = Field(
        default=5, ge=0, le=20, description="Comments on lines in one review, at most; the rest is folded below it."
    )
    fail_on: Literal["never", "critical", "important"] = Field(
        default="never",
        description="The check `Forgehand review` fails when a finding of this severity, or a worse one, is open, and "
        "does not pass (`action_required`) when the review was stopped before its end; with `never` that is `neutral`, "
        "which GitHub lets pass. To be a required check it wants `push: true`, since it stands on heads that were "
        "reviewed.",
    )
    request_changes_on: Literal["never", "critical", "important"] = Field(
        default="never",
        description="A review that says something of this severity, or worse, on a line requests changes; they are "
        "taken back once nothing of the kind is open, and a review has read what took its place. A finding that blocks "
        "(by this, `fail_on` or for want of an approval) is closed by its code or by people with write permission. "
        "Where the branch's protection says who may dismiss reviews, name the App.",
    )
    approve: bool = Field(
        default=False,
        description="Approve a change when all of it was read, it has tests and they pass, and nothing but minor "
        "points is open; never a fork's, a bot's or our own, and none that touches a protected path, or brings what a "
        "diff does not show (a rename or a mode alone, another repository's commit). A push, or another base, takes "
        "the approval back, reviewed or not; where the branch's protection says who may dismiss reviews, name the App, "
        "or have GitHub dismiss stale approvals. A model can be talked into an approval: demand a person's beside it.",
    )


class ChecksPolicy(Noun):
    """How failed checks of our own pull requests are followed up."""

    auto: bool = Field(default=True, description="Act on failed checks without being asked.")
    attempts: int = Field(default=3, ge=1, le=20, description="Repairs of one pull request's checks, at most.")


class Policy(Noun):
    """What a repository's maintainers decide, read from the default branch alone."""

    label: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)] | None = Field(
        default=None,
        description="The label that starts work on an issue; with `:review` behind it, a review of a pull request. "
        "Default: the operator's, `qwen`.",
    )
    image: str | None = Field(
        default=None,
        max_length=300,
        pattern=r"^[a-z0-9][a-zA-Z0-9._:/@-]*$",
        description="The container image to work in, one that the operator's `FORGEHAND_ALLOWED_IMAGES` allows. It "
        "needs git, bash and Python 3. Default: the operator's.",
    )
    setup: Annotated[tuple[Command, ...], Field(max_length=50), OneOrMany] = Field(
        default=(), description="Commands that install what the tests need. Default: found in the repository."
    )
    test: Command | None = Field(
        default=None, description="The command that runs the tests. Default: found in the repository."
    )
    budget: PolicyBudget = Field(
        default=PolicyBudget(), description="What one job may use. It can only lower the operator's."
    )
    attempts: int | None = Field(
        default=None,
        ge=1,
        le=8,
        description="Sessions that work on the same issue at once, of which the best change by its tests is taken; "
        "also the most that a command may ask for. It can only lower the operator's `FORGEHAND_ATTEMPTS`, and they "
        "share the budget's tokens and money. Default: one, while a command may ask for as many as the operator lets.",
    )
    mode: Literal["normal", "long"] = Field(
        default="normal", description="`long`: the operator's larger number of turns, for work that takes many steps."
    )
    protected: Annotated[tuple[Glob, ...], Field(max_length=200), OneOrMany] = Field(
        default=(), description="More paths that no change may touch. `!path` opens one that is protected by default."
    )
    draft: bool = Field(default=True, description="Open pull requests as drafts.")
    branch_prefix: str = Field(
        default="qwen/", max_length=60, description="What our branches start with; ends with `/`, `-` or `_`."
    )
    changelog: ChangelogStyle = Field(
        default="auto", description="How the changelog is kept. `auto`: found in the repository."
    )
    plan: Literal["on_request", "always"] = Field(
        default="on_request",
        description="`always`: on an issue, work begins with a plan that waits for `/qwen approve`.",
    )
    readers: Annotated[tuple[Readable, ...], Field(max_length=10), OneOrMany] = Field(
        default=(), description="Commands that people without write permission may use: `ask`, `review`."
    )
    readers_a_day: int = Field(
        default=10,
        ge=1,
        le=10_000,
        description="Requests of one person without write permission that are carried out in 24 hours, with the "
        "reviews that `review.auto: all` makes of what they propose.",
    )
    feedback: FeedbackPolicy = Field(default=FeedbackPolicy(), description="Reviews of our own pull requests.")
    review: ReviewPolicy = Field(default=ReviewPolicy(), description="Reviews of pull requests.")
    checks: ChecksPolicy = Field(default=ChecksPolicy(), description="Failed checks of our own pull requests.")
    resolve: Literal["on_request", "auto"] = Field(
        default="on_request",
        description="`auto`: conflicts of our own pull requests are resolved before other work on them: a round of "
        "feedback, failed checks, `/qwen fix`, `/qwen update`. What could not be resolved is not tried again before "
        "the branch or its base moves; `/qwen resolve` tries at once.",
    )
    state_labels: bool = Field(
        default=True, description="Show with labels, such as `qwen:working`, how far the work on a thread is."
    )
    allowed_hosts: Annotated[tuple[Host, ...], Field(max_length=100), OneOrMany] | None = Field(
        default=None, description="Hosts that set-up commands may reach. It can only narrow the operator's list."
    )

    @field_validator("branch_prefix")
    @classmethod
    def _makes_branch_names(cls, value: str) -> str:
        plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*[/_-]", value)
        if not plain or any(part in value for part in ("..", "//", "/.", "./", ".lock/")):
            raise PydanticCustomError("forgehand", "must start a branch name and end with /, - or _, such as qwen/")
        return value

    @field_validator("setup", "test")
    @classmethod
    def _no_null_bytes(cls, value: Any) -> Any:
        if any("\0" in command for command in ([value] if isinstance(value, str) else value or ())):
            raise PydanticCustomError("forgehand", "must not hold a NUL character")
        return value

    def trigger_label(self, default: str) -> str:
        """The label that starts work: the repository's, else the operator's ``default``."""
        return self.label or default


class PolicyError(Noun):
    """One mistake in the policy file: 1-based ``line`` (None: the whole file) and a sentence that says what to do."""

    line: int | None
    message: str


def parse_policy(text: bytes | None) -> Policy | tuple[PolicyError, ...]:
    """The policy in a file's bytes, or its mistakes by line. No file means the defaults. Never raises."""
    if text is None:
        return Policy()
    if len(text) > MAX_BYTES:
        return _one_error(None, f"The file has {len(text):,} bytes; {MAX_BYTES:,} are allowed. Shorten it.")
    try:
        source = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _one_error(text.count(b"\n", 0, error.start) + 1, "This is not UTF-8 text. Save the file as UTF-8.")
    document = parse_yaml(source)
    if document.mistakes:
        return tuple(PolicyError(line=line, message=message) for line, message in document.mistakes)
    try:
        return Policy.model_validate(document.data, strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    found = {_policy_error(detail, document.lines) for detail in details}
    return tuple(sorted(found, key=lambda error: (error.line or 0, error.message)))


def render_policy_errors(errors: Sequence[PolicyError], *, path: str = POLICY_PATH) -> str:
    """The mistakes as Markdown for the issue."""
    lines = [f"I did not start, because `{path}` on the default branch has mistakes:", ""]
    for error in errors[:20]:
        where = f"line {error.line}: " if error.line else ""
        lines.append(f"- {where}{error.message}")
    if len(errors) > 20:
        lines.append(f"- … and {len(errors) - 20} more.")
    lines += ["", "Correct the file on the default branch, then ask again."]
    return "\n".join(lines)


def effective_budget(maximum: Budget, policy: Policy, *, long_turns: int) -> Budget:
    """What one job may use: the policy's wishes, none of them above the operator's ``maximum``.

    ``long_turns`` takes the place of the maximum's turns in the mode "long".
    """
    wish = policy.budget
    most = max(maximum.turns, long_turns) if policy.mode == "long" else maximum.turns
    return Budget(
        turns=min(most, wish.turns or most),
        tokens=min(maximum.tokens, wish.tokens or maximum.tokens),
        seconds=min(maximum.seconds, wish.minutes * 60 if wish.minutes else maximum.seconds),
        usd=min(maximum.usd, wish.usd or maximum.usd),
    )


def effective_hosts(maximum: Sequence[str], policy: Policy) -> tuple[str, ...]:
    """The hosts that set-up commands may reach: the policy's list, as far as the operator's ``maximum`` covers it."""
    if policy.allowed_hosts is None:
        return tuple(maximum)

    def covered(host: str) -> bool:
        return any(host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:])) for allowed in maximum)

    return tuple(host for host in policy.allowed_hosts if covered(host))


def decide(
    policy: Policy,
    *,
    label: str | None,
    actor: Actor,
    permission: Permission,
    issue: Issue | None,
    repository: Repository,
    default_label: str = "qwen",
    access: Access = "change",
    word: str = "",
    on_pull_request: bool = False,
) -> Decision:
    """May a job run on this thread? ``permission`` is the actor's now; ``label`` is None when a command asked.

    Whoever could not have been asking us (another label, a bot, a deleted issue, an archived repository, in which
    nobody can comment) gets no answer, only a record.
    """
    wanted = policy.trigger_label(default_label)
    if label is not None and not _is_trigger(label, wanted, on_pull_request=on_pull_request):
        starts = review_label(wanted) if on_pull_request else wanted
        return _silent(f"The label `{label}` does not start work here; `{starts}` does.")
    if actor.type != "User" and access != "automatic":
        return _silent(f"{actor.login} is not a person ({actor.type}): bots cannot start work.")
    if repository.archived:
        return _silent("The repository is archived: nothing can be changed in it.")
    if issue is None:
        return _silent("The issue is gone.")
    if not _has_access(access, permission, word, policy):
        return _refused(
            f"@{actor.login} has {permission} permission here. Starting work needs write permission: "
            "ask a maintainer to do it."
        )
    if issue.is_pull_request and not on_pull_request:
        return _refused("This is a pull request, and the label works on issues. Open an issue and label that one.")
    if issue.state == "closed" and access in ("change", "automatic"):
        what = "pull request" if issue.is_pull_request else "issue"
        return _refused(f"This {what} is closed. Reopen it, then ask again.")
    if access == "automatic":
        return Decision(allowed=True, reasons=("An event asked for it.",))
    how = f"applied the label `{label}`" if label is not None else "asked"
    return Decision(allowed=True, reasons=(f"@{actor.login} has {permission} permission and {how}.",))


def plan_label(trigger: str) -> str:
    """The label that asks for a plan, where ``trigger`` is the one that starts work."""
    return f"{trigger}:plan"


def review_label(trigger: str) -> str:
    """The label that asks for a review of a pull request, where ``trigger`` is the one that starts work on an issue."""
    return f"{trigger}:review"


def _is_trigger(label: str, trigger: str, *, on_pull_request: bool) -> bool:
    names = (review_label(trigger),) if on_pull_request else (trigger, plan_label(trigger))
    return label.casefold() in [name.casefold() for name in names]


def _has_access(access: Access, permission: Permission, word: str, policy: Policy) -> bool:
    if access == "automatic" or permission in WRITERS:
        return True
    if permission == "none":
        return False
    return access == "answer" or (access == "read" and word in policy.readers)


def _silent(reason: str) -> Decision:
    return Decision(allowed=False, reasons=(reason,), answer=False)


def _refused(reason: str) -> Decision:
    return Decision(allowed=False, reasons=(reason,), answer=True)


def _one_error(line: int | None, message: str) -> tuple[PolicyError, ...]:
    return (PolicyError(line=line, message=message),)


_TYPES = {
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must hold keys of its own, one a line",
    "model_attributes_type": "must hold keys of its own, one a line",
}


def _policy_error(detail: ErrorDetails, lines: Mapping[Path, int]) -> PolicyError:
    path = tuple(part for part in detail["loc"] if isinstance(part, str | int))
    while path and path not in lines:
        path = path[:-1]
    line = lines.get(path)
    key = ".".join(str(part) for part in path if isinstance(part, str))
    if detail["type"] == "extra_forbidden":
        return PolicyError(line=line, message=_unknown_key(path))
    if detail["type"] == "string_pattern_mismatch":
        says = "has a character or a form that is not allowed"
    else:
        message = detail["msg"]
        says = _TYPES.get(detail["type"]) or message.replace("Input should", "should").replace(
            "String should", "should"
        )
    return PolicyError(line=line, message=f"`{key}` {says}.")


def _unknown_key(path: Path) -> str:
    inner = Policy.model_fields[str(path[0])].annotation if len(path) > 1 and path[0] in Policy.model_fields else Policy
    known = inner.model_fields if isinstance(inner, type) and issubclass(inner, Noun) else Policy.model_fields
    name = str(path[-1])
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.6)
    shown = name if len(name) <= 60 else name[:60] + "…"
    hint = f"Did you mean `{near[0]}`?" if near else f"The keys are: {', '.join(f'`{key}`' for key in known)}."
    return f"`{shown}` is not a key. {hint}"
