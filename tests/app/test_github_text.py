"""Texts and JSON at GitHub's edges."""

from __future__ import annotations

from typing import Any

import pytest

from app.github_json import parse_actor, parse_issue, parse_permission
from app.github_text import BODY_LIMIT, CUT, fit_body, fit_title, same_text, scrub
from workflows.types import GHOST


def test_short_text_is_left_alone() -> None:
    """What fits is not touched."""
    assert fit_body("Grüße 👋\n") == "Grüße 👋\n"


@pytest.mark.parametrize("length", [BODY_LIMIT - 1, BODY_LIMIT, BODY_LIMIT + 1, 3 * BODY_LIMIT])
def test_long_text_is_cut_with_a_note(length: int) -> None:
    """What does not fit is cut between characters, says so, and is never longer than GitHub takes."""
    fitted = fit_body("👋" * length)
    assert len(fitted) <= BODY_LIMIT
    assert fitted.endswith(CUT) == (length > BODY_LIMIT)
    assert fitted.removesuffix(CUT).strip("👋") == ""


@pytest.mark.parametrize(
    "body", ["x" * 70_000 + "<!-- m -->", "<!-- m -->" + "x" * 70_000, "x" * 70_000, "x", "x" * BODY_LIMIT]
)
def test_marker_survives(body: str) -> None:
    """A comment can be found again by its marker whatever was cut off, or even when it was forgotten."""
    fitted = fit_body(body, keep="<!-- m -->")
    assert fitted.count("<!-- m -->") == 1
    assert len(fitted) <= BODY_LIMIT


def test_unstorable_characters() -> None:
    """Lone surrogates and NULs, which neither GitHub nor a database takes, are gone."""
    assert scrub("a\ud800b\0c") == "a?bc"
    assert fit_body("\udfff") == "?"


def test_titles_are_one_short_line() -> None:
    """A title is one line of at most 255 characters."""
    assert fit_title(" Fix\n the\tthing ") == "Fix the thing"
    assert len(fit_title("x" * 300)) == 255
    assert fit_title("x" * 255) == "x" * 255


def test_same_text() -> None:
    """Line ends and spaces at the edges, which GitHub changes, make no difference; a missing body is an empty one."""
    assert same_text("a\nb\n", "a\r\nb")
    assert same_text("", None)
    assert not same_text("a", "b")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"permission": "write", "role_name": "maintain"}, "maintain"),
        ({"permission": "read", "role_name": "triage"}, "triage"),
        ({"permission": "write", "role_name": "our-own-role"}, "write"),
        ({"permission": "admin"}, "admin"),
        ({"permission": "owner", "role_name": "boss"}, "none"),
        ({}, "none"),
    ],
)
def test_permissions(data: dict[str, Any], expected: str) -> None:
    """The role decides; a role of the organization's own counts as what it builds on; the unknown is none."""
    assert parse_permission(data) == expected


def test_ghost() -> None:
    """What a deleted account wrote belongs to the ghost."""
    assert parse_actor(None) == GHOST


def test_lone_surrogate_in_a_title() -> None:
    """A title with half a character is readable all the same."""
    issue = parse_issue(
        {
            "number": 1,
            "title": "a\ud83d",
            "body": None,
            "user": None,
            "state": "open",
            "labels": ["x", {"name": "y"}],
            "html_url": "h",
        }
    )
    assert (issue.title, issue.body, issue.labels) == ("a?", "", ("x", "y"))
