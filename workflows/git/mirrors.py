"""The bare mirrors: what is fetched into them, read from them, committed on them by plumbing, and pushed from them.

No work tree exists on the host, and no git command runs where a repository's own configuration would be read.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from workflows.git.patch import patch_file
from workflows.git.process import (
    EMPTY_TREE,
    LOCAL_RECEIVE_PACK,
    LOCAL_UPLOAD_PACK,
    GitAnswer,
    GitFailure,
    Remote,
    failure,
    parse_remote,
    run_git,
)
from workflows.types import Noun, Patch, PatchFile

NETWORK_SECONDS = 900.0
MAX_TREE_ENTRIES = 1_000_000
BLOB_GROUP_BYTES = 16_000_000
REGULAR = ("100644", "100755")


class PushResult(Noun):
    """What a push did. ``reason`` is set when it was rejected: the remote's words, in one line."""

    state: Literal["created", "fast-forwarded", "up_to_date", "rejected"]
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the branch now holds the commit."""
        return self.state != "rejected"


@dataclass(frozen=True)
class Identity:
    """A name and an address, as an author or committer."""

    name: str
    email: str


@dataclass(frozen=True)
class TreeEntry:
    """One line of a tree: git's octal mode, object type, object id, and path (UTF-8; other bytes are replaced)."""

    mode: str
    type: str
    oid: str
    path: str


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
class Mirrors:
    """The folder of all mirrors. ``local_checkouts`` opens local paths as remotes: for the command line alone."""

    folder: Path
    local_checkouts: bool = False

    def at(self, key: int | str) -> Mirror:
        """The mirror of a repository id, or of a local path; nothing is written before the first fetch."""
        name = str(key) if isinstance(key, int) else "path-" + hashlib.sha256(key.encode()).hexdigest()[:24]
        return Mirror(self.folder / f"{name}.git", self.local_checkouts)


