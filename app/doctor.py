"""The doctor: each thing Forgehand needs, looked at live, with what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from app.composition import Composition
from app.readiness import Check
from app.settings import Settings, SettingsError
from sandbox.authorities import BadAuthorities
from sandbox.engine import EngineMissing
from workflows.durable.queue import QueueUnavailable
from workflows.services import BrokenWorld


def examine(settings: Settings) -> int:
    """Print one line a thing; 0 when all are well."""
    console = Console(soft_wrap=True)
    composition = Composition(settings, say=lambda line: console.print(f"  {line}", style="dim"))
    checks: dict[str, Callable[[], Check]] = {
        "settings": lambda: _check_settings(settings),
        "database": lambda: _check_database(composition),
        **composition.checks(),
    }
    try:
        findings = {name: _look(check) for name, check in checks.items()}
    finally:
        composition.close()
    for name, found in findings.items():
        mark, style = ("ok  ", "green") if found.ok else ("MEND", "bold red")
        console.print(f"[{style}]{mark}[/] {name:<9}", end="")
        console.print(composition.redactor.redact(found.reason), markup=False, highlight=False)
    return 0 if all(found.ok for found in findings.values()) else 1


def _look(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except (SettingsError, EngineMissing, BrokenWorld, BadAuthorities) as error:
        return Check(False, str(error))


def _check_settings(settings: Settings) -> Check:
    missing = settings.missing_for_app()
    return Check(not missing, " ".join(missing) or f"model {settings.model}, data in {settings.data_dir}")


def _check_database(composition: Composition) -> Check:
    queue = composition.queue(worker=False)
    try:
        queue.start()
    except QueueUnavailable as error:
        return Check(False, str(error))
    queue.stop()
    return Check(True, "PostgreSQL" if composition.settings.database.startswith("postgres") else "SQLite, embedded")
