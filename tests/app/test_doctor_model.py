"""`forgehand doctor model` against real servers of several kinds: what it finds, what it advises, how it exits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.demo.scripted_model import ScriptedModel
from app.doctor_model import examine_model
from app.settings import read_settings, variable_names
from tests.app.rude_server import RudeServer, answer

CALL = {"name": "report_state", "arguments": {"state": "ready", "count": 3}}
USAGE = {"prompt_tokens": 4000, "completion_tokens": 20}
CACHED = {**USAGE, "prompt_tokens_details": {"cached_tokens": 3000}}
SOUND: list[dict[str, Any]] = [{"tool_calls": [CALL], "usage": USAGE}, {"content": "done", "usage": CACHED}]
XML = (
    "<tool_call>\n<function=report_state>\n<parameter=state>\nready\n</parameter>\n"
    "<parameter=count>\n3\n</parameter>\n</function>\n</tool_call>"
)
ROOT = Path(__file__).parent.parent.parent

Doctor = Callable[..., tuple[int, str]]


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Doctor]:
    """Examine a scripted endpoint; the exit code and what was printed."""
    for names in variable_names().values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:

        def run(session: list[dict[str, Any]], *, variables: dict[str, str] | None = None, **options: Any) -> Any:
            server = stack.enter_context(ScriptedModel(session, **options))
            wanted = {
                "OPENAI_BASE_URL": server.url,
                "FORGEHAND_MODEL": "scripted-session",
                "FORGEHAND_DATA_DIR": str(tmp_path),
                **(variables or {}),
            }
            for name, value in wanted.items():
                monkeypatch.setenv(name, value)
            code = examine_model(read_settings(env_file=None))
            return code, capsys.readouterr().out

        yield run


def test_the_command_line_has_it(tmp_path: Path) -> None:
    """`forgehand doctor model` probes, prints and exits with 0 or 1."""
    known = {name for names in variable_names().values() for name in names}
    environment = {name: value for name, value in os.environ.items() if name not in known}
    with ScriptedModel(SOUND) as server:
        own = {"OPENAI_BASE_URL": server.url, "FORGEHAND_MODEL": "scripted-session", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "app.cli", "doctor", "model"]
        done = subprocess.run(
            command,
            env={**environment, **own, "FORGEHAND_DATA_DIR": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "will do" in done.stdout


def test_a_sound_endpoint(doctor: Doctor) -> None:
    """What works is said, with what Forgehand will do, and the exit code is 0."""
    listed = {"data": [{"id": "scripted-session", "owned_by": "vllm", "max_model_len": 262_144}]}
    code, text = doctor(SOUND, models=listed)
    assert code == 0
    for words in (
        "scripted-session is offered",
        "streaming works",
        "in the protocol's own field",
        "262,144 tokens; 131,072 are used. Set FORGEHAND_CONTEXT_WINDOW=262144",
        "4,000 tokens in, 20 out",
        "75 % of the second prompt came from the prompt cache",
        "set FORGEHAND_MODEL_PRESET=vllm",
        "stream; offer tools natively",
        "shrink a conversation at 104,857 of 131,072 tokens",
        "sample with the endpoint's own sampling",
    ):
        assert words in " ".join(text.split())
    assert "MEND" not in text


def test_calls_in_the_text_and_no_streams(doctor: Doctor) -> None:
    """The dialect is named, refused fields are named, and what is not told is a note and no fault."""
    session = [{"content": XML, "usage": None}, {"content": "done", "usage": None}]
    code, text = doctor(session, streams="refused", refuses=["stream_options"])
    assert code == 0
    for words in (
        "in the text, where Forgehand reads it",
        "answers are taken whole",
        "the endpoint refuses stream_options",
        "the endpoint does not tell; 131,072 tokens are assumed",
        "is not told, so Forgehand estimates it",
        "no hit was told for a repeated prompt",
        "take answers whole",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("session", "options", "variables", "words"),
    [
        (SOUND, {"api_key": "another"}, {"OPENAI_API_KEY": "sk-wrong"}, "Set OPENAI_API_KEY"),
        (SOUND, {}, {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, "does not answer"),
        ([{"content": "I cannot."}, {"content": "done"}], {}, {}, "--tool-call-parser qwen3_coder"),
        ([{"tool_calls": [{**CALL, "arguments": {}}]}, {"content": "done"}], {}, {}, "not what it was asked for"),
        (
            [{"content": "", "faults": [{"status": 404, "times": -1}]}],
            {"models": {"data": [{"id": "qwen3"}, {"id": "other"}]}},
            {},
            "not in the endpoint's list: qwen3, other. Set FORGEHAND_MODEL",
        ),
        (
            SOUND,
            {"models": {"data": [{"id": "scripted-session", "max_model_len": 32_768}]}},
            {},
            "set FORGEHAND_CONTEXT_WINDOW=32768",
        ),
        (
            SOUND,
            {"pages": {"/api/ps": {"models": [{"name": "scripted-session:latest", "context_length": 4_096}]}}},
            {"FORGEHAND_MODEL_PRESET": "ollama"},
            "OLLAMA_CONTEXT_LENGTH",
        ),
    ],
    ids=["key", "address", "no call", "wrong call", "no model", "small window", "ollama"],
)
def test_what_is_wrong_is_said_with_what_to_do(
    doctor: Doctor, session: Any, options: dict[str, Any], variables: dict[str, str], words: str
) -> None:
    """A key, an address, a model that cannot call tools, a window that is smaller than assumed: exit code 1."""
    code, text = doctor(session, variables=variables, **options)
    assert code == 1
    assert "MEND" in text
    assert words in text
    assert "sk-wrong" not in text


def test_an_endpoint_that_is_wrong_every_time_is_told_soon(doctor: Doctor) -> None:
    """The doctor asks three times and not ten: what is no chat completion at the first attempts will be none later."""
    code, text = doctor([{"content": "", "faults": [{"malformed": True, "times": -1}]}])
    assert code == 1
    assert "gave no usable answer in 3 attempts" in text


def test_a_broken_gateway_is_said_with_what_to_do(doctor: Doctor) -> None:
    """An HTTP 502 for the list of models alone tells nobody anything: the address and the server are named too."""
    server = RudeServer([answer(502, text="<html>Bad gateway</html>")])
    try:
        code, text = doctor(SOUND, variables={"OPENAI_BASE_URL": f"{server.url}/v1"})
    finally:
        server.close()
    assert code == 1
    assert f"{server.url}/v1 does not answer: HTTP 502. Check OPENAI_BASE_URL and the server." in text


def test_each_fallback_is_probed(doctor: Doctor) -> None:
    """Every model that may have to answer is looked at under its own heading."""
    code, text = doctor(SOUND, variables={"FORGEHAND_FALLBACK_MODELS": "other,third@http://127.0.0.1:9/v1"})
    assert code == 1
    assert text.count("asked as") == 3
    assert "third at http://127.0.0.1:9/v1" in text
