"""`forgehand trajectory`: what a person and a trainer get to see of a recorded session."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli import app
from app.redaction import Redactor
from app.trajectory_reading import NoSuchSession, Trajectories, export, guarded, show
from app.trajectory_view import plain
from tests.workflows.trajectory.recorded import Recording, call, compacted_session, head, plain_session, result, turns
from workflows.trajectory.events import BrokenChain, Event
from workflows.trajectory.log import MemoryLog, SessionLog
from workflows.trajectory.store import SessionHead
from workflows.types import Reply, Turn, Usage

SECRET = "hunter2-hunter2-hunter2"


class MemoryStore:
    """Sessions for as long as the test lives."""

    def __init__(self, *stored: tuple[SessionHead, SessionLog]) -> None:
        self._logs = {(head.job_id, head.session): log for head, log in stored}
        self._heads = [head for head, _ in stored]

    def sessions(self) -> list[SessionHead]:
        return list(self._heads)

    def open(self, job_id: str, session: str = "agent") -> SessionLog:
        return self._logs.get((job_id, session), MemoryLog())


def stored(recording: Recording, **more: Any) -> Trajectories:
    return Trajectories(MemoryStore((head(**more), recording.log)), Redactor([SECRET]).redact)


def said(work: Callable[[Console], int], width: int = 300) -> str:
    out = io.StringIO()
    assert work(Console(file=out, width=width)) == 0
    return out.getvalue()


def test_the_list_has_a_line_a_session() -> None:
    """Without a job, every stored session is one line with its job's whole id, however narrow the terminal."""
    long = "job-" + "x" * 90
    text = said(lambda console: show(stored(plain_session(), job_id=long, stop=None), None, console=console), width=40)
    assert len(text.strip().split("\n")) == 2
    for part in (long, "agent", "octo/calc#7", "2026-11-23 12:00:00 UTC", "  5  ", "(no end)"):
        assert part in text
    empty = Trajectories(MemoryStore(), str)
    assert "No session is stored yet" in said(lambda console: show(empty, None, console=console))


def test_a_session_is_shown_turn_by_turn() -> None:
    """The header says what came of it and what it cost; each turn what was said, called, seen and spent."""
    text = said(lambda console: show(stored(plain_session()), "job-1", console=console))
    for part in (
        "octo/calc#7",
        "qwen3-coder",
        "a" * 40,
        "verified (1 fail-to-pass, 12 pass-to-pass; reward 1.0)",
        "1,500 in (750 cached, 50 %), 50 out",
        "0.0050 USD",
        "turn 1 · understand · 2.5 s · 100 in (50 cached, 50 %), 10 out",
        "I look.",
        "→ read_file path=total.py limit=40",
        "lines[:-1]",
        "changed: total.py",
        "(calls read from the content)",
        "✗ failed The call was cut off.",
        "! Look before you rely on them.",
        "nudge: repeat",
        "(empty reply)",
        "3 passed, 0 failed",
        "stop: finished",
    ):
        assert part in text, part


def test_compactions_are_rules() -> None:
    """Where the conversation was shrunk a rule says how."""
    text = said(lambda console: show(stored(compacted_session()), "job-1", console=console))
    for part in ("compaction: mask, 2 results masked", "compaction: snapshot", "compaction: trim", "compaction: fresh"):
        assert f"{part}" in text


def test_long_texts_are_shortened_unless_a_turn_is_asked_for() -> None:
    """The overview shows beginnings and says how much is left out; `--turn` shows every character."""
    recording = Recording()
    wanted = call(1, 0, "bash", command="echo " + "c" * 5000)
    reply = Reply(content="w" * 5000, reasoning="r" * 50, tool_calls=(wanted,), usage=Usage(estimated=True))
    recording.turn(Turn(number=1, reply=reply, results=(result(wanted, "line\n" * 900 + "end"),)))
    short = said(lambda console: show(stored(recording), "job-1", console=console))
    assert len(short) < 3000
    assert "more characters)" in short
    assert "(estimated)" in short
    whole = said(lambda console: show(stored(recording), "job-1", turn=1, console=console))
    assert "w" * 5000 in whole
    assert "c" * 5000 in whole
    assert "r" * 50 in whole
    assert whole.count("line\n") == 900


