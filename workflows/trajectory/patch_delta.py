"""A change after a call, stored as what it has more than the change before it, so that a long session stays small."""

from __future__ import annotations

from workflows.types import Noun, Patch, PatchFile


class PatchDelta(Noun):
    """The files of a change that are new or other than before, and the paths that it no longer holds."""

    base: str
    files: tuple[PatchFile, ...] = ()
    gone: tuple[str, ...] = ()


def delta_between(before: Patch | None, after: Patch) -> PatchDelta:
    """What leads from one stored change to the next."""
    known = {file.path: file for file in before.files} if before else {}
    left = {file.path for file in after.files}
    return PatchDelta(
        base=after.base,
        files=tuple(file for file in after.files if not _same(known.get(file.path), file)),
        gone=tuple(path for path in known if path not in left),
    )


def _same(one: PatchFile | None, other: PatchFile) -> bool:
    return one is other or one == other


def apply_delta(before: Patch | None, delta: PatchDelta) -> Patch:
    """The change that a delta leads to."""
    files = {file.path: file for file in before.files} if before else {}
    for path in delta.gone:
        files.pop(path, None)
    files.update({file.path: file for file in delta.files})
    return Patch(base=delta.base, files=tuple(files[path] for path in sorted(files)))
