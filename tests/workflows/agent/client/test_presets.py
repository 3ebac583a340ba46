"""What is known of endpoints and models: how they are recognised, what they are sent, how their figures are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.workflows.agent.conftest import Serve
from workflows.agent.client.listing import parse_model_list
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.client.presets import (
    GENERIC,
    NAMES,
    PRESETS,
    find_preset,
    find_preset_by_owner,
    sampling_for,
    window_for,
)
from workflows.agent.client.refusals import parse_error_inside, parse_refusal
from workflows.agent.client.usage import Prices, parse_usage

Connect = Callable[..., OpenAIModel]

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object", "properties": {}}}}
CARD = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05}
RENAMED = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repeat_penalty": 1.05}
PLAIN = {"temperature": 0.7, "top_p": 0.8}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "dashscope"),
        ("https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1", "dashscope"),
        ("https://coding.dashscope.aliyuncs.com/v1", "dashscope"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.together.xyz/v1", "together"),
        ("http://localhost:8000/v1", "vllm"),
        ("http://gpu.internal:30000/v1", "sglang"),
        ("http://127.0.0.1:11434/v1", "ollama"),
        ("http://[::1]:8080/v1", "llamacpp"),
        ("http://localhost:1234/v1", "lmstudio"),
        ("https://notopenrouter.ai/v1", "generic"),
        ("https://openrouter.ai.evil.example/v1", "generic"),
        ("https://api.example.com/v1", "generic"),
    ],
)
def test_endpoints_are_recognised_by_their_address(url: str, name: str) -> None:
    """The host first, then the kind's default port; anything else is asked in OpenAI's words alone."""
    assert find_preset(url).name == name


def test_the_operators_word_wins() -> None:
    """Whatever the address says; and what a model list says of its owner is understood."""
    for name in NAMES:
        assert find_preset("http://localhost:11434/v1", name=name).name == name
    assert [find_preset_by_owner(owner).name for owner in ("vllm", "sglang", "llamacpp", "library")] == [  # type: ignore[union-attr]
        "vllm",
        "sglang",
        "llamacpp",
        "ollama",
    ]
    assert find_preset_by_owner("openai") is None


@pytest.mark.parametrize(
    ("name", "sampling"),
    [
        ("dashscope", CARD),
        ("openrouter", CARD),
        ("together", CARD),
        ("vllm", CARD),
        ("sglang", CARD),
        ("ollama", PLAIN),
        ("llamacpp", RENAMED),
        ("lmstudio", RENAMED),
        ("generic", PLAIN),
    ],
)
def test_the_model_cards_sampling_is_sent_in_the_endpoints_words(
    serve: Serve, connect: Connect, name: str, sampling: dict[str, Any]
) -> None:
    """A field that an endpoint does not take is left out; what an endpoint needs with tools goes with tools alone."""
    preset = find_preset("", name=name)
    server = serve([{"content": "ok"}])
    model = connect(server, model="Qwen/Qwen3-Coder-30B-A3B-Instruct", preset=preset)
    model.complete(HELLO)
    model.complete(HELLO, tools=[TOOL])
    bare, with_tools = (request.json for request in server.completions())
    kept = {"messages", "model", "stream", "stream_options"}
    assert {field: value for field, value in bare.items() if field not in kept} == sampling
    assert ("stream_options" in bare) == (name != "openrouter")
    extra = {field: value for field, value in with_tools.items() if field not in bare and field != "tools"}
    assert extra == ({"parallel_tool_calls": True} if name in {"dashscope", "llamacpp"} else {})


def test_unknown_models_keep_their_own_sampling() -> None:
    """Only what a model's card says is sent."""
    assert sampling_for("some-model", PRESETS[0]) == {}
    assert sampling_for("qwen3-coder-next", find_preset("", name="vllm"))["temperature"] == 1.0


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("qwen3-coder-plus", 1_000_000),
        ("qwen3-coder-plus-2025-09-23", 1_000_000),
        ("qwen/qwen3-coder", 262_144),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", 262_144),
        ("unsloth/Qwen3-Coder-30B-A3B-Instruct-1M-GGUF", 1_000_000),
        ("qwen3-coder-next", 262_144),
        ("gpt-x", 131_072),
    ],
)
def test_windows_are_known_by_name(serve: Serve, connect: Connect, model: str, window: int) -> None:
    """The operator's figure wins; a desktop server is not believed to have been started with the model's all."""
    assert window_for(model, GENERIC) == window
    assert window_for(model, find_preset("", name="ollama")) == 32_768
    server = serve([])
    assert connect(server, model=model).context_window == window
    assert connect(server, model=model, context_window=9_999).context_window == 9_999


