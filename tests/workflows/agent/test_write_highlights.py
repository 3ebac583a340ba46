"""The opening of release notes: paragraphs of bounded length, or nothing, and never the end of a job."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.agent.conftest import Serve
from tests.workflows.releases.test_release_notes import pull
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.write_highlights import LONGEST, parse_highlights, write_highlights


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ("One.\n\nTwo\nlines.", "One.\n\nTwo lines."),
        ("# Highlights\n\n- One.\n\n2. Two.", "One.\n\nTwo."),
        ("", ""),
        ("a\n\nb\n\nc\n\nd", ""),
        ("x" * (LONGEST + 1), ""),
    ],
)
def test_paragraphs(reply: str, told: str) -> None:
    """Headings and the marks of lists go; a list of everything is no opening."""
    assert parse_highlights(reply) == told


def test_a_model_that_fails(serve: Serve) -> None:
    """Without a model, and with nothing merged, there is no opening and no error."""
    script: list[dict[str, Any]] = [{"content": "It adds now."}]
    model = OpenAIModel(serve(script).url, "", model="scripted-session", sleep=lambda seconds: None)
    assert write_highlights(model, [pull(1)]) == "It adds now."
    assert write_highlights(model, []) == ""
    script[0] |= {"faults": [{"status": 400, "body": "no", "times": -1}]}
    assert write_highlights(model, [pull(1)]) == ""
