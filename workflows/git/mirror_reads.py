"""What is read from a mirror: files, trees, messages, differences, and how two histories lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from workflows.git.bare import BareRepository, checked
from workflows.git.process import EMPTY_TREE, failure, run_git

BLOB_GROUP_BYTES = 16_000_000
REGULAR = ("100644", "100755")


@dataclass(frozen=True)
class TreeEntry:
    """One line of a tree: git's octal mode, object type, object id, and path (UTF-8; other bytes are replaced)."""

    mode: str
    type: str
    oid: str
    path: str


@dataclass(frozen=True)
class MirrorReads(BareRepository):
    """The part of a mirror that reads. Commits are full hexadecimal ids."""

    def resolve(self, branch: str) -> str | None:
        """The commit a branch of the mirror points at, or None (an empty repository has no branch)."""
        answer = self._git("show-ref", "--verify", "--hash", f"refs/heads/{branch}")
        return answer.output.decode().strip() or None if answer.code == 0 else None

    def holds(self, commit: str) -> bool:
        """Whether the commit is in the mirror; False before the first fetch."""
        return self.path.exists() and self._git("cat-file", "-e", f"{checked(commit)}^{{commit}}").code == 0

    def read_file(self, commit: str, path: str, *, limit: int = 1_000_000) -> bytes | None:
        """A regular file's bytes; None when it is absent, larger than ``limit`` bytes, or a link or folder."""
        if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
            return None
        listed = self._read("ls-tree", "-z", "-l", "--full-tree", checked(commit), "--", path).output
        for line in listed.split(b"\0"):
            facts, _, name = line.partition(b"\t")
            if name == path.encode("utf-8", "surrogateescape"):
                mode, _, oid, size = facts.decode().split()
                if mode not in REGULAR or int(size) > limit:
                    return None
                return self._read("cat-file", "blob", oid, limit=limit + 1).output
        return None

    def tree(self, commit: str, *, limit: int = 200_000) -> list[TreeEntry]:
        """All files of a commit, in git's order; no more than ``limit`` of them."""
        # 300 bytes a line: a hostile tree of ten million paths is cut off while it is still being listed.
        answer = run_git(["ls-tree", "-r", "-z", "--full-tree", checked(commit)], git_dir=self.path, limit=limit * 300)
        if answer.code and not answer.truncated:
            raise failure("list the files", answer)
        entries = []
        for line in answer.output.split(b"\0")[:-1][:limit]:
            facts, _, name = line.partition(b"\t")
            mode, kind, oid = facts.decode().split()
            entries.append(TreeEntry(mode, kind, oid, name.decode("utf-8", "replace")))
        return entries

    def blobs(self, oids: Iterable[str], *, limit: int = 1_000_000) -> Iterator[dict[str, bytes]]:
        """The contents of blobs by id, in groups of some 16 MB; without those that are absent or above ``limit`` bytes.

        One git process for the sizes and one a group, however many blobs there are.
        """
        asked = "".join(f"{oid}\n" for oid in dict.fromkeys(oids))
        group: list[str] = []
        total = 0
        for line in self._read("cat-file", "--batch-check", stdin=asked.encode()).output.decode().splitlines():
            oid, kind, *size = line.split()
            if kind != "blob" or int(size[0]) > limit:
                continue
            group.append(oid)
            total += len(line) + int(size[0]) + 2
            if total > BLOB_GROUP_BYTES:
                yield self._read_blobs(group, total)
                group, total = [], 0
        if group:
            yield self._read_blobs(group, total)

    def subjects(self, commit: str, *, count: int = 20) -> tuple[str, ...]:
        """The first lines of the last commit messages, newest first."""
        listed = self._read(
            "log", "-z", f"-{count}", "--format=%s", "--no-show-signature", checked(commit), "--"
        ).output
        return tuple(line.decode("utf-8", "replace") for line in listed.split(b"\0") if line)

    def commits_touching(self, path: str, *, since: str, until: str, count: int = 5) -> tuple[tuple[str, str], ...]:
        """The newest commits that ``until`` has and ``since`` has not and that changed this path: ids and subjects."""
        span = f"{checked(since)}..{checked(until)}"
        listed = self._read(
            "log", "-z", f"-{count}", "--format=%H %s", "--no-show-signature", "--no-merges", span, "--", path
        ).output
        lines = [line.decode("utf-8", "replace") for line in listed.split(b"\0") if line]
        return tuple((line[:10], line.partition(" ")[2]) for line in lines)

    def diff(self, base: str | None, commit: str, *, limit: int = 1_000_000) -> str:
        """The unified diff between two commits, renames found, cut at a line's end near ``limit`` bytes."""
        arguments = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "-M", "-l400"]
        sides = [checked(base) if base else EMPTY_TREE, checked(commit)]
        answer = run_git([*arguments, *sides, "--"], git_dir=self.path, limit=limit)
        if answer.code and not answer.truncated:
            raise failure("show the difference", answer)
        if not answer.truncated:
            return answer.output.decode("utf-8", "replace")
        kept = answer.output[: answer.output.rfind(b"\n") + 1].decode("utf-8", "replace")
        return f"{kept}[the rest of the diff is left out: it is longer than {limit:,} bytes]\n"

    def tree_of(self, commit: str) -> str:
        """The id of a commit's tree."""
        return self._read("rev-parse", "--verify", f"{checked(commit)}^{{tree}}").output.decode().strip()

    def merge_base(self, ours: str, theirs: str) -> str | None:
        """The best common ancestor of two commits; None when their histories have nothing in common."""
        answer = self._git("merge-base", checked(ours), checked(theirs))
        if answer.code not in (0, 1):
            raise failure("compare the histories", answer)
        return answer.output.decode().strip() or None

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether ``of`` has the commit in its history, or is it."""
        answer = self._git("merge-base", "--is-ancestor", checked(commit), checked(of))
        if answer.code not in (0, 1):
            raise failure("compare the histories", answer)
        return answer.code == 0

    def _read_blobs(self, oids: list[str], total: int) -> dict[str, bytes]:
        # "<oid> blob <size>\n<content>\n": https://git-scm.com/docs/git-cat-file#_batch_output
        output = self._read("cat-file", "--batch", stdin="\n".join([*oids, ""]).encode(), limit=total).output
        contents: dict[str, bytes] = {}
        at = 0
        for oid in oids:
            head_end = output.index(b"\n", at)
            end = head_end + 1 + int(output[at:head_end].rpartition(b" ")[2])
            contents[oid] = output[head_end + 1 : end]
            at = end + 1
        return contents
