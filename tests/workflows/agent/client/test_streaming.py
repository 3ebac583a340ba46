"""Streams against a real server: whole or not at all, however they are cut, however long they are silent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog

from tests.workflows.agent.conftest import Naps, Serve
from workflows.agent.calls.toolcalls import MalformedCall, ParsedCall, parse_call
from workflows.agent.client.completions import Prices, Said, parse_completion, read_reply
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.client.streaming import EventSplitter, StreamedCompletion
from workflows.services import BrokenWorld, ContextTooLong
from workflows.types import Reply

Connect = Callable[..., OpenAIModel]

HELLO = [{"role": "system", "content": "You help."}, {"role": "user", "content": "Hello"}]
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
REPLY: dict[str, Any] = {"content": "Grüße, 世界 🚀: all is well.", "usage": USAGE}
CALLS: dict[str, Any] = {
    "content": "I look.",
    "reasoning": "Where is it?",
    "tool_calls": [
        {"id": "a", "name": "bash", "arguments": {"command": "ls -la /tmp && echo 'ü'"}},
        {"id": "b", "name": "read_file", "arguments": {"path": "a.py", "limit": 3}},
    ],
    "usage": USAGE,
}


def tool(name: str, **fields: str) -> dict[str, Any]:
    properties = {field: {"type": kind} for field, kind in fields.items()}
    parameters = {"type": "object", "properties": properties, "required": list(fields)}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


TOOLS = [tool("bash", command="string"), tool("read_file", path="string", limit="integer")]


def faulty(*faults: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [{**REPLY, **more, "faults": list(faults)}]


def streams_asked(server: Any) -> list[bool]:
    return [bool(request.json.get("stream")) for request in server.completions()]


def test_a_stream_says_what_a_whole_answer_says(serve: Serve, connect: Connect) -> None:
    """Words, reasoning, calls, finish reason and figures are the same both ways."""
    server = serve([CALLS])
    streamed = connect(server).complete(HELLO, tools=TOOLS)
    whole = connect(server, stream=False).complete(HELLO, tools=TOOLS)
    assert streams_asked(server) == [True, False]
    assert streamed.model_copy(update={"seconds": 0.0}) == whole.model_copy(update={"seconds": 0.0})
    assert [(call.name, json.loads(call.arguments)) for call in streamed.tool_calls] == [
        ("bash", CALLS["tool_calls"][0]["arguments"]),
        ("read_file", CALLS["tool_calls"][1]["arguments"]),
    ]
    assert (streamed.reasoning, streamed.calls_from, streamed.usage.input_tokens) == ("Where is it?", "native", 100)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=repr)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_stream_may_be_cut_into_any_pieces(serve: Serve, connect: Connect, newline: str, size: int) -> None:
    """Inside a character, inside `data:`, between CR and LF: what comes out is the same."""
    server = serve([{**CALLS, **REPLY, "newline": newline, "write": size, "comments": True}])
    reply = connect(server).complete(HELLO)
    assert (reply.content, len(reply.tool_calls), reply.usage.input_tokens) == (REPLY["content"], 2, 100)
    assert len(server.completions()) == 1


def test_events_are_split_as_the_standard_says() -> None:
    """Any cut of the bytes gives the same events; comments, other fields and a byte order mark are passed over."""
    body = "\ufeffdata: eins\n\n: note\r\n\r\nevent: x\rdata:zwei\rdata: drei ü\r\r\ndata: 4\r\n\r\n"
    body += "data: 5\r\ndata: 6\r\n\r\nid: 7\n\ndata: cut"
    whole = ["eins", "zwei\ndrei ü", "4", "5\n6"]
    for size in range(1, 30):
        splitter = EventSplitter()
        encoded = body.encode()
        pieces = [encoded[at : at + size] for at in range(0, len(encoded), size)]
        assert [event for piece in pieces for event in splitter.feed(piece)] == whole


def test_a_stream_cut_after_any_event_is_asked_for_again(serve: Serve, connect: Connect) -> None:
    """Until the finish reason is there nothing of a turn is taken; from then on nothing is lost but the figures."""
    events = 3 + -(-len(REPLY["content"]) // 12)  # opening, pieces, finish reason, usage; then [DONE]
    for place in range(events - 1):
        server = serve(faulty({"cut_events": place}))
        reply = connect(server).complete(HELLO)
        assert (reply.content, len(server.completions())) == (REPLY["content"], 2), place
    for place in (events - 1, events):
        server = serve(faulty({"cut_events": place, "times": -1}))
        reply = connect(server).complete(HELLO)
        assert (reply.content, len(server.completions())) == (REPLY["content"], 1), place
        assert reply.usage.estimated == (place == events - 1)


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ({"cut_events": 4}, {}),
        ({"cut_events": 4, "politely": True}, {}),
        ({"cut_events": 0, "politely": True}, {}),
        ({"junk_event": 2}, {}),
        ({"error_event": 2}, {}),
        ({"error_event": 0}, {}),
        ({"error_event": 2, "body": {"error": {"message": "slow down", "code": 429}}}, {}),
        ({"error_event": 2, "body": {"object": "error", "message": "engine died", "code": 500}}, {}),
        ({"error_event": 2, "body": {"choices": [{"delta": {}, "finish_reason": "error"}]}}, {}),
        ({"error_event": 2, "body": {"choices": [7]}}, {}),
        ({"malformed": True}, {}),
        ({"stall": 3}, {}),
        ({"stall": 0}, {}),
    ],
    ids=str,
)
def test_what_breaks_in_a_stream_is_tried_again(
    serve: Serve, connect: Connect, naps: Naps, fault: dict[str, Any], more: dict[str, Any]
) -> None:
    """A cut, an end that is none, junk, an error in the middle, silence: nothing of it is kept, and it costs."""
    server = serve(faulty(fault, **more))
    # Only silence is waited out, and a second attempt that is slow on a busy machine is none.
    patience = {"idle_timeout": 1.5, "request_timeout": 1.5} if "stall" in fault else {}
    reply = connect(server, **patience).complete(HELLO)
    assert reply.content == REPLY["content"]
    assert (len(server.completions()), len(naps.taken)) == (2, 1)


def test_a_done_without_a_finish_reason_is_no_end(serve: Serve, connect: Connect) -> None:
    """Gateways write it after an upstream that broke. An endpoint that always does is asked without streams."""
    server = serve([{**REPLY, "finish": False}])
    assert connect(server).complete(HELLO).content == REPLY["content"]
    assert streams_asked(server) == [True, True, False]


def test_two_broken_streams_in_a_row_are_the_last(serve: Serve, connect: Connect) -> None:
    """From then on answers are asked for whole, in this process, and the log says so; a whole stream starts anew."""
    server = serve([{**REPLY, "faults": [{"cut_events": 3, "times": 2}]}])
    model = connect(server)
    with structlog.testing.capture_logs() as events:
        model.complete(HELLO)
        model.complete(HELLO)
    assert streams_asked(server) == [True, True, False, False]
    assert [event["reason"] for event in events if "no longer streamed" in event["event"]] == ["two in a row broke off"]
    sound = [{**REPLY, "faults": [{"cut_events": 3}]}, {**REPLY, "faults": [{"cut_events": 3}]}]
    again = serve(sound)
    model = connect(again)
    model.complete(HELLO)
    model.complete([*HELLO, {"role": "assistant", "content": "x"}, HELLO[1]])
    assert streams_asked(again) == [True] * 4


def test_streams_that_are_refused_are_not_asked_for_again(serve: Serve, connect: Connect, naps: Naps) -> None:
    """The same request goes out at once without them, as no failed attempt; later requests know."""
    server = serve([REPLY], streams="refused")
    model = connect(server)
    with structlog.testing.capture_logs() as events:
        assert model.complete(HELLO).content == model.complete(HELLO).content == REPLY["content"]
    assert streams_asked(server) == [True, False, False]
    assert "stream_options" not in server.completions()[1].json
    assert [event["reason"] for event in events] == ["the endpoint refuses them"]
    assert naps.taken == []


def test_an_endpoint_that_answers_whole_is_understood(serve: Serve, connect: Connect) -> None:
    """Some pass over `stream` and answer in one piece."""
    server = serve([CALLS], streams=False)
    assert len(connect(server).complete(HELLO, tools=TOOLS).tool_calls) == 2
    assert len(server.completions()) == 1


def test_fields_that_are_refused_are_left_out(serve: Serve, connect: Connect, naps: Naps) -> None:
    """One after another, at once, logged, and for later requests too; what the request cannot do without stays."""
    server = serve([REPLY], refuses=["top_k", "stream_options", "repetition_penalty", "parallel_tool_calls"])
    sampling = {"temperature": 0.7, "top_k": 20, "repetition_penalty": 1.05, "parallel_tool_calls": True}
    model = connect(server, sampling=sampling)
    with structlog.testing.capture_logs() as events:
        model.complete(HELLO)
        model.complete(HELLO)
    assert len(server.completions()) == 6
    assert server.completions()[-1].json.keys() == {"messages", "model", "stream", "temperature"}
    assert [event["fields"] for event in events] == [
        ["top_k"],
        ["stream_options"],
        ["repetition_penalty"],
        ["parallel_tool_calls"],
    ]
    assert model.concessions.dropped == ("parallel_tool_calls", "repetition_penalty", "stream_options", "top_k")
    assert naps.taken == []
    hot = connect(serve([REPLY], refuses=["temperature"]), sampling={"temperature": 9})
    with pytest.raises(BrokenWorld, match="temperature"):
        hot.complete(HELLO)


def test_silence_before_the_first_event_has_a_deadline_of_its_own(serve: Serve, connect: Connect) -> None:
    """A long prompt takes its time: the first event may take longer than the later ones."""
    server = serve(faulty({"stall": 0, "seconds": 3.0}))
    reply = connect(server, idle_timeout=2.0, request_timeout=30.0).complete(HELLO)
    assert (reply.content, len(server.completions())) == (REPLY["content"], 1)


def test_a_stall_ends_with_the_idle_deadline(serve: Serve, connect: Connect) -> None:
    """Silence in the middle is not waited out."""
    server = serve(faulty({"stall": 3, "seconds": 60}))
    started = time.monotonic()
    assert connect(server, idle_timeout=0.3).complete(HELLO).content == REPLY["content"]
    assert time.monotonic() - started < 20.0


@pytest.mark.parametrize("place", [0, 3])
def test_comments_alone_do_not_keep_a_stream_alive_for_ever(serve: Serve, connect: Connect, place: int) -> None:
    """They reset the idle deadline, for a queue may be long; but an event must come within the first deadline."""
    server = serve(faulty({"stall": place, "alive": 0.05}))
    started = time.monotonic()
    reply = connect(server, idle_timeout=1.5, request_timeout=2.0).complete(HELLO)
    assert reply.content == REPLY["content"]
    assert 1.9 < time.monotonic() - started < 20.0


def test_the_overall_deadline_ends_a_stream_that_goes_on(serve: Serve, connect: Connect) -> None:
    """Whatever still comes."""
    server = serve([{**REPLY, "content": "x" * 400, "piece": 1, "faults": [{"drip": 0.02, "times": -1}]}])
    started = time.monotonic()
    with pytest.raises(BrokenWorld, match="in time"):
        connect(server).complete(HELLO, deadline=0.7)
    assert time.monotonic() - started < 5.0


def test_errors_in_a_stream_are_judged_as_outside(serve: Serve, connect: Connect) -> None:
    """A key that is refused in the first event ends the call; a full context has an exception of its own."""
    refused = serve(faulty({"error_event": 0, "body": {"error": {"code": 401, "message": "no"}}, "times": -1}))
    with pytest.raises(BrokenWorld, match="OPENAI_API_KEY"):
        connect(refused).complete(HELLO)
    too_long = {"error": {"message": "This model's maximum context length is 4096 tokens."}}
    full = serve(faulty({"error_event": 0, "body": too_long, "times": -1}))
    with pytest.raises(ContextTooLong):
        connect(full).complete(HELLO)
    assert (len(refused.completions()), len(full.completions())) == (1, 1)


def test_usage_that_a_stream_leaves_out_is_estimated(serve: Serve, connect: Connect) -> None:
    """With the reasoning and the calls counted in."""
    spent = connect(serve([{**CALLS, "usage": None}])).complete(HELLO).usage
    bare = connect(serve([{"content": "I look.", "usage": None}])).complete(HELLO).usage
    assert spent.estimated
    assert spent.output_tokens > bare.output_tokens > 0


def test_calls_in_the_text_are_read_from_streams_too(serve: Serve, connect: Connect) -> None:
    """Qwen3-Coder's XML, in the content; in the reasoning only when there is nothing else, and only offered names."""
    xml = "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>"
    said = connect(serve([{"content": f"I look.\n{xml}"}])).complete(HELLO, tools=TOOLS)
    assert (said.content, said.calls_from) == ("I look.", "content")
    assert [(call.name, json.loads(call.arguments)) for call in said.tool_calls] == [("bash", {"command": "ls"})]
    thought = connect(serve([{"content": "", "reasoning": f"So: {xml}"}])).complete(HELLO, tools=TOOLS)
    assert (thought.calls_from, [call.name for call in thought.tool_calls]) == ("reasoning", ["bash"])
    both = connect(serve([{"content": "Done.", "reasoning": xml}])).complete(HELLO, tools=TOOLS)
    assert (both.tool_calls, both.content) == ((), "Done.")
    other = serve([{"content": "", "reasoning": xml.replace("=bash", "=rm")}])
    assert connect(other).complete(HELLO, tools=TOOLS).tool_calls == ()
    untold = connect(serve([{"content": xml}])).complete(HELLO)
    assert (untold.tool_calls, untold.content) == ((), xml)


