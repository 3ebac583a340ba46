"""How streamed fragments of tool calls are put together."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vectors.deltas import assemble, faults
from workflows.agent.calls.deltas import Assembly
from workflows.agent.calls.toolcalls import MalformedCall, parse_call
from workflows.agent.tools import TOOLS
from workflows.types import ToolCall

VECTORS = json.loads((Path(__file__).parent.parent / "cases" / "toolcall_deltas.json").read_text("utf-8"))
LIMITED = settings(max_examples=100, derandomize=True, deadline=None)
BROKEN = {
    "unclosed_string": ["unclosed"],
    "jsonrepair": ["missing_value"],
    "invalid": ["not_json"],
    "invalid_json": ["not_json"],
    "polluted": ["unclosed", "not_json"],
    "recent_incomplete": ["", "", "unclosed"],
    "null": ["not_an_object"],
    "array": ["not_an_object"],
}


def fragment(
    arguments: object = None, *, name: str | None = None, id: str | None = None, index: object = None
) -> dict[str, Any]:
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


def assembled(fragments: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    assembly = Assembly()
    for item in fragments:
        assembly.add(item)
    return [(call.id, call.name, call.arguments) for call in assembly.calls()]


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["id"])
def test_vectors_of_public_clients(case: dict[str, Any]) -> None:
    """Calls come out as other clients put them together; what is broken is told from what may be run."""
    assert assemble(case["chunks"]) == case["expected"]
    assert faults(case["chunks"]) == BROKEN.get(case["id"], [""] * len(case["expected"]))


@pytest.mark.parametrize("arguments", ['{"command": "rm -r a', '{"command": "rm -r a"', '{"command": }', '{"command"'])
def test_arguments_that_were_cut_off_are_read_but_never_run(arguments: str) -> None:
    """Half a command is another command."""
    (call,) = assembled([fragment(arguments, name="bash", id="a", index=0)])
    assert call == ("a", "bash", arguments)
    assert isinstance(parse_call(ToolCall(id="a", name="bash", arguments=arguments), TOOLS), MalformedCall)


@pytest.mark.parametrize(
    ("fragments", "calls"),
    [
        ([fragment('{"a":', name="f"), fragment("1}")], [("", "f", '{"a":1}')]),
        ([fragment("{}", name="f"), fragment("{}", name="f")], [("", "f", "{}"), ("", "f", "{}")]),
        ([fragment("", name="f"), fragment("", name="g")], [("", "f", ""), ("", "g", "")]),
        ([fragment("", name="f"), fragment("{}")], [("", "f", "{}")]),
        ([fragment({"a": "é"}, name="f")], [("", "f", '{"a": "é"}')]),
        ([fragment("", name="", id="x", index=0), fragment("{}", name="f", index=0)], [("x", "f", "{}")]),
        ([fragment('{"a":', name=" f ", index=0), fragment("1}", name="g", index=0)], [("", "f", '{"a":1}')]),
        ([fragment("{", name="f", id="x", index=0), fragment("}", id="y", index=0)], [("x", "f", "{}")]),
        ([fragment("{}", name="f", id="x", index=0)] * 2, [("x", "f", "{}")]),
        ([fragment("{}", name="f", id="x", index=0), fragment("{}", name="f", id="x", index=1)], [("x", "f", "{}")]),
        (
            [fragment("{}", name="f", id="x", index=0), fragment("{}", name="g", id="x", index=1)],
            [("x", "f", "{}"), ("x_2", "g", "{}")],
        ),
        (
            [fragment("{}", name="f", id="x"), fragment("{", name="g", id="y"), fragment("}")],
            [("x", "f", "{}"), ("y", "g", "{}")],
        ),
        (
            [fragment("{}", name="f", index=0), fragment("{}", name="g", index=0)],
            [("", "f", "{}"), ("", "g", "{}")],
        ),
        (
            [
                fragment('{"k":', name="f", id="x", index=0),
                fragment("{}", name="g", id="y", index=2),
                fragment("1}", index=2),
            ],
            [("x", "f", '{"k":1}'), ("y", "g", "{}")],
        ),
        (
            [fragment("{}", name="f", id="x", index=0), fragment("", index=0), fragment(" ", index=0)],
            [("x", "f", "{}")],
        ),
        ([fragment("{}", index=True, id=7, name="f")], [("", "f", "{}")]),  # type: ignore[arg-type]
        ([{}, {"function": None}, {"index": 0, "function": "f"}, fragment(None)], []),
        ([fragment('{"a": "}\\"', name="f", index=0), fragment('\\\\"}', index=0)], [("", "f", '{"a": "}\\"\\\\"}')]),
    ],
)
def test_what_servers_do_with_indices_ids_and_names(
    fragments: list[dict[str, Any]], calls: list[tuple[str, str, str]]
) -> None:
    """Each row is one server's habit; every call comes out once and whole."""
    assert assembled(fragments) == calls


