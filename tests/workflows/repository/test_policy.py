from __future__ import annotations

import time

import pytest

from workflows.git.protected import ALWAYS_PROTECTED, protecting_pattern
from workflows.repository.policy import (
    Budget,
    Policy,
    PolicyBudget,
    PolicyError,
    decide,
    effective_budget,
    effective_hosts,
    parse_policy,
    render_policy_errors,
)
from workflows.services import Permission
from workflows.types import Actor, Decision, Issue, Repository, RepositoryRef

WHOLE = b"""\
label: agent
image: ghcr.io/acme/dev:1
setup:
  - npm ci
  - |
    cd web
    npm ci
test: npm test
budget: {turns: 50, tokens: 100000, minutes: 7.5, usd: 1}
protected: ["db/**", "!.github/dependabot.yml"]
draft: no
branch_prefix: bot-
changelog: towncrier
allowed_hosts: [registry.npmjs.org]
"""


def errors(text: bytes) -> tuple[PolicyError, ...]:
    found = parse_policy(text)
    assert not isinstance(found, Policy)
    return found


def test_whole_file() -> None:
    """Every key arrives."""
    policy = parse_policy(WHOLE)

    assert policy == Policy(
        label="agent",
        image="ghcr.io/acme/dev:1",
        setup=("npm ci", "cd web\nnpm ci"),
        test="npm test",
        budget=PolicyBudget(turns=50, tokens=100_000, minutes=7.5, usd=1),
        protected=("db/**", "!.github/dependabot.yml"),
        draft=False,
        branch_prefix="bot-",
        changelog="towncrier",
        allowed_hosts=("registry.npmjs.org",),
    )


@pytest.mark.parametrize("text", [None, b"", b"# nothing yet\n", b"---\n", b"\xef\xbb\xbf", b"null"])
def test_no_policy_means_the_defaults(text: bytes | None) -> None:
    """No file, an empty file and a file of comments all mean the defaults."""
    assert parse_policy(text) == Policy()


def test_one_command_is_a_list_of_one() -> None:
    """`setup: npm ci` does what it looks like."""
    assert parse_policy(b"setup: npm ci") == Policy(setup=("npm ci",))


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (b"draft: true\nlable: x", 2, "`lable` is not a key. Did you mean `label`?"),
        (b"budget:\n  turns: 5\n  turn: 6", 3, "Did you mean `turns`?"),
        (b"zzz: 1", 1, "The keys are: `label`,"),
        (b"test: 5", 1, "`test` must be text"),
        (b"draft: 1", 1, "`draft` must be true or false"),
        (b"budget:\n  turns: '5'", 2, "`budget.turns` must be a whole number"),
        (b"budget: 5", 1, "keys of its own"),
        (b"budget: {usd: 0}", 1, "greater than 0"),
        (b"setup:\n- ok\n- 5", 3, "`setup` must be text"),
        (b"setup: {a: b}", 1, "must be a list"),
        (b"test: ''", 1, "at least 1 character"),
        (b'test: "a\\0b"', 1, "NUL"),
        (b"changelog: non", 1, "'none'"),
        (b"image: --privileged", 1, "not allowed"),
        (b"branch_prefix: ../", 1, "start a branch name"),
        (b"branch_prefix: main", 1, "start a branch name"),
        (b"allowed_hosts: ['http://x']", 1, "not allowed"),
        (b"label: a\nlabel: b", 2, "set twice (also in line 1)"),
        (b"a: &x 1\nb: *x", 1, "Anchors"),
        (b"<<: {label: a}", 1, "`<<` is not a key"),
        (b"label: a\n---\nlabel: b", 2, "second document"),
        (b"- label", 1, "`key: value`"),
        (b"label: [a", 1, "not YAML"),
        (b"label: a\n\ttest: b", 2, "not YAML"),
        (b"? [a]\n: b", 1, "A key must be a word"),
        (b"label: !!python/object:os.system x", 1, "Put it in quotes"),
        (b"label: 2020-13-45", 1, "Put it in quotes"),
        (b"budget: {turns: " + b"9" * 5000 + b"}", 1, "Put it in quotes"),
        (b"label: \xff", 1, "UTF-8"),
        (b"label: \x01", None, "control characters"),
        (b"[" * 60_000, 1, "nested"),
        (b"x" * 70_000, None, "Shorten"),
    ],
)
def test_mistake_has_its_line_and_a_remedy(text: bytes, line: int | None, says: str) -> None:
    """Whatever is in the file, the answer is a line and a sentence, never an exception."""
    found = errors(text)

    assert found[0].line == line
    assert says in found[0].message
    assert Policy.model_validate(Policy().model_dump(mode="json")) == Policy()


def test_alias_bomb_ends_at_once() -> None:
    """Nine lines that mean a billion values cost nothing."""
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    started = time.thread_time()

    assert "Anchors" in errors(bomb.encode())[0].message
    assert time.thread_time() - started < 1


def test_all_mistakes_are_answered_at_once() -> None:
    """The issue gets one list, in the order of the lines."""
    text = render_policy_errors(errors(b"lable: x\ntest: 5\ndraft: maybe\n"))

    assert text.index("line 1:") < text.index("line 2:") < text.index("line 3:")
    assert "ask again" in text


def test_policy_can_only_lower_the_budget() -> None:
    """A repository may spend less than the operator allows, never more."""
    maximum = Budget(turns=200, tokens=1_000_000, seconds=3600, usd=3)
    wish = Policy(budget=PolicyBudget(turns=10, tokens=9_000_000, minutes=600, usd=0.5))

    assert effective_budget(maximum, wish, long_turns=500) == Budget(turns=10, tokens=1_000_000, seconds=3600, usd=0.5)
    assert effective_budget(maximum, Policy(), long_turns=500) == maximum
    assert effective_budget(maximum, Policy(mode="long"), long_turns=500).turns == 500


