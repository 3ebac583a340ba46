from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from workflows.git.patch import PatchRules, check_patch, patch_file
from workflows.repository.policy import Policy, PolicyBudget
from workflows.requests.admission import settle
from workflows.requests.asked import Asked
from workflows.requests.going_on import Continued
from workflows.requests.job_services import JobServices
from workflows.requests.options import (
    granted_attempts,
    granted_budget,
    lower_budget,
    merge_options,
    object_to_options,
    render_applied,
    with_chosen_model,
)
from workflows.types import Actor, Budget, Command, CommandOptions, Decision, Job, Patch, Repository, RepositoryRef

REF = RepositoryRef(installation_id=1, id=2, full_name="octo/project")
OPERATOR = Budget(turns=100, tokens=1_000_000, seconds=3600.0, usd=5.0)


def services(**fields: Any) -> JobServices:
    """What the options are held against; the rest of the world is not looked at."""
    nothing = cast("Any", None)
    made = JobServices(
        github=nothing,
        model=nothing,
        mirrors=nothing,
        workshop=nothing,
        budget=OPERATOR,
        test_seconds=60.0,
        default_label="qwen",
        secrets=(),
        hosts=(),
        trajectories=nothing,
        long_turns=400,
        attempts=3,
        models=("first", "second"),
    )
    return replace(made, **fields)


def job(*, word: str = "fix", trigger: str = "", **options: Any) -> Job:
    command = None if trigger else Command(word=word, options=CommandOptions(**options))
    return Job(
        id="gh-1",
        workflow="fix_issue",
        repository=REF,
        number=7,
        actor=Actor(id=3, login="alice"),
        trigger=trigger,
        delivery_id="1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        command=command,
    )


@pytest.mark.parametrize(
    ("options", "turns", "seconds", "usd"),
    [
        ({}, 100, 3600.0, 5.0),
        ({"turns": 5}, 5, 3600.0, 5.0),
        ({"turns": 500, "seconds": 1e6, "usd": 1e6}, 100, 3600.0, 5.0),
        ({"seconds": 60.0, "usd": 0.5}, 100, 60.0, 0.5),
    ],
)
def test_limits_are_lowered_and_never_raised(options: dict[str, Any], turns: int, seconds: float, usd: float) -> None:
    """The command's limit counts where it is the smallest; tokens have no option and stay."""
    lowered = lower_budget(OPERATOR, CommandOptions(**options))
    assert lowered == Budget(turns=turns, tokens=1_000_000, seconds=seconds, usd=usd)


def test_the_smallest_of_three_counts() -> None:
    """Operator, policy and command each can only lower; the mode `long` is the policy's to give."""
    policy = Policy(budget=PolicyBudget(turns=50, usd=2.0))
    assert granted_budget(job(turns=80, usd=1.0), policy, services()) == Budget(
        turns=50, tokens=1_000_000, seconds=3600.0, usd=1.0
    )
    long = Policy(mode="long")
    assert granted_budget(job(turns=300), long, services()).turns == 300
    assert granted_budget(job(turns=300), Policy(), services()).turns == 100


@pytest.mark.parametrize(
    ("asked", "policy", "granted"),
    [(None, None, 1), (2, None, 2), (8, None, 3), (None, 2, 2), (3, 2, 2), (1, 2, 1), (None, 8, 3), (2, 1, 1)],
)
def test_attempts(asked: int | None, policy: int | None, granted: int) -> None:
    """A policy's number is the most and the default; without one a command may ask for the operator's."""
    assert granted_attempts(job(attempts=asked), Policy(attempts=policy), services()) == granted


def test_what_is_said_now_counts_before_what_was_said_then() -> None:
    """Each option by itself; what is not said now stays as it was."""
    earlier = CommandOptions(turns=5, paths=("src/**",), draft=True)
    assert merge_options(earlier, CommandOptions()) == earlier
    later = CommandOptions(turns=9, draft=False, model="second")
    assert merge_options(earlier, later) == CommandOptions(turns=9, paths=("src/**",), draft=False, model="second")


