"""The bare mirrors: what is fetched into them, read from them, committed on them by plumbing, and pushed from them.

No work tree exists on the host, and no git command runs where a repository's own configuration would be read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from workflows.git.mirror_commits import MirrorCommits
from workflows.git.mirror_remote import MirrorRemote


@dataclass(frozen=True)
class Mirrors:
    """The folder of all mirrors. ``local_checkouts`` opens local paths as remotes: for the command line alone."""

    folder: Path
    local_checkouts: bool = False

    def at(self, key: int | str) -> Mirror:
        """The mirror of a repository id, or of a local path; nothing is written before the first fetch."""
        name = str(key) if isinstance(key, int) else "path-" + hashlib.sha256(key.encode()).hexdigest()[:24]
        return Mirror(self.folder / f"{name}.git", self.local_checkouts)


@dataclass(frozen=True)
class Mirror(MirrorCommits, MirrorRemote):
    """One bare repository. Every method raises GitFailure; commits are full hexadecimal ids."""
