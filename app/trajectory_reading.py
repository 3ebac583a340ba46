"""Recorded sessions shown, checked and exported; secrets leave with none of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from rich.console import Console

from app.failures import sentence_of
from app.settings import SettingsError
from app.trajectory_view import one_line, show_list, show_session, show_turn
from workflows.durable.database import QueueUnavailable
from workflows.git import leaks
from workflows.trajectory.atif import atif_documents
from workflows.trajectory.chat_jsonl import chat_lines
from workflows.trajectory.conversation import check_requests
from workflows.trajectory.events import BrokenChain, Event, check_chain
from workflows.trajectory.reward import ending_of
from workflows.trajectory.scrub import Redact, scrub_events
from workflows.trajectory.store import SessionHead, TrajectoryStore

Format = Literal["atif", "openai", "qwen-xml"]


class NoSuchSession(Exception):
    """The named session is not stored; the message says how to find one that is."""


@dataclass(frozen=True)
class Trajectories:
    """What the commands work on: the store, and what takes secrets out of a text."""

    store: TrajectoryStore
    redact: Redact

    def find(self, job: str, session: str) -> SessionHead:
        """The stored session of a job, named by its id or an unambiguous beginning of it. Raises NoSuchSession."""
        heads = [head for head in self.store.sessions() if head.job_id.startswith(job)]
        jobs = {head.job_id for head in heads}
        wanted = job if job in jobs else next(iter(jobs)) if len(jobs) == 1 else ""
        for head in heads:
            if head.job_id == wanted and head.session == session:
                return head
        if wanted:
            known = ", ".join(sorted(head.session for head in heads if head.job_id == wanted))
            raise NoSuchSession(f"Job {wanted} has no session {session!r}. Its sessions: {known} (option --session).")
        how = (
            f"{len(jobs)} stored jobs begin with {job!r}: give more of the id."
            if jobs
            else f"No job {job!r} is stored."
        )
        raise NoSuchSession(f"{how} `forgehand trajectory show` lists the stored sessions.")

    def events(self, head: SessionHead) -> list[Event]:
        """The session's events as they were stored."""
        return self.store.open(head.job_id, head.session).events()

    def clean(self, events: Sequence[Event]) -> list[Event]:
        """The events without secrets."""
        return scrub_events(events, lambda text: self.redact(leaks.redact(text)))


def show(
    trajectories: Trajectories,
    job: str | None,
    *,
    session: str = "agent",
    turn: int | None = None,
    as_json: bool = False,
    verify: bool = False,
    console: Console,
) -> int:
    """Print the list of sessions, one session, one of its turns, its events, or a check's outcome; the exit code."""
    if job is None:
        show_list(trajectories.store.sessions(), console)
        return 0
    head = trajectories.find(job, session)
    events = trajectories.events(head)
    if verify:
        console.print(_verified(events), markup=False, highlight=False, soft_wrap=True)
        return 0
    events = trajectories.clean(events)
    if as_json:
        for event in events:
            if turn is None or event.turn == turn:
                console.file.write(event.model_dump_json(ensure_ascii=True) + "\n")
        return 0
    if turn is None:
        show_session(head, events, console)
        return 0
    if show_turn(events, turn, console):
        return 0
    raise NoSuchSession(f"The session has no turn {turn}. `forgehand trajectory show {head.job_id}` lists its turns.")


def export(
    trajectories: Trajectories,
    job: str,
    *,
    kind: Format,
    session: str = "agent",
    output: Path | None = None,
    verify: bool = False,
    console: Console,
) -> int:
    """Write a session in one of the formats to standard output or a file; the exit code.

    ATIF: standard output gets one line a segment. With ``output`` there is a file a segment, the second of
    ``trajectory.json`` being ``trajectory.cont-1.json``, and ``trajectory.verdict.json`` beside it.
    """
    head = trajectories.find(job, session)
    events = trajectories.events(head)
    if verify:
        _verified(events)
    events = trajectories.clean(events)
    if kind != "atif":
        _write_lines(chat_lines(head, events, form=kind, version=_version()), output)
    elif output is None:
        _write_lines(atif_documents(head, events, version=_version()), None)
    else:
        _write_atif(head, events, output)
    if output is not None:
        console.print(f"Written to {one_line(str(output))}.", markup=False, highlight=False)
    return 0


def guarded(work: Callable[[], int], console: Console) -> int:
    """The exit code of ``work``; 1, with a sentence on what to do, when the record, database or file fails it."""
    try:
        return work()
    except (NoSuchSession, BrokenChain, QueueUnavailable, SettingsError, sa.exc.SQLAlchemyError) as error:
        console.print(one_line(sentence_of(error), 1000), style="red", markup=False, highlight=False, soft_wrap=True)
    except BrokenPipeError:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe: `| head` has read enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}. Name a file that can be written with --output."
        console.print(one_line(reason, 1000), style="red", markup=False, highlight=False, soft_wrap=True)
    return 1


def _verified(events: Sequence[Event]) -> str:
    """Raises BrokenChain unless each event follows the one before, and each request can be rebuilt."""
    check_chain(events)
    requests = check_requests(events)
    return f"The chain of {len(events)} events holds, and {requests} requests are rebuilt as they were sent."


def _write_lines(documents: Sequence[Mapping[str, Any]], output: Path | None) -> None:
    # ASCII alone, so that nothing in it steers a terminal.
    text = "".join(json.dumps(document) + "\n" for document in documents)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _write_atif(head: SessionHead, events: Sequence[Event], output: Path) -> None:
    def name(index: int) -> str:
        return f"{output.stem}.cont-{index}{output.suffix}" if index else output.name

    for index, document in enumerate(atif_documents(head, events, version=_version(), name=name)):
        output.with_name(name(index)).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    verdict = ending_of(events).model_dump_json(indent=1)
    output.with_name(f"{output.stem}.verdict.json").write_text(verdict + "\n", encoding="utf-8")


def _version() -> str:
    try:
        return version("forgehand")
    except PackageNotFoundError:
        return "checkout"
