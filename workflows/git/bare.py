"""One bare repository on the host, and git run in it: no work tree, and no configuration of its own is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from workflows.git.process import GitAnswer, GitFailure, failure, run_git

MAX_TREE_ENTRIES = 1_000_000


@dataclass(frozen=True)
class BareRepository:
    """Its folder. ``local_checkouts`` opens local paths as remotes: for the command line alone."""

    path: Path
    local_checkouts: bool = False

    def _git(self, *arguments: str) -> GitAnswer:
        return run_git(arguments, git_dir=self.path)

    def _read(
        self, *arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None, limit: int = 64_000_000
    ) -> GitAnswer:
        answer = run_git(arguments, git_dir=self.path, stdin=stdin, environment=environment, limit=limit)
        if answer.code or answer.truncated:
            raise failure(f"run {arguments[0]} on the mirror", answer)
        return answer

    def _refuse_endless_tree(self, commit: str) -> None:
        # A few objects can name ten million paths; read-tree would hold every one of them in memory.
        answer = run_git(
            ["ls-tree", "-r", "-z", "--full-tree", commit], git_dir=self.path, limit=MAX_TREE_ENTRIES * 120
        )
        if answer.truncated or answer.output.count(b"\0") > MAX_TREE_ENTRIES:
            raise GitFailure(
                "broken", f"The repository has more than {MAX_TREE_ENTRIES:,} files, which is more than can be handled."
            )


def checked(commit: str) -> str:
    """The commit id, which is one. Raises GitFailure."""
    if not re.fullmatch(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", commit):
        raise GitFailure("usage", "This is not a commit id. Give all of its hexadecimal digits.")
    return commit
