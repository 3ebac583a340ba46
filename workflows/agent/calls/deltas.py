"""Putting native tool calls together from streamed fragments, whatever the server does with indices, ids and names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from workflows.types import ToolCall

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')


class Assembly:
    """The tool calls of one streamed reply. Feed it each item of each chunk's ``delta.tool_calls``, in order.

    What servers do, and what is made of it: the index is missing, or used again for another id (a new call); the id is
    missing, or comes late (the fragment belongs to the call at its index, or to the one whose JSON is still open); the
    name is empty at first, comes last, or is repeated (the first one that is not empty stands); a finished call is sent
    again (passed over). Linear in the length of all fragments.
    """

    def __init__(self) -> None:
        self._slots: list[_Slot] = []
        self._begun: list[_Slot] = []  # those with open JSON, and some that were closed since
        self._at_index: dict[int, _Slot] = {}
        self._of_id: dict[str, _Slot] = {}

    def add(self, delta: Mapping[str, Any]) -> None:
        """Take one fragment, in OpenAI's form: ``{"index", "id", "type", "function": {"name", "arguments"}}``.

        Every key may be absent or None; a value of the wrong type counts as absent. Arguments that come as an object
        are written as JSON.
        """
        function = delta.get("function")
        function = function if isinstance(function, Mapping) else {}
        index, call_id, arguments = delta.get("index"), _word(delta.get("id")), function.get("arguments")
        if isinstance(arguments, Mapping):
            arguments = json.dumps(arguments, ensure_ascii=False)
        text = arguments if isinstance(arguments, str) else ""
        place = index if isinstance(index, int) and not isinstance(index, bool) else None
        name = _word(function.get("name"))
        slot = self._find(place, call_id, name, text)
        if slot is None:
            slot = _Slot(place)
            self._slots.append(slot)
        if place is not None and not (slot.whole and slot.place != place):
            self._at_index[place] = slot
        if call_id and not slot.id:
            slot.id = call_id
        elif call_id and call_id not in self._of_id and name not in ("", slot.name):
            slot.id, slot.name = call_id, name  # of two names with an id each the later one counts, as in qwen-code
        if call_id:
            self._of_id.setdefault(call_id, slot)
        before = slot.mid_json
        slot.take(name, text)
        if slot.mid_json and not before:
            self._begun.append(slot)

    def calls(self) -> tuple[ToolCall, ...]:
        """The calls so far, in the order in which they began; arguments are raw text, perhaps cut off.

        An id is "" where the server gave none; one given to two calls gets a suffix. The same call twice under one id
        is one call. A call that came without a name has the name "" and keeps its place; without arguments too it is
        none, whatever its id: some servers make one up for every fragment, and send an empty one after the last.
        """
        found: list[ToolCall] = []
        said: dict[str, set[tuple[str, str]]] = {}
        for slot in self._slots:
            words = (slot.name, slot.text)
            if not (slot.name or words[1].strip()):
                continue
            others = said.setdefault(slot.id, set()) if slot.id else set()
            if words in others:
                continue
            call_id = f"{slot.id}_{len(others) + 1}" if others else slot.id
            others.add(words)
            found.append(ToolCall(id=_storable(call_id), name=_storable(slot.name), arguments=_storable(words[1])))
        return tuple(found)

    def _find(self, place: int | None, call_id: str, name: str, text: str) -> _Slot | None:
        """The slot that a fragment belongs to, or None: it begins a call."""
        here = self._at_index.get(place) if place is not None else None
        known = self._of_id.get(call_id) if call_id else None
        if known is not None:
            another = place is not None and known.place != place and here is None and name
            return None if another else known
        if call_id:
            return self._adopts(here, name, text) if place is not None else self._waiting(name)
        if place is None:
            return self._continued(name, text)
        if here is None or not here.is_other(name, text):
            return here
        return None if name else self._open()

    def _adopts(self, here: _Slot | None, name: str, text: str) -> _Slot | None:
        """The slot at a fragment's index when a new id on it does not mean a new call."""
        if here is None:
            return None
        if here.id:  # some servers make up an id for every fragment, and some say a name again beside it
            same = not name or (bool(text.strip()) and text.lstrip()[0] not in "{[")
            return here if same and (here.mid_json or not (name or here.whole)) else None
        return None if here.is_other(name, text) else here

    def _waiting(self, name: str) -> _Slot | None:
        """The last call, when it waits for its id: an id without an index and without a name of its own."""
        last = self._slots[-1] if self._slots else None
        return last if last and not name and (not last.whole or not last.id) else None

    def _continued(self, name: str, text: str) -> _Slot | None:
        """Where a fragment with neither index nor id goes."""
        last = self._slots[-1] if self._slots else None
        if last is not None and not last.is_other(name, text):
            return last
        return None if name else self._open()

    def _open(self) -> _Slot | None:
        """The last call whose JSON is not closed."""
        while self._begun and not self._begun[-1].mid_json:
            self._begun.pop()
        return self._begun[-1] if self._begun else None


class _Slot:
    """One call being put together. ``whole``: its arguments are a closed JSON object or array."""

    def __init__(self, place: int | None) -> None:
        self.place = place
        self.id = ""
        self.name = ""
        self.whole = False
        self._parts: list[str] = []
        self._depth = 0
        self._quoted = False
        self._escaped = False

    @property
    def text(self) -> str:
        """The arguments so far."""
        return "".join(self._parts)

    @property
    def mid_json(self) -> bool:
        """Whether the arguments have begun and are not closed."""
        return self._depth > 0

    def is_other(self, name: str, text: str) -> bool:
        """Whether a fragment at this slot's index, without an id, belongs to another call."""
        if self.whole:
            return bool(text.strip()) or bool(name and self.name and name != self.name)
        blank = not self.mid_json and not "".join(self._parts[:4]).strip()
        return bool(blank and name and self.name and name != self.name)

    def take(self, name: str, text: str) -> None:
        """Add a fragment. A closed call takes no more arguments: what comes then was said before."""
        self.name = self.name or name
        if self.whole or not text:
            return
        self._parts.append(text)
        self._follow(text)

    def _follow(self, text: str) -> None:
        at = 0
        if self._escaped:
            at, self._escaped = 1, False
        while at < len(text):
            found = (_INSIDE if self._quoted else _OUTSIDE).search(text, at)
            if found is None:
                return
            at = found.end()
            match found[0]:
                case '"':
                    self._quoted = not self._quoted
                case "\\":
                    self._escaped = at == len(text)
                    at += 1
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    self.whole = self.whole or self._depth == 0


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