def test_an_unfinished_turn_is_shown() -> None:
    """A call that was begun and never came back is shown as such, in the overview and alone."""
    recording = Recording()
    recording.ask(1)
    recording.add("llm_response", 1, turns()[0].reply)
    recording.add("tool_intent", 1, turns()[0].reply.tool_calls[0])
    for turn in (None, 1):
        text = said(lambda console, turn=turn: show(stored(recording), "job-1", turn=turn, console=console))
        assert "turn 1 · not finished" in text
        assert text.count("interrupted, state unknown") == 1
        assert text.count("(no result)") == 1


def test_infrastructure_failures_are_plain() -> None:
    """A session whose world broke says that it is not scored."""
    recording = Recording()
    recording.end("model_unavailable", infrastructure=True)
    text = said(lambda console: show(stored(recording), "job-1", console=console))
    assert "no reward: infrastructure" in text
    assert "infrastructure failure, not scored" in text


EVIL = "\x1b[2J\x1b]0;owned\x07\x1b]8;;http://x\x1b\\[bold red]no markup[/]\x07\x00\x9b31m\u202egnp\r"


def test_a_terminal_is_not_steered() -> None:
    """Escape sequences are gone, other control characters are spelled out, and markup is text, wherever they stand."""
    recording = Recording(model=EVIL, base=EVIL)
    wanted = call(1, 0, "ba" + EVIL, **{"k" + EVIL: EVIL})
    reply = Reply(content=EVIL, reasoning=EVIL, tool_calls=(wanted,))
    recording.turn(Turn(number=1, reply=reply, notices=(EVIL,), results=(result(wanted, EVIL),), question=EVIL))
    trajectories = stored(recording, repository=EVIL)
    for turn in (None, 1):
        out = io.StringIO()
        console = Console(file=out, width=120, force_terminal=True, color_system=None)
        assert show(trajectories, "job-1", turn=turn, console=console) == 0
        text = out.getvalue()
        assert not set(text) & set("\x1b\x07\x00\x9b\u202e\r")
        assert "[bold red]no markup[/]" in text
        assert "<U+202E" in text
    said(lambda console: show(trajectories, None, console=console))


def test_an_unending_escape_hides_nothing() -> None:
    """Only a whole sequence is taken out: one that never ends could hide all that follows it."""
    assert "hidden?" in plain("\x1b]0;hidden?\nmore")
    assert plain("a\x1b[31mb\x1b[0mc\x1b(Bd\x1bcx") == "abcdx"
    assert "text" in plain("\x1b]" * 50_000 + "text")


