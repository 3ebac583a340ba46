"""What the strictest servers refuse about a conversation: an independent checker, sharing no code with the product.

Where the rules come from: OpenAI's chat completions reference (tool messages answer calls; names), Mistral's (the last
message is not the assistant's), Qwen3-Coder's and Hermes' chat templates (one system message, first; arguments are
parsed).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
KEYS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
}


def find_violations(messages: Sequence[Mapping[str, Any]], *, to_send: bool = False) -> list[str]:
    """One sentence a violation, none when every server takes it. ``to_send``: the model is asked for a reply now."""
    found: list[str] = []
    unanswered: list[str] = []
    used: set[str] = set()
    for place, message in enumerate(messages):
        role = message.get("role")
        if role not in KEYS:
            found.append(f"{place}: there is no role {role!r}")
            continue
        if extra := set(message) - KEYS[role]:
            found.append(f"{place}: a {role} message has no {sorted(extra)}")
        if role != "tool" and unanswered:
            found.append(f"{place}: {unanswered} have no answer before this {role} message")
            unanswered = []
        if role == "system" and place:
            found.append(f"{place}: a system message that is not the first")
        found += [f"{place}: {fault}" for fault in _content_faults(message)]
        if role == "assistant":
            found += [f"{place}: {fault}" for fault in _assistant_faults(message, used)]
            unanswered = [call.get("id") for call in message.get("tool_calls") or ()]
            used.update(unanswered)
        if role == "tool":
            if message.get("tool_call_id") in unanswered:
                unanswered.remove(message["tool_call_id"])
            else:
                found.append(f"{place}: an orphan tool message for {message.get('tool_call_id')!r}")
    if unanswered:
        found.append(f"the end: {unanswered} have no answer")
    if to_send and (not messages or messages[-1].get("role") not in ("user", "tool")):
        found.append("the end: there is nothing to answer")
    return found


def assert_strict(messages: Sequence[Mapping[str, Any]], *, to_send: bool = False) -> None:
    """Fail with every violation."""
    assert find_violations(messages, to_send=to_send) == []


def _content_faults(message: Mapping[str, Any]) -> list[str]:
    role, content = message["role"], message.get("content")
    if role == "assistant" and content is None:
        return []
    if not isinstance(content, str):
        return [f"the content of the {role} message is no text"]
    faults = [f"the {role} message is empty"] if role in ("system", "user") and not content.strip() else []
    try:
        content.encode()
    except UnicodeEncodeError:
        faults.append("the text is no UTF-8")
    return faults


def _is_said(content: Any) -> bool:
    return isinstance(content, str) and bool(content.strip())


def _assistant_faults(message: Mapping[str, Any], used: set[str]) -> list[str]:
    calls = message.get("tool_calls")
    if "tool_calls" in message and not calls:
        return ["the list of tool calls is empty"]
    faults = []
    if not calls and not _is_said(message.get("content")):
        faults.append("the assistant message is empty")
    own: set[str] = set()
    for call in calls or ():
        function = call.get("function") or {}
        if call.get("type") != "function" or not NAME.fullmatch(function.get("name") or ""):
            faults.append(f"{call} is no function call")
        if not call.get("id") or call["id"] in used | own:
            faults.append(f"the call id {call.get('id')!r} is empty or used twice")
        own.add(call.get("id", ""))
        if not _is_object(function.get("arguments")):
            faults.append(f"the arguments of {call.get('id')} are no JSON object")
    return faults


def _is_object(text: Any) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False
