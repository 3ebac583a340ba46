"""The commands' package stands on its own: it can be read, tested and trusted without the rest."""

from __future__ import annotations

import ast
from pathlib import Path

import app.commands


def test_the_package_is_pure() -> None:
    """It imports the standard library's text and data modules, the Markdown parser and the nouns: nothing with I/O."""
    allowed = {"__future__", "collections", "dataclasses", "difflib", "functools", "itertools", "math", "re", "typing"}
    imported = set()
    for path in Path(app.commands.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    rest = {name for name in imported if name.split(".")[0] not in allowed | {"markdown_it"}}
    assert {name for name in rest if not name.startswith("app.commands.")} == {"workflows.types"}
