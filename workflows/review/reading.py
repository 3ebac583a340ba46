"""The diff of a pull request out of the mirror: from where it left the base branch to its head, as GitHub shows it."""

from __future__ import annotations

from workflows.git.mirrors import Mirror
from workflows.git.process import failure, run_git
from workflows.review.attributes import Attributes, parse_attributes
from workflows.review.diff import Diff, parse_diff

MOST_BYTES = 64_000_000
MOST_ATTRIBUTE_FILES = 50


def read_diff(mirror: Mirror, base: str, head: str, *, attributes: Attributes | None = None) -> Diff:
    """The diff between two commits of a mirror, at most 64 MB of it. Raises GitFailure.

    ``base`` is the merge base for a pull request's diff, or the last head that was reviewed for what is new since.
    """
    arguments = [
        "diff",
        "-M",
        "-l400",
        "--full-index",
        "--no-ext-diff",
        "--no-color",
        "--no-textconv",
        base,
        head,
        "--",
    ]
    answer = run_git(arguments, git_dir=mirror.path, limit=MOST_BYTES)
    if answer.code and not answer.truncated:
        raise failure("compare the commits", answer)
    return parse_diff(answer.output, attributes=attributes, cut=answer.truncated)


def read_attributes(mirror: Mirror, commit: str) -> Attributes:
    """What the .gitattributes files of a commit say: read them from the base, as a pull request may change them."""
    paths = [entry.path for entry in mirror.tree(commit) if entry.path.split("/")[-1] == ".gitattributes"]
    found = {path: mirror.read_file(commit, path, limit=100_000) for path in paths[:MOST_ATTRIBUTE_FILES]}
    return parse_attributes({path: content for path, content in found.items() if content is not None})
