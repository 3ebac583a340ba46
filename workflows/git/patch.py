"""Which patches may become a commit: paths, modes, links, sizes, protected paths and secrets, judged as plain data."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from sandbox.container import FileChange
from workflows.git.globs import matches_pattern
from workflows.git.leaks import dressed_forms, find_leaks, redact
from workflows.git.protected import protecting_pattern
from workflows.types import Patch, PatchFile

MODES = ("100644", "100755", "120000")
LINK = "120000"
MAX_PROBLEMS = 50
MAX_FOLDERS = 40
# NTFS short names, and the names git itself reads from a tree: https://git-scm.com/docs/gitmodules
_DOT_GIT = re.compile(r"\.git|git~\d+")
_READ_BY_GIT = re.compile(r"\.git(modules|attributes|ignore)|git(mod|att|ign)[a-z0-9]{0,3}~\d+|\.mailmap")


@dataclass(frozen=True)
class PatchRules:
    """The bounds of a patch. ``protected`` are the policy's patterns, on top of those that always hold.

    ``only`` are globs of which one must name each path; none: every path may change.
    """

    protected: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    max_files: int = 300
    max_file_bytes: int = 1_000_000
    max_total_bytes: int = 4_000_000


def patch_file(path: str, mode: str | None, content: bytes | None) -> PatchFile:
    """A patch's line from raw bytes (the model's field takes base64)."""
    return PatchFile(path=path, mode=mode, content=None if content is None else base64.b64encode(content))


def patch_of(base: str, changes: Sequence[FileChange], *, before: Patch | None = None) -> Patch:
    """What a sandbox exported, as a patch on the commit ``base``, sorted by path.

    What is as in the patch ``before`` stays the same object: after each command all of it is exported, and most is.
    """
    known = {file.path: file for file in before.files} if before else {}
    files = tuple(_as_before(known.get(change.path), change) for change in sorted(changes, key=lambda one: one.path))
    if before is not None and (before.base, before.files) == (base, files):
        return before
    return Patch(base=base, files=files)


def _as_before(file: PatchFile | None, change: FileChange) -> PatchFile:
    if file is not None and (file.mode, file.content) == (change.mode, change.content):
        return file
    return patch_file(change.path, change.mode, change.content)


def changes_of(patch: Patch) -> list[FileChange]:
    """A patch as a sandbox applies it."""
    return [FileChange(file.path, file.mode, file.content) for file in patch.files]


def check_patch(patch: Patch, rules: PatchRules, *, existing: Collection[str] = ()) -> tuple[str, ...]:
    """What is wrong with a patch, a sentence each, at most 50; none means that it may be committed.

    ``existing`` are the paths of the base commit, against which names that differ in letter case alone are found.
    """
    problems = _size_problems(patch, rules)
    for file in patch.files:
        shown = _shown(file.path)
        problems += [f"{shown}: {problem}" for problem in _file_problems(file, rules)]
    if not problems:
        problems = _collisions(patch, existing)
    if len(problems) > MAX_PROBLEMS:
        problems[MAX_PROBLEMS:] = [f"There are {len(problems) - MAX_PROBLEMS} more problems of this kind."]
    return tuple(problems)


def secrets_in(
    patch: Patch, read_base: Callable[[str], bytes | None], *, known: Collection[str] = ()
) -> tuple[str, ...]:
    """Where the patch adds something that looks like a secret: path, line and kind, never the value.

    At most 50 of them. ``read_base`` gives a file of the base commit; what stood in any of the patch's files before is
    not new.
    """
    before = _Before([(read_base(file.path) or b"").decode("utf-8", "replace") for file in patch.files], known)
    found: list[str] = []
    for file in patch.files:
        if len(found) >= MAX_PROBLEMS:
            break
        if find_leaks(file.path, known):
            found.append(f"{_shown(redact(file.path, known))}: the name holds something that looks like a secret.")
            continue
        text = (file.content or b"").decode("utf-8", "replace")
        leaks = [leak for leak in find_leaks(text, known) if not before.holds(text[leak.start : leak.end])]
        line, counted = 1, 0
        for leak in leaks[: MAX_PROBLEMS - len(found)]:
            line += text.count("\n", counted, leak.start)
            counted = leak.start
            found.append(f"{_shown(file.path)} line {line}: this looks like {leak.kind}.")
        if not leaks and _is_split(text, known):
            found.append(f"{_shown(file.path)}: a secret of this server stands here in pieces.")
    return tuple(found)


class _Before:
    """What stood in the patch's files before. Not every find is looked for in all of it: that would be quadratic."""

    def __init__(self, texts: Sequence[str], known: Collection[str]) -> None:
        self._leaks = {text[leak.start : leak.end] for text in texts for leak in find_leaks(text, known)}
        self._whole = "\n".join(texts)
        self._searches = 200

    def holds(self, leak: str) -> bool:
        """Whether it is not new; what is part of something else is searched for two hundred times."""
        if leak in self._leaks:
            return True
        self._searches -= 1
        return self._searches >= 0 and leak in self._whole


def path_problem(path: str) -> str | None:
    """Why a path may not be in a patch, or None. Stricter than git: it must be harmless on every file system."""
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        return "the name is not valid Unicode text. Rename the file."
    if not path or path.startswith("/") or "\\" in path:
        return "the path must be relative and use forward slashes."
    if any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in path):
        return "the name holds invisible or control characters. Rename the file."
    if len(raw) > 4096:
        return "the path is longer than 4,096 bytes."
    if path.count("/") > MAX_FOLDERS:
        return f"the path has more than {MAX_FOLDERS} folders."
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "the path has an empty, `.` or `..` part."
        if len(part.encode()) > 255:
            return "a part of the path is longer than 255 bytes."
        if _DOT_GIT.fullmatch(_plain(part)):
            return "`.git` folders, in whatever spelling, are git's own."
        if part[-1] in ". ":
            return "a part of the path ends with a dot or a space, which some file systems drop. Rename it."
    return None


