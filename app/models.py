"""From the settings to the model clients: the model of choice and those that stand in for it."""

from __future__ import annotations

from app.settings import Settings, SettingsError, split_fallback
from workflows.agent.client.fallbacks import FallbackModel
from workflows.agent.client.llm import ATTEMPTS, OpenAIModel
from workflows.agent.client.presets import find_preset
from workflows.agent.client.usage import Prices

ATTEMPTS_BEFORE_ANOTHER = 4


TEMPERATURES = (0.3, 1.0, 0.5, 0.9, 0.2, 0.8, 0.6)


def offered_models(settings: Settings) -> tuple[str, ...]:
    """The names of the models that a command may ask for, the model of choice first."""
    return tuple(dict.fromkeys((settings.model, *(split_fallback(one)[0] for one in settings.fallback_models))))


def connect_attempt(settings: Settings, attempt: int, *, first: str | None = None) -> OpenAIModel | FallbackModel:
    """The model of an attempt: the first as it is set, each further one at another temperature.

    ``first`` is asked before the others, which stand in for it; None: the model of choice.
    """
    if attempt == 1:
        models = connect_models(settings, first=first)
    else:
        chosen = connect_models(settings, first=first)[0]
        warmth = {"temperature": TEMPERATURES[(attempt - 2) % len(TEMPERATURES)]}
        warmer = settings.model_copy(update={"model_sampling": {**chosen.sampling, **warmth}})
        models = connect_models(warmer, first=first)
    return models[0] if len(models) == 1 else FallbackModel(models)


def connect_models(settings: Settings, *, first: str | None = None, attempts: int = ATTEMPTS) -> list[OpenAIModel]:
    """The clients in their order of preference, at least one. Raises SettingsError without an endpoint.

    ``attempts``: how often the last of them asks for one reply; those before it, whom another follows, ask less often.

    The prices, and the sampling that is set, count for all of them; the context window that is set, for the model of
    choice.
    """
    if settings.openai_base_url is None:
        raise SettingsError("Set OPENAI_BASE_URL to the model's OpenAI-compatible endpoint.")
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    wanted = [(settings.model, settings.openai_base_url, key, settings.model_preset)]
    keys = [secret.get_secret_value() for secret in settings.fallback_api_keys]
    elsewhere = 0
    for fallback in settings.fallback_models:
        name, url = split_fallback(fallback)
        if url is None:
            wanted.append((name, settings.openai_base_url, key, settings.model_preset))
        else:
            wanted.append((name, url, _key_for(keys, elsewhere), "auto"))
            elsewhere += 1
    choice = wanted[0]
    wanted.sort(key=lambda one: one[0] != first and first is not None)  # stable: the others stay in their order
    return [
        OpenAIModel(
            url,
            secret,
            model=name,
            prices=Prices(settings.price_input, settings.price_output, settings.cached_price),
            preset=find_preset(url, name=preset),
            request_timeout=settings.model_first_seconds,
            idle_timeout=settings.model_idle_seconds,
            stream=settings.model_stream,
            sampling=settings.model_sampling,
            context_window=settings.context_window if one is choice else None,
            attempts=attempts if one is wanted[-1] else min(attempts, ATTEMPTS_BEFORE_ANOTHER),
        )
        for one in wanted
        for name, url, secret, preset in [one]
    ]


def _key_for(keys: list[str], place: int) -> str:
    if not keys:
        return ""
    return keys[0] if len(keys) == 1 else keys[place]
