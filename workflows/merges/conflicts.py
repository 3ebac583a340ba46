"""Merge conflicts: what the agent is told of them, and whether a tree that it leaves has resolved them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from workflows.git.mirror_commits import Conflict
from workflows.texts.outbound import code_span
from workflows.texts.untrusted import fence_untrusted, show_hidden
from workflows.types import Noun

MOST_CONFLICTS = 100
# A conflict inside a conflict has longer marks: https://git-scm.com/docs/git-merge#_how_conflicts_are_presented
_MARK = re.compile(rb"^(<{7,}|\|{7,}|={7,}|>{7,})(?=[ \r\n]|$)", re.MULTILINE)


class Sides(Noun):
    """One conflict with the newest commits that touched its path, on the branch and on its base (id and subject)."""

    conflict: Conflict
    ours: tuple[tuple[str, str], ...] = ()
    theirs: tuple[tuple[str, str], ...] = ()


def marks_left(after: bytes | None, ours: bytes | None, theirs: bytes | None) -> int:
    """How many conflict marks a file holds that neither side has: a page about git may hold some rightly."""
    found, known = _marks(after or b""), _marks(ours or b"") | _marks(theirs or b"")
    return (found - known).total()


def render_conflict_task(sides: Sequence[Sides], *, base: str) -> str:
    """The request to the agent; names and subjects, which are others' words, are fenced."""
    listed = "\n\n".join(_describe(side) for side in sides)
    return (
        "The base branch was merged into this pull request's branch, and git could not merge the files below by "
        "itself. The workspace holds that merge. Where both sides changed the same lines, the files hold conflict "
        "marks: between `<<<<<<<` and `|||||||` stands this branch's version, between `|||||||` and `=======` the "
        "version both began with, between `=======` and `>>>>>>>` the base branch's.\n\n"
        "Resolve every one of these conflicts, so that what each side meant still holds. Read both versions first. "
        "Change nothing that the merge does not need. Leave no mark behind, and run the tests. Where a file "
        "was deleted on one side and changed on the other, decide which holds, and say why. Say in `summary`, for "
        "each file, how you resolved it.\n\n" + fence_untrusted(f"conflicts with {base}", show_hidden(listed))
    )


def say_conflicts(conflicts: Sequence[Conflict], *, most: int = 20) -> str:
    """The conflicts as a list for people."""
    more = f"\n- and {len(conflicts) - most} more" if len(conflicts) > most else ""
    return "\n".join(f"- {code_span(one.path[:300])}: {_kind(one)}" for one in conflicts[:most]) + more


def _describe(side: Sides) -> str:
    lines = [f"{side.conflict.path}: {_kind(side.conflict)}"]
    for who, commits in (("this branch", side.ours), ("the base branch", side.theirs)):
        lines += [f"  changed on {who} by {commit} {subject[:200]}" for commit, subject in commits]
    return "\n".join(lines)


def _kind(conflict: Conflict) -> str:
    if conflict.submodule:
        return "a submodule"
    if conflict.ours is None and conflict.theirs is not None:
        return "deleted or renamed on the branch, changed on the base" if conflict.base else "renamed or moved"
    if conflict.theirs is None and conflict.ours is not None:
        return "changed on the branch, deleted or renamed on the base" if conflict.base else "renamed or moved"
    if conflict.ours is None:
        return "renamed or moved on both sides"
    return "changed on both sides" if conflict.base else "added on both sides"


def _marks(content: bytes) -> Counter[bytes]:
    return Counter(match[1] for match in _MARK.finditer(content))