def _size_problems(patch: Patch, rules: PatchRules) -> list[str]:
    problems = []
    if len(patch.files) > rules.max_files:
        problems.append(f"The change touches {len(patch.files):,} files; {rules.max_files:,} are allowed. Split it.")
    for file in patch.files:
        size = len(file.content or b"")
        if size > rules.max_file_bytes:
            problems.append(f"{_shown(file.path)}: {size:,} bytes; {rules.max_file_bytes:,} are allowed for one file.")
    total = sum(len(file.content or b"") for file in patch.files)
    if total > rules.max_total_bytes:
        problems.append(f"The change holds {total:,} bytes; {rules.max_total_bytes:,} are allowed. Split it.")
    return problems


def _file_problems(file: PatchFile, rules: PatchRules) -> list[str]:
    problem = path_problem(file.path)
    if problem:
        return [problem]
    problems = []
    pattern = protecting_pattern(file.path, rules.protected)
    if pattern:
        problems.append(f"this path is protected (`{pattern}`). A person must change it.")
    if rules.only and not any(matches_pattern(file.path, glob, any_case=False) for glob in rules.only):
        problems.append(f"this is none of the paths that were asked for ({', '.join(map(_shown, rules.only))}).")
    if file.content is None:
        if file.mode is not None:
            problems.append("a deletion has no mode.")
        return problems
    if file.mode not in MODES:
        kind = "submodules cannot be changed" if file.mode == "160000" else f"mode {_shown(file.mode or 'none')}"
        problems.append(f"{kind}: only plain files, executables and links are allowed.")
    name = _plain(file.path.rpartition("/")[2])
    if file.mode == LINK:
        problems += _link_problems(file, name)
    elif name == ".gitattributes" and re.search(rb"\bfilter\s*=", file.content):
        problems.append("git filters run programs at checkout. A person must change this file.")
    return problems


def _link_problems(file: PatchFile, name: str) -> list[str]:
    if _READ_BY_GIT.fullmatch(name):
        return ["a file that git reads must not be a link."]
    try:
        target = (file.content or b"").decode()
    except UnicodeDecodeError:
        return ["the link's target is not valid Unicode text."]
    if not target or target.startswith("/") or "\\" in target or re.match(r"[A-Za-z]:", target):
        return ["the link's target must be a relative path inside the repository."]
    if any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in target):
        return ["the link's target holds invisible or control characters."]
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    # `..` after a name could climb out through another link, so it is refused wherever it leads.
    if climbs > file.path.count("/") or ".." in parts[climbs:]:
        return ["the link's target must stay inside the repository."]
    if any(_DOT_GIT.fullmatch(_plain(part)) for part in parts):
        return ["the link's target must not be git's own folder."]
    return []


def _collisions(patch: Patch, existing: Collection[str]) -> list[str]:
    deleted = {file.path for file in patch.files if file.content is None}
    written = [file.path for file in patch.files if file.content is not None]
    problems = []
    if len({file.path for file in patch.files}) < len(patch.files):
        problems.append("The change names a path twice.")
    folders = {folder for path in written for folder in _folders(path)}
    problems += [f"{_shown(path)}: this is both a file and a folder." for path in sorted(folders & set(written))]
    names = folders | set(written)
    wanted = {_folded(name) for name in names}
    # Of the base, only what the patch's names can meet: its paths may be many and deep.
    there: set[str] = set()
    spellings: dict[str, str] = {}
    for name in _names_in(existing, deleted):
        if (folded := _folded(name)) in wanted:
            there.add(name)
            spellings[folded] = name
    # A file that is there already keeps its name, even beside a twin.
    for name in sorted(names - there):
        first = spellings.setdefault(_folded(name), name)
        if first != name:
            problems.append(f"{_shown(name)}: this differs from {_shown(first)} in letter case or accents alone.")
    return problems


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _names_in(paths: Collection[str], but: Collection[str]) -> Iterator[str]:
    """The paths and their folders, once where neighbours share them; those deeper than a patch may go are left out."""
    before: set[str] = set()
    for path in paths:
        if path in but:
            continue
        folders = _folders(path)
        yield from (folder for folder in folders if folder not in before)
        yield path
        before = set(folders)


def _folders(path: str) -> list[str]:
    parts = path.split("/", MAX_FOLDERS + 1)
    return ["/".join(parts[:length]) for length in range(1, min(len(parts), MAX_FOLDERS + 1))]


def _plain(part: str) -> str:
    """A name as the most forgiving file system sees it: no invisible characters, streams, final dots or case."""
    seen = "".join(character for character in part if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", seen).casefold().partition(":")[0].rstrip(" .")


def _shown(path: str) -> str:
    text = "".join(
        character if character.isprintable() and character != "`" else f"<U+{ord(character):04X}>" for character in path
    )
    return f"`{text[:200]}{'…' if len(text) > 200 else ''}`"


def _is_split(text: str, known: Collection[str]) -> bool:
    joined = re.sub(r"[\s\"'`+\\,.]+", "", text)
    return any(form in joined and form not in text for form in dressed_forms(known))
