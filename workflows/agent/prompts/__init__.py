"""The prompts, as Markdown files with ``$name`` places to fill."""

from __future__ import annotations

from importlib.resources import files
from string import Template


def render_prompt(name: str, **values: str) -> str:
    """The prompt file ``name``.md with its places filled; KeyError when a value is missing. Values stay as they are."""
    text = files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8")
    return Template(text).substitute(values).strip()
