"""`make bench-review` with a model: whatever the endpoint does, it ends with figures that are the model's, or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from app.demo.scripted_model import ScriptedModel
from tests.bench.bench_review_set import main
from tests.review_set.cases import Case, load_cases
from tests.stories.scripts import finish, turn

MODEL = "the-model-of-a-user"
CASES = {case.id: case for case in load_cases("python")}
FOUND, SILENT = CASES["python/order_pages/defect"], CASES["python/host_names/clean"]
FAILS, HANGS = CASES["python/split_bill/defect"], CASES["python/role_cache/defect"]
BABBLES = CASES["python/import_feed/clean"]


def point(case: Case) -> dict[str, Any]:
    """What a good reviewer hands over."""
    assert case.defect is not None
    path, line = case.defect.places[0]
    return {"severity": "important", "category": "bug", "path": path, "line": line, "title": case.defect.why}


def answers(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    """What the endpoint says: words alone to whatever no entry is for, and to the second reader."""
    babble = [turn(say="I have looked at everything, and it is fine.") for _ in range(12)]
    second = {"match": "You are the second reader of a code review", "content": "It stands, I think."}
    return [*babble, second, *entries]


def reply(case: Case, *findings: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """The reply to the request for one review; the endpoint counts 1,000 tokens in and 50 out for it."""
    usage = {"prompt_tokens": 1_000, "completion_tokens": 50, "total_tokens": 1_050}
    handed = finish(json.dumps({"findings": list(findings)}))
    return turn(handed, match=case.title, usage=usage, **rest)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Serves entries at OPENAI_BASE_URL, as a user sets it."""
    monkeypatch.chdir(tmp_path)
    servers = []

    def serve(entries: Sequence[dict[str, Any]]) -> ScriptedModel:
        server = ScriptedModel(entries, name=MODEL).start()
        servers.append(server)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        monkeypatch.setenv("FORGEHAND_MODEL", MODEL)
        monkeypatch.setenv("FORGEHAND_MODEL_FIRST_SECONDS", "5")
        return server

    yield serve
    for server in servers:
        server.stop()


def only(*cases: Case) -> list[str]:
    """The options that choose these cases."""
    return [word for case in cases for word in ("--only", case.id)]


@pytest.mark.usefixtures("engine")
def test_a_broken_review_is_no_verdict_on_the_model(
    endpoint: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reviews that fail or are babble are named and count for nothing; the others count, and it exits with 1."""
    endpoint(
        answers(
            reply(FOUND, point(FOUND)),
            reply(SILENT),
            reply(FAILS, faults=[{"status": 403, "body": "no such deployment", "times": -1}]),
        )
    )
    wanted = only(FOUND, SILENT, FAILS, BABBLES)
    code = main(["python", *wanted, "--at-once", "4", "--json", str(tmp_path / "out.json")])
    said, told = capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())
    assert code == 1, said
    assert set(told["cases"]) == {FOUND.id, SILENT.id}
    assert set(told["unscored"]) == {FAILS.id, BABBLES.id}
    assert "no such deployment" in told["unscored"][FAILS.id]
    posted = told["stages"]["posted"]
    assert (posted["recall"]["part"], posted["recall"]["whole"]) == (1, 1)
    assert (posted["silent"]["part"], posted["silent"]["whole"]) == (1, 1), "babble about a clean change is no silence"
    assert told["cases"][FOUND.id]["challenged"] is False, "the second reader's answer could not be read"
    assert told["usage"]["input_tokens"] >= 2_000
    assert all(f"  {case.id}: " in said for case in (FAILS, BABBLES))
    assert f"reviewer: {MODEL}\n" in said
    assert "written by a script" not in said


@pytest.mark.usefixtures("engine")
def test_a_review_that_never_ends_is_left(endpoint: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """When the endpoint is silent for longer than the patience, the review is cancelled and named."""
    endpoint(answers(reply(HANGS, faults=[{"hang": 120, "times": -1}])))
    assert main(["python", *only(HANGS), "--patience", "2"]) == 1
    assert f"{HANGS.id}: the review had not ended after 2 s" in capsys.readouterr().out


@pytest.mark.usefixtures("engine")
def test_an_endpoint_that_is_gone_is_not_asked_for_ever(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a few reviews in a row that could not be made the rest is not begun, and there is no score at all."""
    monkeypatch.setattr("tests.review_set.reviewing.GIVE_UP", 1)
    server = endpoint(answers(*(reply(one, faults=[{"status": 402, "times": -1}]) for one in (FOUND, FAILS))))
    assert main(["python", *only(FOUND, FAILS), "--at-once", "1"]) == 1
    said = capsys.readouterr().out
    assert "not begun, because 1 reviews in a row" in said
    assert "precision" not in said
    assert len(server.completions()) == 1


def test_nothing_is_begun_without_an_endpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address at which nobody answers, or a word that no case has in its name, ends it at once with 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert main(["python"]) == 2
    assert "does not answer" in capsys.readouterr().out
    assert main(["--only", "no such case"]) == 2


@pytest.mark.usefixtures("engine")
def test_the_script_reviews_without_an_endpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a model the recorded replies are played, and the label says above all figures that no model did it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert main(["python", "--only", "role_cache"]) == 0
    said = capsys.readouterr().out
    assert "measures the scaffolding, no model" in said.partition("precision")[0]
    assert "as the reviewer handed it over" in said


@pytest.mark.usefixtures("engine")
def test_a_run_that_is_stopped_tells_what_it_has(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends what runs and begins nothing more, and what was reviewed by then is in the table."""
    endpoint(answers(reply(FOUND, point(FOUND)), reply(HANGS, faults=[{"hang": 120, "times": -1}]), reply(FAILS)))

    def interrupted(work: Sequence[Future[Any]]) -> None:
        work[0].result()
        raise KeyboardInterrupt

    monkeypatch.setattr("tests.review_set.reviewing.wait", interrupted)
    assert main(["python", *only(FOUND, HANGS, FAILS), "--at-once", "1"]) == 1
    said = capsys.readouterr().out
    assert "changes: 1 with a defect, 0 clean; 2 not scored" in said
    assert said.count("stopped") >= 2
