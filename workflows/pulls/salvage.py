"""A change whose branch moved while it was made, brought onto what people pushed meanwhile by git's own merge.

What they pushed is never overwritten: where the two do not merge by themselves, the change stays away.
"""

from __future__ import annotations

from workflows.git.mirrors import Mirror
from workflows.texts.outbound import code_span
from workflows.types import Noun, Patch

MOST_TRIES = 3
SHOWN = 10


class Salvaged(Noun):
    """``head`` is where the branch is now, ``patch`` the change on top of that; or ``problem`` says why there is none.

    None of them: the branch did not move.
    """

    head: str = ""
    patch: Patch | None = None
    problem: str = ""


def salvage(mirror: Mirror, *, branch: str, base: str, commit: str) -> Salvaged:
    """What ``commit``, made on ``base``, changes on the branch as the mirror has it now. Raises GitFailure."""
    head = mirror.resolve(branch)
    if head is None:
        return Salvaged(problem=f"The branch {code_span(branch)} was deleted meanwhile.")
    if head == base:
        return Salvaged()
    if not mirror.is_ancestor(base, head):
        # Merged all the same, it would bring back what they took out.
        return Salvaged(problem=f"The branch {code_span(branch)} was rewritten meanwhile, and the work began before.")
    merged = mirror.merge(head, commit)
    pushed = f"Somebody pushed to {code_span(branch)} meanwhile"
    if merged.conflicts:
        paths = ", ".join(code_span(conflict.path) for conflict in merged.conflicts[:SHOWN])
        more = f" and {len(merged.conflicts) - SHOWN} more" if len(merged.conflicts) > SHOWN else ""
        return Salvaged(problem=f"{pushed}, and the change conflicts with that in {paths}{more}.")
    patch = mirror.changed_between(head, merged.tree)
    if patch is None:
        return Salvaged(problem=f"{pushed}, and the change is too large to be merged with that.")
    if patch.empty:
        return Salvaged(problem=f"{pushed}, and the change is in that already.")
    return Salvaged(head=head, patch=patch)
