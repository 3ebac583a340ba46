"""What is made in a mirror by plumbing, without a work tree: commits, merges, and the patch between two commits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workflows.git.bare import checked
from workflows.git.mirror_reads import REGULAR, MirrorReads
from workflows.git.patch import patch_file
from workflows.git.process import GitFailure, failure, run_git
from workflows.types import Noun, Patch, PatchFile


@dataclass(frozen=True)
class Identity:
    """A name and an address, as an author or committer."""

    name: str
    email: str


class Conflict(Noun):
    """One path that does not merge by itself; each id is None where that side has no file of this name.

    ``submodule``: a side has another repository there.
    """

    path: str
    base: str | None = None
    ours: str | None = None
    theirs: str | None = None
    submodule: bool = False


class Merge(Noun):
    """What a merge of two commits gives. With conflicts the tree is there too: its files hold conflict markers."""

    tree: str
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True)
class MirrorCommits(MirrorReads):
    """The part of a mirror that makes objects; no branch of it moves."""

    def commit(
        self, patch: Patch, *, base: str | None, message: str, author: Identity, committer: Identity, date: datetime
    ) -> str:
        """The commit that applies ``patch`` to ``base`` (None: a first commit); the same input gives the same id.

        ``base`` itself is returned when the patch changes nothing. The patch must have passed ``check_patch``.
        """
        tree = self._write_tree(patch, base)
        if base and tree == self.tree_of(base):
            return base
        return self.commit_tree(
            tree, (base,) if base else (), message=message, author=author, committer=committer, date=date
        )

    def commit_tree(
        self,
        tree: str,
        parents: Sequence[str],
        *,
        message: str,
        author: Identity,
        committer: Identity,
        date: datetime,
    ) -> str:
        """The commit of a tree that is there already, with these parents; the same input gives the same id."""
        when = f"{int(date.timestamp())} +0000"
        people = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
            "GIT_COMMITTER_DATE": when,
        }
        answer = self._read(
            "commit-tree",
            checked(tree),
            *(word for parent in parents for word in ("-p", checked(parent))),
            "-F",
            "-",
            environment=people,
            stdin=message.encode("utf-8", "replace"),
        )
        return answer.output.decode().strip()

    def merge(self, ours: str, theirs: str) -> Merge:
        """What merging ``theirs`` into ``ours`` gives, as a tree: nothing is committed. They must have a merge base.

        The repository's attributes choose neither a merge driver nor a filter: git merges as text, or not at all.
        """
        for commit in (ours, theirs):
            self._refuse_endless_tree(checked(commit))
        answer = run_git(["merge-tree", "--write-tree", "-z", "--no-messages", ours, theirs], git_dir=self.path)
        if answer.code not in (0, 1) or answer.truncated:
            raise failure("merge the branches", answer)
        # "<tree>\0", then with conflicts "<mode> <object> <stage>\t<path>\0" each:
        # https://git-scm.com/docs/git-merge-tree#OUTPUT
        tree, *entries = answer.output.decode("utf-8", "replace").rstrip("\0").split("\0")
        conflicts: dict[str, Conflict] = {}
        for entry in entries:
            facts, _, path = entry.partition("\t")
            mode, oid, stage = facts.split(" ")
            side: dict[str, object] = {("base", "ours", "theirs")[int(stage) - 1]: oid}
            if mode == "160000":
                side["submodule"] = True
            conflicts[path] = conflicts.get(path, Conflict(path=path)).model_copy(update=side)
        if answer.code and not conflicts:
            raise failure("merge the branches", answer)
        return Merge(tree=tree, conflicts=tuple(conflicts.values()))

    def changed_between(
        self, base: str, commit: str, *, max_files: int = 300, max_bytes: int = 4_000_000
    ) -> Patch | None:
        """What ``commit`` has and ``base`` has not, as a patch on ``base``; None when it is larger than that.

        None as well when a name is not UTF-8. The bounds are those of any patch; whether it may be published is for
        ``check_patch`` to say.
        """
        # ":<mode> <mode> <id> <id> <status>\0<path>\0": https://git-scm.com/docs/git-diff-tree#_raw_output_format
        answer = run_git(
            ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", checked(base), checked(commit), "--"],
            git_dir=self.path,
            limit=max_files * 5_000,
        )
        if answer.truncated or answer.output.count(b"\0") > 2 * max_files:
            return None
        if answer.code:
            raise failure("compare the commits", answer)
        words = answer.output.split(b"\0")[:-1]
        try:
            changed = [
                (raw.decode().split(" "), path.decode()) for raw, path in zip(words[::2], words[1::2], strict=True)
            ]
        except UnicodeDecodeError:
            return None
        contents: dict[str, bytes] = {}
        for group in self.blobs([facts[3] for facts, _ in changed if _is_file(facts[1])], limit=max_bytes):
            contents.update(group)
            if sum(map(len, contents.values())) > max_bytes:
                return None
        files: list[PatchFile] = []
        for (_, mode, _, oid, status), path in changed:
            content = contents.get(oid) if _is_file(mode) else oid.encode()
            if status != "D" and content is None:
                return None
            files.append(patch_file(path, None, None) if status == "D" else patch_file(path, mode, content))
        return Patch(base=base, files=tuple(sorted(files, key=lambda file: file.path)))

    def _write_tree(self, patch: Patch, base: str | None) -> str:
        with tempfile.TemporaryDirectory(prefix="forgehand-commit-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            if base:
                self._refuse_endless_tree(checked(base))
                self._read("read-tree", base, environment=index)
            deletions = [b"0 " + b"0" * 40 + b"\t" + file.path.encode() for file in patch.files if file.content is None]
            # --index-info lets a file take the place of a folder, and the other way round.
            changes = b"".join(line + b"\0" for line in (*deletions, *self._write_blobs(patch, Path(folder))))
            answer = self._read("update-index", "-z", "--index-info", environment=index, stdin=changes)
            if "Ignoring path" in answer.errors:  # the exit code is 0 all the same
                raise GitFailure("broken", f"git refuses a path of the change: {answer.errors.strip()[:200]}")
            return self._read("write-tree", environment=index).output.decode().strip()

    def _write_blobs(self, patch: Patch, folder: Path) -> list[bytes]:
        # One process for all files; on disk their names are numbers, so that no untrusted name is ever opened.
        written = [file for file in patch.files if file.content is not None]
        for number, file in enumerate(written):
            (folder / str(number)).write_bytes(file.content or b"")
        names = "".join(f"{folder / str(number)}\n" for number in range(len(written)))
        oids = self._read("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names.encode()).output.split()
        return [
            (file.mode or REGULAR[0]).encode() + b" " + oid + b"\t" + file.path.encode()
            for file, oid in zip(written, oids, strict=True)
        ]


def _is_file(mode: str) -> bool:
    """Whether there is a content: a submodule's id is of another repository."""
    return mode not in ("000000", "160000")
