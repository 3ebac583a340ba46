"""What a base commit tells about its repository: language, tests, set-up, guidance; read from the mirror alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from workflows.detect import Detected, Runner, detect, runner_for
from workflows.git import Mirror, TreeEntry
from workflows.plain_text import UNFIT, fit_to_parse
from workflows.policy import Policy
from workflows.pull_request import find_template
from workflows.setup_steps import Setup, choose_setup
from workflows.types import Noun

GUIDANCE = ("AGENTS.md", "QWEN.md", "CLAUDE.md", ".github/copilot-instructions.md", "CONTRIBUTING.md")
LONGEST_GUIDANCE = 32_000
LONGEST_FILE = 1_000_000


class Survey(Noun):
    """What we know before the work begins. ``notes`` are sentences for the pull request: what was detected and why."""

    base: str
    branch: str
    test_command: str | None
    runner: Runner
    setup: Setup
    lock_files: dict[str, str]
    guidance: dict[str, str]
    template: str | None
    subjects: tuple[str, ...]
    notes: tuple[str, ...]


def survey_repository(mirror: Mirror, *, base: str, branch: str, policy: Policy) -> Survey:
    """Read the tree at ``base``, the tip of ``branch``. Raises GitFailure."""
    entries = mirror.tree(base)
    names = [entry.path for entry in entries]

    unfit: dict[str, None] = {}

    def read(path: str) -> str | None:
        content = mirror.read_file(base, path, limit=LONGEST_FILE)
        if content is not None and fit_to_parse(content) is None:
            unfit.setdefault(path)
            return None
        return None if content is None else content.decode("utf-8", "replace")

    def words(path: str) -> str | None:
        # Not parsed, only shown: prose may have long lines.
        content = mirror.read_file(base, path, limit=LONGEST_FILE)
        return None if content is None else content.decode("utf-8", "replace")

    detected = detect(names, read)
    setup = choose_setup(policy, detected, read)
    guidance = {path: text[:LONGEST_GUIDANCE] for path in GUIDANCE if path in names and (text := words(path))}
    template = find_template(names)
    return Survey(
        base=base,
        branch=branch,
        test_command=policy.test or detected.test_command,
        runner=runner_for(policy.test, read) if policy.test else detected.runner,
        setup=setup,
        lock_files=_blob_ids(entries, detected.lock_files),
        guidance=guidance,
        template=read(template) if template else None,
        subjects=mirror.subjects(base),
        notes=(*_notes(policy, detected, setup), *_not_read(unfit)),
    )


def _blob_ids(entries: Sequence[TreeEntry], paths: Sequence[str]) -> dict[str, str]:
    wanted = set(paths)
    return {entry.path: entry.oid for entry in entries if entry.path in wanted}


def _not_read(paths: Collection[str]) -> tuple[str, ...]:
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    names = ", ".join(f"`{path}`" for path in list(paths)[:5])
    return (f"Not read, because it is {UNFIT}: {names}{more}.",) if paths else ()


def _notes(policy: Policy, detected: Detected, setup: Setup) -> tuple[str, ...]:
    told = (f"Tests: `{policy.test}`, as the policy says.",) if policy.test else ()
    return (*told, *detected.why, *setup.why)
