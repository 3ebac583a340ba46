"""The settings of a command, or its end with a sentence about each mistake in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from app.settings import Settings


def read_settings_or_exit() -> Settings:
    """The settings from the environment and ``.env``; mistakes in them end the command with exit code 2."""
    from app.settings import SettingsError, read_settings  # half of what `--help` would load

    try:
        return read_settings()
    except SettingsError as error:
        typer.secho(str(error), err=True, fg="red")
        raise typer.Exit(2) from None
