"""The bare mirrors: fetch, read, commit by plumbing, push; and what a hostile repository cannot do to the host."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from workflows.git.mirror_commits import Identity
from workflows.git.mirrors import Mirror, Mirrors
from workflows.git.patch import PatchRules, check_patch
from workflows.git.process import GitFailure, clean_message, parse_remote, run_git
from workflows.types import Patch, PatchFile

FORGEHAND = Identity("Forgehand", "forgehand@example.com")
DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOKEN = "ghs_0123456789abcdefghijklmnopqrstuvwxyz"


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.com",
    }
    command = ["git", "-C", str(folder), *arguments]
    return (
        subprocess.run(command, input=stdin, env=environment, check=True, capture_output=True).stdout.decode().strip()
    )


def file(path: str, content: bytes | None, mode: str = "100644") -> PatchFile:
    if content is None:
        return PatchFile(path=path, mode=None, content=None)
    return PatchFile(path=path, mode=mode, content=base64.b64encode(content))


def patch(base: str | None, *files: PatchFile) -> Patch:
    return Patch(base=base or "", files=tuple(sorted(files, key=lambda one: one.path)))


def make_source(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "source", {"a.txt": "one\n", "lib/b.py": "x = 1\n", "lib/c.py": "y = 2\n"})


@pytest.fixture
def mirror(tmp_path: Path, source: Path) -> Mirror:
    mirror = Mirrors(tmp_path / "mirrors", local_checkouts=True).at(7)
    mirror.fetch(str(source))
    return mirror


def commit(mirror: Mirror, change: Patch, base: str | None, message: str = "Change\n") -> str:
    return mirror.commit(change, base=base, message=message, author=FORGEHAND, committer=FORGEHAND, date=DATE)


def resolved(mirror: Mirror) -> str:
    head = mirror.resolve("main")
    assert head is not None
    return head


# --- fetch and read -----------------------------------------------------------------------------------------------


def test_fetch_follows_the_remote(mirror: Mirror, source: Path) -> None:
    """New branches and tags come, moved ones move (backwards too), deleted ones go."""
    git(source, "branch", "old")
    git(source, "tag", "v1")
    mirror.fetch(str(source))
    assert mirror.resolve("old") == resolved(mirror)
    git(source, "branch", "-D", "old")
    git(source, "branch", "old/nested")
    git(source, "commit", "-q", "--amend", "-m", "rewritten")
    mirror.fetch(str(source))
    assert mirror.resolve("old") is None
    assert mirror.resolve("old/nested")
    assert resolved(mirror) == git(source, "rev-parse", "HEAD")
    assert git(mirror.path, "tag") == "v1"


def test_the_head_of_a_fork_s_pull_request_is_fetched(mirror: Mirror, source: Path) -> None:
    """What is on no branch is fetched by the pull request's number, and a later fetch of the rest leaves it there."""
    tree = git(source, "rev-parse", "main^{tree}")
    head = git(source, "commit-tree", tree, "-p", "main", "-m", "from a fork")
    git(source, "update-ref", "refs/pull/7/head", head)
    mirror.fetch(str(source))
    assert not mirror.holds(head)
    mirror.fetch(str(source), pull=7)
    mirror.fetch(str(source))
    assert mirror.holds(head)


def test_a_shallow_checkout_gives_and_takes_branches(tmp_path: Path, source: Path) -> None:
    """What CI checks out has one commit of its history: its branches are fetched all the same, and take a new one."""
    git(source, "commit", "-q", "--allow-empty", "-m", "second")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{source}", str(shallow))
    mirror = Mirrors(tmp_path / "m", local_checkouts=True).at("x")
    mirror.fetch(str(shallow))
    assert resolved(mirror) == git(source, "rev-parse", "main")
    change = commit(mirror, patch(resolved(mirror), file("a", b"1\n")), resolved(mirror))
    assert mirror.push(str(shallow), change, "ours", create=True).state == "created"
    assert git(shallow, "rev-parse", "ours^") == resolved(mirror)


def test_an_empty_repository_has_no_branch(tmp_path: Path) -> None:
    """An empty repository is fetched without an error, and no branch of it resolves; a first commit works."""
    source = tmp_path / "empty"
    git(tmp_path, "init", "-q", "--bare", str(source))
    mirror = Mirrors(tmp_path / "m", local_checkouts=True).at("x")
    mirror.fetch(str(source))
    assert mirror.resolve("main") is None
    first = commit(mirror, patch(None, file("a", b"1\n")), None)
    assert mirror.read_file(first, "a") == b"1\n"
    assert mirror.push(str(source), first, "main").state == "created"
    assert "+1" in mirror.diff(None, first)


