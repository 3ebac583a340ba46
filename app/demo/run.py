"""The demo: the main job on this machine, from a label on a local GitHub to the draft pull request."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from pydantic import SecretStr
from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table

from app.composition import Composition
from app.demo.scripted_model import MODEL_NAME, ScriptedModel
from app.github_retry import RetryRules
from app.localhub.server import LocalHub, read_folder
from app.logging import configure_logging
from app.server import make_server
from app.settings import Settings, SettingsError
from sandbox.authorities import BadAuthorities
from sandbox.container import SandboxUnavailable
from sandbox.engine import EngineMissing, ensure_engine
from sandbox.images import ImageUnavailable
from workflows.durable.queue import JobRecord, Queue
from workflows.progress.tracking import TITLES

HERE = Path(__file__).parent
REPOSITORY = "octo/tally"
PERSON = "alice"
LABEL = "qwen"
JOB_SECONDS = 7200.0
DELIVERY_SECONDS = 30.0


@dataclass
class Stage:
    """The running demo: the local GitHub, the service, and what the set-up took."""

    console: Console
    hub: LocalHub
    queue: Queue
    model: str
    scripted: bool
    seconds: dict[str, float]


def run_demo(*, install: bool, keep: bool) -> int:
    """Set up what is missing, run the main job, print what came of it. The exit code."""
    console = Console(width=max(100, Console().width) if not Console().is_terminal else None)
    try:
        with ExitStack() as stack:
            stage = _set_up(console, stack, install=install)
            number = _open_issue(stage)
            record = _follow(stage, number)
            code = _show(stage, record, number)
            if keep and code == 0:
                _leave_running(stage)
            return code
    except (EngineMissing, ImageUnavailable, SandboxUnavailable, SettingsError, BadAuthorities) as error:
        console.print(Panel(str(error), title="The demo cannot run", border_style="red"))
        return 1


def _set_up(console: Console, stack: ExitStack, *, install: bool) -> Stage:
    seconds: dict[str, float] = {}

    def say(line: str) -> None:
        console.print(f"  {line}", style="dim", markup=False, highlight=False)

    console.print(Rule("Forgehand: a labelled issue becomes a verified draft pull request"))
    with _timed(seconds, "Docker engine"):
        ensure_engine(install=install, say=say)
    model_url, model, scripted = _choose_model(stack)
    folder = Path(tempfile.mkdtemp(prefix="forgehand-demo-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    port = _free_port()
    secret = secrets.token_hex(16)
    with _timed(seconds, "local GitHub"):
        hub = LocalHub(folder / "github", webhook_url=f"http://127.0.0.1:{port}/webhook", webhook_secret=secret)
        stack.enter_context(hub)
    settings = _settings(hub, folder, model_url=model_url, model=model, secret=secret)
    composition = Composition(settings, say=say, rules=RetryRules(between_writes=0.0), owner="forgehand-demo")
    stack.callback(composition.close)
    log = (folder / "log.jsonl").open("w")
    configure_logging(style="json", level="info", redactor=composition.redactor, stream=log)
    with _timed(seconds, "sandbox image"):
        composition.image()
    composition.remove_leftovers()
    with _timed(seconds, "server and worker"):
        queue = composition.queue(worker=True)
        queue.start()
        stack.callback(queue.stop)
        _serve(stack, composition, queue, port)
    console.print(f"  A local GitHub runs at {hub.html_url} (a simulation on this machine, not github.com).")
    if scripted:
        console.print(
            "  [yellow]No OPENAI_BASE_URL is set: a scripted session is played. The words and tool calls of the "
            "'model' were written beforehand; everything else is real.[/]"
        )
    else:
        console.print(f"  The model is {model} at {model_url}.")
    return Stage(console, hub, queue, model, scripted, seconds)


def _choose_model(stack: ExitStack) -> tuple[str, str, bool]:
    url = os.environ.get("OPENAI_BASE_URL")
    if url:
        return url, os.environ.get("FORGEHAND_MODEL", "qwen3-coder"), False
    played = ScriptedModel(HERE / "sessions" / "tally.json")
    played.start()
    stack.callback(played.stop)
    return played.url, MODEL_NAME, True


def _settings(hub: LocalHub, folder: Path, *, model_url: str, model: str, secret: str) -> Settings:
    key = os.environ.get("OPENAI_API_KEY")
    return Settings(
        _env_file=None,  # type: ignore[call-arg]  # a field of pydantic-settings' own constructor
        app_id=hub.app_id,
        private_key=SecretStr(hub.private_key_pem),
        webhook_secrets=(SecretStr(secret),),
        github_api_url=hub.api_url,
        database_url=None,
        # The mirrors and the database go with the demo; engine, image and snapshots stay for the next run.
        data_dir=folder / "data",
        openai_base_url=model_url,
        openai_api_key=SecretStr(key) if key else None,
        model=model,
        default_label=LABEL,
    )


def _serve(stack: ExitStack, composition: Composition, queue: Queue, port: int) -> None:
    server = make_server(composition.web(queue), host="127.0.0.1", port=port, drain_seconds=1)
    thread = threading.Thread(target=server.run, name="web", daemon=True)
    thread.start()
    stack.callback(_stop, server, thread)
    deadline = time.monotonic() + 20
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise SettingsError(f"The web server did not start on port {port}.")
        time.sleep(0.01)


def _stop(server: uvicorn.Server, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join(timeout=10)


def _open_issue(stage: Stage) -> int:
    title, _, body = (HERE / "issue.md").read_text().partition("\n")
    hub = stage.hub
    hub.create_repository(REPOSITORY, files=read_folder(HERE / "repository"))
    hub.create_user(PERSON)
    hub.set_permission(REPOSITORY, PERSON, "write")
    number = hub.create_issue(REPOSITORY, PERSON, title.removeprefix("# ").strip(), body.strip()).number
    stage.console.print(f"  {PERSON} opened issue #{number} and now applies the label '{LABEL}'.")
    hub.add_label(REPOSITORY, number, LABEL, PERSON)
    return number


def _follow(stage: Stage, number: int) -> JobRecord:
    """Show the tracking comment until the job ends: what a user sees on GitHub."""
    deadline = time.monotonic() + JOB_SECONDS
    waited = time.monotonic() + DELIVERY_SECONDS
    with Live(console=stage.console, refresh_per_second=8, transient=True) as live:
        while time.monotonic() < deadline:
            jobs = stage.queue.jobs(limit=1)
            if not jobs and time.monotonic() > waited:
                raise SettingsError("The webhook did not arrive within 30 s: is loopback traffic blocked here?")
            comments = stage.hub.comments(REPOSITORY, number)
            if comments:
                live.update(Panel(Markdown(_visible(comments[0].body)), title="the tracking comment on the issue"))
            if jobs and jobs[0].state in ("ended", "cancelled"):
                return jobs[0]
            time.sleep(0.1)
    raise SettingsError(f"The job did not end within {JOB_SECONDS:.0f} s.")


def _visible(body: str) -> str:
    lines = (line for line in body.splitlines() if not line.startswith(("<!--", "<sub>")))
    return "\n".join(lines).replace("- [x]", "- ✔").replace("- [ ]", "- ·")


def _show(stage: Stage, record: JobRecord, number: int) -> int:
    console, outcome = stage.console, record.outcome
    pulls = stage.hub.pull_requests(REPOSITORY)
    if outcome is None or outcome.status != "pull_request" or not pulls:
        reason = outcome.reason if outcome else "The job has no outcome."
        console.print(Panel(reason, title="No pull request", border_style="red"))
        for comment in stage.hub.comments(REPOSITORY, number):
            console.print(Markdown(_visible(comment.body)))
        return 1
    pull = pulls[0]
    console.print(Rule("The pull request"))
    console.print(f"{outcome.url}", style="bold", soft_wrap=True)
    console.print(f"Title: {pull.title}", style="bold", markup=False)
    console.print(Panel(Markdown(pull.body or ""), title="body (with evidence)"))
    console.print(Rule("The diff (with the changelog entry)"))
    console.print(Syntax(stage.hub.diff(REPOSITORY, pull.number), "diff", theme="ansi_dark", word_wrap=True))
    console.print(_timings(stage, outcome.seconds))
    if stage.scripted:
        console.print("[yellow]The model's words came from a scripted session; everything else happened.[/]")
    return 0


def _timings(stage: Stage, seconds: dict[str, float]) -> Table:
    table = Table(title="How long it took", title_justify="left")
    table.add_column("Stage")
    table.add_column("Seconds", justify="right")
    for name, took in stage.seconds.items():
        table.add_row(f"set-up: {name}", f"{took:.2f}")
    for name, took in seconds.items():
        table.add_row(next((title for key, title in TITLES.items() if key == name), name), f"{took:.2f}")
    return table


def _leave_running(stage: Stage) -> None:
    stage.console.print(f"\nLook at it: {stage.hub.html_url}/{REPOSITORY}/pulls  (Ctrl-C ends the local GitHub)")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        stage.console.print("Ended.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started