def test_a_call_that_cannot_be_read_gets_an_answer(serve: Serve, connect: Connect) -> None:
    """It becomes a call without a name, and says what is wrong; one that was cut off is named and is no call."""
    broken = "<tool_call>\nnothing of use\n</tool_call>"
    reply = connect(serve([{"content": broken}])).complete(HELLO, tools=TOOLS)
    assert [call.name for call in reply.tool_calls] == [""]
    assert "tool_call" in reply.tool_calls[0].arguments
    cut = "<tool_call>\n<function=bash>\n<parameter=command>\nrm -rf /tm"
    cut_off = connect(serve([{"content": cut, "finish_reason": "length"}])).complete(HELLO, tools=TOOLS)
    assert (cut_off.tool_calls, cut_off.incomplete, cut_off.finish_reason) == ((), ("bash",), "length")


def test_promised_calls_that_never_come_are_asked_for_again(serve: Serve, connect: Connect) -> None:
    """`finish_reason: tool_calls` with an empty list and nothing in the text is an empty reply."""
    promised = {"content": "I will look.", "finish_reason": "tool_calls", "usage": USAGE}
    server = serve([promised])
    reply = connect(server).complete(HELLO, tools=TOOLS)
    assert (len(server.completions()), reply.usage.input_tokens) == (3, 300)
    assert reply.content == "I will look."


