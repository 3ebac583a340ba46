"""What a command loads: nothing that takes long and is not needed before its first word."""

from __future__ import annotations

import subprocess
import sys

SLOW = ("dbos", "fastapi", "github", "openai", "psycopg", "sqlalchemy.orm", "tree_sitter", "uvicorn")
LOADED = f"import sys, app.cli, app.fix; print([name for name in {SLOW} if name in sys.modules])"


def test_a_fix_on_a_checkout_begins_without_what_only_servers_need() -> None:
    """Web server, durable engine and the client of GitHub are never loaded, the model's package beside the work."""
    done = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
