"""A sandbox in an image without Python: each call is an exec of its sh, of a hundred milliseconds."""

from __future__ import annotations

import codecs
import errno
import io
import itertools
import re
import shlex
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Lock
from typing import Any

import docker

from sandbox.container import (
    WORKSPACE,
    ChangeTooLarge,
    ExecResult,
    FileChange,
    SandboxSpec,
    SandboxUnavailable,
    ToolAnswer,
)
from sandbox.execution import Exec
from sandbox.plain_changes import PlainChanges
from sandbox.toolbox.arguments import TOOLS, BadArguments, parse_arguments
from sandbox.toolbox.files import Files, explain_error
from sandbox.toolbox.gitfolder import WorkspaceError
from sandbox.toolbox.globs import compile_glob
from sandbox.toolbox.output import HeadAndTail
from sandbox.toolbox.paths import BadPath, Paths
from sandbox.toolbox.search import render_lines, render_names
from sandbox.toolbox.store import LocalStore, NotRegular, TooBig
from sandbox.toolbox.workspace import split_path

NOTE = (
    "The image has no python3 (3.8 or newer), so every call is a `docker exec`: slower, without the whole of a long "
    "output in a file, without syntax warnings, and what leaves its process group outlives a deadline. "
    "Add python3 to the image to have all of it."
)
_GREP_LINES = 1_000
_MOST_LINES = 5_000
_ENDING_SECONDS = 8.0
_ARGUMENT_BYTES = 100_000
# Standard error tells us what the command must not: its process group, its exit code, the kernel's count of kills.
_WRAP = """
exec 3>&2 2>&1 </dev/null
kills() { for f in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
  [ -r $f ] && while read -r a b; do [ "$a" = oom_kill ] && echo "$b" && return; done <$f; done; echo 0; }
echo "group $$ $(kills)" >&3
if [ "$3" ]; then "$1" "$3" 3>&-; else "$1" -c "$2" 3>&-; fi
code=$?
echo "end $code $(kills)" >&3
"""
_CARRY = """[ -r /tmp/.forgehand-state ] && . /tmp/.forgehand-state && cd -- "$(cat /tmp/.forgehand-folder)" 2>/dev/null
%s trap 'export -p >/tmp/.forgehand-state; pwd >/tmp/.forgehand-folder' 0
"""
_END = 'kill -TERM "-$1"; sleep "$2"; kill -KILL "-$1" 2>/dev/null'
_READ = """
[ -d "$1" ] && exit 21; [ -e "$1" ] || exit 2; [ -f "$1" ] || exit 22
[ "$(wc -c <"$1")" -le "$2" ] || exit 27
exec cat -- "$1"
"""
_WRITE = """
set -e; folder=${1%/*}; t=$folder/.forgehand-$$; trap 'rm -f -- "$t"' EXIT
mkdir -p -- "$folder"; if [ -e "$1" ]; then new=; cp -p -- "$1" "$t"; else new=1; fi
head -c "$2" >"$t"; [ "$(wc -c <"$t")" -eq "$2" ]; mv -f -- "$t" "$1"; echo "$new"
"""
_FOLLOW = """
p=$1; s=
while ! r=$(readlink -f -- "$p") || [ -z "$r" ]; do s=/${p##*/}$s; p=${p%/*}; [ "$p" ] || break; done
printf %s "$r$s"
"""
_FIND = 'cd -- "$1" && find . -name .git -prune -o -type f -print0'
_GREP = """
cd /workspace; export LC_ALL=C.UTF-8
if [ -f "$2" ]; then grep -nHE -e "$1" -- "$2"
else find "$2" -name .git -prune -o -type f -exec grep -nHE -e "$1" {} +; fi | head -n "$3"
"""


