"""The generated pages: ``docs/reference.md`` and ``docs/policy.schema.json``, from the fields' own descriptions."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.commands.help import render_reference as render_commands
from app.settings import Settings, variable_names
from workflows.git.protected import ALWAYS_PROTECTED, DEFAULT_PROTECTED
from workflows.repository.policy import POLICY_PATH, Policy, PolicyBudget

PAGES = Path(__file__).parent.parent / "docs"


def render_reference() -> str:
    """The reference page, in Markdown."""
    return "\n".join(
        [
            "# Reference",
            "",
            "Generated from the code by `make docs`: change the descriptions there, not here.",
            "",
            *render_commands().split("\n"),
            "",
            "## Settings",
            "",
            "The operator's, from the environment or `.env`. An empty value counts as unset.",
            "",
            "| Variable | Default | Meaning |",
            "|---|---|---|",
            *(_setting_row(name, info) for name, info in Settings.model_fields.items()),
            "",
            "## Policy",
            "",
            f"The repository's, from `{POLICY_PATH}` on the default branch. Every key may be left out.",
            "A mistake is answered on the issue, with its line. Editors check the file by `docs/policy.schema.json`.",
            "",
            "| Key | Default | Meaning |",
            "|---|---|---|",
            *_policy_rows(Policy, ""),
            "",
            "### Protected paths",
            "",
            "A change to one of these is refused, whatever the policy says:",
            "",
            *(f"- `{pattern}`" for pattern in ALWAYS_PROTECTED),
            "",
            "And so is a change to one of these, unless `protected` opens it (`!.github/dependabot.yml`). They run on",
            "their own, on GitHub or on a developer's machine, or they steer people and agents:",
            "",
            *(f"- `{pattern}`" for pattern in DEFAULT_PROTECTED),
            "",
            "`*` is anything but `/`, `**` is anything. The last matching pattern decides. Letter case is ignored.",
            "",
        ]
    )


def render_schema() -> str:
    """The policy's JSON Schema, for editors."""
    schema = Policy.model_json_schema(mode="validation")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": f"Forgehand: {POLICY_PATH}"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def stale_pages(folder: Path = PAGES) -> list[Path]:
    """The generated pages in ``folder`` that are missing or not what the code says."""
    return [path for path, text in _pages(folder).items() if not path.is_file() or path.read_text("utf-8") != text]


def write_pages(folder: Path = PAGES) -> None:
    """Write the generated pages into ``folder``."""
    for path, text in _pages(folder).items():
        path.write_text(text, encoding="utf-8")


def _pages(folder: Path) -> dict[Path, str]:
    return {folder / "reference.md": render_reference(), folder / "policy.schema.json": render_schema()}


def _setting_row(name: str, info: FieldInfo) -> str:
    variables = "<br>or ".join(f"`{variable}`" for variable in variable_names()[name])
    # The one default that depends on the machine.
    default = "`~/.local/state/forgehand`" if name == "data_dir" else _shown(info)
    return f"| {variables} | {default} | {_cell(info.description)} |"


def _policy_rows(model: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, info in model.model_fields.items():
        if info.annotation is PolicyBudget:
            rows += _policy_rows(PolicyBudget, f"{name}.")
        else:
            rows.append(f"| `{prefix}{name}` | {_shown(info)} | {_cell(info.description)} |")
    return rows


def _shown(info: FieldInfo) -> str:
    default: Any = info.default
    if default is None or default is PydanticUndefined or default == ():
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return "<br>".join(f"`{item}`" for item in default)
    return f"`{default}`"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    """``--write`` the pages, or ``--check`` that they are current: exit code 1 when they are not."""
    parser = argparse.ArgumentParser(prog="python -m app.reference", description=main.__doc__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", action="store_true")
    choice.add_argument("--check", action="store_true")
    if parser.parse_args(arguments).write:
        write_pages()
        return 0
    stale = stale_pages()
    for path in stale:
        print(f"{path.relative_to(PAGES.parent)} is not what the code says. Run: make docs", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