def test_a_chant_is_broken_off(serve: Serve, connect: Connect) -> None:
    """A text that repeats itself is not paid for to its end; what is kept of it is short, and no call is taken."""
    line = "I should check the file again to be sure that it is right. "
    server = serve([{"content": line * 3000, "piece": 200, "tool_calls": [{"name": "bash", "arguments": {}}]}])
    reply = connect(server).complete(HELLO, tools=TOOLS)
    assert (reply.finish_reason, reply.tool_calls) == ("chanting", ())
    assert reply.content == (line * 3000)[:4000]
    assert reply.usage.estimated
    assert 1_000 <= reply.usage.output_tokens < len(line) * 3000 // 8
    assert len(server.completions()) == 1
    varied = "".join(f"Line {number} says {number * 7919 % 1000}, and {number**3} follows.\n" for number in range(2000))
    whole = connect(serve([{"content": varied, "piece": 200}])).complete(HELLO)
    assert (whole.finish_reason, whole.content) == ("stop", varied)


def test_a_connection_is_used_again(serve: Serve, connect: Connect) -> None:
    """A stream is read to its end, so that the next turn needs no new connection; a server that never ends it waits
    for nobody.
    """
    server = serve([REPLY])
    model = connect(server)
    for _ in range(3):
        model.complete(HELLO)
    assert len({request.client for request in server.completions()}) == 1
    endless = serve([{**REPLY, "faults": [{"stall": 7, "seconds": 60, "times": -1}]}])
    started = time.monotonic()
    assert connect(endless).complete(HELLO).content == REPLY["content"]
    assert time.monotonic() - started < 20.0