class ExecStore(LocalStore):
    """The files of the container, by one exec each."""

    def __init__(self, exec_: Exec) -> None:
        self._exec = exec_

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return self._exec.run(["/bin/sh", "-c", '[ -d "$1" ]', "sh", path]).code == 0

    def read(self, path: str, limit: int) -> bytes:
        """A regular file's bytes."""
        done = self._exec.run(["/bin/sh", "-c", _READ, "sh", path, str(limit)])
        if done.code == 0:
            return done.output
        known: dict[int | None, OSError] = {
            2: FileNotFoundError(errno.ENOENT, "no such file", path),
            21: IsADirectoryError(errno.EISDIR, "is a folder", path),
            22: NotRegular(0, "not a regular file", path),
            27: TooBig(0, "too large", path),
        }
        raise known.get(done.code) or OSError(0, _words(done.errors), path)

    def write(self, path: str, content: bytes) -> bool:
        """Write beside the file, then rename over it."""
        done = self._exec.run(["/bin/sh", "-c", _WRITE, "sh", path, str(len(content))], stdin=content)
        if done.code != 0:
            words = _words(done.errors)
            raise OSError(errno.ENOSPC if "No space left" in words else 0, words or "it could not be written", path)
        return done.output.strip() == b"1"


class ExecPaths(Paths):
    """The paths of the container: its links are followed by one exec."""

    def __init__(self, exec_: Exec, roots: Sequence[str]) -> None:
        self._exec = exec_
        super().__init__(roots)

    def follow_links(self, path: str) -> str:
        """The path behind all symbolic links."""
        done = self._exec.run(["/bin/sh", "-c", _FOLLOW, "sh", path])
        return done.output.decode("utf-8", "replace") or path