def test_holds(mirror: Mirror, tmp_path: Path) -> None:
    """A mirror knows which commits it has, also before it exists."""
    assert mirror.holds(resolved(mirror))
    assert not mirror.holds("1" * 40)
    assert not Mirrors(tmp_path / "none").at(1).holds("1" * 40)


@pytest.mark.parametrize("name", ["main^{tree}", "main~0", "HEAD", "../heads/main", "-x", ""])
def test_only_plain_branch_names_resolve(mirror: Mirror, name: str) -> None:
    """A branch name is never read as a revision expression."""
    assert mirror.resolve(name) is None


def test_the_mirror_stores_neither_address_nor_program(mirror: Mirror, source: Path) -> None:
    """The mirror's configuration names no remote, and it has no hooks."""
    text = (mirror.path / "config").read_text()
    assert str(source) not in text
    assert "remote" not in text
    assert not (mirror.path / "hooks").exists()
    assert not (mirror.path / "FETCH_HEAD").exists()


def test_other_users_can_read_the_mirror(tmp_path: Path, source: Path) -> None:
    """Whatever the host's umask, the container's user can read every object through a read-only mount."""
    program = (
        "import os, sys; os.umask(0o077); from pathlib import Path; from workflows.git.mirrors import Mirrors;"
        "Mirrors(Path(sys.argv[1]), local_checkouts=True).at(1).fetch(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "m"), str(source)], check=True)
    for path in (tmp_path / "m/1.git").rglob("*"):
        assert path.stat().st_mode & (0o005 if path.is_dir() else 0o004), path


def test_parallel_fetches_are_safe(tmp_path: Path, source: Path) -> None:
    """Jobs of one repository fetch at the same time without an error, from nothing."""
    mirror = Mirrors(tmp_path / "p", local_checkouts=True).at(1)
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(mirror.fetch, str(source)) for _ in range(6)]:
            done.result()
    assert Mirrors(tmp_path / "p").at(1).resolve("main")


def test_what_a_killed_fetch_left_behind_is_no_obstacle(mirror: Mirror, source: Path) -> None:
    """Lock files and half packs of a fetch that was killed do not stop the next one."""
    for name in ("packed-refs.lock", "refs/heads/main.lock", "objects/pack/tmp_pack_x"):
        (mirror.path / name).touch()
    git(source, "commit", "-q", "--allow-empty", "-m", "second")
    mirror.fetch(str(source))
    assert mirror.subjects(resolved(mirror)) == ("second", "first")
    assert not (mirror.path / "objects/pack/tmp_pack_x").exists()


def test_read_file(mirror: Mirror, source: Path) -> None:
    """Bytes of regular files within the limit; everything else is None."""
    (source / "link").symlink_to("a.txt")
    (source / "odd*name").write_text("odd")
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "more")
    mirror.fetch(str(source))
    head = resolved(mirror)
    assert mirror.read_file(head, "a.txt") == b"one\n"
    assert mirror.read_file(head, "odd*name") == b"odd"
    assert mirror.read_file(head, "a.txt", limit=4) == b"one\n"
    for path in ("", "lib", "lib/", "nope", "link", "a*", "../a.txt", "/a.txt", ":/a.txt", "-z", "a\0b"):
        assert mirror.read_file(head, path) is None, path
    assert mirror.read_file(head, "a.txt", limit=3) is None
    with pytest.raises(GitFailure):
        mirror.read_file("main", "a.txt")


def test_tree_lists_all_files_and_is_capped(mirror: Mirror) -> None:
    """All paths below all folders, up to the limit."""
    head = resolved(mirror)
    assert [(entry.mode, entry.path) for entry in mirror.tree(head)] == [
        ("100644", "a.txt"),
        ("100644", "lib/b.py"),
        ("100644", "lib/c.py"),
    ]
    assert len(mirror.tree(head, limit=2)) == 2


# --- commit -------------------------------------------------------------------------------------------------------


