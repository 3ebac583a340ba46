"""The demo's material: a repository with a bug, its issue, and the recorded session that mends it."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parent / "repository"
ISSUE = Path(__file__).parent / "issue.md"
SESSION = Path(__file__).parent / "sessions" / "tally.json"
