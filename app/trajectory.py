"""`forgehand trajectory`: what an operator types to read and export recorded sessions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.command_settings import read_settings_or_exit

if TYPE_CHECKING:
    from rich.console import Console

    from app.trajectory_reading import Trajectories

trajectory_app = typer.Typer(
    name="trajectory",
    help="Recorded agent sessions: list, read, check, export. Secrets are taken out of everything printed.",
    no_args_is_help=True,
)

SessionOption = Annotated[str, typer.Option("--session", help="Which of the job's sessions, when there are several.")]
VerifyOption = Annotated[bool, typer.Option("--verify", help="Check that nothing in the record is missing or changed.")]


@trajectory_app.command()
def show(
    job: Annotated[str | None, typer.Argument(help="A job's id, or its beginning. Without: list the sessions.")] = None,
    session: SessionOption = "agent",
    turn: Annotated[int | None, typer.Option("--turn", help="This turn alone, nothing shortened.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The stored events, one JSON line each.")] = False,
    verify: VerifyOption = False,
) -> None:
    """Print a session turn by turn: what the model said, called and saw, what it cost, and what came of it.

    Examples:

      forgehand trajectory show

      forgehand trajectory show 3f2a --turn 12
    """
    from app.trajectory_reading import show as show_trajectory

    def work(trajectories: Trajectories, console: Console) -> int:
        return show_trajectory(
            trajectories, job, session=session, turn=turn, as_json=as_json, verify=verify, console=console
        )

    _run(work, stderr=False)


@trajectory_app.command()
def export(
    job: Annotated[str, typer.Argument(help="A job's id, or its beginning.")],
    kind: Annotated[
        Literal["atif", "openai", "qwen-xml"],
        typer.Option("--format", help="ATIF v1.8, or lines of messages and tools, in the protocol's or Qwen's form."),
    ] = "atif",
    output: Annotated[
        Path | None, typer.Option("--output", help="A file; one more for each segment of ATIF. Default: print.")
    ] = None,
    session: SessionOption = "agent",
    verify: VerifyOption = False,
) -> None:
    """Write a session for other tools: Harbor's ATIF, or JSON lines to train on, with verdict and reward.

    Examples:

      forgehand trajectory export 3f2a --format atif --output trajectory.json

      forgehand trajectory export 3f2a --format openai >> sessions.jsonl
    """
    from app.trajectory_reading import export as export_trajectory

    def work(trajectories: Trajectories, console: Console) -> int:
        return export_trajectory(
            trajectories, job, kind=kind, session=session, output=output, verify=verify, console=console
        )

    _run(work, stderr=True)


def _run(work: Callable[[Trajectories, Console], int], *, stderr: bool) -> None:
    from rich.console import Console

    from app.composition import Composition
    from app.trajectory_reading import Trajectories, guarded

    settings = read_settings_or_exit()
    composition = Composition(settings, say=lambda line: None)
    console, complaints = Console(stderr=stderr), Console(stderr=True)

    def read() -> int:
        return work(Trajectories(composition.trajectories, composition.redactor.redact), console)

    try:
        code = guarded(read, complaints)
    finally:
        composition.close()
    raise typer.Exit(code)


def replay_job(
    job: Annotated[str, typer.Argument(help="A job's id, or its beginning.")],
    session: SessionOption = "agent",
) -> None:
    """Play a recorded session's replies against the tools again, in a fresh sandbox: each change must be the same.

    Example: forgehand replay 3f2a8c
    """
    from app.replay import replay_session

    raise typer.Exit(replay_session(read_settings_or_exit(), job, session))
