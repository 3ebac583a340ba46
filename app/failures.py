"""What ends a command with a sentence in place of a traceback, and how that is said."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from rich.console import Console

from app.settings import SettingsError
from sandbox.authorities import BadAuthorities
from sandbox.engine import EngineMissing
from sandbox.images import ImageUnavailable
from workflows.durable.database import QueueUnavailable, describe
from workflows.services import BrokenWorld
from workflows.texts.untrusted import show_hidden

FAILURES = (
    BrokenWorld,
    QueueUnavailable,
    sa.exc.SQLAlchemyError,
    SettingsError,
    EngineMissing,
    ImageUnavailable,
    BadAuthorities,
)


def sentence_of(error: Exception) -> str:
    """What went wrong and what to do; of a database's error without the statement and its values."""
    return describe(error) if isinstance(error, sa.exc.SQLAlchemyError) else str(error)


def say_failure(console: Console, error: Exception, *, redact: Callable[[str], str]) -> int:
    """Print the sentence; the exit code, which is 1."""
    console.print(show_hidden(redact(sentence_of(error))), style="red", markup=False)
    return 1
