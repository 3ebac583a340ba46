"""The tree under work: filled from the mirror, taken out as changes against its base commit, changed by a patch.

Changes are taken out with a git folder of our own making, so nothing a command did to /workspace/.git matters.
"""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    Entry = dict[str, Any]

_SECONDS = 300
_SNAPSHOT = "/opt/snapshot"
_SCRATCH_ROOTS = ("/tmp", "/home/agent", "/workspace/.git")
_REGULAR = {"100644": 0o644, "100755": 0o755}
_ESCAPED = str.maketrans({char: "\\" + char for char in "\\*?[!# "})


class WorkspaceError(Exception):
    """The workspace could not be filled, read or changed; the message tells a user what to do."""


class TooLarge(Exception):
    """The change is over the caps; the message gives the numbers."""


class Workspace:
    """One working tree, its base commit, and the index it was filled with."""

    def __init__(self, folder: str, mirror: str, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._mirror = mirror
        self._environment = dict(environment)
        self._base = ""
        self._index: tuple[bytes, int] = (b"", 0)
        self._excludes = b""

    def fill(self, commit: str | None) -> None:
        """Copy the snapshot's products, then check ``commit`` out of the mirror: history at hand, no remotes."""
        if not os.access(self._folder, os.W_OK):
            raise WorkspaceError(f"{self._folder} is not writable for user {os.getuid()} in this image.")
        # Before the checkout, which then has the last word on every tracked path.
        for name, target in (("workspace", self._folder), ("home", os.environ.get("HOME", "/home/agent"))):
            source = os.path.join(_SNAPSHOT, name)
            if os.path.isdir(source):
                _run(["cp", "-a", source + "/.", target], self._environment)
        if commit is not None:
            self._check_out(commit)
        if commit is not None and os.path.isdir(os.path.join(_SNAPSHOT, "workspace")):
            self._exclude_untracked()

    def export_changes(self, max_files: int, max_bytes: int) -> tuple[list[Entry], bytes]:
        """Entries {path, mode, size} and their contents in one. Raises TooLarge before any byte is read."""
        if not self._base:
            raise WorkspaceError("This container was opened without a commit, so it has no changes to take out.")
        with self._scratch() as git:
            nested = self._check_sizes(git, max_files, max_bytes)
            excluded = [":(top,exclude,literal)" + os.fsdecode(path) for path in nested]
            self._git(git, "add", "--all", "--ignore-errors", "--", ".", *excluded)
            raw = self._git(git, "diff-index", "--cached", "--raw", "-z", "--no-renames", "--full-index", self._base)
            changes = parse_raw(raw)
            if len(changes) + len(nested) > max_files:
                raise TooLarge(f"{len(changes) + len(nested)} files are changed, more than the limit of {max_files}")
            return self._contents(git, changes, nested, max_bytes)

    def apply_changes(self, entries: Sequence[Entry], contents: bytes) -> None:
        """Write a patch: deletions first, so that a file may become a folder. Raises WorkspaceError."""
        root = os.path.realpath(self._folder)
        for entry in entries:
            if entry["mode"] is None:
                _remove(root, os.path.join(root, *split_path(entry["path"])))
        at = 0
        for entry in entries:
            content, at = contents[at : at + entry["size"]], at + entry["size"]
            if entry["mode"] is not None:
                _write(root, os.path.join(root, *split_path(entry["path"])), entry["mode"], content)

    def _check_out(self, commit: str) -> None:
        git = os.path.join(self._folder, ".git")
        if not all(os.access(os.path.join(self._mirror, name), os.R_OK) for name in ("config", "objects")):
            raise WorkspaceError(
                "The mirror is not readable in the container: give others read access to it (chmod -R o+rX)."
            )
        if os.path.isdir(git):
            remove_tree(git)
        _make_git_folder(git, self._mirror)
        here = {**self._environment, "GIT_DIR": git, "GIT_WORK_TREE": self._folder}
        found = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", commit + "^{commit}"],
            env=here,
            capture_output=True,
            cwd=self._folder,
            check=False,
        )
        if found.returncode != 0:
            raise WorkspaceError(self._missing(commit))
        self._base = found.stdout.decode("ascii").strip()
        with open(os.path.join(git, "refs/heads/work"), "w", encoding="ascii") as reference:
            reference.write(self._base + "\n")
        _run(["git", "reset", "--quiet", "--hard"], here, self._folder)
        remove_tree(os.path.join(git, "logs"))
        index = os.path.join(git, "index")
        with open(index, "rb") as file:
            self._index = (file.read(), os.stat(index).st_mtime_ns)

    def _missing(self, commit: str) -> str:
        objects = os.path.join(self._mirror, "objects")
        packs = os.path.join(objects, "pack")
        empty = not any(len(name) == 2 for name in os.listdir(objects)) and not (
            os.path.isdir(packs) and os.listdir(packs)
        )
        if empty:
            return "The repository is empty: it has no commit to work on. Push a first commit, then try again."
        return f"The commit {commit} is not in the mirror. Fetch the mirror again; was the branch rewritten?"

    def _exclude_untracked(self) -> None:
        """What the set-up left untracked is no change of the agent's: git must not see it, here nor in the export."""
        git = os.path.join(self._folder, ".git")
        here = {**self._environment, "GIT_DIR": git, "GIT_WORK_TREE": self._folder}
        raw = _run(["git", "ls-files", "-z", "--others", "--exclude-standard", "--directory"], here, self._folder)
        lines = [b"/" + os.fsencode(os.fsdecode(path).translate(_ESCAPED)) for path in raw.split(b"\0") if path]
        self._excludes = b"".join(line + b"\n" for line in lines if b"\n" not in line)
        os.makedirs(os.path.join(git, "info"), exist_ok=True)
        with open(os.path.join(git, "info/exclude"), "wb") as exclude:
            exclude.write(self._excludes)

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[dict[str, str]]:
        """The environment of git with a folder, an index and a configuration nobody else has touched."""
        roots = [root for root in _SCRATCH_ROOTS if os.access(root, os.W_OK)]
        root = max(roots, key=lambda path: os.statvfs(path).f_bavail * os.statvfs(path).f_frsize)
        folder = os.path.join(root, ".forgehand-" + os.urandom(8).hex())
        try:
            _make_git_folder(folder, self._mirror, head=self._base)
            with open(os.path.join(folder, "info/exclude"), "wb") as exclude:
                exclude.write(self._excludes)
            index = os.path.join(folder, "index")
            with open(index, "wb") as file:
                file.write(self._index[0])
            os.utime(index, ns=(self._index[1], self._index[1]))
            yield {**self._environment, "GIT_DIR": folder, "GIT_WORK_TREE": self._folder, "GIT_INDEX_FILE": index}
        finally:
            remove_tree(folder)

    def _check_sizes(self, git: Mapping[str, str], max_files: int, max_bytes: int) -> list[bytes]:
        """Refuse by count and size what git would otherwise read whole; the nested repositories that were found."""
        raw = self._git(git, *STATUS)
        self._keep_index(git["GIT_INDEX_FILE"])
        names: set[bytes] = {entry[3:] for entry in raw.split(b"\0") if entry}
        if len(names) > max_files:
            raise TooLarge(f"{len(names)} files are changed, more than the limit of {max_files}")
        size = 0
        for name in names:
            full = os.path.join(os.fsencode(self._folder), name)
            with contextlib.suppress(OSError):
                status = os.lstat(full)
                size += status.st_size if stat.S_ISREG(status.st_mode) else 0
                if stat.S_ISREG(status.st_mode) and not status.st_mode & stat.S_IRUSR:
                    os.chmod(full, stat.S_IMODE(status.st_mode) | stat.S_IRUSR)
        if size > max_bytes:
            raise TooLarge(f"the changed files hold {size} bytes, more than the limit of {max_bytes}")
        return sorted(name.rstrip(b"/") for name in names if name.endswith(b"/"))

    def _keep_index(self, path: str) -> None:
        """Take over the index git has just compared with the files: the next time compares the changed ones alone.

        The time belongs to it: git trusts a file's stat only when the file is older than the index that says so.
        """
        time = os.stat(path).st_mtime_ns
        if time != self._index[1]:
            with open(path, "rb") as file:
                self._index = (file.read(), time)

    def _contents(
        self, git: Mapping[str, str], changes: Sequence[tuple[bytes, str, str]], nested: Sequence[bytes], max_bytes: int
    ) -> tuple[list[Entry], bytes]:
        wanted = [blob for _, mode, blob in changes if mode in (*_REGULAR, "120000")]
        stream = "".join(blob + "\n" for blob in wanted).encode("ascii")
        sizes = [
            int(line.split()[2]) for line in self._git(git, "cat-file", "--batch-check", stdin=stream).splitlines()
        ]
        if sum(sizes) > max_bytes:
            raise TooLarge(f"the changed files hold {sum(sizes)} bytes, more than the limit of {max_bytes}")
        batch = self._git(git, "cat-file", "--batch", stdin=stream) if wanted else b""
        entries: list[Entry] = [make_entry(path, "160000", 0) for path in nested]
        contents, at, taken = [], 0, 0
        for path, mode, _ in changes:
            size = 0
            if mode in (*_REGULAR, "120000"):
                start = batch.index(b"\n", at) + 1
                size = sizes[taken]
                contents.append(batch[start : start + size])
                at, taken = start + size + 1, taken + 1
            entries.append(make_entry(path, None if mode == "000000" else mode, size))
        return entries, b"".join(contents)

    def _git(self, git: Mapping[str, str], *arguments: str, stdin: bytes = b"") -> bytes:
        return _run(["git", *arguments], git, self._folder, stdin)