def test_what_cannot_be_is_said() -> None:
    """Another model than the operator's is answered with theirs; a branch is for issues."""
    assert object_to_options(job(model="second", branch="dev"), services()) == ""
    assert "These are: `first`, `second`." in object_to_options(job(model="third"), services())
    on_pull = job(branch="dev").model_copy(update={"on_pull_request": True})
    assert object_to_options(on_pull, services()).startswith("`branch=` is for issues")


def test_the_model_is_chosen_for_every_attempt() -> None:
    """The first and each further attempt ask the model that was asked for; without a word nothing changes."""
    offered = services(choose_model=lambda name, attempt: f"{name} {attempt}")
    chosen = with_chosen_model(offered, job(model="second"))
    assert chosen.model == "second 1"
    assert chosen.model_for is not None
    assert chosen.model_for(3) == "second 3"
    assert with_chosen_model(offered, job()) is offered
    assert with_chosen_model(offered, job(model="gone")) is offered


def test_people_see_what_is_in_effect() -> None:
    """Each option with what it came to, and where less is granted than was asked for."""
    asked = job(usd=9.0, turns=80, seconds=90.0, attempts=2, branch="dev", paths=("a/**", "b"), draft=False)
    said = render_applied(asked, Policy(), services())
    assert said == (
        "`budget=5usd` (more is not granted), `turns=80`, `time=90s`, `attempts=2`, `branch=dev`, `paths=a/**,b`, "
        "`draft=false`"
    )
    assert render_applied(job(), Policy(), services()) == ""


@pytest.mark.parametrize(
    ("path", "may"),
    [("src/a.py", True), ("src/deep/a.py", True), ("SRC/a.py", False), ("srcs/a.py", False), ("a.md", True)],
)
def test_paths(path: str, may: bool) -> None:
    """One of the globs must name the path, in its letter case."""
    change = Patch(base="0" * 40, files=(patch_file(path, "100644", b"x"),))
    problems = check_patch(change, PatchRules(only=("src/**", "*.md")))
    assert problems == (
        () if may else (f"`{path}`: this is none of the paths that were asked for (`src/**`, `*.md`).",)
    )


def asked(policy: Policy, continued: Continued | None = None) -> Asked:
    repository = Repository(ref=REF, default_branch="main", clone_url="x", html_url="x", private=False)
    allowed = Decision(allowed=True, reasons=("Yes.",))
    return Asked(repository=repository, issue=None, policy=policy, decision=allowed, continued=continued)


GOES_ON = Continued(continues="gh-0", base="0" * 40, answer="Yes.")


@pytest.mark.parametrize(
    ("given", "policy", "continued", "workflow"),
    [
        (job(trigger="qwen"), Policy(), None, "fix_issue"),
        (job(trigger="QWEN:plan"), Policy(), None, "plan_issue"),
        (job(trigger="bot:plan"), Policy(label="bot"), None, "plan_issue"),
        (job(trigger="qwen:plan"), Policy(label="qwen:plan"), None, "fix_issue"),
        (job(trigger="qwen"), Policy(plan="always"), None, "plan_issue"),
        (job(), Policy(plan="always"), None, "plan_issue"),
        (job(), Policy(plan="always"), GOES_ON, "fix_issue"),
        (job(word="approve").model_copy(update={"plan": "1. Mend it."}), Policy(plan="always"), None, "fix_issue"),
        (job().model_copy(update={"going_on": "", "continues": "gh-0"}), Policy(plan="always"), None, "fix_issue"),
        (job().model_copy(update={"workflow": "answer_question"}), Policy(plan="always"), None, "answer_question"),
    ],
)
def test_which_requests_make_a_plan_first(
    given: Job, policy: Policy, continued: Continued | None, workflow: str
) -> None:
    """The label for plans, and where the policy wants it every request for a change that has no plan yet."""
    settled = settle(given, asked(policy, continued), default_label="qwen")
    assert settled.workflow == workflow
    if continued is not None:
        assert (settled.continues, settled.answer) == ("gh-0", "Yes.")
