"""ATIF documents, judged by Harbor's own models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workflows.trajectory.conftest import Judge
from tests.workflows.trajectory.recorded import (
    TASK,
    TOOLS,
    Recording,
    call,
    compacted_session,
    head,
    plain_session,
    result,
    turns,
)
from workflows.trajectory.atif import atif_documents
from workflows.trajectory.events import BrokenChain, Event
from workflows.types import Reply, Turn, Usage


def documents_of(events: list[Event], **more: Any) -> list[dict[str, Any]]:
    return atif_documents(head(), events, version="1.2.3", **more)


def test_harbor_takes_the_document_whole(harbor: Judge) -> None:
    """Harbor's models accept a session with everything in it, and lose no field of it."""
    documents = documents_of(plain_session().events)
    (answer,) = harbor(documents)
    assert answer["errors"] == []
    assert [answer["kept"]] == json.loads(json.dumps(documents))


def test_harbor_refuses_what_is_no_atif(harbor: Judge) -> None:
    """The judge is awake: a gap in the steps, a result of no call and a field of ours at the top are refused."""
    (document,) = documents_of(plain_session().events)
    gap = document | {"steps": document["steps"][1:]}
    top = document | {"reward": 1.0}
    stray = json.loads(json.dumps(document))
    stray["steps"][2]["observation"]["results"][0]["source_call_id"] = "nobody"
    assert all(answer["errors"] for answer in harbor([gap, top, stray]))


def test_what_a_document_says() -> None:
    """Opening, notices, calls with their results, spending, verdict and reward stand where ATIF has them."""
    (document,) = documents_of(plain_session().events)
    steps = document["steps"]
    assert document["schema_version"] == "ATIF-v1.8"
    assert document["agent"] == {
        "name": "forgehand",
        "version": "1.2.3",
        "model_name": "qwen3-coder",
        "tool_definitions": TOOLS,
    }
    assert [step["source"] for step in steps] == [
        *("system", "user", "agent", "agent"),
        *("user", "agent", "user", "agent", "agent"),
    ]
    assert (steps[0]["message"], steps[1]["message"]) == (TASK.system, TASK.prompt)
    first = steps[2]
    assert [made["tool_call_id"] for made in first["tool_calls"]] == ["t0001c000", "t0001c001"]
    assert first["tool_calls"][0]["arguments"] == {"path": "total.py", "limit": 40}
    assert [came["content"] for came in first["observation"]["results"]] == ["1\tlines[:-1]", "total.py\n"]
    assert first["reasoning_content"] == "Where is it?"
    assert first["metrics"] == {"prompt_tokens": 100, "completion_tokens": 10, "cached_tokens": 50, "cost_usd": 0.001}
    assert steps[5]["tool_calls"][0]["extra"] == {"raw_arguments": '{"command": "py'}
    assert steps[7]["model_name"] == "qwen3-max"
    assert steps[8]["extra"]["stop"] == "finished"
    assert document["final_metrics"]["total_prompt_tokens"] == 1500
    assert document["final_metrics"]["total_steps"] == len(steps) == 9
    assert document["extra"]["reward"] == 1.0
    assert document["extra"]["verdict"]["fail_to_pass"] == ["test_total::last"]
    assert "continued_trajectory_ref" not in document


def test_a_compaction_begins_a_segment(harbor: Judge) -> None:
    """A compaction that drops messages begins a document, which repeats what was kept and says so; a mask does not."""
    documents = documents_of(compacted_session().events)
    assert [answer["errors"] for answer in harbor(documents)] == [[], [], []]
    assert [document.get("continued_trajectory_ref") for document in documents] == [
        "job-1/agent.seg1",
        "job-1/agent.seg2",
        None,
    ]
    assert [document["trajectory_id"] for document in documents] == [f"job-1/agent.seg{index}" for index in range(3)]
    assert {document["session_id"] for document in documents} == {"job-1/agent"}
    first, second, third = ([bool(step.get("is_copied_context")) for step in made["steps"]] for made in documents)
    assert first == [False] * 6
    # system, task; the compaction's words; turn three's notice and reply; turn four's notice and reply
    assert second == [True, True, False, True, True, False, False]
    assert third == [True, True, False, False]
    words = documents[1]["steps"][2]
    assert words["message"] == "The turns before were left out."
    assert [made["kind"] for made in words["extra"]["compactions"]] == ["snapshot", "trim"]
    assert documents[0]["steps"][5]["extra"]["compactions"][0]["kind"] == "mask"


def test_totals_of_segments_add_up() -> None:
    """Each token is counted in one segment, those of a snapshot too."""
    counts = [made["final_metrics"]["total_prompt_tokens"] for made in documents_of(compacted_session().events)]
    assert counts == [600, 450, 500]


def test_segments_may_be_named_after_files() -> None:
    """The reference to the next segment is the name that it is stored under."""
    documents = documents_of(compacted_session().events, name=lambda index: f"a.cont-{index}.json")
    assert documents[0]["continued_trajectory_ref"] == "a.cont-1.json"


def test_an_infrastructure_failure_is_labelled(harbor: Judge) -> None:
    """A session whose world broke says so and has no reward, whatever its verdict."""
    recording = Recording()
    recording.turn(turns()[0])
    recording.end("model_unavailable", infrastructure=True, status="unverified", fail_to_pass=[], pass_to_pass=0)
    documents = documents_of(recording.events)
    assert harbor(documents)[0]["errors"] == []
    assert documents[0]["extra"]["label"] == "infrastructure"
    assert documents[0]["extra"]["reward"] is None


def test_a_session_without_a_turn_is_a_document(harbor: Judge) -> None:
    """A session that ended before its first reply, or inside a turn, still makes a valid document, with a note."""
    empty, torn = Recording(), Recording()
    only = call(1, 0, "bash", command="sleep 9")
    torn.ask(1)
    torn.add("llm_response", 1, Reply(tool_calls=(only,), usage=Usage(estimated=True)))
    torn.add("tool_intent", 1, only)
    documents = documents_of(empty.events) + documents_of(torn.events)
    assert [answer["errors"] for answer in harbor(documents)] == [[], []]
    assert documents[0]["extra"]["label"] == "unfinished"
    assert "Turn 1 was answered and not finished" in documents[1]["notes"]


def test_hostile_texts_pass(harbor: Judge) -> None:
    """Control characters, odd Unicode, an unanswered call and a result of no call make a valid document."""
    recording = Recording()
    wanted = [
        call(1, 0, "bash", command="\x00\x1b[31m\u202e\U0001f600"),
        call(1, 1, "no_such_tool", a=[1, {"b": None}]),
    ]
    stray = result(call(9, 9, "bash", command="x"), "stray\x00")
    reply = Reply(content="\x1b]0;t\x07", tool_calls=tuple(wanted), usage=Usage(estimated=True))
    recording.turn(Turn(number=1, reply=reply, results=(stray,)))
    assert harbor(documents_of(recording.events))[0]["errors"] == []


def test_a_log_without_a_beginning_is_named() -> None:
    """Events that do not begin with a session are no trajectory."""
    events = plain_session().events[1:]
    with pytest.raises(BrokenChain, match="no beginning"):
        documents_of(events)