@dataclass(frozen=True)
class Mirror:
    """One bare repository. Every method raises GitFailure; commits are full hexadecimal ids."""

    path: Path
    local_checkouts: bool = False

    def fetch(
        self, url: str, token: str | None = None, *, pull: int | None = None, timeout: float = NETWORK_SECONDS
    ) -> None:
        """Bring all branches and tags up to date; what is gone there goes here. Safe beside other fetches.

        ``pull``: the head of this pull request too, which may be in a fork.
        """
        remote = self._remote(url, token)
        with self._locked(timeout) as lock:
            self._init()
            answer = run_git(
                [
                    "fetch",
                    "--quiet",
                    "--prune",
                    "--no-tags",
                    "--no-recurse-submodules",
                    "--no-write-fetch-head",
                    "--no-auto-maintenance",
                    *_upload_pack(remote),
                    "--",
                    remote.url,
                    "+refs/heads/*:refs/heads/*",
                    "+refs/tags/*:refs/tags/*",
                    # GitHub keeps this one for forks and deleted branches as well:
                    # https://docs.github.com/en/pull-requests/collaborating-with-pull-requests/reviewing-changes-in-pull-requests/checking-out-pull-requests-locally
                    *([f"+refs/pull/{pull}/head:refs/pull/{pull}/head"] if pull is not None else []),
                ],
                git_dir=self.path,
                remote=remote,
                timeout=timeout,
                held=(lock,),
            )
        if answer.code:
            raise failure("fetch the repository", answer)

    def resolve(self, branch: str) -> str | None:
        """The commit a branch of the mirror points at, or None (an empty repository has no branch)."""
        answer = self._git("show-ref", "--verify", "--hash", f"refs/heads/{branch}")
        return answer.output.decode().strip() or None if answer.code == 0 else None

    def holds(self, commit: str) -> bool:
        """Whether the commit is in the mirror; False before the first fetch."""
        return self.path.exists() and self._git("cat-file", "-e", f"{_checked(commit)}^{{commit}}").code == 0

    def read_file(self, commit: str, path: str, *, limit: int = 1_000_000) -> bytes | None:
        """A regular file's bytes; None when it is absent, larger than ``limit`` bytes, or a link or folder."""
        if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
            return None
        listed = self._read("ls-tree", "-z", "-l", "--full-tree", _checked(commit), "--", path).output
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
        answer = run_git(["ls-tree", "-r", "-z", "--full-tree", _checked(commit)], git_dir=self.path, limit=limit * 300)
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
            "log", "-z", f"-{count}", "--format=%s", "--no-show-signature", _checked(commit), "--"
        ).output
        return tuple(line.decode("utf-8", "replace") for line in listed.split(b"\0") if line)

    def commits_touching(self, path: str, *, since: str, until: str, count: int = 5) -> tuple[tuple[str, str], ...]:
        """The newest commits that ``until`` has and ``since`` has not and that changed this path: ids and subjects."""
        span = f"{_checked(since)}..{_checked(until)}"
        listed = self._read(
            "log", "-z", f"-{count}", "--format=%H %s", "--no-show-signature", "--no-merges", span, "--", path
        ).output
        lines = [line.decode("utf-8", "replace") for line in listed.split(b"\0") if line]
        return tuple((line[:10], line.partition(" ")[2]) for line in lines)

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
            _checked(tree),
            *(word for parent in parents for word in ("-p", _checked(parent))),
            "-F",
            "-",
            environment=people,
            stdin=message.encode("utf-8", "replace"),
        )
        return answer.output.decode().strip()

    def diff(self, base: str | None, commit: str, *, limit: int = 1_000_000) -> str:
        """The unified diff between two commits, renames found, cut at a line's end near ``limit`` bytes."""
        arguments = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "-M", "-l400"]
        sides = [_checked(base) if base else EMPTY_TREE, _checked(commit)]
        answer = run_git([*arguments, *sides, "--"], git_dir=self.path, limit=limit)
        if answer.code and not answer.truncated:
            raise failure("show the difference", answer)
        if not answer.truncated:
            return answer.output.decode("utf-8", "replace")
        kept = answer.output[: answer.output.rfind(b"\n") + 1].decode("utf-8", "replace")
        return f"{kept}[the rest of the diff is left out: it is longer than {limit:,} bytes]\n"

    def tree_of(self, commit: str) -> str:
        """The id of a commit's tree."""
        return self._read("rev-parse", "--verify", f"{_checked(commit)}^{{tree}}").output.decode().strip()

    def merge_base(self, ours: str, theirs: str) -> str | None:
        """The best common ancestor of two commits; None when their histories have nothing in common."""
        answer = self._git("merge-base", _checked(ours), _checked(theirs))
        if answer.code not in (0, 1):
            raise failure("compare the histories", answer)
        return answer.output.decode().strip() or None

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether ``of`` has the commit in its history, or is it."""
        answer = self._git("merge-base", "--is-ancestor", _checked(commit), _checked(of))
        if answer.code not in (0, 1):
            raise failure("compare the histories", answer)
        return answer.code == 0

    def merge(self, ours: str, theirs: str) -> Merge:
        """What merging ``theirs`` into ``ours`` gives, as a tree: nothing is committed. They must have a merge base.

        The repository's attributes choose neither a merge driver nor a filter: git merges as text, or not at all.
        """
        for commit in (ours, theirs):
            self._refuse_endless_tree(_checked(commit))
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
            ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", _checked(base), _checked(commit), "--"],
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

    def push(
        self,
        url: str,
        commit: str,
        branch: str,
        token: str | None = None,
        *,
        create: bool = False,
        timeout: float = NETWORK_SECONDS,
    ) -> PushResult:
        """Make the remote's branch hold ``commit``: create it or move it forward, never otherwise.

        A branch that holds the commit already, with or without work on top of it, is "up_to_date". ``create``: a
        branch that is there with less is somebody else's, and "rejected".
        """
        remote = self._remote(url, token)
        target = self._checked_branch(branch)
        receive = [f"--receive-pack={LOCAL_RECEIVE_PACK}"] if remote.scheme == "file" else []
        # An empty expectation means "not there yet": git checks it in the same breath, and can overwrite nothing.
        absent = [f"--force-with-lease={target}:"] if create else []
        answer = run_git(
            ["push", "--porcelain", "--no-verify", *absent, *receive, "--", remote.url, f"{_checked(commit)}:{target}"],
            git_dir=self.path,
            remote=remote,
            timeout=timeout,
        )
        flag, words = _parse_push(answer.output.decode("utf-8", "replace"))
        if flag == "*":
            return PushResult(state="created")
        if flag == "=":
            return PushResult(state="up_to_date")
        if flag == " ":
            return PushResult(state="fast-forwarded")
        if flag == "!":
            if any(sign in words for sign in ("non-fast-forward", "fetch first", "stale info")):
                return self._already_there(remote, commit, target, timeout)
            return PushResult(state="rejected", reason=_rejection(words, answer.errors))
        raise failure("push the branch", answer)

    def remote_branch(self, url: str, branch: str, token: str | None = None, *, timeout: float = 60) -> str | None:
        """The commit the remote's branch points at now, or None."""
        remote = self._remote(url, token)
        target = self._checked_branch(branch)
        answer = run_git(["ls-remote", *_upload_pack(remote), "--", remote.url, target], remote=remote, timeout=timeout)
        if answer.code:
            raise failure("look at the remote's branches", answer)
        for line in answer.output.decode("utf-8", "replace").splitlines():
            oid, _, name = line.partition("\t")
            if name == target:
                return oid
        return None

    def remote_head(self, url: str, token: str | None = None, *, timeout: float = 60) -> str | None:
        """The branch that the remote's HEAD names (a checkout's current branch), or None when it is detached."""
        remote = self._remote(url, token)
        answer = run_git(
            ["ls-remote", "--symref", *_upload_pack(remote), "--", remote.url, "HEAD"], remote=remote, timeout=timeout
        )
        if answer.code:
            raise failure("look at the remote's HEAD", answer)
        first = answer.output.decode("utf-8", "replace").partition("\t")[0]
        return first.removeprefix("ref: refs/heads/") if first.startswith("ref: refs/heads/") else None

    def _already_there(self, remote: Remote, commit: str, target: str, timeout: float) -> PushResult:
        held = run_git(
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *_upload_pack(remote), "--", remote.url, target],
            git_dir=self.path,
            remote=remote,
            timeout=timeout,
        )
        tip = self.remote_branch(remote.url, target.removeprefix("refs/heads/"), remote.token)
        if held.code == 0 and tip and self._git("merge-base", "--is-ancestor", commit, tip).code == 0:
            return PushResult(state="up_to_date")
        return PushResult(state="rejected", reason="the branch exists and holds commits that are not ours")

    def _write_tree(self, patch: Patch, base: str | None) -> str:
        with tempfile.TemporaryDirectory(prefix="forgehand-commit-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            if base:
                self._refuse_endless_tree(_checked(base))
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

    def _refuse_endless_tree(self, commit: str) -> None:
        # A few objects can name ten million paths; read-tree would hold every one of them in memory.
        answer = run_git(
            ["ls-tree", "-r", "-z", "--full-tree", commit], git_dir=self.path, limit=MAX_TREE_ENTRIES * 120
        )
        if answer.truncated or answer.output.count(b"\0") > MAX_TREE_ENTRIES:
            raise GitFailure(
                "broken", f"The repository has more than {MAX_TREE_ENTRIES:,} files, which is more than can be handled."
            )

    def _remote(self, url: str, token: str | None) -> Remote:
        return parse_remote(url, token, local_checkouts=self.local_checkouts)

    def _checked_branch(self, branch: str) -> str:
        target = f"refs/heads/{branch}"
        if branch.startswith("-") or "\0" in branch or run_git(["check-ref-format", target]).code:
            raise GitFailure("usage", "git does not allow this branch name. Change `branch_prefix` in the policy.")
        return target

    def _git(self, *arguments: str) -> GitAnswer:
        return run_git(arguments, git_dir=self.path)

    def _read(
        self, *arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None, limit: int = 64_000_000
    ) -> GitAnswer:
        answer = run_git(arguments, git_dir=self.path, stdin=stdin, environment=environment, limit=limit)
        if answer.code or answer.truncated:
            raise failure(f"run {arguments[0]} on the mirror", answer)
        return answer

    def _init(self) -> None:
        # Only what fetches of ours left behind when they were killed: the lock is held, so nobody is at work.
        for pattern in ("*.lock", "refs/**/*.lock", "objects/pack/tmp_*"):
            for stale in self.path.glob(pattern):
                stale.unlink(missing_ok=True)
        if self.path.exists():
            return
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix="new-") as folder:
            fresh = Path(folder) / "mirror"
            answer = run_git(["init", "--quiet", "--bare", "--template=", "--", str(fresh)])
            if answer.code:
                raise failure("make the mirror", answer)
            fresh.rename(self.path)

    @contextmanager
    def _locked(self, timeout: float) -> Iterator[int]:
        # git inherits the descriptor: after a kill -9 of this process the lock holds until its git has ended too.
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + timeout
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise GitFailure("timeout", "Another job is still fetching this repository. Try again later.")
                time.sleep(0.05)
            yield descriptor
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _checked(commit: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", commit):
        raise GitFailure("usage", "This is not a commit id. Give all of its hexadecimal digits.")
    return commit


def _is_file(mode: str) -> bool:
    """Whether there is a content: a submodule's id is of another repository."""
    return mode not in ("000000", "160000")


def _upload_pack(remote: Remote) -> list[str]:
    return [f"--upload-pack={LOCAL_UPLOAD_PACK}"] if remote.scheme == "file" else []


def _parse_push(output: str) -> tuple[str, str]:
    # "<flag>\t<from>:<to>\t<summary> (<reason>)": https://git-scm.com/docs/git-push#_output
    for line in output.splitlines():
        parts = line.split("\t")
        if len(parts) == 3 and ":refs/heads/" in parts[1]:
            return parts[0], parts[2]
    return "", ""


def _rejection(words: str, errors: str) -> str:
    said = [line.removeprefix("remote:").strip() for line in errors.splitlines() if line.startswith("remote:")]
    return " / ".join([words, *(line for line in said if line)])[:400]
