"""Nothing secret leaves with an export."""

from __future__ import annotations

import json

from app.redaction import Redactor
from tests.workflows.trajectory.recorded import Recording, call, head, plain_session, result
from workflows.git.leaks import redact as blot_shapes
from workflows.trajectory.atif import atif_documents
from workflows.trajectory.chat_jsonl import chat_lines
from workflows.trajectory.scrub import scrub, scrub_events
from workflows.types import Reply, ToolCall, Turn

SECRET = 'correct "horse"\nbattery'
TOKEN = "ghp_" + "a1B2c3D4e5" * 4


def redact(text: str) -> str:
    return Redactor([SECRET]).redact(blot_shapes(text))


def test_secrets_are_gone_and_calls_stay_whole() -> None:
    """A secret in words, results, names of fields or arguments is in no export, and the arguments are JSON still."""
    recording = Recording()
    wanted = [
        call(1, 0, "bash", command=f"curl -H 'authorization: Bearer {TOKEN}'", timeout=5),
        call(1, 1, "bash", command="echo", authorization=f"Bearer {TOKEN}"),
        call(1, 2, "edit", path="key.pem", new_string="-----BEGIN RSA PRIVATE KEY-----\nMIIE", **{TOKEN: SECRET}),
        ToolCall(id="t0001c003", name="bash", arguments=f'{{"command": "{TOKEN}'),
    ]
    results = tuple(result(one, f"{SECRET} {TOKEN}") for one in wanted)
    recording.turn(
        Turn(number=1, reply=Reply(content=SECRET, reasoning=TOKEN, tool_calls=tuple(wanted)), results=results)
    )
    events = scrub_events(recording.events, redact)
    exports = [
        *atif_documents(head(), events, version="1"),
        *chat_lines(head(), events, form="openai", version="1"),
        *chat_lines(head(), events, form="qwen-xml", version="1"),
    ]
    text = json.dumps(exports)
    assert TOKEN not in text
    assert "horse" not in text
    first = exports[0]["steps"][2]["tool_calls"][0]["arguments"]
    assert first["timeout"] == 5
    assert first["command"].startswith("curl -H 'authorization")
    assert all("raw_arguments" not in made.get("extra", {}) for made in exports[0]["steps"][2]["tool_calls"][:3])


def test_what_is_clean_stays_as_it_is() -> None:
    """Events without a secret come out equal, the spacing of arguments included."""
    events = plain_session().events
    assert scrub_events(events, redact) == events
    assert scrub({"arguments": '{ "a" :1}'}, redact) == {"arguments": '{ "a" :1}'}


def test_half_characters_are_replaced() -> None:
    """Lone surrogates, which no file can hold, become U+FFFD wherever they stand, in escaped arguments too."""
    assert scrub(["a\ud800", {"\udc00": 1}], str) == ["a\ufffd", {"\ufffd": 1}]
    assert json.loads(scrub({"arguments": '{"a": "\\ud800"}'}, str)["arguments"]) == {"a": "\ufffd"}
