"""A model endpoint's list of its models, in every form that servers give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# vLLM and SGLang, OpenRouter and Together, LM Studio (what is loaded before what could be), Groq and others.
WINDOW_AT = ("max_model_len", "loaded_context_length", "context_length", "max_context_length", "context_window")


@dataclass(frozen=True)
class ListedModel:
    """One model of a list; ``window`` is its context in tokens, 0 when the list does not tell."""

    id: str
    owner: str = ""
    window: int = 0


def parse_model_list(answer: Any) -> tuple[ListedModel, ...]:
    """The models of ``/v1/models`` (an object with ``data``, or Together's bare array) or of Ollama's ``/api/ps``.

    Raises ValueError for anything else.
    """
    entries = answer
    if isinstance(answer, dict):
        entries = answer.get("data", answer.get("models"))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("not a list of models")
    return tuple(_parse_entry(entry) for entry in entries)


def _parse_entry(entry: Mapping[str, Any]) -> ListedModel:
    name = entry.get("id") or entry.get("model") or entry.get("name") or entry.get("key") or ""
    return ListedModel(id=str(name), owner=str(entry.get("owned_by") or ""), window=_window(entry))


def _window(entry: Mapping[str, Any]) -> int:
    meta = entry.get("meta")
    meta = meta if isinstance(meta, dict) else {}  # llama.cpp: what was started with, then what was trained
    found = [entry.get(name) for name in WINDOW_AT] + [meta.get("n_ctx"), meta.get("n_ctx_train")]
    return next((value for value in found if isinstance(value, int) and value > 0), 0)
