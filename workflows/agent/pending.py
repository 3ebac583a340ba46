"""Stand-ins until the dialects and the deltas are there."""

from __future__ import annotations

from typing import Any

from workflows.types import ToolCall

try:
    from workflows.agent.dialects import read_calls
except ImportError:

    class _Read:
        def __init__(self, content: str) -> None:
            self.content, self.calls, self.incomplete, self.malformed = content, (), (), ()

    def read_calls(text: str, tools: Any) -> Any:
        return _Read(text)


try:
    from workflows.agent.deltas import Assembly
except ImportError:

    class Assembly:  # type: ignore[no-redef]
        def __init__(self) -> None:
            self._calls: dict[int, dict[str, str]] = {}

        def add(self, item: Any) -> None:
            index = item.get("index", len(self._calls))
            call = self._calls.setdefault(index, {"id": f"call_{index}", "name": "", "arguments": ""})
            function = item.get("function") or {}
            call["id"] = item.get("id") or call["id"]
            call["name"] += function.get("name") or ""
            call["arguments"] += function.get("arguments") or ""

        def calls(self) -> tuple[ToolCall, ...]:
            return tuple(ToolCall(**call) for call in self._calls.values())


__all__ = ["Assembly", "read_calls"]