def test_commit_applies_a_patch(mirror: Mirror) -> None:
    """Changes, additions, modes, links and deletions land in the tree; everything else stays."""
    base = resolved(mirror)
    change = patch(
        base,
        file("a.txt", b"two\n"),
        file("lib/c.py", None),
        file("bin/run", b"#!/bin/sh\n", "100755"),
        file("new\nname", b"\xff\0"),
        file("to", b"lib/b.py", "120000"),
    )
    made = commit(mirror, change, base)
    assert {entry.path: entry.mode for entry in mirror.tree(made)} == {
        "a.txt": "100644",
        "bin/run": "100755",
        "lib/b.py": "100644",
        "new\nname": "100644",
        "to": "120000",
    }
    assert mirror.read_file(made, "new\nname") == b"\xff\0"
    assert git(mirror.path, "log", "-1", "--format=%P|%an|%ae|%ai|%cn|%ci|%B", made) == (
        f"{base}|Forgehand|forgehand@example.com|2026-01-02 03:04:05 +0000|Forgehand|2026-01-02 03:04:05 +0000|Change"
    )


def test_the_same_input_makes_the_same_commit(mirror: Mirror, tmp_path: Path, source: Path) -> None:
    """A retry, here or on another machine, makes the same commit id."""
    base = resolved(mirror)
    change = patch(base, file("a.txt", b"two\n"))
    other = Mirrors(tmp_path / "elsewhere", local_checkouts=True).at(7)
    other.fetch(str(source))
    assert commit(mirror, change, base) == commit(mirror, change, base) == commit(other, change, base)


def test_a_patch_that_changes_nothing_makes_no_commit(mirror: Mirror) -> None:
    """The base is returned when the tree stays what it was."""
    base = resolved(mirror)
    assert commit(mirror, patch(base, file("a.txt", b"one\n")), base) == base


def test_files_and_folders_change_places(mirror: Mirror) -> None:
    """A file takes the place of a folder, and a folder that of a file."""
    base = resolved(mirror)
    change = patch(
        base,
        file("a.txt", None),
        file("a.txt/inside", b"1"),
        file("lib", b"2"),
        file("lib/b.py", None),
        file("lib/c.py", None),
    )
    made = commit(mirror, change, base)
    assert [entry.path for entry in mirror.tree(made)] == ["a.txt/inside", "lib"]
    bare = commit(mirror, patch(base, file("lib", b"2")), base)
    assert [entry.path for entry in mirror.tree(bare)] == ["a.txt", "lib"]


@pytest.mark.parametrize("path", [".git/config", "x/.GIT/hooks/post-commit", "git~1/x", ".g\u200cit/x", "../x", "a//b"])
def test_git_itself_refuses_hostile_paths(mirror: Mirror, path: str) -> None:
    """The second fence, should a patch come here unchecked: no such name enters a tree."""
    base = resolved(mirror)
    with pytest.raises(GitFailure):
        commit(mirror, patch(base, file(path, b"x")), base)


def test_committing_twenty_files_is_quick(mirror: Mirror) -> None:
    """Twenty files need as many processes as one: their number does not grow with the patch."""
    base = resolved(mirror)
    change = patch(base, *(file(f"f{number}", b"%d" % number) for number in range(20)))
    assert len(mirror.tree(commit(mirror, change, base))) == 23


def test_a_git_bomb_is_refused_before_it_is_read(mirror: Mirror) -> None:
    """Ten objects that name ten million paths are refused in seconds, and list only up to the cap."""
    blob = git(mirror.path, "hash-object", "-w", "--stdin", stdin=b"x")
    tree = git(mirror.path, "mktree", stdin="".join(f"100644 blob {blob}\tf{n}\n" for n in range(10)).encode())
    for _ in range(6):
        tree = git(mirror.path, "mktree", stdin="".join(f"040000 tree {tree}\td{n}\n" for n in range(10)).encode())
    bomb = git(mirror.path, "commit-tree", tree, "-m", "bomb")
    assert len(mirror.tree(bomb, limit=1000)) == 1000
    with pytest.raises(GitFailure, match="more than 1,000,000 files"):
        commit(mirror, patch(bomb, file("x", b"x")), bomb)


