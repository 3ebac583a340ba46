"""Our client and our doctor against a real llama.cpp server; only the model's words are a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.doctor_model import examine_model
from app.settings import read_settings, variable_names
from tests.llamacpp.server import NAME, serve_script, write_call
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.messages import AgentTask, open_messages, render_turn
from workflows.services import ContextTooLong
from workflows.types import Reply, ToolCall, ToolResult, Turn

STORE = {
    "type": "function",
    "function": {
        "name": "store",
        "description": "Keep a text.",
        "parameters": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "lines": {"type": "integer"}, "all": {"type": "boolean"}},
            "required": ["text"],
        },
    },
}
ASKED = ({"role": "system", "content": "You keep texts."}, {"role": "user", "content": "Keep them."})
HARD = 'if a < b && "c" > d:\n\tprint("<function=x>", \'é — 中 😀\')\n\n    # {"json": [1, null]}\n'
ARGUMENTS = (
    '{"text": "x"}',
    ' {"a": -0, "a": 1e-999}\n',
    '{"a": "\\u0000", "": "\\ud83d\\ude00"}',
    '{"a": 18446744073709551616}',
)
UNREADABLE = (
    *("", "{bad", "[]", '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e999}', '{"a": ' + "9" * 400 + "}"),
    *('{"a": "\\ud83d"}', '{"\\ude00": 1}', '{"a": "x\ny"}'),
)


def client(url: str, window: int = 65_536) -> OpenAIModel:
    """Our client of that server; a try is one."""
    return OpenAIModel(url, "no-key", model=NAME, context_window=window, attempts=1)


def test_calls_arrive_as_the_model_wrote_them(tmp_path: Path) -> None:
    """Two calls of one streamed reply, with the text before them; values keep their line breaks, tags and types."""
    replies = ["I keep both.\n\n" + write_call("store", text=HARD, lines="4") + "\n" + write_call("store", text="last")]
    with serve_script(tmp_path, replies) as url:
        reply = client(url).complete(ASKED, tools=[STORE])
    assert [(call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [
        ("store", {"text": HARD, "lines": 4}),
        ("store", {"text": "last"}),
    ]
    assert reply.content.strip() == "I keep both."
    assert reply.finish_reason == "tool_calls"
    assert not reply.usage.estimated
    assert reply.usage.input_tokens > 300


def test_the_next_request_is_read_from_the_cache(tmp_path: Path) -> None:
    """The conversation goes on with the same bytes: the server reads only what is new, and we count it so."""
    with serve_script(tmp_path, [write_call("store", text="one"), "That was all."]) as url:
        model = client(url)
        first = model.complete(ASKED, tools=[STORE])
        [call] = first.tool_calls
        asked = {"name": call.name, "arguments": call.arguments}
        messages = [
            *ASKED,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": call.id, "type": "function", "function": asked}],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "Kept."},
        ]
        second = model.complete(messages, tools=[STORE])
    assert second.content.strip() == "That was all."
    assert second.usage.cached_tokens > 0.8 * first.usage.input_tokens


@pytest.mark.parametrize("unreadable", [False, True])
def test_what_a_model_wrote_before_breaks_no_later_request(tmp_path: Path, *, unreadable: bool) -> None:
    """The server parses past arguments again, and answers 500 to what it cannot read: such calls are not sent so."""
    kinds = UNREADABLE if unreadable else ARGUMENTS
    with serve_script(tmp_path, ["Nothing yet.", "That is all."]) as url:
        model = client(url)
        for arguments in kinds:
            said = Reply(content="", tool_calls=(ToolCall(id="t0001c000", name="store", arguments=arguments),))
            answer = ToolResult(call_id="t0001c000", name="store", content="?")
            [call] = render_turn(Turn(number=1, reply=said, results=(answer,)))[0]["tool_calls"]
            assert (call["function"]["arguments"] != arguments) is unreadable, arguments
            opening = open_messages(AgentTask(system="You keep texts.", prompt="Keep them."))
            messages = [*opening, *render_turn(Turn(number=1, reply=said, results=(answer,)))]
            assert model.complete(messages, tools=[STORE]).content.strip() == "That is all.", arguments


def test_a_conversation_that_is_too_long(tmp_path: Path) -> None:
    """The server's own refusal is known for what it is, so that a session shrinks its conversation."""
    with serve_script(tmp_path, [], ["Yes."], window=2048) as url:
        model = client(url)
        with pytest.raises(ContextTooLong):
            model.complete([*ASKED, {"role": "user", "content": "word " * 1000}])
        assert model.complete(ASKED).content.strip() == "Yes."


def test_a_reply_without_end_is_cut(tmp_path: Path) -> None:
    """What repeats itself is cut within seconds, and the server, which has one place, takes the next request."""
    with serve_script(tmp_path, ["But first this."], ["One, two, three, and again: "], endless=True) as url:
        model = client(url)
        for _ in range(2):
            reply = model.complete(ASKED, deadline=60)
            assert reply.finish_reason == "chanting"
            assert reply.content.count("and again") > 5


def test_the_doctor_finds_it_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`forgehand doctor model`: calls in the protocol's own field, the window that the server has, usage and cache."""
    for name in (name for names in variable_names().values() for name in names):
        monkeypatch.delenv(name, raising=False)
    with serve_script(tmp_path, [write_call("report_state", state="ready", count="3"), "It is done."]) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("FORGEHAND_MODEL", NAME)
        monkeypatch.setenv("FORGEHAND_MODEL_PRESET", "llamacpp")
        monkeypatch.setenv("FORGEHAND_CONTEXT_WINDOW", "65536")
        monkeypatch.setenv("FORGEHAND_DATA_DIR", str(tmp_path))
        code = examine_model(read_settings(env_file=None))
    said = capsys.readouterr().out
    assert code == 0, said
    assert "the call came in the protocol's own field (tool_calls)" in said
    assert "65,536 tokens" in said
    assert "came from the prompt cache" in said
