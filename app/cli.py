"""The command line: what an operator and a newcomer type."""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from app.collector import collect_seldom
from app.command_settings import read_settings_or_exit
from app.trajectory import replay_job, trajectory_app


class Topic(StrEnum):
    """What the doctor looks at closely."""

    model = "model"


app = typer.Typer(
    name="forgehand",
    help="A self-hosted GitHub App: labelled issues in, verified draft pull requests out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(trajectory_app)
app.command("replay")(replay_job)


def main() -> None:
    """The console script."""
    with collect_seldom():
        app()


def _say_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"forgehand {version('forgehand')}")
        except PackageNotFoundError:
            typer.echo("forgehand (from a checkout that is not installed)")
        raise typer.Exit


@app.callback()
def _top(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def serve() -> None:
    """Web server and worker in one process, with an embedded database (or DATABASE_URL).

    Example: forgehand serve
    """
    from app.serve import run_service

    _exit(run_service(read_settings_or_exit(), web=True, worker=True))


@app.command()
def web() -> None:
    """The web server alone: receives webhooks and stores them. Workers run elsewhere; needs PostgreSQL.

    Example: DATABASE_URL=postgresql://forgehand@db/forgehand forgehand web
    """
    from app.serve import run_service

    _exit(run_service(read_settings_or_exit(), web=True, worker=False))


@app.command()
def worker() -> None:
    """A worker alone: runs the jobs that a web server stored. Start as many as you like; needs PostgreSQL.

    Example: DATABASE_URL=postgresql://forgehand@db/forgehand forgehand worker
    """
    from app.serve import run_service

    _exit(run_service(read_settings_or_exit(), web=False, worker=True))


@app.command()
def fix(
    target: Annotated[str, typer.Argument(help="A local git checkout, or the URL of an issue on GitHub.")],
    issue: Annotated[str, typer.Option("--issue", help="What is wrong or wanted; the first line is the title.")] = "",
    issue_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A file with the issue's text, instead of --issue."),
    ] = None,
    base: Annotated[str | None, typer.Option(help="The branch to start from. Default: the checkout's own.")] = None,
    actor: Annotated[str, typer.Option("--as", help="For a URL: the GitHub login that asks. Needs write access.")] = "",
) -> None:
    """Work on one issue now, without a server.

    On a local checkout no GitHub is needed: a branch and the pull request's text are left there, the work tree is not
    touched, and uncommitted changes are not seen. On an issue's URL the App does what the label would make it do.

    Examples:

      forgehand fix . --issue "total() ignores the last line"

      forgehand fix ~/src/tool --issue-file bug.md --base main

      forgehand fix https://github.com/octo/calc/issues/7 --as alice
    """
    from app.fix import fix_issue_url, fix_local_checkout

    settings = read_settings_or_exit()
    if "://" in target:
        _exit(fix_issue_url(settings, target, login=actor))
    _exit(fix_local_checkout(settings, Path(target), text=_read_issue(issue, issue_file), base=base))


@app.command()
def doctor(
    topic: Annotated[Topic | None, typer.Argument(help="`model`: look at the model's endpoint closely.")] = None,
) -> None:
    """Check settings, database, Docker engine, GitHub and model, and say what to mend. Exit code 1 when something is.

    With `model`, the endpoint is tried out: tool calls and their dialect, streaming, context, usage and cache, and
    what Forgehand makes of it. That costs a few thousand tokens.

    Examples:

      forgehand doctor

      forgehand doctor model
    """
    settings = read_settings_or_exit()
    if topic is Topic.model:
        from app.doctor_model import examine_model

        _exit(examine_model(settings))
    from app.doctor import examine

    _exit(examine(settings))


@app.command()
def demo(
    no_install: Annotated[bool, typer.Option("--no-install", help="Install and start nothing.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the local GitHub running afterwards.")] = False,
) -> None:
    """A labelled issue becomes a verified draft pull request, on a local GitHub on this machine.

    With OPENAI_BASE_URL, OPENAI_API_KEY and FORGEHAND_MODEL set, that model does the work; without, a scripted session
    is played. Everything but the model's words is real in both cases.

    Example: OPENAI_BASE_URL=http://localhost:8001/v1 FORGEHAND_MODEL=qwen3-coder forgehand demo --keep
    """
    from app.demo.run import run_demo

    _exit(run_demo(install=not no_install, keep=keep))


def _read_issue(text: str, file: Path | None) -> str:
    if file is None:
        return text
    if text:
        raise typer.BadParameter("Give --issue or --issue-file, not both.")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not UTF-8 text: save it as UTF-8.") from None
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}.") from None


def _exit(code: int) -> None:
    sys.stdout.flush()
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