def test_a_call_without_a_name_keeps_its_place() -> None:
    """It cannot be run; the model can be told. What says nothing is no call, and an id says nothing."""
    sent = [fragment("{}", id="x", index=0), fragment("", index=1), fragment(" ", id="z", index=2)]
    assert assembled(sent) == [("x", "", "{}")]
    assert assembled([*sent, fragment('{"a":', name="f", index=3)]) == [("x", "", "{}"), ("", "f", '{"a":')]


@pytest.mark.parametrize("index", [0, None])
@pytest.mark.parametrize("opening", [[], [""], ["", " "]])
def test_fragments_under_ids_of_their_own_are_one_call(index: int | None, opening: list[str]) -> None:
    """Servers that make up an id for every fragment often send an empty one before the arguments, and one after."""
    assembly = Assembly()
    for number, piece in enumerate([*opening, '{"command": ', '"ls"}', "", ""]):
        assembly.add(fragment(piece, name=None if number else "bash", id=f"id{number}", index=index))
    (call,) = assembly.calls()
    assert (call.name, call.arguments.strip()) == ("bash", '{"command": "ls"}')


JSON = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(st.sampled_from('ab{}[]"\\:,\n é'), max_size=20)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@LIMITED
@given(
    objects=st.lists(JSON, min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 200), max_size=12),
    order=st.randoms(use_true_random=False),
    with_ids=st.booleans(),
    repeat_ids=st.booleans(),
)
def test_any_chunking_gives_the_same_calls(
    objects: list[dict[str, Any]], cuts: list[int], order: Any, with_ids: bool, repeat_ids: bool
) -> None:
    """However the arguments are cut, and however parallel calls are interleaved, nothing is lost or swapped."""
    queues: list[list[dict[str, Any]]] = []
    for number, value in enumerate(objects):
        text = json.dumps(value, ensure_ascii=False)
        places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
        pieces = [text[start:end] for start, end in pairwise(places)]
        name_id = f"id{number}" if with_ids else None
        opener = fragment("", name=f"f{number}", id=name_id, index=number)
        rest = [fragment(piece, id=name_id if repeat_ids else None, index=number) for piece in pieces]
        queues.append([opener, *rest])
    stream = []
    while any(queues):
        stream.append(order.choice([queue for queue in queues if queue]).pop(0))
    got = {name: (call_id, arguments) for call_id, name, arguments in assembled(stream)}
    assert got == {
        f"f{number}": (f"id{number}" if with_ids else "", json.dumps(value, ensure_ascii=False))
        for number, value in enumerate(objects)
    }


@LIMITED
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "index": st.sampled_from([None, -1, 0, 1, 10**30, "0", True]),
                "id": st.sampled_from([None, "", "a", "b", 3, "\ud800"]),
                "function": st.one_of(
                    st.none(),
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "name": st.sampled_from([None, "", "f", "g", 4, "\ud800"]),
                            "arguments": st.sampled_from(
                                [None, "", "{", "}", '"', "\\", "]", "{}", 5, {"a": "\ud800"}]
                            ),
                        },
                    ),
                ),
            },
        ),
        max_size=12,
    )
)
def test_any_fragments_are_taken_without_an_error(fragments: list[dict[str, Any]]) -> None:
    """Whatever a server streams, the calls can be stored, and each says something."""
    assert all((name or arguments).encode() for _, name, arguments in assembled(fragments))


@pytest.mark.parametrize(
    "item",
    [
        fragment("x", index=0),
        fragment("{"),
        fragment("{}", name="f", id="a", index=0),
        fragment("{}", name="f"),
        fragment("[]", index=0),
        fragment(" ", name="f"),
    ],
)
def test_assembly_costs_linear_time(item: dict[str, Any]) -> None:
    """Four times the fragments cost about four times as much."""

    def cost(count: int) -> float:
        best = 9.0
        fragments = [item] * count
        for _ in range(3):
            # The collector looks at what the whole suite has left, and other threads have costs of their own.
            gc.disable()
            try:
                started = time.thread_time()
                assembled(fragments)
                best = min(best, time.thread_time() - started)
            finally:
                gc.enable()
        return best

    assert cost(20_000) < 8 * cost(5_000) + 0.1


def test_a_name_that_is_said_again_beside_a_made_up_id() -> None:
    """What cannot begin arguments goes on with those of the call under way; what can begins a call."""
    begun = fragment('{"command": ', name="bash", id="a1", index=0)
    said_again = fragment('"ls"}', name="bash", id="b2", index=0)
    assert assembled([begun, said_again]) == [("a1", "bash", '{"command": "ls"}')]
    other = fragment('"ls"}', name="grep", id="b2", index=0)
    assert assembled([begun, other]) == [("b2", "grep", '{"command": "ls"}')], "the later name counts"
    another = fragment('{"command": "pwd"}', name="bash", id="b2", index=0)
    assert assembled([begun, another])[1] == ("b2", "bash", '{"command": "pwd"}')
