"""The names of images."""

from __future__ import annotations

import pytest

from sandbox.references import is_allowed, parse_reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("python", "python:latest"),
        ("python:3.12", "python:3.12"),
        ("docker.io/library/python:3.12", "python:3.12"),
        ("index.docker.io/acme/tools", "acme/tools:latest"),
        ("ghcr.io/acme/deep/tools:v1_2-x", "ghcr.io/acme/deep/tools:v1_2-x"),
        ("localhost:5000/tools", "localhost:5000/tools:latest"),
        ("python:5000/tools", "python:5000/tools:latest"),
        (f"python:3.12@{DIGEST}", f"python@{DIGEST}"),
        ("a__b/c--d.e", "a__b/c--d.e:latest"),
    ],
)
def test_names_are_what_the_engine_lists(text: str, name: str) -> None:
    """A well formed reference gets the one name under which the engine has it."""
    found = parse_reference(text)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x/../../info",
        "..",
        "a/./b",
        "/a",
        "a//b",
        "a/",
        "Python",
        "acme/Tools",
        "a:b:c",
        "a@sha256:12",
        "a" * 256,
        "python:",
        "0123456789ab",
        "0123456789ab:latest",
        "docker.io/library/0123456789ab",
        "f" * 64,
        "sha256:" + "f" * 64,
        DIGEST,
        "docker.io/index.docker.io/forgehand/snapshot",
        "a?b",
        "a%2f..",
        "a\n",
    ],
)
def test_all_else_is_none(text: str) -> None:
    """Ids, paths of the engine's interface and whatever Docker's grammar does not have are no references."""
    assert parse_reference(text) is None


@pytest.mark.parametrize(
    ("text", "patterns", "allowed"),
    [
        ("python:3.12", (), False),
        ("python:3.12", ("python:3.*",), True),
        ("docker.io/library/python:3.12", ("python:3.*",), True),
        ("python:3.12", ("docker.io/library/python:*",), True),
        ("python:2.7", ("python:3.*",), False),
        (f"python:3.12@{DIGEST}", ("python:3.*",), False),
        (f"python:3.12@{DIGEST}", ("python@*",), True),
        ("python:3/evil", ("python:3*",), False),
        ("pythonevil/x", ("python*",), False),
        ("ghcr.io/acme/deep/tools", ("python:*", "ghcr.io/acme/*"), True),
        ("ghcr.io/acme-evil/tools", ("ghcr.io/acme/*",), False),
        ("acme/tools", ("*",), False),
        ("acme/tools", ("*/*",), True),
    ],
)
def test_patterns(text: str, patterns: tuple[str, ...], allowed: bool) -> None:
    """A pattern is held against the whole name, and one without a slash lets no registry or account in."""
    found = parse_reference(text)
    assert found is not None
    assert is_allowed(found, patterns) is allowed


def test_our_own_names_are_known() -> None:
    """However it is spelled, a name under forgehand/ is ours; another one is not."""
    names = ("forgehand/snapshot:1", "docker.io/forgehand/x", f"index.docker.io/forgehand/x@{DIGEST}", "forgehander/x")
    assert [found.is_ours for name in names if (found := parse_reference(name))] == [True, True, True, False]
