"""What a chat completion says: its words and calls, whole, in whichever of the dialects the calls were written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.agent.calls.dialects import read_calls
from workflows.agent.client.usage import Prices, parse_usage
from workflows.types import Reply, ToolCall

__all__ = ["CUT_OFF", "NotACompletion", "Prices", "Said", "parse_completion", "read_reply", "text_of", "usage_of"]

Tools = Sequence[Mapping[str, Any]]
CUT_OFF = frozenset({"length", "chanting"})
"""The finish reasons of a reply that is not the whole of what the model had to say."""
NAMELESS = "A call came without the name of a tool, so it was not run. Send it again, with its name."


class NotACompletion(Exception):
    """The answer is no completion, or not a whole one; the message says what is wrong with it."""


@dataclass(frozen=True)
class Said:
    """What the endpoint sent, put together, before it is read.

    ``usage`` holds the provider's figures as they came, llama.cpp's ``timings`` among them. Those of ``calls`` that
    came without the name of a tool have the name "".
    """

    content: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    usage: Any = None


def parse_completion(answer: Any) -> Said:
    """The first choice of a chat completion that came in one piece. Raises NotACompletion."""
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        sent = tuple(_parse_call(call, index) for index, call in enumerate(message.get("tool_calls") or []))
        calls = tuple(call for call in sent if call.name or call.arguments.strip())
        reason = choice.get("finish_reason") or ("tool_calls" if sent else "stop")
        said = Said(
            content=text_of(message.get("content")) or str(message.get("refusal") or ""),
            reasoning=text_of(message.get("reasoning_content")) or text_of(message.get("reasoning")),
            calls=calls,
            finish_reason=str(reason),
            usage=usage_of(answer),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise NotACompletion(f"the answer is not a chat completion ({type(error).__name__}: {error})") from None
    if reason == "error":
        raise NotACompletion("the provider broke off while it answered")
    return said


def read_reply(said: Said, payload: Mapping[str, Any], *, prices: Prices) -> Reply:
    """The reply, its calls read out of the text where the protocol's own field holds none.

    ``payload`` is the request: its tools are the names that count. Out of the reasoning, wherever it stands, calls are
    read only when content and calls are both empty and it was not cut off. A block that was meant as a call and cannot
    be read becomes a call without a name, whose arguments are the sentence that says what is wrong with it. So does
    what came without a name, in its place beside calls that had one, or where the text holds none: a server that loses
    the name often leaves the call in the text.
    """
    everything = said.content + said.reasoning + "".join(call.name + call.arguments for call in said.calls)
    reply = Reply(
        content=_encodable(said.content),
        tool_calls=tuple(_answerable(call) for call in said.calls),
        finish_reason=said.finish_reason,
        usage=parse_usage(said.usage, payload, everything, prices=prices),
        reasoning=_encodable(said.reasoning),
    )
    tools: Tools = payload.get("tools") or ()
    if tools and not any(call.name for call in reply.tool_calls):
        return _with_calls_of_text(reply, tools)
    return reply


def text_of(content: Any) -> str:
    """A text that may be missing, or come in parts (``[{"type": "text", "text": …}]``) as some gateways send it."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def usage_of(answer: Mapping[str, Any]) -> Any:
    """The figures of an answer or a chunk, None without any. Moonshot's stand in the choice."""
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    figures = answer.get("usage") or first.get("usage")
    timings = answer.get("timings")
    if not isinstance(figures, dict):
        return None
    return {**figures, "timings": timings} if isinstance(timings, dict) else figures


def _with_calls_of_text(reply: Reply, tools: Tools) -> Reply:
    # Thinking that was cut off had settled on nothing; beside a call that came as one it was not what the model did.
    settled = reply.finish_reason not in CUT_OFF and not reply.tool_calls
    if reply.content.strip():
        return _with_calls_of_content(reply, tools, settled=settled)
    return _with_calls_of_reasoning(reply, tools) if settled else reply


def _with_calls_of_content(reply: Reply, tools: Tools, *, settled: bool) -> Reply:
    read = read_calls(reply.content, tools)
    if read.thought and not settled:
        return reply
    # What was meant as a call and could not be read gets an answer as one: its arguments are the sentence that teaches.
    # It stands first, for of a reply that was cut off the last call is not run.
    wrong = tuple(
        ToolCall(id=f"malformed_{number}", name="", arguments=sentence)
        for number, sentence in enumerate(read.malformed, start=1)
    )
    changes: dict[str, Any] = {"content": read.content}
    if read.calls or read.incomplete or wrong:
        source = "reasoning" if read.thought else "content"
        changes |= {"tool_calls": wrong + read.calls, "calls_from": source, "incomplete": read.incomplete}
    return reply.model_copy(update=changes)


def _with_calls_of_reasoning(reply: Reply, tools: Tools) -> Reply:
    offered = {tool["function"]["name"] for tool in tools}
    found = read_calls(reply.reasoning, tools).calls if reply.reasoning.strip() else ()
    calls = tuple(call for call in found if call.name in offered)
    return reply.model_copy(update={"tool_calls": calls, "calls_from": "reasoning"}) if calls else reply


def _parse_call(call: Any, index: int) -> ToolCall:
    function = call["function"]
    arguments = function.get("arguments")
    if not isinstance(arguments, str):  # Ollama's own form is an object
        arguments = "" if arguments is None else json.dumps(arguments)
    return ToolCall(
        id=str(call.get("id") or f"call_{index}"), name=str(function.get("name") or ""), arguments=arguments
    )


def _answerable(call: ToolCall) -> ToolCall:
    """The call as it can be stored; one without a name has the sentence that teaches in place of its arguments."""
    fields = {name: _encodable(value) for name, value in call}
    return call.model_copy(update=fields if call.name else {**fields, "arguments": NAMELESS})


def _encodable(text: str) -> str:
    """Lone surrogates become question marks: nothing later could write them as UTF-8."""
    return text.encode("utf-8", "replace").decode()