def test_raw_events_are_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints each stored event as a line of ASCII; with `--turn` those of that turn."""
    recording = Recording()
    recording.turn(Turn(number=1, reply=Reply(content=EVIL)))
    recording.turn(turns()[1])
    text = said(lambda console: show(stored(recording), "job-1", as_json=True, console=console))
    assert [Event.model_validate_json(line) for line in text.splitlines()] == recording.events
    assert text.isascii()
    assert "\x1b" not in text
    one = said(lambda console: show(stored(recording), "job-1", as_json=True, turn=2, console=console))
    assert {json.loads(line)["turn"] for line in one.splitlines()} == {2}


def test_verify_tells_a_changed_record() -> None:
    """`--verify` says how much was checked, and fails on a changed event, in `export` before anything is written."""
    recording = compacted_session()
    text = said(lambda console: show(stored(recording), "job-1", verify=True, console=console))
    assert f"{len(recording.events)} events holds, and 5 requests" in text

    class Changed(MemoryLog):
        def events(self) -> list[Event]:
            events = recording.events
            events[4] = events[4].model_copy(update={"payload": events[4].payload | {"content": "changed"}})
            return events

    trajectories = Trajectories(MemoryStore((head(), Changed())), str)
    with pytest.raises(BrokenChain, match="Event 5"):
        show(trajectories, "job-1", verify=True, console=Console(file=io.StringIO()))
    with pytest.raises(BrokenChain, match="Event 5"):
        export(trajectories, "job-1", kind="openai", verify=True, console=Console(file=io.StringIO()))


@pytest.mark.parametrize(("kind", "lines"), [("atif", 3), ("openai", 4), ("qwen-xml", 4)])
def test_exports_print_a_line_a_document(capsys: pytest.CaptureFixture[str], kind: Any, lines: int) -> None:
    """Standard output gets one ASCII line a document, and nothing else."""
    said(lambda console: export(stored(compacted_session()), "job-1", kind=kind, console=console))
    out = capsys.readouterr().out
    assert out.isascii()
    assert len([json.loads(line) for line in out.splitlines()]) == lines


def test_atif_files_refer_to_each_other(tmp_path: Path) -> None:
    """With `--output` each segment is a file that names the next, and the verdict lies beside them."""
    target = tmp_path / "trajectory.json"
    said(lambda console: export(stored(compacted_session()), "job-1", kind="atif", output=target, console=console))
    at, found = target.name, []
    while at:
        found.append(at)
        at = json.loads((tmp_path / at).read_text()).get("continued_trajectory_ref")
    assert found == ["trajectory.json", "trajectory.cont-1.json", "trajectory.cont-2.json"]
    verdict = json.loads((tmp_path / "trajectory.verdict.json").read_text())
    assert (verdict["reward"], verdict["label"], verdict["verdict"]["status"]) == (1.0, "scored", "verified")


def test_no_secret_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A secret that this server holds, or that looks like one, is in no view and no export."""
    token = "github_pat_" + "A1b2C3d4E5" * 4
    recording = Recording()
    wanted = call(1, 0, "bash", command=f"curl -u x:{SECRET}")
    reply = Reply(content=f"{SECRET} {token}", tool_calls=(wanted,))
    recording.turn(Turn(number=1, reply=reply, results=(result(wanted, token),)))
    trajectories = stored(recording)
    text = said(lambda console: show(trajectories, "job-1", console=console))
    text += said(lambda console: show(trajectories, "job-1", turn=1, console=console))
    text += said(lambda console: show(trajectories, "job-1", as_json=True, console=console))
    for kind in ("atif", "openai", "qwen-xml"):
        said(lambda console, kind=kind: export(trajectories, "job-1", kind=kind, console=console))
    text += capsys.readouterr().out
    assert "curl -u x:" in text
    assert SECRET not in text
    assert token not in text


def test_a_job_is_named_by_its_beginning() -> None:
    """An unambiguous beginning is enough; what is unknown or ambiguous is answered with what to do."""
    recording = plain_session()
    store = MemoryStore(
        (head(job_id="abc-1"), recording.log),
        (head(job_id="abd-2"), recording.log),
        (head(job_id="abd-2", session="attempt-2"), recording.log),
    )
    trajectories = Trajectories(store, str)
    assert trajectories.find("abc", "agent").job_id == "abc-1"
    assert trajectories.find("abd-2", "attempt-2").session == "attempt-2"
    for job, session, answer in (
        ("ab", "agent", "2 stored jobs begin with 'ab'"),
        ("zz", "agent", "No job 'zz' is stored. `forgehand trajectory show` lists"),
        ("abd", "x", "has no session 'x'. Its sessions: agent, attempt-2"),
    ):
        with pytest.raises(NoSuchSession, match=answer):
            trajectories.find(job, session)


def test_failures_end_with_a_sentence(tmp_path: Path) -> None:
    """An unknown job, a missing turn and a file that cannot be written are one sentence and exit code 1."""
    trajectories = stored(plain_session())
    nowhere = tmp_path / "missing" / "x.json"
    quiet = Console(file=io.StringIO())
    for work, answer in (
        (lambda: show(trajectories, "zz", console=quiet), "No job 'zz'"),
        (lambda: show(trajectories, "job-1", turn=99, console=quiet), "no turn 99"),
        (lambda: export(trajectories, "job-1", kind="atif", output=nowhere, console=quiet), "--output"),
    ):
        out = io.StringIO()
        assert guarded(work, Console(file=out, width=200)) == 1
        assert answer in out.getvalue()


def test_the_commands_are_there() -> None:
    """`show` and `export` are commands of `forgehand trajectory`; an unknown format is refused by name."""
    runner = CliRunner()
    text = runner.invoke(app, ["trajectory", "--help"]).output
    assert "show" in text
    assert "export" in text
    refused = runner.invoke(app, ["trajectory", "export", "x", "--format", "csv"])
    assert refused.exit_code == 2
    assert "qwen-xml" in refused.output
