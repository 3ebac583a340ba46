"""What lies between two commits of a mirror: the messages, the paths and the lines; and what a name means."""

from __future__ import annotations

from workflows.git.mirrors import Mirror
from workflows.git.process import failure, run_git

MOST_PATHS = 3_000
"""As many files as GitHub shows of a pull request: https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files"""
NUMSTAT_BYTES = 64_000_000


def messages_between(mirror: Mirror, base: str, head: str, *, most: int = 100) -> tuple[str, ...]:
    """The messages of the commits that ``head`` has and ``base`` has not, newest first. Raises GitFailure."""
    listed = run_git(
        ["log", "-z", f"-{most}", "--format=%B", "--no-show-signature", f"{base}..{head}", "--"], git_dir=mirror.path
    )
    if listed.code:
        raise failure("read the commits", listed)
    return tuple(text for line in listed.output.split(b"\0") if (text := line.decode("utf-8", "replace").strip()))


def count_between(mirror: Mirror, base: str, head: str) -> int:
    """How many commits ``head`` has and ``base`` has not. Raises GitFailure."""
    counted = run_git(["rev-list", "--count", f"{base}..{head}", "--"], git_dir=mirror.path)
    if counted.code:
        raise failure("count the commits", counted)
    return int(counted.output)


def changed_paths(mirror: Mirror, base: str, head: str) -> tuple[str, ...]:
    """The paths that differ, in git's order, at most 3,000; of a renamed file the new one. Raises GitFailure."""
    arguments = ["diff", "--name-only", "-z", "-M", "-l400", "--no-ext-diff", base, head, "--"]
    listed = run_git(arguments, git_dir=mirror.path)
    if listed.code and not listed.truncated:
        raise failure("list the changed files", listed)
    return tuple(path.decode("utf-8", "replace") for path in listed.output.split(b"\0")[:-1][:MOST_PATHS])


def net_lines(mirror: Mirror, base: str, head: str) -> int:
    """By how many lines ``head`` is longer than ``base``; a binary file has none. Raises GitFailure."""
    arguments = ["diff-tree", "-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv", base, head]
    listed = run_git([*arguments, "--"], git_dir=mirror.path, limit=NUMSTAT_BYTES)
    if listed.code or listed.truncated:
        raise failure("count the changed lines", listed)
    # "<added>\t<removed>\t<path>\0", with "-" for a binary file: https://git-scm.com/docs/git-diff-tree#_other_diff_formats
    counts = [line.split(b"\t", 2)[:2] for line in listed.output.split(b"\0")[:-1]]
    return sum(int(added) - int(removed) for added, removed in counts if added != b"-")


def find_tag(mirror: Mirror, name: str) -> str | None:
    """The commit that a tag is on, or None."""
    return _commit_of(mirror, f"refs/tags/{name}")


def tag_names(mirror: Mirror, *, most: int = 1_000) -> tuple[str, ...]:
    """The names of the newest tags. Raises GitFailure."""
    listed = run_git(
        ["for-each-ref", f"--count={most}", "--sort=-creatordate", "--format=%(refname:lstrip=2)", "refs/tags"],
        git_dir=mirror.path,
    )
    if listed.code:
        raise failure("list the tags", listed)
    return tuple(listed.output.decode("utf-8", "replace").splitlines())


def find_commit(mirror: Mirror, name: str) -> str | None:
    """The commit that a tag, a branch or a commit id names, in this order; None when there is none."""
    named = find_tag(mirror, name) or _commit_of(mirror, f"refs/heads/{name}")
    is_id = 7 <= len(name) <= 64 and not name.strip("0123456789abcdefABCDEF")
    return named or (_commit_of(mirror, name) if is_id else None)


def _commit_of(mirror: Mirror, revision: str) -> str | None:
    answer = run_git(["rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], git_dir=mirror.path)
    return answer.output.decode().strip() or None if answer.code == 0 else None
