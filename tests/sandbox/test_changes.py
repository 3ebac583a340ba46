"""Taking a change out quickly: whatever is done to a tree, it is the change that git tells of it from scratch."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox.container import FileChange
from sandbox.docker import merge_changes
from sandbox.toolbox import changes as quick
from sandbox.toolbox import tree as tree_of
from sandbox.toolbox.changes import Changes, make_entry
from sandbox.toolbox.gitchanges import GitChanges, Start, TooLarge
from sandbox.toolbox.gitfolder import git_environment
from sandbox.toolbox.workspace import Workspace

ENVIRONMENT = git_environment(os.environ)
FILES = {
    "a.py": "one\n",
    "windows.txt": "one\r\ntwo\r\n",
    "pack/b.py": "two\n",
    "pack/deep/c.py": "three\n",
    "build/kept.txt": "tracked in an ignored folder\n",
    "gone/only.txt": "four\n",
    ".gitignore": "*.log\nbuild/\nhalf/*\n!half/kept\n",
}
PATHS = (
    *FILES,
    "new.py",
    "pack/new.py",
    "x.log",
    "half/kept",
    "half/other",
    "build/other",
    "fresh/d.py",
    "fresh",
    "pack",
)
CONTENTS = ("one\n", "two\n", "2wo\n", "", "crlf\r\n", "$Id: x$\n", "longer than before\n", "\u00e9\n")
RULES = ("*.log\n", "", "pack/\n", "*.py\n!a.py\n", "fresh\n")
ATTRIBUTES = ("* text=auto\n", "*.py ident\n", "*.txt text eol=crlf\n", "*.py working-tree-encoding=ISO-8859-1\n", "")


class Tree:
    """A work tree, the toolbox's changes of it, and what a host has got of them."""

    def __init__(self, folder: Path, mirror: Path, commit: str) -> None:
        self.root = folder
        workspace = Workspace(str(folder), str(mirror), ENVIRONMENT)
        workspace.fill(commit)
        assert workspace._changes is not None
        self.changes: Changes = workspace._changes
        self._start: Start = self.changes._git._start
        self._mirror = mirror
        self._told: list[FileChange] = []
        self._number = 0
        self.asked = 0
        status = self.changes._git.status
        self.changes._git.status = lambda git: self._counted(status, git)  # type: ignore[method-assign]

    def _counted(self, status: Callable[..., object], git: object) -> object:
        self.asked += 1
        return status(git)

    def told(self, *, lose: bool = False) -> list[FileChange]:
        """The change as the host knows it; ``lose``: the answer does not arrive."""
        answer, contents = self.changes.take(self._number, 300, 1_000_000)
        if not lose:
            self._told = merge_changes(self._told, answer, contents)
            self._number = answer["number"]
        return self._told

    def settle(self) -> None:
        """Until no file is so young that another write might leave its time as it is."""
        while self.told() or self.changes._look is None or self.changes._look.young:
            pass

    def whole(self) -> list[FileChange]:
        """The change by git alone, from the index of the first day."""
        git = GitChanges(str(self.root), str(self._mirror), ENVIRONMENT, self._start)
        with git.scratch() as here:
            names, _ = git.status(here)
            records, contents = git.everything(here, names, 300, 1_000_000)
        found = []
        for path, (mode, _, size) in records.items():
            entry = make_entry(path, mode, size)
            found.append(FileChange(entry["path"], entry["mode"], None if mode is None else contents.get(path, b"")))
        return sorted(found, key=lambda change: change.path)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("origin")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode())
    (folder / "run.sh").write_text("true\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("a.py")
    identity = ["-c", "user.name=T", "-c", "user.email=t@localhost"]
    for command in (["init", "-q"], ["add", "-f", "."], [*identity, "commit", "-q", "-m", "First"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    head = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return folder / ".git", head.stdout.strip()


@contextlib.contextmanager
def make_tree(origin: tuple[Path, str]) -> Iterator[Tree]:
    with tempfile.TemporaryDirectory() as name:
        yield Tree(Path(name), *origin)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def write(root: Path, path: str, content: str) -> None:
    (root / path).write_bytes(content.encode())


def write_in_place_of_anything(root: Path, path: str, content: str) -> None:
    for part in [root / path, *(root / path).parents]:
        if part == root:
            break
        if part == root / path or not part.is_dir():
            remove(part)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    write(root, path, content)


def write_with_the_old_time(root: Path, path: str, content: str) -> None:
    before = (root / path).stat()
    write(root, path, content)
    os.utime(root / path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename(root: Path, path: str, content: str) -> None:
    target = root / PATHS[len(content) * 3 % len(PATHS)]
    (root / path).rename(target)


def link(root: Path, path: str, content: str) -> None:
    remove(root / path)
    (root / path).symlink_to(content.strip() or "pack")


def nested(root: Path, path: str, content: str) -> None:
    subprocess.run(["git", "init", "-q", str(root / "inner")], check=True)
    (root / "inner" / "file.py").write_text(content)


def git_inside(root: Path, path: str, content: str) -> None:
    here = {**ENVIRONMENT, "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_NAME": "A"}
    subprocess.run(["git", "add", "-A", "-f"], cwd=root, env=here, check=False, capture_output=True)
    subprocess.run(["git", "commit", "-qm", "x"], cwd=root, env=here, check=False, capture_output=True)


ACTS: dict[str, Callable[[Path, str, str], object]] = {
    "write": write,
    "force": write_in_place_of_anything,
    "old time": write_with_the_old_time,
    "remove": lambda root, path, content: remove(root / path),
    "rename": rename,
    "run": lambda root, path, content: (root / path).chmod(0o755),
    "plain": lambda root, path, content: (root / path).chmod(0o644),
    "touch": lambda root, path, content: os.utime(root / path),
    "hard link": lambda root, path, content: os.link(root / path, root / "other.py"),
    "link": link,
    "folder": lambda root, path, content: (root / path).mkdir(parents=True),
    "fifo": lambda root, path, content: os.mkfifo(root / path),
    "nested": nested,
    "not nested": lambda root, path, content: remove(root / "inner" / ".git"),
    "commit": git_inside,
    "ignore": lambda root, path, content: write(root, ".gitignore", RULES[len(content) % len(RULES)]),
    "ignore in": lambda root, path, content: write(root, "pack/.gitignore", RULES[len(content) % len(RULES)]),
    "attributes": lambda root, path, content: write(root, ".gitattributes", ATTRIBUTES[len(content) % len(ATTRIBUTES)]),
    "odd name": lambda root, path, content: Path(os.fsdecode(os.fsencode(root) + b"/\xff.py")).write_text(content),
}
ACT = st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from(PATHS), st.sampled_from(CONTENTS))
ROUND = st.tuples(st.lists(ACT, min_size=0, max_size=3), st.booleans())


@settings(max_examples=70, deadline=None)
@given(st.lists(ROUND, min_size=1, max_size=6))
@example([([("write", "a.py", "two\n")], False), ([("write", "a.py", "2wo\n")], False)])
@example([([("write", "a.py", "two\n")], False), ([("write", "a.py", "one\n")], False), ([], False)])
@example([([("force", "new.py", "one\n")], False), ([("write", "new.py", "two\n")], True), ([], False)])
@example([([("attributes", "", "x" * 5)], False), ([], False), ([("write", "a.py", "crlf\r\n")], False)])
@example([([("attributes", "", "x" * 6)], False), ([], False), ([("write", "a.py", "$Id: x$\n")], False)])
@example([([("attributes", "", "x" * 8)], False), ([], False), ([("write", "a.py", "\u00e9\n")], False)])
@example([([("remove", "pack/b.py", ""), ("fifo", "pack/b.py", "")], False), ([("remove", "pack/b.py", "")], False)])
@example([([("ignore", "a.py", "")], False), ([("write", "pack/b.py", "one\n")], False)])
@example(
    [([("force", "fresh/d.py", "")], False), ([("ignore", "a.py", "one\n")], False), ([("ignore", "", "")], False)]
)
def test_a_change_taken_quickly_is_what_git_tells(
    origin: tuple[Path, str], rounds: list[tuple[list[tuple[str, str, str]], bool]]
) -> None:
    """After each few acts, an answer lost now and then, the host knows the change that git finds from scratch."""
    with make_tree(origin) as tree:
        for acts, lose in rounds:
            for name, path, content in acts:
                with contextlib.suppress(OSError):
                    ACTS[name](tree.root, path, content)
            told = tree.told(lose=lose)
            if not lose:
                assert told == tree.whole()


def test_git_is_not_asked_again_about_what_is_known(origin: tuple[Path, str]) -> None:
    """One look by git, then none: not for nothing, nor for known files that are written, removed or made to run."""
    with make_tree(origin) as tree:
        tree.settle()
        asked = tree.asked
        write(tree.root, "a.py", "changed\n")
        (tree.root / "pack/b.py").chmod(0o755)
        (tree.root / "gone/only.txt").unlink()
        assert [change.path for change in tree.told()] == ["a.py", "gone/only.txt", "pack/b.py"]
        write(tree.root, "a.py", FILES["a.py"])
        assert [change.path for change in tree.told()] == ["gone/only.txt", "pack/b.py"]
        assert tree.told() == tree.whole()
        assert tree.asked == asked


def test_a_file_that_changes_within_a_tick_is_seen(origin: tuple[Path, str]) -> None:
    """Contents of one size, written as fast as can be: each is told, though the clock of the files is coarse."""
    with make_tree(origin) as tree:
        for number in range(300):
            write(tree.root, "a.py", f"{number:04}\n")
            assert [change.content for change in tree.told()] == [f"{number:04}\n".encode()]


def test_a_young_stamp_is_not_trusted(origin: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed shortly before a look may change again under the same stamp, so the next look doubts it."""
    monkeypatch.setattr(tree_of, "_YOUNG_NS", 10**15)
    with make_tree(origin) as tree:
        first = tree_of.look_at(os.fsencode(tree.root), (), most=100)
        second = tree_of.look_at(os.fsencode(tree.root), (), most=100)
        assert first is not None
        assert second is not None
        assert {os.fsencode(name) for name in FILES} <= (second.differing(first) or set())


def test_caps_hold_without_git(origin: tuple[Path, str]) -> None:
    """A known file that grows beyond the caps is refused by its size, and taken once it is small again."""
    with make_tree(origin) as tree:
        write(tree.root, "a.py", "changed\n")
        tree.told()
        write(tree.root, "a.py", "x" * 1_000_001)
        with pytest.raises(TooLarge, match="1000001 bytes"):
            tree.told()
        write(tree.root, "a.py", "small\n")
        assert tree.told() == tree.whole() == [FileChange("a.py", "100644", b"small\n")]


def test_a_tree_too_large_to_look_at_is_left_to_git(origin: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the most paths every change is git's, and still right."""
    monkeypatch.setattr(quick, "_MOST_PATHS", 3)
    with make_tree(origin) as tree:
        for content in ("two\n", "2wo\n"):
            write(tree.root, "a.py", content)
            assert tree.told() == tree.whole()
        assert tree.asked == 2
