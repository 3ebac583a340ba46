"""The bare git repositories: what the local GitHub asks of git, and how it makes commits without a work tree."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ZERO = "0" * 40
NO_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
UPDATE_HOOK = """#!/bin/sh
# Runs once for each pushed ref: only the workflows permission lets an App change workflow files, as on GitHub.
ref="$1" new="$3"
[ "$LOCALHUB_WORKFLOWS" = write ] && exit 0
case "$new" in *[!0]*) ;; *) exit 0 ;; esac
file=$(git log --no-renames --format= --name-only "$new" --not --all -- .github/workflows | head -n 1)
[ -z "$file" ] && exit 0
reason="refusing to allow a GitHub App to create or update workflow \\`$file\\` without \\`workflows\\` permission"
printf '%s\\t%s\\n' "$ref" "$reason" >> "$LOCALHUB_REASONS"
exit 1
"""
CONFIG = {
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "receive.fsckObjects": "true",
    "receive.hideRefs": "refs/pull",
    "receive.autogc": "false",
    "gc.auto": "0",
    "core.logAllRefUpdates": "false",
}


@dataclass(frozen=True)
class Hunk:
    """One change of a file: ``old_count`` lines from ``old_start`` became ``new_count``; numbers are 1-based.

    Without old lines it was inserted after ``old_start``, as git writes it.
    """

    old_start: int
    old_count: int
    new_count: int


class GitRefused(Exception):
    """git ended with an error; the message is what it wrote."""


@dataclass(frozen=True)
class Person:
    """Author or committer of a commit."""

    name: str
    email: str
    date: str


@dataclass(frozen=True)
class Commit:
    """A commit as git has it; ``date`` of the persons is ISO 8601 in UTC."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


@dataclass(frozen=True)
class TreeEntry:
    """One name in a tree; ``size`` is None for trees and submodules."""

    mode: str
    type: str
    sha: str
    size: int | None
    path: str


@dataclass(frozen=True)
class FileDiff:
    """One file of a diff, in GitHub's words; ``patch`` is None for binary files and pure renames."""

    status: str
    path: str
    old_path: str | None
    sha: str
    additions: int
    deletions: int
    patch: str | None


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which no configuration of the machine or the user reaches git."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
    sealed = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "HOME": os.devnull, "LC_ALL": "C"}
    return {**kept, **sealed, **(extra or {})}


def git(
    path: Path,
    *arguments: str,
    stdin: bytes | None = None,
    extra: Mapping[str, str] | None = None,
    ok: Sequence[int] = (),
) -> bytes:
    """What git wrote. Raises GitRefused on an exit code that is neither 0 nor in ``ok``."""
    done = subprocess.run(
        ["git", "--git-dir", str(path), *arguments],
        input=stdin if stdin is not None else b"",
        capture_output=True,
        env=environment(extra),
        check=False,
    )
    if done.returncode and done.returncode not in ok:
        raise GitRefused(done.stderr.decode(errors="replace").strip())
    return done.stdout


