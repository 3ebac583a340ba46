"""From the settings to model clients: who is asked, in what way, with whose key."""

from __future__ import annotations

from typing import Any

import pytest

from app.demo.scripted_model import ScriptedModel
from app.models import connect_models
from app.settings import Settings, SettingsError, read_settings, split_fallback, variable_names
from workflows.agent.client.fallbacks import FallbackModel

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for names in variable_names().values():
        for name in names:
            monkeypatch.delenv(name, raising=False)


def read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_settings(env_file=None)


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        ("qwen3-coder-plus", "qwen3-coder-plus", None),
        ("qwen/qwen3-coder:free", "qwen/qwen3-coder:free", None),
        ("model@q4_k_m", "model@q4_k_m", None),
        ("qwen3@https://host/v1/", "qwen3", "https://host/v1"),
        ("model@q4@http://localhost:8001/v1", "model@q4", "http://localhost:8001/v1"),
    ],
)
def test_a_fallback_is_a_name_and_perhaps_an_address(text: str, name: str, url: str | None) -> None:
    """Model names may hold an @ of their own."""
    assert split_fallback(text) == (name, url)


def test_no_endpoint_sees_anothers_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in at the same endpoint uses its key; another endpoint gets its own key, or none at all."""
    with ScriptedModel([{"content": "a"}]) as first, ScriptedModel([{"content": "b"}]) as second:
        variables = {
            "OPENAI_BASE_URL": first.url,
            "OPENAI_API_KEY": "sk-first",
            "FORGEHAND_FALLBACK_MODELS": f"small, other@{second.url}",
        }
        for model in connect_models(read(monkeypatch, **variables)):
            model.complete(HELLO)
        for model in connect_models(read(monkeypatch, FORGEHAND_FALLBACK_API_KEYS="sk-second")):
            model.complete(HELLO)
        keys = [request.headers["authorization"] for request in first.completions()]
        assert keys == ["Bearer sk-first"] * 4
        assert [request.json["model"] for request in first.completions()] == ["qwen3-coder", "small"] * 2
        assert [request.headers["authorization"] for request in second.completions()] == [
            "Bearer none",
            "Bearer sk-second",
        ]


def test_the_settings_reach_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Window, preset, sampling and streaming are the operator's; without them, what is known of the model."""
    known = read(monkeypatch, OPENAI_BASE_URL="https://dashscope-intl.aliyuncs.com/compatible-mode/v1")
    (model,) = connect_models(known)
    assert (model.preset.name, model.context_window, model.sampling["top_k"]) == ("dashscope", 262_144, 20)
    own = read(
        monkeypatch,
        FORGEHAND_MODEL_PRESET="VLLM",
        FORGEHAND_MODEL_SAMPLING='{"temperature": 0}',
        FORGEHAND_MODEL_STREAM="false",
        FORGEHAND_CONTEXT_WINDOW="40000",
    )
    (model,) = connect_models(own)
    assert (model.preset.name, model.context_window, model.sampling) == ("vllm", 40_000, {"temperature": 0})
    assert not model.concessions.streams
    plain = read(monkeypatch, FORGEHAND_MODEL_SAMPLING="{}")
    assert connect_models(plain)[0].sampling == {}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"FORGEHAND_MODEL_SAMPLING": "0.7"}, "FORGEHAND_MODEL_SAMPLING takes a JSON object"),
        ({"FORGEHAND_MODEL_SAMPLING": "{oops"}, "FORGEHAND_MODEL_SAMPLING takes a JSON object"),
        ({"FORGEHAND_MODEL_PRESET": "azure"}, "FORGEHAND_MODEL_PRESET is wrong"),
        ({"FORGEHAND_FALLBACK_MODELS": "a,@https://host/v1"}, "takes names by commas"),
        ({"FORGEHAND_FALLBACK_MODELS": "a@https://user:pw@host/v1"}, "must be a plain URL"),
        ({"FORGEHAND_FALLBACK_MODELS": "a", "FORGEHAND_FALLBACK_API_KEYS": "x,y"}, "one for each endpoint"),
    ],
    ids=str,
)
def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str) -> None:
    """Each with its variable, at the start and not at the first job."""
    with pytest.raises(SettingsError, match=words) as caught:
        read(monkeypatch, **variables)
    assert "pw" not in str(caught.value)


def test_one_model_is_a_client_and_several_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """The composition hands out whichever it is, and hides every key in logs."""
    from app.composition import Composition

    settings: Any = read(
        monkeypatch,
        OPENAI_BASE_URL="http://localhost:1/v1",
        FORGEHAND_FALLBACK_MODELS="b@http://localhost:2/v1",
        FORGEHAND_FALLBACK_API_KEYS="sk-sentinel-77",
    )
    composition = Composition(settings, say=print)
    assert isinstance(composition.model, FallbackModel)
    assert "sk-sentinel-77" not in composition.redactor.redact("key sk-sentinel-77") + repr(composition.model)
    assert "sk-sentinel-77" not in repr(settings)