NAMELESS_CALL = {"index": 0, "id": "x", "function": {"arguments": '{"command": "ls"}'}}
NAMED_CALL = {"index": 1, "id": "y", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
CALL_IN_TEXT = "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>"


def read(items: list[dict[str, Any]], *, streamed: bool, content: str = "", reasoning: str = "") -> Reply:
    message = {"content": content, "reasoning": reasoning, "tool_calls": items}
    choice = {"index": 0, "delta" if streamed else "message": message, "finish_reason": "tool_calls"}
    if streamed:
        stream = StreamedCompletion()
        stream.feed(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
        said = stream.said()
    else:
        said = parse_completion({"choices": [choice]})
    return read_reply(said, {"tools": TOOLS, "messages": HELLO}, prices=Prices())


@pytest.mark.parametrize("streamed", [True, False])
def test_a_call_without_a_name_is_answered(streamed: bool) -> None:
    """It is no silence: the model hears what was missing, beside the calls that had a name."""
    items = [NAMELESS_CALL, NAMED_CALL, {"index": 2, "id": "z", "function": {"arguments": ""}}]
    nameless, named = (parse_call(call, TOOLS) for call in read(items, streamed=streamed).tool_calls)
    assert isinstance(named, ParsedCall)
    assert isinstance(nameless, MalformedCall)
    assert "without the name" in nameless.message
    (alone,) = read([NAMELESS_CALL], streamed=streamed, content="I look.").tool_calls
    assert (alone.name, "without the name" in alone.arguments) == ("", True)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_call_in_the_text_is_read_beside_one_without_a_name(streamed: bool) -> None:
    """A server that loses the name leaves the call in the text."""
    reply = read([NAMELESS_CALL], streamed=streamed, content=CALL_IN_TEXT)
    assert reply.calls_from == "content"
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [("bash", '{"command": "ls"}')]


@pytest.mark.parametrize("finish_reason", ["length", "chanting"])
def test_nothing_is_taken_from_thinking_that_was_cut_off(finish_reason: str) -> None:
    """What the model was still weighing is not run, wherever the endpoint puts it; what it said is."""
    thought = f"Maybe {CALL_IN_TEXT} or {CALL_IN_TEXT} but wait"
    request, prices = {"tools": TOOLS, "messages": HELLO}, Prices()
    for said in (Said(reasoning=thought), Said(content=f"<think>{thought}")):
        assert len(read_reply(said, request, prices=prices).tool_calls) == 2
        cut = read_reply(replace(said, finish_reason=finish_reason), request, prices=prices)
        assert (cut.tool_calls, cut.incomplete, cut.content) == ((), (), said.content)
    acted = Said(content=f"<think>{thought}</think>\n{CALL_IN_TEXT}\n{CALL_IN_TEXT[:-40]}", finish_reason=finish_reason)
    reply = read_reply(acted, request, prices=prices)
    assert (len(reply.tool_calls), reply.calls_from, reply.incomplete) == (1, "content", ("bash",))


@pytest.mark.parametrize("streamed", [True, False])
def test_a_call_in_thinking_beside_one_without_a_name_is_not_run(streamed: bool) -> None:
    """The model has called something else, and hears that its name was missing."""
    for message in ({"reasoning": CALL_IN_TEXT}, {"content": f"<think>{CALL_IN_TEXT}</think>"}):
        (call,) = read([NAMELESS_CALL], streamed=streamed, **message).tool_calls
        assert (call.name, "without the name" in call.arguments) == ("", True)