def create(path: Path, default_branch: str) -> None:
    """Make an empty bare repository that serves partial clones and guards workflow files."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "--bare", f"--initial-branch={default_branch}", str(path))
    lines = "".join(f"[{key.split('.')[0]}]\n\t{key.split('.')[1]} = {value}\n" for key, value in CONFIG.items())
    with (path / "config").open("a") as config:
        config.write(lines)
    hook = path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(UPDATE_HOOK)
    hook.chmod(0o755)


def resolve(path: Path, revision: str, kind: str = "commit") -> str | None:
    """The object id that a branch, tag, ref or sha names, or None."""
    if not revision or revision.startswith("-") or "\0" in revision or not revision.isprintable():
        return None
    try:
        out = git(path, "rev-parse", "--verify", "--quiet", f"{revision}^{{{kind}}}", ok=(1, 128))
    except GitRefused:
        return None
    return out.decode().strip() or None


def branch_sha(path: Path, branch: str) -> str | None:
    """The commit that a branch is on, or None."""
    return resolve(path, f"refs/heads/{branch}")


def refs(path: Path, prefix: str = "refs/") -> dict[str, str]:
    """Every ref below ``prefix`` with its object id, sorted by name."""
    out = git(path, "for-each-ref", "--format=%(refname) %(objectname)", prefix).decode(errors="surrogateescape")
    return {name: sha for name, _, sha in (line.rpartition(" ") for line in out.splitlines())}


def move_ref(path: Path, ref: str, new: str, old: str | None = None) -> None:
    """Set a ref; ``old`` given means: only from there (ZERO: only when absent). Raises GitRefused."""
    if new == ZERO:
        git(path, "update-ref", "-d", ref)
    else:
        git(path, "update-ref", ref, new, *([old] if old is not None else []))


def valid_ref(ref: str) -> bool:
    """Whether git takes this as the name of a ref."""
    return subprocess.run(["git", "check-ref-format", ref], env=environment(), check=False).returncode == 0


def write_blob(path: Path, content: bytes) -> str:
    """Store a blob and return its id."""
    return git(path, "hash-object", "-w", "--stdin", stdin=content).decode().strip()


def read_object(path: Path, kind: str, sha: str) -> bytes:
    """The raw bytes of an object. Raises GitRefused when it is absent or of another kind."""
    return git(path, "cat-file", kind, sha)


def write_tree(path: Path, start: str | None, entries: Mapping[str, tuple[str, str] | None]) -> str:
    """A tree made of ``start`` (a tree-ish, or nothing) and ``entries``: path to (mode, sha), or to None to remove."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        if start:
            git(path, "read-tree", start, extra=index)
        lines = [f"{entry[0]} {entry[1]}\t{name}" if entry else f"0 {ZERO}\t{name}" for name, entry in entries.items()]
        stdin = "".join(f"{line}\0" for line in lines).encode()
        git(path, "update-index", "-z", "--index-info", stdin=stdin, extra=index)
        return git(path, "write-tree", extra=index).decode().strip()


def write_commit(
    path: Path, tree: str, parents: Sequence[str], message: str, *, author: Person, committer: Person | None = None
) -> str:
    """A commit object; dates are anything git reads."""
    by = committer or author
    who = {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_AUTHOR_DATE": author.date,
        "GIT_COMMITTER_NAME": by.name,
        "GIT_COMMITTER_EMAIL": by.email,
        "GIT_COMMITTER_DATE": by.date,
    }
    ancestors = [word for parent in parents for word in ("-p", parent)]
    made = git(path, "commit-tree", tree, *ancestors, stdin=message.encode("utf-8", "replace"), extra=who)
    return made.decode().strip()


def read_commits(path: Path, *arguments: str) -> list[Commit]:
    """Commits as ``git log`` lists them for these arguments, newest first."""
    form = "%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B%x00"
    fields = git(path, "log", "-z", f"--format={form}", *arguments).decode(errors="replace").split("\0")
    found = []
    for start in range(0, len(fields) - 10, 11):
        sha, tree, parents, an, ae, at, cn, ce, ct, message = fields[start : start + 10]
        author, committer = Person(an, ae, _iso(at)), Person(cn, ce, _iso(ct))
        found.append(Commit(sha, tree, tuple(parents.split()), author, committer, message.removesuffix("\n")))
    return found


def _iso(epoch: str) -> str:
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_commit(path: Path, sha: str) -> Commit:
    """One commit."""
    return read_commits(path, "-1", sha)[0]


def read_tree(path: Path, tree: str, *, recursive: bool = False, at: str = "") -> list[TreeEntry]:
    """The entries of a tree-ish, or of its folder ``at``; recursive listings name folders too."""
    options = ["-r", "-t"] if recursive else []
    source = f"{tree}:{at}" if at else tree
    out = git(path, "ls-tree", "-z", "-l", *options, source).decode(errors="surrogateescape")
    entries = []
    for line in filter(None, out.split("\0")):
        head, name = line.split("\t", 1)
        mode, kind, sha, size = head.split()
        entries.append(TreeEntry(mode, kind, sha, None if size == "-" else int(size), name))
    return entries


