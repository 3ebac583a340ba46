"""What a command loads: nothing that takes long and is not needed before its first word."""

from __future__ import annotations

import subprocess
import sys

import pytest

SERVERS = ("fastapi", "uvicorn", "starlette")
ENGINE = ("dbos", "psycopg", "sqlalchemy.orm")
ANYTIME = ("openai", "tree_sitter", "sqlalchemy.dialects.postgresql")


@pytest.mark.parametrize(
    ("command", "slow"),
    [
        ("app.cli", ("pydantic", "sqlalchemy", *SERVERS, *ENGINE, *ANYTIME)),
        ("app.fix", ("github", *SERVERS, *ENGINE, *ANYTIME)),
        ("app.replay", ("github", *SERVERS, *ENGINE, *ANYTIME)),
        ("app.serve", (*SERVERS, "openai", "tree_sitter")),
    ],
    ids=["help", "fix", "replay", "worker"],
)
def test_what_takes_long_is_loaded_where_it_is_needed(command: str, slow: tuple[str, ...]) -> None:
    """Of web server, durable engine and the client of GitHub only what the command needs; the model's package later."""
    loaded = f"import sys, {command}; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
