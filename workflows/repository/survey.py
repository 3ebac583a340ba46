"""What a base commit tells about its repository: language, tests, set-up, guidance; read from the mirror alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from workflows.git.mirror_reads import REGULAR, TreeEntry
from workflows.git.mirrors import Mirror
from workflows.git.plain_text import UNFIT, fit_to_parse
from workflows.publishing.pull_request import find_template
from workflows.repository.detect import Detected, Runner, detect, runner_for
from workflows.repository.guidance import nested_guidance, read_guidance, root_guidance
from workflows.repository.policy import Policy
from workflows.repository.setup_steps import Setup, choose_setup
from workflows.types import Noun

LONGEST_FILE = 1_000_000


class Survey(Noun):
    """What we know before the work begins. ``notes`` are sentences for the pull request: what was detected and why.

    ``guidance`` maps the paths of the guidance for the whole repository to its text; ``nested_guidance`` are the paths
    of that for single folders.
    """

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
    nested_guidance: tuple[str, ...] = ()


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

    detected = detect(names, read)
    setup = choose_setup(policy, detected, read)
    template = find_template(names)
    return Survey(
        base=base,
        branch=branch,
        test_command=policy.test or detected.test_command,
        runner=runner_for(policy.test, read) if policy.test else detected.runner,
        setup=setup,
        lock_files=_blob_ids(entries, detected.lock_files),
        guidance=_read_guidance(mirror, base, names),
        template=read(template) if template else None,
        subjects=mirror.subjects(base),
        notes=(*_notes(policy, detected, setup), *_not_read(unfit)),
        nested_guidance=nested_guidance(entry.path for entry in entries if entry.mode in REGULAR),
    )


def survey_apart(mirror: Mirror, *, base: str, branch: str, trusted: str, policy: Policy) -> Survey:
    """The same for code that is not on the default branch ``trusted``, whose guidance counts all the same.

    A change under work cannot rewrite its own guidance.
    """
    found = survey_repository(mirror, base=base, branch=branch, policy=policy)
    tip = mirror.resolve(trusted)
    if tip is None:
        return found.model_copy(update={"guidance": {}, "nested_guidance": ()})
    told = survey_repository(mirror, base=tip, branch=trusted, policy=policy)
    return found.model_copy(update={"guidance": told.guidance, "nested_guidance": ()})


def _read_guidance(mirror: Mirror, base: str, names: Sequence[str]) -> dict[str, str]:
    """The texts by path; of files that say the same, as copies for several agents do, the first."""
    texts: dict[str, str] = {}
    for path in root_guidance(set(names)):
        text = read_guidance(mirror, base, path)
        if text is not None and text not in texts.values():
            texts[path] = text
    return texts


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