def test_policy_can_only_narrow_the_hosts() -> None:
    """A repository cannot open a way to a host that the operator did not name."""
    operator = ("pypi.org", "*.example.com")
    wish = Policy(allowed_hosts=("pypi.org", "a.example.com", "example.com", "evil.org", "*.a.example.com"))

    assert effective_hosts(operator, wish) == ("pypi.org", "a.example.com", "*.a.example.com")
    assert effective_hosts(operator, Policy()) == operator
    assert effective_hosts(operator, Policy(allowed_hosts=())) == ()


@pytest.mark.parametrize(
    ("path", "protected"),
    [
        (".github/workflows/ci.yml", True),
        (".GitHub/Workflows/deep/ci.yml", True),
        (".github/qwen.yml", True),
        (".github/actions/x/action.yml", True),
        (".github/ISSUE_TEMPLATE/bug.md", True),
        (".github/dependabot.yaml", True),
        ("CODEOWNERS", True),
        ("docs/CODEOWNERS", True),
        ("docs/CODEOWNERS.md", False),
        (".husky/pre-commit", True),
        (".pre-commit-config.yaml", True),
        (".gitmodules", True),
        ("pkg/AGENTS.md", True),
        ("AGENT.md", True),
        ("a/b/GEMINI.md", True),
        (".mcp.json", True),
        (".cursor/rules/x.mdc", True),
        (".windsurfrules", True),
        (".clinerules", True),
        (".clinerules/x.md", True),
        (".claude/settings.json", True),
        (".vscode/tasks.json", True),
        (".devcontainer/devcontainer.json", True),
        ("web/.npmrc", True),
        (".yarnrc.yml", True),
        ("pip.conf", True),
        (".cargo/config.toml", True),
        ("action.yml", True),
        ("action.yaml", True),
        ("docs/.gitattributes", True),
        ("src/action.py", False),
        ("Cargo.toml", False),
        ("src/app.py", False),
        ("pyproject.toml", False),
        ("Makefile", False),
    ],
)
def test_what_is_protected_by_default(path: str, protected: bool) -> None:
    """What runs on its own or steers agents is protected; what an ordinary change touches is not."""
    assert (protecting_pattern(path) is not None) is protected


def test_policy_protects_more_and_opens_some() -> None:
    """A policy adds paths and opens defaults; what would let a change run with secrets stays shut."""
    extra = ("db/**", "*.lock", "keep/", "!**/AGENTS.md", "!.github/**")

    assert protecting_pattern("db/schema/1.sql", extra) == "db/**"
    assert protecting_pattern("poetry.lock", extra) == "*.lock"
    assert protecting_pattern("sub/poetry.lock", extra) is None
    assert protecting_pattern("keep/this", extra) == "keep/"
    assert protecting_pattern("AGENTS.md", extra) is None
    assert protecting_pattern(".github/dependabot.yml", extra) is None
    assert protecting_pattern(".github/workflows/ci.yml", extra) in ALWAYS_PROTECTED
    assert protecting_pattern(".github/qwen.yml", extra) in ALWAYS_PROTECTED


REPOSITORY = Repository(
    ref=RepositoryRef(installation_id=1, id=2, full_name="o/r"),
    default_branch="main",
    clone_url="https://h/o/r.git",
    html_url="https://h/o/r",
    private=False,
)
ISSUE = Issue(
    number=7, title="t", body="", author=Actor(id=9, login="rita"), state="open", labels=("qwen",), html_url="u"
)
ALICE = Actor(id=8, login="alice")


def asked(
    *,
    policy: Policy | None = None,
    label: str | None = "qwen",
    actor: Actor = ALICE,
    permission: Permission = "write",
    issue: Issue | None = ISSUE,
    repository: Repository = REPOSITORY,
) -> Decision:
    return decide(
        policy or Policy(), label=label, actor=actor, permission=permission, issue=issue, repository=repository
    )


def test_writers_may() -> None:
    """The label in any case, or a command, by someone who may write, starts work; the reason says who."""
    for permission in ("write", "maintain", "admin"):
        assert asked(permission=permission).allowed
    assert asked(label="Qwen").allowed
    assert asked(label=None).allowed
    assert "@alice has write permission" in asked().reasons[0]
    assert asked(policy=Policy(label="agent"), label="AGENT").allowed


@pytest.mark.parametrize(
    ("decision", "answer", "says"),
    [
        (asked(permission="triage"), True, "ask a maintainer"),
        (asked(permission="read"), True, "write permission"),
        (asked(permission="none"), True, "write permission"),
        (asked(issue=ISSUE.model_copy(update={"state": "closed"})), True, "Reopen it"),
        (asked(issue=ISSUE.model_copy(update={"is_pull_request": True})), True, "Open an issue"),
        (asked(issue=None), False, "gone"),
        (asked(label="bug"), False, "`bug` does not start work"),
        (asked(policy=Policy(label="agent")), False, "`agent` does"),
        (asked(actor=Actor(id=1, login="x[bot]", type="Bot"), permission="admin"), False, "bots"),
        (asked(repository=REPOSITORY.model_copy(update={"archived": True})), False, "archived"),
        # Who labels with another label is never answered, whatever their permission.
        (asked(label="bug", permission="none"), False, "does not start work"),
    ],
)
def test_refusals_and_who_hears_of_them(decision: Decision, answer: bool, says: str) -> None:
    """People who asked hear why not and what to do; other labels and bots are only recorded."""
    assert not decision.allowed
    assert decision.answer is answer
    assert says in decision.reasons[0]
