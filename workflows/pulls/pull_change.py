"""The change of a pull request as it was when it was looked at, a fork's too: commits, paths and diff, read as data."""

from __future__ import annotations

from workflows.git.history import changed_paths, messages_between
from workflows.pulls.pull_work import read_head
from workflows.requests.thread_work import Thread
from workflows.services import BrokenWorld
from workflows.texts.diff_cut import FittedDiff, fit_diff
from workflows.types import Noun, PullRequest

LONGEST_DIFF = 60_000
DIFF_BYTES = 2_000_000


class PullChange(Noun):
    """What the head has that the base branch has not.

    ``base`` is the commit where they parted; ``messages`` are those of the head's commits, newest first; ``subjects``
    the first lines of those before.
    """

    base: str
    head: str
    paths: tuple[str, ...]
    messages: tuple[str, ...]
    subjects: tuple[str, ...]


def read_pull(thread: Thread) -> PullRequest:
    """The pull request now, open or not, a fork's or not, as a step. BrokenWorld when it is gone."""
    head = read_head(thread)
    if head.pull is None:
        raise BrokenWorld("github", head.problem)
    return head.pull


def read_change(thread: Thread, pull: PullRequest) -> PullChange:
    """Fetch the head and see what it changes. Raises BrokenWorld."""
    mirror = thread.fetch(pull=pull.number)
    tip = mirror.resolve(pull.base)
    if tip is None:
        raise BrokenWorld("git", f"The branch `{pull.base}`, which this is to be merged into, is gone.")
    if not mirror.holds(pull.head_sha):
        raise BrokenWorld("git", f"The branch `{pull.head}` moved just now. Ask again.")
    base = mirror.merge_base(tip, pull.head_sha)
    if base is None:
        raise BrokenWorld("git", f"`{pull.head}` and `{pull.base}` have no common past, so there is no change to tell.")
    return PullChange(
        base=base,
        head=pull.head_sha,
        paths=changed_paths(mirror, base, pull.head_sha),
        messages=messages_between(mirror, base, pull.head_sha),
        subjects=mirror.subjects(base),
    )


def read_diff(thread: Thread, pull: PullRequest, change: PullChange) -> FittedDiff:
    """The diff, cut to what a prompt may hold."""
    mirror = thread.mirror(change.base, change.head, pull=pull.number)
    diff = mirror.diff(change.base, change.head, limit=DIFF_BYTES)
    return fit_diff(diff, paths=change.paths, most=LONGEST_DIFF)


def say_change(change: PullChange) -> str:
    """How large it is, in a few words."""
    files, commits = len(change.paths), len(change.messages)
    return f"{files} {'file' if files == 1 else 'files'}, {commits} {'commit' if commits == 1 else 'commits'}"