def entry_at(path: Path, commit: str, file: str) -> TreeEntry | None:
    """What a commit has at a path: a blob, a tree or a submodule; None when there is nothing."""
    try:
        out = git(path, "ls-tree", "-z", "-l", commit, "--", f":(literal,top){file}")
    except GitRefused:
        return None
    for line in filter(None, out.decode(errors="surrogateescape").split("\0")):
        head, name = line.split("\t", 1)
        mode, kind, sha, size = head.split()
        if name == file:
            return TreeEntry(mode, kind, sha, None if size == "-" else int(size), name)
    return None


def merge_base(path: Path, one: str, other: str) -> str | None:
    """The best common ancestor, or None for unrelated histories."""
    return git(path, "merge-base", one, other, ok=(1,)).decode().strip() or None


def ahead_behind(path: Path, base: str, head: str) -> tuple[int, int]:
    """How many commits ``head`` has that ``base`` has not, and the reverse."""
    left, right = git(path, "rev-list", "--left-right", "--count", f"{base}...{head}").split()
    return int(right), int(left)


def merge_tree(path: Path, base: str, head: str) -> str | None:
    """The tree of a merge of two commits, or None when they conflict."""
    out = git(path, "merge-tree", "--write-tree", "--no-messages", base, head, ok=(1,)).decode().split("\n")
    return out[0] if len(list(filter(None, out))) == 1 else None


def diff_text(path: Path, base: str, head: str) -> str:
    """The unified diff between two commits, renames found."""
    out = git(path, "diff", "-M", "--full-index", "--no-ext-diff", "--no-color", "--no-textconv", base, head)
    return out.decode(errors="replace")


HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@", re.MULTILINE)


def changed_lines(path: Path, old: str, new: str, *, file: str) -> list[Hunk]:
    """What changed in one file between two commits, from top to bottom; nothing for a commit that is gone."""
    literal = f":(literal,top){file}"
    try:
        text = git(path, "diff", "-U0", "--no-ext-diff", "--no-color", "--no-textconv", old, new, "--", literal)
    except GitRefused:
        return []
    found = HUNK.findall(text.decode(errors="replace"))
    return [Hunk(int(start), int(count or "1"), int(new_count or "1")) for start, count, new_count in found]


def is_ancestor(path: Path, one: str, other: str) -> bool:
    """Whether ``other`` holds the commit ``one``."""
    return merge_base(path, one, other) == one


STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}


def diff_files(path: Path, base: str, head: str) -> list[FileDiff]:
    """The changed files between two commits, with their patches cut at the first ``@@`` as GitHub gives them."""
    raw = git(path, "diff", "-M", "--raw", "--numstat", "-z", "--abbrev=40", base, head).decode(errors="replace")
    fields = raw.split("\0")
    changes: list[tuple[str, str, str | None, str]] = []
    while fields and fields[0].startswith(":"):
        _, _, old_sha, new_sha, letter = fields.pop(0).split()
        first = fields.pop(0)
        second = fields.pop(0) if letter[0] in "RC" else None
        sha = old_sha if letter[0] == "D" else new_sha
        changes.append((STATUS[letter[0]], second or first, first if second else None, sha))
    counts: list[tuple[int, int]] = []
    while fields and fields[0]:
        added, removed, name = fields.pop(0).split("\t", 2)
        if not name:
            del fields[:2]
        counts.append((0, 0) if added == "-" else (int(added), int(removed)))
    texts = iter(("\n" + diff_text(path, base, head)).split("\ndiff --git ")[1:])
    found = []
    for (status, name, old, sha), count in zip(changes, counts, strict=True):
        text = next(texts)
        if status == "changed":  # git writes a change of type as a removal and an addition
            text += "\n" + (_patch(next(texts)) or "")
        found.append(FileDiff(status, name, old, sha, *count, _patch(text)))
    return found


# Beyond these GitHub has no patch of a file, and takes no comment on its lines:
# https://docs.github.com/en/repositories/creating-and-managing-repositories/repository-limits#diff-limits
MOST_PATCH_BYTES, MOST_PATCH_LINES = 500_000, 20_000


def _patch(text: str) -> str | None:
    start = text.find("\n@@ ")
    patch = text[start + 1 :].removesuffix("\n")
    if start < 0 or patch.count("\n") >= MOST_PATCH_LINES or len(patch.encode()) >= MOST_PATCH_BYTES:
        return None
    return patch
