"""Ranges of versions, as people write them."""

from __future__ import annotations

import pytest

from workflows.releases.version_range import RangeMistake, VersionRange, parse_version_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v1.2.0..v1.3.0", VersionRange(base="v1.2.0", head="v1.3.0")),
        ("v1.2.0..", VersionRange(base="v1.2.0")),
        (" `v1.2.0...v1.3.0` ", VersionRange(base="v1.2.0", head="v1.3.0")),
        ("release/1.x .. main", VersionRange(base="release/1.x", head="main")),
        ("0123abc..pkg@1.0.0-rc.1", VersionRange(base="0123abc", head="pkg@1.0.0-rc.1")),
    ],
)
def test_ranges(text: str, expected: VersionRange) -> None:
    """Tags, branches and commits make a range, with two dots or three; an open end is the tip."""
    assert parse_version_range(text) == expected
    assert parse_version_range(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "v1.3.0",
        "..v1.3.0",
        "v1..v1",
        "v1..v2..v3",
        "--upload-pack=x..v2",
        "v1..-x",
        "v1 v2..v3",
        "v1..a~1",
        "a..b.lock",
        "a..b@{1}",
        "a..b/",
        "a..b\nc",
        "a..;rm",
        "a" * 300 + "..b",
    ],
)
def test_mistakes(text: str) -> None:
    """What is no range, or no name that git takes, is answered with what to write."""
    found = parse_version_range(text)
    assert isinstance(found, RangeMistake)
    assert found.message.endswith(".")
