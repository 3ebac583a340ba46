"""The scripted endpoint: strict as OpenAI's, stateless over turns, and honest about being a script."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app import demo
from app.demo.scripted_model import MODEL_NAME, ScriptedModel, find_fault

STORY = Path(__file__).parent.parent / "stories" / "sessions" / "node.json"
SYSTEM = {"role": "system", "content": "You mend code."}
USER = {"role": "user", "content": "Mend it."}


def assistant(*ids: str, content: str | None = None, arguments: str = "{}") -> dict[str, Any]:
    calls = [{"id": i, "type": "function", "function": {"name": "ls", "arguments": arguments}} for i in ids]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def tool(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "x"}


def post(server: ScriptedModel, *messages: dict[str, Any]) -> httpx2.Response:
    return httpx2.post(f"{server.url}/chat/completions", json={"model": "m", "messages": list(messages)})


def test_the_reply_is_chosen_by_the_number_of_earlier_ones() -> None:
    """A repeated turn gets the same answer, so that a restarted job goes on where it was."""
    with ScriptedModel([{"content": "one"}, {"content": "two"}]) as server:
        said = [
            post(server, SYSTEM, USER, *more).json()["choices"][0]["message"]["content"]
            for more in ([], [], [{"role": "assistant", "content": "one"}], [])
        ]
        beyond = post(server, SYSTEM, USER, *[{"role": "assistant", "content": "x"}] * 2)
    assert said == ["one", "one", "two", "one"]
    assert beyond.status_code == 400
    assert "no reply for turn 3" in beyond.text


def test_a_match_is_a_session_of_its_own() -> None:
    """One file answers the agent and the request for a description."""
    session = [{"content": "work"}, {"match": "Describe", "content": "described"}]
    with ScriptedModel(session) as server:
        assert "described" in post(server, {"role": "system", "content": "Describe the change."}, USER).text
        assert "described" in post(server, SYSTEM, {"role": "user", "content": "Describe"}).text
        assert "work" in post(server, SYSTEM, USER).text


def test_a_reply_that_is_held_comes_when_it_is_let_go() -> None:
    """However long that takes: whatever a test does meanwhile comes before it."""
    held = threading.Event()
    with ThreadPoolExecutor(1) as thread, ScriptedModel([{"content": "one", "held": held}]) as server:
        answer = thread.submit(post, server, USER)
        with pytest.raises(TimeoutError):
            answer.result(timeout=0.3)
        held.set()
        assert "one" in answer.result(timeout=30).text


def test_it_says_that_it_is_scripted() -> None:
    """In the list of models and in each reply; requests are recorded with their bytes."""
    with ScriptedModel([{"content": "one"}]) as server:
        listed = httpx2.get(f"{server.url}/models").json()["data"]
        assert post(server, USER).json()["model"] == MODEL_NAME == "scripted-session"
        assert httpx2.get(f"{server.url}/other").status_code == 404
    assert [entry["id"] for entry in listed] == [MODEL_NAME]
    assert [request.path for request in server.requests] == ["/v1/models", "/v1/chat/completions", "/v1/other"]
    assert json.loads(server.completions()[0].body)["messages"] == [USER]


def test_a_wrong_key_is_refused_and_quoted() -> None:
    """As by endpoints that do so: our client may not pass it on."""
    with ScriptedModel([{"content": "one"}], api_key="right") as server:
        headers = {"Authorization": "Bearer wrong"}
        refused = httpx2.get(f"{server.url}/models", headers=headers)
        assert (refused.status_code, "wrong" in refused.text) == (401, True)
        assert httpx2.get(f"{server.url}/models", headers={"Authorization": "Bearer right"}).status_code == 200


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([SYSTEM, USER], None),
        ([USER, assistant("a", "b"), tool("b"), tool("a"), USER], None),
        ([USER, tool("a")], "must be a response to a preceding message"),
        ([USER, assistant("a"), tool("b")], "must be a response to a preceding message"),
        ([USER, assistant("a"), tool("a"), tool("a")], "must be a response to a preceding message"),
        ([USER, assistant("a", "b"), tool("a"), USER], "must be followed by tool messages: b"),
        ([USER, assistant("a")], "No tool output found for: a"),
        ([USER, {"role": "assistant", "content": ""}], "needs content or tool_calls"),
        ([USER, assistant("a", arguments="{"), tool("a")], "must be a JSON object"),
        ([USER, assistant("a", arguments="[]"), tool("a")], "must be a JSON object"),
    ],
)
def test_a_broken_conversation_is_refused(messages: list[dict[str, Any]], words: str | None) -> None:
    """Orphan tool messages, unanswered calls, empty assistant messages and broken arguments."""
    fault = find_fault(messages)
    assert (fault is None) == (words is None)
    if words:
        assert fault is not None
        assert words in fault
        with ScriptedModel([{"content": "one"}, {"content": "two"}]) as server:
            assert post(server, *messages).status_code == 400


def test_faults_come_first_and_once() -> None:
    """Each as often as it says, then the reply."""
    faults = [{"status": 503, "times": 2}, {"status": 429, "retry_after": 3}]
    with ScriptedModel([{"content": "one", "faults": faults}]) as server:
        answers = [post(server, USER) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [503, 503, 429, 200, 200]
    assert answers[2].headers["retry-after"] == "3"


def test_stopping_ends_hanging_answers() -> None:
    """A test does not wait for a fault to end."""
    server = ScriptedModel([{"content": "one", "faults": [{"hang": 60}]}]).start()
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(f"{server.url}/chat/completions", json={"messages": [USER]}, timeout=0.2)
    server.stop()
    server.stop()


@pytest.mark.parametrize("path", [demo.SESSION, STORY], ids=["tally", "node"])
def test_recorded_sessions_are_whole(path: Path) -> None:
    """They end with `finish` and hold a description."""
    entries = json.loads(path.read_text())
    agent = [entry for entry in entries if "match" not in entry]
    assert [call["name"] for call in agent[-1]["tool_calls"]] == ["finish"]
    assert [entry for entry in entries if "match" in entry]


def stream(server: ScriptedModel, **more: Any) -> list[str]:
    body = {"model": "m", "messages": [USER], "stream": True, **more}
    answer = httpx2.post(f"{server.url}/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [line.removeprefix("data: ") for line in answer.text.splitlines() if line]


def test_it_streams_as_openai_does() -> None:
    """A role, pieces, calls in fragments, a finish reason, the usage when it was asked for, and a mark at the end."""
    call = {"name": "ls", "arguments": {"path": "a" * 20}}
    with ScriptedModel([{"content": "x" * 30, "reasoning": "hm", "tool_calls": [call]}]) as server:
        *events, done = stream(server, stream_options={"include_usage": True})
        without = stream(server)
    chunks = [json.loads(event) for event in events]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert done == "[DONE]"
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "x" * 30
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "hm"
    fragments = [item for delta in deltas for item in delta.get("tool_calls", ())]
    assert (fragments[0]["id"], fragments[0]["function"]["name"]) == ("call_0", "ls")
    assert json.loads("".join(item["function"]["arguments"] for item in fragments)) == call["arguments"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["prompt_tokens"] > 0) == ([], True)
    assert len(without) == len(events)


def test_streams_go_wrong_on_demand() -> None:
    """Cut, ended too early, interrupted by an error or by junk, kept alive by comments."""
    faults = [
        {"cut_events": 2},
        {"cut_events": 2, "politely": True},
        {"error_event": 1},
        {"junk_event": 0},
    ]
    with ScriptedModel([{"content": "one", "faults": faults}, {"content": "two", "comments": True}]) as server:
        with pytest.raises(httpx2.RemoteProtocolError):
            stream(server)
        assert len(stream(server)) == 2
        assert [event for event in stream(server) if '"error"' in event]
        assert stream(server)[0] == "{half of"
        assert stream(server)[-1] == "[DONE]"
        later = stream(server, messages=[USER, {"role": "assistant", "content": "one"}])
    assert later[0] == ": KEEP ALIVE"


def test_it_can_be_another_kind_of_server() -> None:
    """One that passes over `stream`, refuses it, or refuses fields; with a model list of its own, and more pages."""
    listed = [{"id": "m", "context_length": 9}]
    with ScriptedModel([{"content": "one"}], streams=False, models=listed, pages={"/api/ps": {"models": []}}) as server:
        body = {"messages": [USER], "stream": True}
        assert httpx2.post(f"{server.url}/chat/completions", json=body).json()["choices"]
        assert httpx2.get(f"{server.url}/models").json() == listed
        assert httpx2.get(server.url.replace("/v1", "/api/ps")).json() == {"models": []}
    with ScriptedModel([{"content": "one"}], streams="refused", refuses=["top_k"]) as server:
        refused = httpx2.post(f"{server.url}/chat/completions", json={"messages": [USER], "stream": True})
        assert (refused.status_code, "Streaming is not supported" in refused.text) == (400, True)
        unknown = httpx2.post(f"{server.url}/chat/completions", json={"messages": [USER], "top_k": 1})
        assert (unknown.status_code, "top_k" in unknown.text) == (400, True)
