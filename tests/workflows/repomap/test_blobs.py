"""Many blobs out of a mirror at once: `Mirror.blobs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.git.test_mirrors import git
from workflows.git import mirror_reads as module
from workflows.git.mirrors import Mirror, Mirrors

CONTENTS = [b"", b"\n", b"one\ntwo", b"\0binary blob 3\n", b"x" * 5_000]


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "-q", "-b", "main")
    for number, content in enumerate(CONTENTS):
        (source / f"{number}.bin").write_bytes(content)
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "first")
    mirror = Mirrors(tmp_path, local_checkouts=True).at(1)
    mirror.fetch(str(source))
    return mirror


def oids(mirror: Mirror) -> list[str]:
    commit = mirror.resolve("main")
    assert commit is not None
    return [entry.oid for entry in mirror.tree(commit)]


@pytest.mark.parametrize("group_bytes", [1, 3_000, 16_000_000])
def test_every_byte_comes_out(mirror: Mirror, monkeypatch: pytest.MonkeyPatch, group_bytes: int) -> None:
    """Blobs come out whole, in order and once, however they are grouped."""
    monkeypatch.setattr(module, "BLOB_GROUP_BYTES", group_bytes)
    asked = oids(mirror)
    read = [pair for group in mirror.blobs([*asked, *asked]) for pair in group.items()]
    assert read == list(zip(asked, CONTENTS, strict=True))


def test_large_absent_and_other_objects_are_left_out(mirror: Mirror) -> None:
    """What is above the limit, is not there, or is no blob is left out; nothing asked is nothing read."""
    commit = mirror.resolve("main")
    assert commit is not None
    groups = list(mirror.blobs([commit, "0" * 40, *oids(mirror)], limit=4_999))
    assert [content for group in groups for content in group.values()] == CONTENTS[:4]
    assert list(mirror.blobs([])) == []