def test_hostile_trees_can_be_listed(mirror: Mirror) -> None:
    """Trees that no checkout would make are read as plain data."""
    blob = git(mirror.path, "hash-object", "-w", "--stdin", stdin=b"/etc/passwd")
    for mode, name in [
        ("100644", b".git"),
        ("120000", b".gitmodules"),
        ("104755", b"suid"),
        ("100644", b"\xff\x1b[2J"),
    ]:
        raw = mode.encode() + b" " + name + b"\0" + bytes.fromhex(blob)
        tree = git(mirror.path, "hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=raw)
        made = git(mirror.path, "commit-tree", tree, "-m", "evil")
        assert len(mirror.tree(made)) == 1
        assert mirror.diff(None, made)


# --- diff ---------------------------------------------------------------------------------------------------------


def test_diff_finds_renames_and_is_capped(mirror: Mirror) -> None:
    """A moved file is one rename; a long diff is cut at a line and says so."""
    base = resolved(mirror)
    moved = commit(mirror, patch(base, file("lib/b.py", None), file("lib/d.py", b"x = 1\n")), base)
    assert "rename from lib/b.py" in mirror.diff(base, moved)
    long = commit(mirror, patch(base, file("a.txt", b"line\n" * 10_000)), base)
    text = mirror.diff(base, long, limit=1000)
    assert len(text) < 1200
    assert text.endswith("[the rest of the diff is left out: it is longer than 1,000 bytes]\n")
    assert "\n+line\n[" in text


# --- push ---------------------------------------------------------------------------------------------------------


def test_push_creates_and_moves_forward_only(mirror: Mirror, source: Path, tmp_path: Path) -> None:
    """Create, repeat, fast-forward; foreign commits are never overwritten; ours under later work counts as there."""
    url = str(source)
    base = resolved(mirror)
    first = commit(mirror, patch(base, file("a.txt", b"two\n")), base)
    assert mirror.remote_branch(url, "qwen/issue-1-x") is None
    assert mirror.push(url, first, "qwen/issue-1-x").state == "created"
    assert mirror.push(url, first, "qwen/issue-1-x").state == "up_to_date"
    second = commit(mirror, patch(first, file("a.txt", b"three\n")), first)
    assert mirror.push(url, second, "qwen/issue-1-x").state == "fast-forwarded"
    assert mirror.push(url, first, "qwen/issue-1-x").state == "up_to_date"
    assert mirror.remote_branch(url, "qwen/issue-1-x") == second
    foreign = commit(mirror, patch(base, file("a.txt", b"other\n")), base)
    result = mirror.push(url, foreign, "qwen/issue-1-x")
    assert result.state == "rejected"
    assert "not ours" in result.reason
    assert mirror.remote_branch(url, "qwen/issue-1-x") == second


def test_push_of_a_new_branch_touches_no_other(mirror: Mirror, source: Path) -> None:
    """With ``create`` a branch that is there already stays as it is, also where our commit would only move it on."""
    url = str(source)
    base = resolved(mirror)
    ours = commit(mirror, patch(base, file("a.txt", b"two\n")), base)
    assert mirror.push(url, base, "qwen/theirs").state == "created"
    result = mirror.push(url, ours, "qwen/theirs", create=True)
    assert (result.state, "not ours" in result.reason) == ("rejected", True)
    assert mirror.remote_branch(url, "qwen/theirs") == base
    assert mirror.push(url, ours, "qwen/ours", create=True).state == "created"
    assert mirror.push(url, ours, "qwen/ours", create=True).state == "up_to_date"
    later = commit(mirror, patch(ours, file("a.txt", b"three\n")), ours)
    assert mirror.push(url, later, "qwen/ours").state == "fast-forwarded"
    assert mirror.push(url, ours, "qwen/ours", create=True).state == "up_to_date"
    assert mirror.remote_branch(url, "qwen/ours") == later


def test_the_checked_out_branch_of_a_local_checkout_is_left_alone(mirror: Mirror, source: Path) -> None:
    """A push to the branch that is checked out is rejected with the remote's words, and the work tree stays."""
    base = resolved(mirror)
    git(source, "config", "receive.denyCurrentBranch", "updateInstead")
    made = commit(mirror, patch(base, file("a.txt", b"two\n")), base)
    result = mirror.push(str(source), made, "main")
    assert result.state == "rejected"
    assert "checked out" in result.reason
    assert (source / "a.txt").read_text() == "one\n"


@pytest.mark.parametrize(
    "branch", ["", "-f", "a..b", "a b", "x.lock", "a/", "+main:main", "a:b", "refs/../x", "a\0b", "@{1}"]
)
def test_bad_branch_names_are_refused(mirror: Mirror, source: Path, branch: str) -> None:
    """No branch name becomes an option, a refspec or another ref."""
    with pytest.raises(GitFailure, match="branch name"):
        mirror.push(str(source), resolved(mirror), branch)


# --- merging --------------------------------------------------------------------------------------------------------


def branch_with(mirror: Mirror, base: str, *files: PatchFile) -> str:
    return commit(mirror, patch(base, *files), base)


def test_branches_that_touch_different_lines_merge(mirror: Mirror) -> None:
    """A merge without conflicts is a tree with both sides' changes; its commit has both parents."""
    base = branch_with(mirror, resolved(mirror), file("a.txt", b"1\n2\n3\n4\n5\n6\n7\n"))
    ours = branch_with(mirror, base, file("a.txt", b"one\n2\n3\n4\n5\n6\n7\n"))
    theirs = branch_with(mirror, base, file("a.txt", b"1\n2\n3\n4\n5\n6\nseven\n"), file("new", b"\0"))

    merged = mirror.merge(ours, theirs)
    made = mirror.commit_tree(
        merged.tree, (ours, theirs), message="Merge\n", author=FORGEHAND, committer=FORGEHAND, date=DATE
    )

    assert merged.conflicts == ()
    assert mirror.read_file(made, "a.txt") == b"one\n2\n3\n4\n5\n6\nseven\n"
    assert mirror.read_file(made, "new") == b"\0"
    assert git(mirror.path, "log", "-1", "--format=%P", made).split() == [ours, theirs]
    assert mirror.merge_base(ours, theirs) == base
    assert mirror.is_ancestor(base, made)
    assert not mirror.is_ancestor(made, base)
    assert mirror.merge(made, theirs).tree == merged.tree == mirror.tree_of(made)


def test_conflicts_are_named_with_both_sides(mirror: Mirror) -> None:
    """Each conflict names its path and the sides that have it; the tree holds markers, the base's text too."""
    base = resolved(mirror)
    ours = branch_with(mirror, base, file("a.txt", b"ours\n"), file("lib/b.py", None))
    theirs = branch_with(mirror, base, file("a.txt", b"theirs\n"), file("lib/b.py", b"x = 3\n"), file("z \t", b"z"))

    merged = mirror.merge(ours, theirs)
    made = mirror.commit_tree(
        merged.tree, (ours, theirs), message="Draft\n", author=FORGEHAND, committer=FORGEHAND, date=DATE
    )

    text, deleted = merged.conflicts
    assert (text.path, deleted.path) == ("a.txt", "lib/b.py")
    assert None not in (text.base, text.ours, text.theirs)
    assert deleted.base is not None
    assert (deleted.ours, deleted.theirs is None) == (None, False)
    lines = (mirror.read_file(made, "a.txt") or b"").decode().splitlines()
    assert [line[:7] for line in lines] == ["<<<<<<<", "ours", "|||||||", "one", "=======", "theirs", ">>>>>>>"]
    assert mirror.read_file(made, "z \t") == b"z"


def test_histories_without_a_common_commit(mirror: Mirror) -> None:
    """Unrelated histories have no merge base, and merging them is refused as a value of the world, not a crash."""
    other = commit(mirror, patch(None, file("b", b"b\n")), None)
    assert mirror.merge_base(resolved(mirror), other) is None
    with pytest.raises(GitFailure, match="could not merge the branches"):
        mirror.merge(resolved(mirror), other)


def test_a_git_bomb_is_not_merged(mirror: Mirror) -> None:
    """A tree with more paths than can be handled is refused before it is merged."""
    blob = git(mirror.path, "hash-object", "-w", "--stdin", stdin=b"x")
    tree = git(mirror.path, "mktree", stdin="".join(f"100644 blob {blob}\t{n}\n" for n in range(10)).encode())
    for _ in range(6):
        tree = git(mirror.path, "mktree", stdin="".join(f"040000 tree {tree}\t{n}\n" for n in range(10)).encode())
    bomb = git(mirror.path, "commit-tree", tree, "-p", resolved(mirror), "-m", "bomb")
    with pytest.raises(GitFailure, match="more than 1,000,000 files"):
        mirror.merge(resolved(mirror), bomb)


def test_a_merge_runs_no_program(mirror: Mirror, tmp_path: Path) -> None:
    """Merge drivers, filters and textconv named by attributes run nothing, and decide nothing: text is merged as text.

    The drivers are even in the mirror's own configuration, where no repository could put them.
    """
    witness = tmp_path / "witness"
    evil = tmp_path / "evil.sh"
    evil.write_text(f"#!/bin/sh\necho ran >> {witness}\n")
    evil.chmod(0o755)
    for key in ("merge.x.driver", "filter.x.clean", "filter.x.smudge", "diff.x.textconv", "diff.x.command"):
        git(mirror.path, "config", key, f"{evil} %A")
    base = branch_with(mirror, resolved(mirror), file(".gitattributes", b"* merge=x filter=x diff=x text eol=crlf\n"))
    git(mirror.path, "symbolic-ref", "HEAD", "refs/heads/main")
    git(mirror.path, "update-ref", "refs/heads/main", base)
    ours = branch_with(mirror, base, file("a.txt", b"ours\n"), file(".gitattributes", b"* merge=x\n"))
    theirs = branch_with(mirror, base, file("a.txt", b"theirs\n"))

    merged = mirror.merge(ours, theirs)
    changed = mirror.changed_between(ours, theirs)

    assert [conflict.path for conflict in merged.conflicts] == ["a.txt"]
    assert changed is not None
    assert not witness.exists(), witness.read_text()


def test_what_a_commit_changed_is_a_patch(mirror: Mirror) -> None:
    """The change between two commits as data makes the second from the first again: modes, links and deletions too."""
    base = resolved(mirror)
    change = patch(
        base,
        file("a.txt", b"a\r\n\0"),
        file("lib/b.py", None),
        file("run", b"#!/bin/sh\n", "100755"),
        file("link", b"a.txt", "120000"),
    )
    made = branch_with(mirror, base, *change.files)

    assert mirror.changed_between(base, made) == change
    assert mirror.changed_between(base, base) == patch(base)
    assert mirror.changed_between(base, made, max_files=3) is None
    assert mirror.changed_between(base, made, max_bytes=10) is None


def test_a_submodule_in_a_change_is_not_hidden(mirror: Mirror) -> None:
    """A submodule that changed stands in the patch with its mode, so that the rules for patches refuse it."""
    base = resolved(mirror)
    tree = git(mirror.path, "mktree", stdin=f"160000 commit {'1' * 40}\tsub\n".encode())
    made = git(mirror.path, "commit-tree", tree, "-p", base, "-m", "sub")
    changed = mirror.changed_between(base, made)
    assert changed is not None
    assert [(one.path, one.mode) for one in changed.files if one.mode] == [("sub", "160000")]
    assert "submodules cannot be changed" in " ".join(check_patch(changed, PatchRules()))


# --- a hostile source ---------------------------------------------------------------------------------------------


def test_nothing_of_a_hostile_checkout_runs_on_the_host(mirror: Mirror, source: Path, tmp_path: Path) -> None:
    """Planted hooks, configuration and attributes execute nothing in fetch, read, commit, diff and push."""
    witness = tmp_path / "witness"
    evil = tmp_path / "evil.sh"
    evil.write_text(f'#!/bin/sh\necho "$0" >> {witness}\ncat\n')
    evil.chmod(0o755)
    hooks = (
        "pre-push",
        "pre-receive",
        "update",
        "post-receive",
        "post-update",
        "reference-transaction",
        "push-to-checkout",
    )
    for hook in hooks:
        (source / ".git/hooks" / hook).write_text(evil.read_text())
        (source / ".git/hooks" / hook).chmod(0o755)
    for key in (
        "core.fsmonitor",
        "core.sshCommand",
        "core.alternateRefsCommand",
        "core.pager",
        "uploadpack.packObjectsHook",
        "filter.x.clean",
        "filter.x.smudge",
        "diff.x.textconv",
        "diff.external",
        "gpg.program",
        "credential.helper",
    ):
        git(source, "config", key, str(evil))
    git(source, "config", "core.hooksPath", str(source / ".git/hooks"))
    git(source, "config", "url.https://127.0.0.1:9/.insteadOf", "/")
    (source / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
    blob = git(source, "hash-object", "-w", "--no-filters", "--stdin", stdin=b"* filter=x diff=x\n")
    tree = git(source, "mktree", stdin=f"100644 blob {blob}\t.gitattributes\n100644 blob {blob}\ta.txt\n".encode())
    made = git(source, "commit-tree", tree, "-m", "evil")
    (source / ".git/refs/heads/evil").write_text(made + "\n")
    (source / ".git/objects/info").mkdir(exist_ok=True)
    (source / ".git/objects/info/alternates").write_text(str(mirror.path / "objects") + "\n")

    mirror.fetch(str(source))
    head = mirror.resolve("evil")
    assert head == made
    assert mirror.read_file(head, "a.txt") == b"* filter=x diff=x\n"
    ours = commit(mirror, patch(head, file("a.txt", b"changed\n")), head)
    assert "+changed" in mirror.diff(head, ours)
    assert mirror.push(str(source), ours, "qwen/one").state == "created"
    assert mirror.push(str(source), commit(mirror, patch(head, file("z", b"z")), head), "qwen/one").state == "rejected"
    assert mirror.remote_branch(str(source), "qwen/one") == ours
    assert not witness.exists(), witness.read_text()


def test_the_host_s_own_configuration_is_not_read(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Environment and home of the operator change nothing: no trace, no other folder, no rewritten address."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text('[core]\n\tpager = false\n[url "https://127.0.0.1:9/"]\n\tinsteadOf = https://\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "url.https://127.0.0.1:9/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://")
    assert mirror.subjects(resolved(mirror)) == ("first",)
    assert b"insteadof" not in run_git(["config", "--list"], git_dir=mirror.path).output.lower()
    assert not (tmp_path / "trace").exists()


# --- addresses and failures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/o/r",
        "ext::sh -c id",
        "ssh://git@example.com/o/r",
        "git@example.com:o/r",
        "https://user:pw@example.com/o/r",
        "https://",
        "-u./x",
        "ftp://example.com/x",
        "https://example.com/a\nb",
        "/etc",
        "file:///etc",
        "relative/path",
        "http://127.0.0.1.example.com/x",
    ],
)
def test_only_https_addresses_without_credentials(url: str) -> None:
    """Everything but https (and http to loopback) is refused before git sees it, without repeating the address."""
    with pytest.raises(GitFailure) as caught:
        parse_remote(url, TOKEN, local_checkouts=False)
    assert caught.value.reason == "usage"
    assert caught.value.kind == "git"
    assert "pw" not in caught.value.message


def test_git_opens_no_protocol_but_the_one_asked_for(mirror: Mirror, source: Path) -> None:
    """Were an address to slip through, git itself refuses its protocol."""
    answer = run_git(["ls-remote", f"file://{source}"], git_dir=mirror.path)
    assert answer.code
    assert "not allowed" in answer.errors


def test_failures_are_told_apart(mirror: Mirror, tmp_path: Path) -> None:
    """An absent repository, a dead port and an unknown commit have different reasons and say what to do."""
    with pytest.raises(GitFailure, match="not found") as caught:
        mirror.fetch(str(tmp_path / "absent"))
    assert caught.value.reason == "not_found"
    with pytest.raises(GitFailure, match="try again") as caught:
        mirror.fetch("http://127.0.0.1:9/o/r", TOKEN)
    assert caught.value.reason == "network"
    with pytest.raises(GitFailure) as caught:
        mirror.diff("0" * 40, "1" * 40)
    assert caught.value.reason == "broken"


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


def test_a_hanging_git_is_ended_with_its_children(tmp_path: Path) -> None:
    """At the deadline the whole process group ends; the failure says so."""
    pid = tmp_path / "pid"
    script = f"!sh -c 'sleep 600 & echo $! > {pid}; wait'"
    with pytest.raises(GitFailure, match="longer than") as caught:
        run_git(["-c", f"alias.hang={script}", "hang"], timeout=5)
    assert caught.value.reason == "timeout"
    deadline = time.monotonic() + 60
    while _lives(int(pid.read_text())):
        assert time.monotonic() < deadline, "the child outlived its git"


def test_endless_output_is_cut(tmp_path: Path) -> None:
    """A git that never stops talking is ended at the limit, on both streams."""
    answer = run_git(["-c", "alias.y=!yes", "y"], limit=100_000, timeout=60)
    assert answer.truncated
    assert len(answer.output) == 100_000
    noisy = run_git(["-c", "alias.y=!head -c 9000000 /dev/zero | tr '\\0' e >&2", "y"], timeout=60)
    assert len(noisy.errors) <= 8192


def test_messages_hold_no_secret_and_no_control_character() -> None:
    """Tokens, their encoded form, credentials in addresses and escape sequences are gone from git's words."""
    encoded = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    text = f"fatal: https://u:{TOKEN}@h/x {TOKEN} basic {encoded} \x1b[2J\u202e ok"
    said = clean_message(text, (TOKEN, encoded))
    assert TOKEN not in said
    assert encoded not in said
    assert "\x1b" not in said
    assert "u:" not in said


# --- HTTP and the token -------------------------------------------------------------------------------------------


class Backend(BaseHTTPRequestHandler):
    """git http-backend behind a token check: the smallest server that can see what git sends."""

    root: Path
    seen: list[str | None]
    answer: int | None = None
    protocol_version = "HTTP/1.0"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization")
        self.seen.append(authorization)
        wanted = "basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
        if self.answer:
            self.send_response(self.answer)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            return
        if authorization != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "app",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        lines = [line.decode().split(": ", 1) for line in head.split(b"\r\n")]
        status = next((value for name, value in lines if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in lines:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(rest)


@pytest.fixture
def backend(tmp_path: Path, source: Path) -> Iterator[tuple[str, type[Backend]]]:
    root = tmp_path / "served"
    root.mkdir()
    git(tmp_path, "clone", "-q", "--bare", str(source), str(root / "r.git"))
    handler = type("Here", (Backend,), {"root": root, "seen": [], "answer": None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/r.git", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_token_travels_in_the_header_alone(
    backend: tuple[str, type[Backend]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetch and push authenticate over HTTP; the token is in no argument list, no file of the mirror and no message."""
    url, handler = backend
    arguments: list[list[str]] = []
    real = subprocess.Popen

    def recording(command: list[str], **rest: object) -> object:
        arguments.append(command)
        return real(command, **rest)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", recording)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    mirror = Mirrors(tmp_path / "mirrors").at(1)
    mirror.fetch(url, TOKEN)
    base = resolved(mirror)
    made = commit(mirror, patch(base, file("a.txt", b"two\n")), base)
    assert mirror.push(url, made, "qwen/issue-1", TOKEN).state == "created"
    assert mirror.push(url, made, "qwen/issue-1", TOKEN).state == "up_to_date"
    assert mirror.remote_branch(url, "qwen/issue-1", TOKEN) == made
    assert handler.seen
    assert all(handler.seen)
    flat = "\n".join(part for command in arguments for part in command)
    encoded = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    assert "fetch" in flat
    assert TOKEN not in flat
    assert encoded not in flat
    for path in (tmp_path / "mirrors").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert TOKEN.encode() not in content
            assert encoded.encode() not in content


def test_a_wrong_token_is_an_authentication_failure(backend: tuple[str, type[Backend]], tmp_path: Path) -> None:
    """401 is told apart, says what to check, and git asks nobody for a password."""
    url, _ = backend
    mirror = Mirrors(tmp_path / "mirrors").at(1)
    for token in (None, "ghs_wrong"):
        with pytest.raises(GitFailure, match="contents: write") as caught:
            mirror.fetch(url, token)
        assert caught.value.reason == "authentication"
        assert "ghs_wrong" not in str(caught.value)


@pytest.mark.parametrize(("status", "reason"), [(404, "not_found"), (503, "network"), (302, "not_found")])
def test_http_answers_are_told_apart(
    backend: tuple[str, type[Backend]], tmp_path: Path, status: int, reason: str
) -> None:
    """A redirect is never followed (it would carry the token away); 404 and 5xx have their own reasons."""
    url, handler = backend
    handler.answer = status
    with pytest.raises(GitFailure) as caught:
        Mirrors(tmp_path / "mirrors").at(1).fetch(url, TOKEN)
    assert caught.value.reason == reason
    assert TOKEN not in caught.value.message


def test_a_server_s_refusal_is_a_value(backend: tuple[str, type[Backend]], tmp_path: Path) -> None:
    """A hook of the server (protected branch) rejects with its words, in one line, without control characters."""
    url, handler = backend
    hook = handler.root / "r.git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nprintf 'GH006: \\033[31mprotected\\nbranch\\n' >&2\nexit 1\n")
    hook.chmod(0o755)
    mirror = Mirrors(tmp_path / "mirrors").at(1)
    mirror.fetch(url, TOKEN)
    base = resolved(mirror)
    made = commit(mirror, patch(base, file("a.txt", b"two\n")), base)
    result = mirror.push(url, made, "qwen/issue-1", TOKEN)
    assert result.state == "rejected"
    assert "pre-receive hook declined" in result.reason
    assert "GH006" in result.reason
    assert "\n" not in result.reason
    assert "\x1b" not in result.reason
