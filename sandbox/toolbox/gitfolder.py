"""Git as the toolbox uses it: which environment it sees, and a folder for it that nobody else has touched."""

from __future__ import annotations

import contextlib
import os
import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SECONDS = 300
_CONFIG = """[core]
\trepositoryformatversion = %d
\tbare = false
[user]
\tname = Forgehand agent
\temail = agent@sandbox.invalid
[gc]
\tauto = 0
"""
_SHA256 = "[extensions]\n\tobjectFormat = sha256\n"
STATUS = ("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty")


class WorkspaceError(Exception):
    """The workspace could not be filled, read or changed; the message tells a user what to do."""


def git_environment(base: Mapping[str, str]) -> dict[str, str]:
    """What our own git calls see: no configuration but the one beside the index, no prompt, plain C messages."""
    ours = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        # Without it git reads ignore rules and attributes from ~/.config/git, where a command can write.
        "XDG_CONFIG_HOME": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    return {**{name: value for name, value in base.items() if not name.startswith("GIT_")}, **ours}


def make_git_folder(folder: str, mirror: str, *, head: str = "ref: refs/heads/work") -> None:
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
    # Where a shallow mirror's history begins; without it git looks for the commits before, and does not find them.
    with contextlib.suppress(FileNotFoundError), open(os.path.join(mirror, "shallow"), encoding="ascii") as shallow:
        files["shallow"] = shallow.read()
    for name, content in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(content)


def run(argv: Sequence[str], environment: Mapping[str, str], cwd: str = "/", stdin: bytes = b"") -> bytes:
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


def parse_raw(raw: bytes) -> list[tuple[bytes, str, str]]:
    """(path, new mode, new blob) of each change of git's raw format; a deletion has mode 000000."""
    fields = raw.split(b"\0")
    changes = []
    for index in range(0, len(fields) - 1, 2):
        _, mode, _, blob, _ = fields[index].decode("ascii").split(" ")
        changes.append((fields[index + 1], mode, blob))
    return changes


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