def remove_tree(folder: str) -> None:
    """Remove a folder and all in it, without following links; what cannot be removed stays."""
    for parent, folders, names in os.walk(folder, topdown=False):
        for name in (*names, *folders):
            full = os.path.join(parent, name)
            with contextlib.suppress(OSError):
                if os.path.isdir(full) and not os.path.islink(full):
                    os.rmdir(full)
                else:
                    os.unlink(full)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


_CONFIG = """[core]
\trepositoryformatversion = %d
\tbare = false
[user]
\tname = Forgehand agent
\temail = agent@sandbox.invalid
[gc]
\tauto = 0
"""
STATUS = ("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty")
_SHA256 = "[extensions]\n\tobjectFormat = sha256\n"


def git_environment(base: Mapping[str, str]) -> dict[str, str]:
    """What our own git calls see: no configuration but the one beside the index, no prompt, plain C messages."""
    ours = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    return {**{name: value for name, value in base.items() if not name.startswith("GIT_")}, **ours}


def _make_git_folder(folder: str, mirror: str, *, head: str = "ref: refs/heads/work") -> None:
    """An empty repository that borrows the mirror's objects; written by hand, for git would run three processes."""
    for name in ("objects/info", "refs/heads", "info"):
        os.makedirs(os.path.join(folder, name))
    with open(os.path.join(mirror, "config"), encoding="utf-8", errors="replace") as config:
        sha256 = "objectformat = sha256" in config.read().lower()
    files = {
        "HEAD": head + "\n",
        "objects/info/alternates": os.path.join(mirror, "objects") + "\n",
        "config": _CONFIG % sha256 + (_SHA256 if sha256 else ""),
    }
    for name, content in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(content)


