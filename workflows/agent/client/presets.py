"""What is known of the endpoints people use and of the models' windows: tables, and nothing looks at the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

# https://huggingface.co/Qwen/Qwen3-Coder-480B-A35B-Instruct ("Best Practices" and generation_config.json)
QWEN3_CODER_SAMPLING: Mapping[str, Any] = {
    "temperature": 0.7,
    "top_p": 0.8,
    "top_k": 20,
    "repetition_penalty": 1.05,
}
# https://www.lmstudio.ai/qwen/qwen3-coder-next, as in the card of https://huggingface.co/Qwen/Qwen3-Coder-Next
QWEN3_CODER_NEXT_SAMPLING: Mapping[str, Any] = {"temperature": 1.0, "top_p": 0.95, "top_k": 40}

# By a part of the model's name in lower case; the first that fits counts.
# Model cards: 262,144 natively, 1M by YaRN. Model Studio's plus and flash take 1M:
# https://www.alibabacloud.com/help/en/model-studio/models
WINDOWS: tuple[tuple[str, int], ...] = (
    ("qwen3-coder-plus", 1_000_000),
    ("qwen3-coder-flash", 1_000_000),
    ("instruct-1m", 1_000_000),
    ("qwen3-coder", 262_144),
)
SAMPLING: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("qwen3-coder-next", QWEN3_CODER_NEXT_SAMPLING),
    ("qwen3-coder", QWEN3_CODER_SAMPLING),
)
UNKNOWN_WINDOW = 131_072


@dataclass(frozen=True)
class Preset:
    """One kind of endpoint.

    ``hosts`` are host names or their parents, ``ports`` are the kind's default ports, ``owners`` what its model list
    says in ``owned_by``. ``renamed`` maps a sampling field to the endpoint's name for it, None: it has none.
    ``extra`` goes into each request, ``with_tools`` into each that offers tools. ``window`` is assumed whatever the
    model can do, as the server was probably started with less. ``model_lists`` are further addresses, from the
    server's root, that tell of windows. ``usual`` names the model as it is called there. ``cache_advice`` and
    ``window_advice`` tell an operator what to do when the cache or the window are not what they should be.
    """

    name: str
    title: str
    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    owners: tuple[str, ...] = ()
    renamed: Mapping[str, str | None] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    with_tools: Mapping[str, Any] = field(default_factory=dict)
    streams: bool = True
    stream_usage: bool = True
    window: int | None = None
    model_lists: tuple[str, ...] = ()
    usual: str = ""
    cache_advice: str = "Without a prompt cache long sessions are slow and cost more."
    window_advice: str = ""


PRESETS: tuple[Preset, ...] = (
    # https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-openai-chat-completions: top_k and
    # repetition_penalty are taken, parallel_tool_calls is off unless asked for, stream_options.include_usage is
    # needed for usage. Cache: https://www.alibabacloud.com/help/en/model-studio/context-cache (implicit, hits at 20 %
    # of the price, in prompt_tokens_details.cached_tokens).
    Preset(
        name="dashscope",
        title="Alibaba Model Studio",
        hosts=("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"),
        with_tools={"parallel_tool_calls": True},
        usual="qwen3-coder-plus",
        cache_advice="Model Studio caches by itself, but not every prompt and not every model: see its context cache "
        "page. Set FORGEHAND_PRICE_CACHED to the price of a hit.",
    ),
    # https://openrouter.ai/docs/api-reference/streaming: comments keep the stream alive, errors come as events.
    # https://openrouter.ai/docs/use-cases/usage-accounting: usage with `cost` is always there, stream_options has no
    # effect. Unknown fields are passed over: https://openrouter.ai/docs/api-reference/parameters
    Preset(
        name="openrouter",
        title="OpenRouter",
        hosts=("openrouter.ai",),
        stream_usage=False,
        usual="qwen/qwen3-coder",
        cache_advice="Whether prompts are cached depends on the provider that OpenRouter chose: order providers by "
        "your account's settings.",
    ),
    # https://docs.together.ai/reference/chat-completions-1: top_k and repetition_penalty are taken. Its model list is
    # a bare array with context_length: https://docs.together.ai/reference/models-1
    Preset(
        name="together",
        title="Together",
        hosts=("api.together.xyz", "api.together.ai"),
        usual="Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8",
    ),
    # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html: top_k and repetition_penalty are extra
    # parameters; parallel_tool_calls defaults to true. /v1/models has max_model_len. Cached tokens are told only with
    # --enable-prompt-tokens-details; calls only with --enable-auto-tool-choice and a parser.
    Preset(
        name="vllm",
        title="vLLM",
        ports=(8000,),
        owners=("vllm",),
        usual="Qwen/Qwen3-Coder-30B-A3B-Instruct",
        cache_advice="Start vLLM with --enable-prompt-tokens-details, then it tells what its prefix cache saved.",
        window_advice="The window is vLLM's --max-model-len.",
    ),
    # https://docs.sglang.io/docs/basic_usage/openai_api and its server arguments: cached tokens are told only with
    # --enable-cache-report, calls are parsed only with --tool-call-parser qwen3_coder. /v1/models: owned_by sglang,
    # max_model_len.
    Preset(
        name="sglang",
        title="SGLang",
        ports=(30_000,),
        owners=("sglang",),
        usual="Qwen/Qwen3-Coder-30B-A3B-Instruct",
        cache_advice="Start SGLang with --enable-cache-report, then it tells what its radix cache saved.",
        window_advice="The window is SGLang's --context-length.",
    ),
    # https://docs.ollama.com/api/openai-compatibility lists the fields: no top_k, no repetition_penalty, and the
    # context cannot be set by a request (https://github.com/ollama/ollama/pull/16825). The server's default is 4k, 32k
    # or 256k tokens by its memory, and longer prompts are cut silently:
    # https://github.com/ollama/ollama/blob/main/docs/context-length.mdx. /api/ps tells the allocated window.
    Preset(
        name="ollama",
        title="Ollama",
        hosts=("ollama.com",),
        ports=(11_434,),
        owners=("library",),
        renamed={"top_k": None, "repetition_penalty": None},
        window=32_768,
        model_lists=("/api/ps",),
        usual="qwen3-coder:30b",
        cache_advice="Ollama keeps a prompt cache but does not tell of it.",
        window_advice="Ollama cuts longer prompts without a word: start it with OLLAMA_CONTEXT_LENGTH=131072 or more, "
        "and set FORGEHAND_CONTEXT_WINDOW to the same.",
    ),
    # https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md: top_k is taken, the penalty is called
    # repeat_penalty, parallel_tool_calls is off unless asked for, tools need --jinja. /v1/models: owned_by llamacpp,
    # meta.n_ctx and meta.n_ctx_train.
    Preset(
        name="llamacpp",
        title="llama.cpp",
        ports=(8080,),
        owners=("llamacpp",),
        renamed={"repetition_penalty": "repeat_penalty"},
        with_tools={"parallel_tool_calls": True},
        usual="qwen3-coder",
        window_advice="The window is llama-server's --ctx-size, shared by its slots (--parallel).",
    ),
    # https://github.com/lmstudio-ai/docs/blob/main/1_developer/3_openai-compat/chat-completions.md lists the fields:
    # top_k and repeat_penalty are taken. /api/v0/models tells max_context_length and loaded_context_length.
    Preset(
        name="lmstudio",
        title="LM Studio",
        ports=(1234,),
        owners=("organization_owner", "organization-owner"),
        renamed={"repetition_penalty": "repeat_penalty"},
        window=32_768,
        model_lists=("/api/v0/models",),
        usual="qwen/qwen3-coder-30b",
        window_advice="Load the model with a larger context (`lms load --context-length 131072`), and set "
        "FORGEHAND_CONTEXT_WINDOW to the same.",
    ),
)
# OpenAI's own fields and no others: an unknown server may refuse what it does not know.
GENERIC = Preset(
    name="generic", title="an OpenAI-compatible endpoint", renamed={"top_k": None, "repetition_penalty": None}
)
NAMES = tuple(preset.name for preset in (*PRESETS, GENERIC))


def find_preset(base_url: str, *, name: str = "auto") -> Preset:
    """The preset by its name, or, for "auto", by the address: first its host, then the kind's default port."""
    if name != "auto":
        return next((preset for preset in PRESETS if preset.name == name), GENERIC)
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    for preset in PRESETS:
        if any(host == known or host.endswith(f".{known}") for known in preset.hosts):
            return preset
    return next((preset for preset in PRESETS if parts.port in preset.ports), GENERIC)


def find_preset_by_owner(owner: str) -> Preset | None:
    """The preset whose model list says ``owned_by: owner``, or None."""
    return next((preset for preset in PRESETS if owner.lower() in preset.owners), None)


def sampling_for(model: str, preset: Preset) -> dict[str, Any]:
    """The model card's sampling in the fields that the endpoint takes; empty for a model that is not known."""
    card = next((sampling for part, sampling in SAMPLING if part in model.lower()), {})
    return rename_fields(card, preset)


def rename_fields(sampling: Mapping[str, Any], preset: Preset) -> dict[str, Any]:
    """Sampling fields under the endpoint's own names, without those that it has none for."""
    named = {preset.renamed.get(name, name): value for name, value in sampling.items()}
    return {name: value for name, value in named.items() if name is not None}


def window_for(model: str, preset: Preset) -> int:
    """The context window in tokens that may be assumed: the endpoint's default, the model's, or a cautious one."""
    if preset.window is not None:
        return preset.window
    return next((window for part, window in WINDOWS if part in model.lower()), UNKNOWN_WINDOW)