class PlainSandbox:
    """One running container without a toolbox. See :class:`sandbox.container.Sandbox` for what its methods promise."""

    def __init__(
        self, client: docker.DockerClient, container: str, attached: Any, *, remove: Callable[[str], None]
    ) -> None:
        self._container = container
        self._attached = attached  # the container ends when this connection does
        self._remove = remove
        self._exec = Exec(client, container)
        self._shell = "sh"
        self._files: Files | None = None
        self._changes: PlainChanges | None = None
        self._numbers = itertools.count(1)
        self._closing = Lock()

    @property
    def id(self) -> str:
        """The container's id."""
        return self._container

    @property
    def notes(self) -> tuple[str, ...]:
        """That it is slow, and why."""
        return (NOTE,)

    def fill(self, spec: SandboxSpec) -> None:
        """Find out what the image has, and put the commit and the snapshot's products into the workspace."""
        if spec.network == "egress":
            raise SandboxUnavailable(
                f"The image {spec.image} has no python3, which set-up commands need for the way out. "
                "Use an image with python3, or one that needs no set-up."
            )
        self._exec = Exec(self._exec.client, self._container, dict(spec.environment))
        self._shell = "bash" if self._exec.run(["/bin/sh", "-c", "command -v bash"]).code == 0 else "sh"
        self._paths = ExecPaths(self._exec, [WORKSPACE, "/tmp"])  # noqa: S108 - a folder in the container
        self._files = Files(self._paths, ExecStore(self._exec))
        self._changes = PlainChanges(self._exec)
        self._changes.fill(spec)

    def execute(
        self,
        command: str,
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        carry: bool = False,
        output_limit: int = 30_000,
        on_output: Callable[[str], None] | None = None,
        cancelled: Event | None = None,
    ) -> ExecResult:
        """Run one command in the workspace, by bash where there is one, else by sh."""
        began = time.monotonic()
        if cancelled is not None and cancelled.is_set():
            return ExecResult(None, "", False, False, False, 0.0, cancelled=True)
        if "\0" in command:
            return ExecResult(2, "The command holds a NUL character; remove it.\n", False, False, False, 0.0)
        if carry:
            command = _carrying(command, environment or {})
        script = self._long_script(command)
        output = HeadAndTail(output_limit)
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode

        def take(chunk: bytes) -> None:
            output.add(chunk)
            if on_output is not None:
                on_output(decode(chunk))

        done = self._exec.run(
            ["/bin/sh", "-c", _WRAP, "sh", self._shell, "" if script else command, script],
            timeout=timeout,
            environment=environment,
            on_output=take,
            done=lambda errors: b"\nend " in errors,
            cancelled=cancelled,
        )
        stopped = cancelled is not None and cancelled.is_set() and done.code is None
        if done.code is None:
            self._end(done.errors, grace="0.4" if stopped else "2")
        code, kills = _read_report(done.errors)
        text, truncated = output.render()
        return ExecResult(
            None if done.code is None else (done.code if code is None else code),
            text,
            truncated,
            done.code is None and not stopped,
            kills,
            round(time.monotonic() - began, 4),
            cancelled=stopped,
        )

    def tool(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        """Run a file tool with the model's arguments: its logic here, its bytes there."""
        assert self._files is not None
        tools: dict[str, Callable[..., tuple[bool, str, dict[str, Any]]]] = {
            "read_file": self._files.read_file,
            "edit": self._files.edit,
            "write_file": self._files.write_file,
            "grep": self._grep,
            "glob": self._glob,
        }
        if name not in TOOLS:
            return ToolAnswer(False, f"There is no tool {name!r} here. The tools are: {', '.join(sorted(TOOLS))}")
        try:
            return ToolAnswer(*tools[name](**parse_arguments(name, arguments)))
        except BadArguments as error:
            return ToolAnswer(False, str(error), {"error": "bad_arguments"})
        except BadPath as error:
            return ToolAnswer(False, str(error), {"error": "bad_path"})
        except OSError as error:
            return ToolAnswer(False, explain_error(name, error), {"error": "system"})

    def read_bytes(self, path: str, *, limit: int) -> bytes | None:
        """A file's bytes, or None."""
        assert self._files is not None
        try:
            return self._files.read_bytes(path, limit)
        except BadPath:
            return None

    def export_changes(self, *, max_files: int, max_bytes: int) -> list[FileChange]:
        """What differs from the commit, sorted by path."""
        assert self._changes is not None
        try:
            return self._changes.export(max_files, max_bytes)
        except ChangeTooLarge as error:
            raise ChangeTooLarge(f"The change is too large: {error}. Make it smaller, or raise the limit.") from None

    def apply_changes(self, changes: Sequence[FileChange]) -> None:
        """Write a patch into the workspace. Raises SandboxUnavailable, for a path no repository can have too."""
        packed = io.BytesIO()
        try:
            gone = b"".join(b"/".join(part.encode() for part in split_path(c.path)) + b"\0" for c in changes)
        except WorkspaceError as error:
            raise SandboxUnavailable(f"The sandbox could not apply changes: {error}") from None
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for change in changes:
                if change.content is not None:
                    archive.addfile(*_tar_entry(change))
        script = 'cd /workspace; head -c "$1" | xargs -0 rm -rf --; head -c "$2" | tar -xf - 2>&1'
        content = packed.getvalue()
        if gone:
            sizes = [str(len(gone)), str(len(content))]
            done = self._exec.run(["/bin/sh", "-c", script, "sh", *sizes], stdin=gone + content, timeout=300)
            if done.code != 0:
                words = done.output.decode("utf-8", "replace").strip()
                raise SandboxUnavailable(f"The sandbox could not apply changes: {words}")

    def close(self) -> None:
        """Remove the container."""
        with self._closing:
            if self._attached is not None:
                self._attached.close()
                self._attached = None
                self._remove(self._container)

    def __enter__(self) -> PlainSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _long_script(self, command: str) -> str:
        """The path of a file that holds a command which is too long for an argument; empty for any other."""
        content = command.encode("utf-8", "replace")
        if len(content) <= _ARGUMENT_BYTES:
            return ""
        path = f"/tmp/.forgehand-command-{next(self._numbers)}"  # noqa: S108 - a folder in the container
        ExecStore(self._exec).write(path, content)
        return path

    def _end(self, report: bytes, *, grace: str) -> None:
        group = report.partition(b"group ")[2].split(b" ")[0].decode("ascii", "replace")
        if group.isdigit():
            self._exec.run(["/bin/sh", "-c", _END, "sh", group, grace], timeout=_ENDING_SECONDS)

    def _grep(
        self, pattern: str, path: str = ".", glob: str = "", limit: int = 100
    ) -> tuple[bool, str, dict[str, Any]]:
        real = self._paths.resolve(path)
        if limit < 1:
            return False, f"limit counts lines from 1, but it was {limit}.", {"error": "bad_limit"}
        shown = self._paths.show(real) or "."
        done = self._exec.run(["/bin/sh", "-c", _GREP, "sh", pattern, shown, str(_MOST_LINES)], timeout=20)
        if done.errors.strip() and not done.output:
            text = f"grep -E could not search with the pattern {pattern!r}: {_words(done.errors)}"
            return False, text, {"error": "bad_pattern"}
        try:
            matches = compile_glob(glob.lstrip("!")) if glob else None
        except re.error as error:
            return False, f"The glob {glob!r} is not valid ({error}).", {"error": "bad_pattern"}
        lines = [line.removeprefix("./") for line in done.output.decode("utf-8", "replace").split("\n") if ":" in line]
        if matches is not None:
            lines = [line for line in lines if matches(line.partition(":")[0]) != glob.startswith("!")]
        if not lines:
            return True, "No matches.", {"matches": 0, "truncated": False}
        lines.sort(key=lambda line: line.partition(":")[0].split("/"))
        return render_lines(lines, min(limit, _GREP_LINES), cut=done.code is None)

    def _glob(self, pattern: str, path: str = ".") -> tuple[bool, str, dict[str, Any]]:
        real = self._paths.resolve(path)
        if ".." in pattern.split("/"):
            return False, "The pattern may not hold '..'; give a folder in path instead.", {"error": "bad_pattern"}
        done = self._exec.run(["/bin/sh", "-c", _FIND, "sh", real], timeout=20)
        if done.code:
            return False, f"There is no folder {path}.", {"error": "not_found"}
        try:
            matches = compile_glob(pattern.removeprefix(real + "/"))
        except re.error as error:
            text = f"The pattern {pattern!r} is not a glob ({error}). Example: src/**/*.py"
            return False, text, {"error": "bad_pattern"}
        names = [name.decode("utf-8", "replace")[2:] for name in done.output.split(b"\0") if name]
        return render_names([name for name in names if matches(name)], self._paths.show(real))


def _carrying(command: str, environment: Mapping[str, str]) -> str:
    exports = "".join(f"export {name}={shlex.quote(value)};" for name, value in environment.items())
    return _CARRY % exports + command


def _read_report(report: bytes) -> tuple[int | None, bool]:
    """The exit code that the wrapper saw, and whether the kernel has ended something for memory since it began."""
    first, _, last = report.partition(b"\nend ")
    before, after = first.split(b" "), last.split(b" ")
    try:
        return int(after[0]), int(after[1]) > int(before[2])
    except (ValueError, IndexError):
        return None, False


def _tar_entry(change: FileChange) -> tuple[tarfile.TarInfo, io.BytesIO]:
    entry = tarfile.TarInfo(change.path)
    content = change.content or b""
    if change.mode == "120000":
        entry.type, entry.linkname = tarfile.SYMTYPE, content.decode("utf-8", "surrogateescape")
        return entry, io.BytesIO()
    if change.mode not in ("100644", "100755"):
        raise SandboxUnavailable(f"The patch gives {change.path} the mode {change.mode}, which cannot be written.")
    entry.mode, entry.size = int(change.mode[-3:], 8), len(content)
    return entry, io.BytesIO(content)


def _words(errors: bytes) -> str:
    return errors.decode("utf-8", "replace").strip()[-2000:]
