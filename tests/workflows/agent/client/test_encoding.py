"""A request's bytes are its JSON, and what is sent again with each turn is not written out again."""

from __future__ import annotations

import json

import pytest

from workflows.agent.client import encoding
from workflows.agent.client.encoding import encode_request
from workflows.agent.messages import AgentTask, open_messages
from workflows.agent.tools import offered_tools


def test_messages_and_tools_are_written_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second request with the same parts has the same bytes, and none of them was encoded for it."""
    messages = open_messages(AgentTask(system="Mend «code».", prompt="`add`\n\ud83d subtracts."))
    payload = {"model": "m", "messages": messages, "tools": offered_tools(with_tests=True), "top_p": 0.8}
    first = encode_request(payload)
    assert json.loads(first) == json.loads(json.dumps(payload).replace("\\ud83d", "?"))
    written: list[object] = []
    plain = encoding._encode
    monkeypatch.setattr(encoding, "_encode", lambda value: written.append(value) or plain(value))
    assert encode_request(payload) == first
    assert [value for value in written if not isinstance(value, str | float)] == []
