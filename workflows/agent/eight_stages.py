"""The eight stages of a session, read from what its calls do; people see them: they go forward and do not flicker."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workflows.agent.commands import CommandKind, classify_command
from workflows.agent.stuck.steps import WRITING, string_argument
from workflows.types import Stage, ToolCall, Turn

STAGE_TITLES: dict[Stage, str] = {
    "understand": "Understand the task",
    "analyse": "Analyse the repository",
    "read": "Read the code",
    "plan": "Plan the change",
    "implement": "Implement it",
    "verify": "Verify it with tests",
    "iterate": "Mend what the tests showed",
    "complete": "Complete",
}
"""What each stage is called in the tracking comment, in their order."""

_ORDER: tuple[Stage, ...] = ("understand", "analyse", "read", "plan")
_LOOKING = frozenset({"glob", "repo_map"})
_READING = frozenset({"read_file", "grep"})
# Files that tell how a repository is laid out and built, rather than what its code does.
_ORIENTATION = re.compile(
    r"(?:.*/)?(?:(?:README|CONTRIBUTING|AGENTS|CLAUDE|QWEN|CHANGELOG|HACKING|ARCHITECTURE)(?:\.\w+)?"
    r"|(?:Makefile|Dockerfile|justfile|tox\.ini|setup\.(?:cfg|py)|go\.mod|pom\.xml|Gemfile|\.gitignore)"
    r"|[^/]*\.(?:toml|cfg|ini)|package\.json|tsconfig[^/]*\.json|build\.gradle(?:\.kts)?|requirements[^/]*\.txt)",
    re.IGNORECASE,
)


def infer_stage(turn: Turn, earlier: Sequence[Turn]) -> Stage:
    """The stage that a turn belongs to, from its own calls and the stage of the turn before it.

    ``turn`` needs its reply, its results, its patch and its finish. Before the first change the stages go forward only;
    after it they are "implement" until tests are run, then "verify" and, while more is changed, "iterate".
    """
    before: Stage = earlier[-1].stage if earlier else "understand"
    if turn.finish is not None or before == "complete":
        return "complete"
    kinds = _command_kinds(turn)
    wrote = any(result.name in WRITING and not result.failed for result in turn.results)
    wrote = wrote or (turn.patch is not None and "other" in kinds.values())
    if wrote or before in {"implement", "verify", "iterate"}:
        return _working(turn, before, kinds, wrote=wrote)
    return max(before, *(_opening(call, kinds) for call in turn.reply.tool_calls), before, key=_ORDER.index)


def _command_kinds(turn: Turn) -> dict[str, CommandKind]:
    """What the turn's commands are for, by the id of their call."""
    return {
        call.id: classify_command(string_argument(call, "command"))
        for call in turn.reply.tool_calls
        if call.name == "bash"
    }


def _working(turn: Turn, before: Stage, kinds: dict[str, CommandKind], *, wrote: bool) -> Stage:
    """The stage after the first change: what came last in the turn, changing or testing, decides."""
    tested_at = [at for at, result in enumerate(turn.results) if _tests(result.name, kinds.get(result.call_id))]
    wrote_at = [at for at, result in enumerate(turn.results) if result.name in WRITING and not result.failed]
    if tested_at and (not wrote_at or tested_at[-1] > wrote_at[-1]):
        return "verify"
    if not wrote:
        return before
    return "iterate" if before in {"verify", "iterate"} or tested_at else "implement"


def _tests(name: str, kind: CommandKind | None) -> bool:
    return name == "run_tests" or kind == "test"


def _opening(call: ToolCall, kinds: dict[str, CommandKind]) -> Stage:
    """The stage that one call belongs to while nothing is changed yet."""
    if call.name == "update_plan":
        return "plan"
    if call.name in _READING:
        oriented = call.name == "read_file" and _ORIENTATION.fullmatch(string_argument(call, "path"))
        return "analyse" if oriented else "read"
    if kinds.get(call.id) == "read":
        return "read"
    # Tests that are run before any change tell what the repository is like, as a listing does.
    looks = call.name in _LOOKING or call.name == "run_tests" or call.id in kinds
    return "analyse" if looks else "understand"