@pytest.mark.parametrize(
    ("answer", "window"),
    [
        ({"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 65_536}]}, 65_536),
        ({"data": [{"id": "m", "context_length": 262_144, "top_provider": {"context_length": 1}}]}, 262_144),
        ([{"id": "m", "context_length": 131_072}], 131_072),
        ({"data": [{"id": "m", "max_context_length": 32_768, "loaded_context_length": 4_096}]}, 4_096),
        ({"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": 8_192, "n_ctx_train": 262_144}}]}, 8_192),
        ({"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 262_144}}]}, 262_144),
        ({"models": [{"name": "m", "model": "m", "context_length": 40_960}]}, 40_960),
        ({"data": [{"id": "m", "meta": None}]}, 0),
    ],
)
def test_windows_are_read_from_every_form_of_model_list(answer: Any, window: int) -> None:
    """vLLM, OpenRouter, Together's bare array, LM Studio, llama.cpp, Ollama."""
    (listed,) = parse_model_list(answer)
    assert (listed.id, listed.window) == ("m", window)


@pytest.mark.parametrize("answer", [{}, [], {"data": 1}, {"data": [1]}, "list", None])
def test_what_is_no_model_list_is_no_model_list(answer: Any) -> None:
    """An empty list is one; anything else raises ValueError and nothing else."""
    if answer == []:
        assert parse_model_list(answer) == ()
    else:
        with pytest.raises(ValueError, match="not a list"):
            parse_model_list(answer)


@pytest.mark.parametrize(
    "figures",
    [
        {"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 800}},
        {"input_tokens": 1000, "output_tokens": 50, "input_tokens_details": {"cached_tokens": 800}},
        {"prompt_tokens": 1000, "completion_tokens": 50, "prompt_cache_hit_tokens": 800},
        {"prompt_tokens": 1000, "completion_tokens": 50, "cached_tokens": 800, "prompt_tokens_details": None},
        {"prompt_tokens": 1000, "completion_tokens": 50, "cache_read_input_tokens": 800},
        {"prompt_tokens": 1000, "completion_tokens": 50, "timings": {"cache_n": 800, "prompt_n": 200}},
        {
            "prompt_tokens": 1000,
            "completion_tokens": 20,
            "total_tokens": 1050,
            "prompt_tokens_details": {"cached_tokens": 800},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
        {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "total_tokens": 1050,
            "prompt_tokens_details": {"cached_tokens": 800},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
    ],
)
def test_cached_and_reasoning_tokens_are_read_in_every_form(figures: dict[str, Any]) -> None:
    """Reasoning is counted once: most count it as output, the others are known by their total."""
    prices = Prices(input=1.0, output=10.0, cached_input=0.1)
    usage = parse_usage(figures, {}, "x", prices=prices)
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (1000, 800, 50)
    assert usage.usd == pytest.approx((200 + 80 + 500) / 1_000_000)
    assert not usage.estimated


def test_what_was_charged_is_believed() -> None:
    """OpenRouter's `cost`; with the operator's own key the upstream's bill comes on top."""
    figures = {"prompt_tokens": 9, "completion_tokens": 9, "cost": 0.25, "cost_details": {"upstream_inference_cost": 2}}
    assert parse_usage(figures, {}, "x", prices=Prices()).usd == 0.25
    assert parse_usage({**figures, "is_byok": True}, {}, "x", prices=Prices()).usd == 2.25
    assert parse_usage({**figures, "cost": True}, {}, "x", prices=Prices(input=1.0)).usd == pytest.approx(9e-6)


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 32768 tokens. However, you requested 40000 tokens",  # vLLM, OpenAI
        "The input (40000 tokens) is longer than the model's context length (32768 tokens).",  # SGLang
        "Range of input length should be [1, 997952]",  # Model Studio
        '{"error": {"code": 400, "type": "exceed_context_size_error", "message": "the request exceeds"}}',  # llama.cpp
        "Trying to keep the first 9000 tokens when context the overflows.",  # LM Studio
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 32769.",  # Together
        "prompt is too long: 210000 tokens > 200000 maximum",
        "Input length (300000 tokens) exceeds the maximum allowed length (262144 tokens).",  # SGLang
        "Please reduce the length of the messages or completion. Current length is 42328",  # Cerebras
        "Input tokens exceed the configured limit of 272000 tokens.",  # OpenAI
    ],
)
def test_a_full_context_is_told_from_other_refusals(words: str) -> None:
    """In the words of each kind of server."""
    assert parse_refusal(400, words, {}, model="m").too_long
    for other in ("temperature must be below 2", "`name` exceeds the maximum allowed length of 64 characters"):
        assert not parse_refusal(400, other, {}, model="m").too_long


ARREARS = {"code": "Arrearage", "type": "Arrearage", "message": "Access denied, is your account in good standing?"}


def test_an_account_in_arrears_is_told_from_a_wrong_request() -> None:
    """Model Studio says so with a 400, or within a stream; it is not tried again, and what to do is said."""
    plain = parse_refusal(400, json.dumps({"error": ARREARS}), {}, model="m")
    inside = parse_error_inside({"error": ARREARS}, model="m")
    for refusal in (plain, inside):
        assert refusal is not None
        assert (refusal.unavailable, refusal.transient) == (True, False)
        assert "out of credit" in refusal.message
    assert not parse_refusal(400, "no field `billing_address`", {}, model="m").unavailable


@pytest.mark.parametrize(
    ("status", "body", "too_long"),
    [
        (413, "<html><h1>413 Request Entity Too Large</h1></html>", True),
        (413, "", True),
        (500, '{"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}', True),
        (500, '{"error": {"message": "CUDA error"}}', False),
        (429, '{"error": {"message": "too many tokens per minute"}}', False),
    ],
)
def test_a_conversation_is_shrunk_for_whoever_finds_it_too_large(status: int, body: str, *, too_long: bool) -> None:
    """A proxy that counts bytes, and llama.cpp while it answers; what is broken or hurried is tried again as it is."""
    refusal = parse_refusal(status, body, {}, model="m")
    assert refusal.too_long == too_long
    assert refusal.transient != too_long
    inside = parse_error_inside({"error": {"code": status, "message": body or "too large"}}, model="m")
    assert inside is not None
    assert inside.too_long == too_long
