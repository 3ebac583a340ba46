from __future__ import annotations

import json
from pathlib import Path

from app.commands.options import OPTIONS
from app.commands.table import WORDS
from app.reference import main, render_reference, render_schema, stale_pages, write_pages
from app.settings import Settings
from workflows.repository.policy import Policy


def test_pages_are_current() -> None:
    """docs/ says what the code says: `make docs` was run."""
    assert stale_pages() == []
    assert main(["--check"]) == 0


def test_a_stale_page_is_found(tmp_path: Path) -> None:
    """A page that was edited by hand, or is missing, is named."""
    write_pages(tmp_path)
    (tmp_path / "reference.md").write_text("something else")
    (tmp_path / "policy.schema.json").unlink()

    assert [path.name for path in stale_pages(tmp_path)] == ["reference.md", "policy.schema.json"]


def test_everything_is_described() -> None:
    """Every command, option, setting and policy key has its row, and no row is without a meaning."""
    page = render_reference()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    described = (WORDS, OPTIONS, Settings.model_fields, Policy.model_fields)

    assert all(row.split("|")[3].strip() for row in rows)
    assert len(rows) == sum(map(len, described)) + 3


def test_schema_takes_what_the_parser_takes() -> None:
    """The schema is closed as the parser is, and lets one command stand for a list of one."""
    schema = json.loads(render_schema())

    assert schema["additionalProperties"] is False
    assert {"type": "string"} in schema["properties"]["setup"]["anyOf"]
