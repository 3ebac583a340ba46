"""What speaks against taking the model's word that it is done, and what stays unproven when it is taken anyway."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from workflows.agent.done.proof import Proof
from workflows.evidence.testfiles import is_test_path
from workflows.types import Finish, Patch

Reason = Literal["failed_call", "changed", "unchanged", "never_run", "stale", "failing", "no_test", "weakened"]

MOST_NAMED = 5
LONGEST_NAME = 160
OPENINGS: dict[Reason, str] = {
    "failed_call": "a call before `finish` in the same reply failed",
    "changed": "you say that no change is needed, but files were changed",
    "unchanged": "no file was changed",
    "never_run": "the tests were never run with `run_tests`",
    "stale": "the tests were not run after the last change",
    "failing": "the last `run_tests` did not pass",
    "no_test": "no test shows the change",
    "weakened": "tests were weakened",
}
_PROSE = re.compile(
    r"\.(?:md|rst|txt|adoc|rdoc)$|(?:^|/)(?:docs?|LICENSE|COPYING|AUTHORS|NOTICE)(?:/|$)", re.IGNORECASE
)
_QUOTED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Doubt:
    """One objection. ``said`` is for the model and begins with the reason's opening; ``unproven`` is for people, empty
    when nothing would be left open. ``explainable``: a reason in ``verification`` settles it.
    """

    reason: Reason
    said: str
    unproven: str = ""
    explainable: bool = True


def find_doubts(
    finish: Finish,
    proof: Proof,
    *,
    changed: bool,
    with_tests: bool,
    patch: Patch | None = None,
    weakened: Sequence[str] = (),
) -> list[Doubt]:
    """Every doubt about closing words, the gravest first. ``patch`` None: what was changed is not known."""
    if finish.no_change_needed:
        return (
            [Doubt("changed", f"{OPENINGS['changed']}: take the changes back.", explainable=False)] if changed else []
        )
    doubts = list(_doubts_of_runs(proof, changed=changed)) if with_tests or proof.ran else []
    if not changed:
        hint = "If none needs to be, set `no_change_needed` and say why."
        doubts.insert(0, Doubt("unchanged", f"{OPENINGS['unchanged']}. {hint}"))
    elif patch is not None and with_tests and not proof.mended and _wants_test(patch):
        said = (
            f"{OPENINGS['no_test']}: the change adds or changes none. Add one that fails without your change and "
            "passes with it (the harness runs it on the code as it was). If none is possible, say in `verification` "
            "why."
        )
        doubts.append(Doubt("no_test", said, "No test shows the change: none was added or changed."))
    unexplained = [one for one in weakened if not _mentions(finish, one)]
    if unexplained:
        told = " ".join(unexplained[:MOST_NAMED])
        more = f" And {len(unexplained) - MOST_NAMED} more." if len(unexplained) > MOST_NAMED else ""
        said = f"{OPENINGS['weakened']}. {told}{more} Take that back, or name each in `verification` and say why."
        doubts.append(Doubt("weakened", said, f"Weakened tests were not explained: {told}{more}"))
    return doubts


def say_old_failures(proof: Proof) -> str:
    """The sentence for people on tests that fail as they did before the change; empty when there are none."""
    return f"Failing as before the change: {_named(proof.old)}." if proof.old else ""


def _doubts_of_runs(proof: Proof, *, changed: bool) -> Iterator[Doubt]:
    if not proof.ran:
        yield Doubt("never_run", f"{OPENINGS['never_run']}.", "The tests were not run while the change was made.")
        return
    if not proof.passed:
        told = _named(proof.failing or proof.red)
        said = f"{OPENINGS['failing']}: {told}."
        yield Doubt("failing", said, f"When the session ended, these were last seen failing: {told}.")
    if changed and not proof.current:
        yield Doubt("stale", f"{OPENINGS['stale']}, so they say nothing of it.", "The last change was not tested.")


def _wants_test(patch: Patch) -> bool:
    written = [file for file in patch.files if file.content is not None]
    # Rust keeps its unit tests beside the code.
    shows = any(is_test_path(file.path) or b"#[test]" in (file.content or b"") for file in written)
    return not shows and not all(_PROSE.search(file.path) for file in patch.files)


def _mentions(finish: Finish, sentence: str) -> bool:
    """Whether the closing words name the test, or else the file, that a sentence on a weakened test names."""
    path, *names = _QUOTED.findall(sentence) or [sentence]
    known = [name for name in names[:1] if re.fullmatch(r"[\w.:\[\]-]+", name)] or [path.rpartition("/")[2]]
    return any(name in finish.verification for name in known)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(
        "`" + " ".join(name.replace("`", "'").split())[:LONGEST_NAME] + "`" for name in names[:MOST_NAMED]
    )
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
