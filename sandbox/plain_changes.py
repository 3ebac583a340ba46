"""The tree under work in an image without Python: filled and taken out by the image's own git, one exec a step."""

from __future__ import annotations

from sandbox.container import ChangeTooLarge, FileChange, SandboxSpec, SandboxUnavailable
from sandbox.execution import Exec
from sandbox.toolbox.changes import make_entry
from sandbox.toolbox.gitfolder import STATUS, parse_raw

_SECONDS = 300.0
_FILL = """
set -e
for name in workspace home; do
  to=/workspace; [ $name = home ] && to=$HOME
  [ -d /opt/snapshot/$name ] && cp -a /opt/snapshot/$name/. "$to"
done; true
[ "$1" ] || exit 0
command -v git >/dev/null || exit 44
format=sha1; grep -qi 'objectformat = sha256' /mirror/config && format=sha256
cd /workspace; rm -rf .git
git init -q --object-format=$format . 2>/dev/null || git init -q .
echo /mirror/objects >.git/objects/info/alternates
[ ! -f /mirror/shallow ] || cp /mirror/shallow .git/shallow
git cat-file -e "$1^{commit}" || exit 45
git config user.name 'Forgehand agent'; git config user.email agent@sandbox.invalid; git config gc.auto 0
git update-ref refs/heads/work "$1"; git symbolic-ref HEAD refs/heads/work
git reset -q --hard
rm -rf .git/logs
"""
# The repository of our own making: nothing that a command did to /workspace/.git matters.
_SCRATCH = """
set -e
cd /workspace; d=$(mktemp -d /tmp/.forgehand-XXXXXX)
format=sha1; grep -qi 'objectformat = sha256' /mirror/config && format=sha256
git init -q --bare --object-format=$format "$d" 2>/dev/null || git init -q --bare "$d"
echo /mirror/objects >"$d/objects/info/alternates"
[ ! -f /mirror/shallow ] || cp /mirror/shallow "$d/shallow"
git --git-dir="$d" config core.bare false
GIT_DIR=$d git update-ref --no-deref HEAD "$1"
GIT_DIR=$d git read-tree "$1"
head -c "$2" >"$d/info/exclude"
printf %s "$d"
"""
_SIZE = 'git ls-files -z -m -o --exclude-standard | xargs -0 cat -- 2>/dev/null | head -c "$1" | wc -c'
_ADD = 'git add --all --ignore-errors -- . 2>/dev/null; git diff-index --cached --raw -z --no-renames --full-index "$1"'
_OURS = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


class PlainChanges:
    """The base commit of one container and what differs from it."""

    def __init__(self, exec_: Exec) -> None:
        self._exec = exec_
        self._base = ""
        self._excludes = b""

    def fill(self, spec: SandboxSpec) -> None:
        """Copy the snapshot's products and check the commit out. Raises SandboxUnavailable."""
        done = self._exec.run(["/bin/sh", "-c", _FILL, "sh", spec.commit or ""], timeout=_SECONDS, environment=_OURS)
        if done.code == 44:
            raise SandboxUnavailable(f"The image {spec.image} has no git. Use an image with bash, git and python3.")
        if done.code == 45:
            raise SandboxUnavailable(
                f"The commit {spec.commit} is not in the mirror. Fetch the mirror again; was the branch rewritten?"
            )
        if done.code != 0:
            words = done.errors.decode("utf-8", "replace").strip()[-1000:]
            raise SandboxUnavailable(f"The workspace of the image {spec.image} could not be filled: {words}")
        self._base = spec.commit or ""
        if self._base:
            listed = self._shell("git ls-files -z --others --exclude-standard --directory")
            self._excludes = b"".join(b"/" + name + b"\n" for name in listed.split(b"\0") if name and b"\n" not in name)
            exclude = 'head -c "$1" >/workspace/.git/info/exclude'
            if self._excludes:
                self._shell(exclude, str(len(self._excludes)), stdin=self._excludes)

    def export(self, max_files: int, max_bytes: int) -> list[FileChange]:
        """The changes, sorted by path. Raises ChangeTooLarge with the numbers alone, and SandboxUnavailable."""
        if not self._base:
            raise SandboxUnavailable("This container was opened without a commit, so it has no changes to take out.")
        sizes = (self._base, str(len(self._excludes)))
        folder = self._shell(_SCRATCH, *sizes, stdin=self._excludes).decode("ascii")
        try:
            return self._export(folder, max_files, max_bytes)
        finally:
            self._exec.run(["rm", "-rf", "--", folder])

    def _export(self, folder: str, max_files: int, max_bytes: int) -> list[FileChange]:
        status = self._shell(" ".join(("git", *STATUS)), folder=folder)
        names = {entry[3:] for entry in status.split(b"\0") if entry}
        if len(names) > max_files:
            raise ChangeTooLarge(f"{len(names)} files are changed, more than the limit of {max_files}")
        if int(self._shell(_SIZE, str(max_bytes + 1), folder=folder) or 0) > max_bytes:
            raise ChangeTooLarge(f"the changed files hold more than the limit of {max_bytes} bytes")
        changes = parse_raw(self._shell(_ADD, self._base, folder=folder))
        nested = [
            FileChange(str(make_entry(name.rstrip(b"/"), "160000", 0)["path"]), "160000", b"")
            for name in names
            if name.endswith(b"/")
        ]
        found = {change.path: change for change in nested}
        for path, mode, blob in changes:
            entry = make_entry(path, None if mode == "000000" else mode, 0)
            content = None if entry["mode"] is None else b""
            if mode in ("100644", "100755", "120000"):
                content = self._shell(f"git cat-file blob {blob}", folder=folder)
            found[entry["path"]] = FileChange(entry["path"], entry["mode"], content)
        return sorted(found.values(), key=lambda change: change.path)

    def _shell(self, script: str, *arguments: str, stdin: bytes = b"", folder: str = "") -> bytes:
        """Standard output of a script in the workspace. Raises SandboxUnavailable."""
        scratch = {"GIT_DIR": folder, "GIT_WORK_TREE": "/workspace"} if folder else {}
        done = self._exec.run(
            ["/bin/sh", "-c", script, "sh", *arguments], stdin=stdin, timeout=_SECONDS, environment={**_OURS, **scratch}
        )
        if done.code != 0:
            words = done.errors.decode("utf-8", "replace").strip()[-1000:]
            raise SandboxUnavailable(f"The sandbox could not read its changes: {words}")
        return done.output