def _run(argv: Sequence[str], environment: Mapping[str, str], cwd: str = "/", stdin: bytes = b"") -> bytes:
    """Standard output. Raises WorkspaceError with the last words of standard error."""
    try:
        done = subprocess.run(
            argv, env=dict(environment), cwd=cwd, input=stdin, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise WorkspaceError(f"{' '.join(argv[:2])} took more than {_SECONDS} seconds.") from None
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip()[-2000:]
        raise WorkspaceError(f"{' '.join(argv[:2])} failed with {done.returncode}: {words}")
    return done.stdout


def split_path(path: str) -> list[str]:
    """The parts of a path in a repository. Raises WorkspaceError for one that no repository can hold."""
    parts = path.split("/")
    if "\0" in path or {"", ".", "..", ".git"} & {part.lower() for part in parts}:
        raise WorkspaceError(f"The patch names the path {path!r}, which cannot be in a repository.")
    return parts


def parse_raw(raw: bytes) -> list[tuple[bytes, str, str]]:
    """(path, new mode, new blob) of each change of git's raw format; a deletion has mode 000000."""
    fields = raw.split(b"\0")
    changes = []
    for index in range(0, len(fields) - 1, 2):
        _, mode, _, blob, _ = fields[index].decode("ascii").split(" ")
        changes.append((fields[index + 1], mode, blob))
    return changes


def make_entry(path: bytes, mode: str | None, size: int) -> Entry:
    """One path of a change, as it is sent."""
    try:
        return {"path": path.decode("utf-8"), "mode": mode, "size": size}
    except UnicodeDecodeError:
        # No mode of git's: whoever validates the change refuses it, and can still name it.
        return {"path": path.decode("utf-8", "backslashreplace"), "mode": "000000", "size": size}


def _remove(root: str, path: str) -> None:
    if not os.path.lexists(path):
        return
    if os.path.isdir(path) and not os.path.islink(path):
        remove_tree(path)
    else:
        os.unlink(path)
    parent = os.path.dirname(path)
    while parent != root and not os.listdir(parent):
        os.rmdir(parent)
        parent = os.path.dirname(parent)


def _write(root: str, path: str, mode: str, content: bytes) -> None:
    parent = os.path.dirname(path)
    above = parent
    while above != root:
        if os.path.lexists(above) and (os.path.islink(above) or not os.path.isdir(above)):
            os.unlink(above)
        above = os.path.dirname(above)
    os.makedirs(parent, exist_ok=True)
    if os.path.lexists(path):
        if os.path.isdir(path) and not os.path.islink(path):
            remove_tree(path)
        else:
            os.unlink(path)
    if mode == "120000":
        os.symlink(content, os.fsencode(path))
    elif mode in _REGULAR:
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, _REGULAR[mode])
    else:
        raise WorkspaceError(f"The patch gives {path} the mode {mode}, which cannot be written.")
