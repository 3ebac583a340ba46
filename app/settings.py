"""The operator's settings: read once from the environment and ``.env``, frozen, and passed in."""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, PositiveInt, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sandbox.container import Limits
from sandbox.egress import DEFAULT_ALLOWED_HOSTS
from workflows.types import Budget

PREFIX = "FORGEHAND_"
LEAST_MEMORY_MB = 256
_NO_KEY = (
    "names a file that holds no private key in PEM form: use the .pem file that GitHub gave you when you made the key"
)
Commas = Annotated[tuple[str, ...], NoDecode]
PresetName = Literal[
    "auto", "dashscope", "openrouter", "together", "vllm", "sglang", "ollama", "llamacpp", "lmstudio", "generic"
]
Ids = Annotated[tuple[PositiveInt, ...], NoDecode]
JsonObject = Annotated[dict[str, Any] | None, NoDecode]
SecretCommas = Annotated[tuple[SecretStr, ...], NoDecode]


class SettingsError(Exception):
    """The settings cannot be used. The message names each variable and says what to do; it never holds a value."""


class Settings(BaseSettings):
    """What the operator decides. Every field is an environment variable; its description is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        populate_by_name=True,
    )

    app_id: int | None = Field(default=None, ge=1, description="The GitHub App's id, from its settings page.")
    private_key: SecretStr | None = Field(
        default=None, description="The App's private key (PEM). Line breaks may be written as `\\n`."
    )
    private_key_path: Path | None = Field(
        default=None, description="A file with the private key, instead of `PRIVATE_KEY`."
    )
    webhook_secrets: SecretCommas = Field(
        default=(), description="The webhook secret. Several, separated by commas, while one is being replaced."
    )
    github_api_url: str = Field(
        default="https://api.github.com",
        description="GitHub's API. For GitHub Enterprise Server: `https://HOST/api/v3`. https, or http on loopback.",
    )
    github_write_seconds: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="Seconds between two writes of one installation. github.com asks for at least one; 0 suits an "
        "Enterprise Server without rate limits.",
    )
    installations: Ids = Field(
        default=(),
        description="The ids of the App's installations that are served, by commas. Empty: all. Set it when the App is "
        "public, for then anyone can install it and start jobs at your cost.",
    )
    command_prefix: str = Field(
        default="/qwen",
        pattern=r"^[/@][A-Za-z][A-Za-z0-9-]{0,38}$",
        description="The word that starts a command in a comment.",
    )
    default_label: str = Field(
        default="qwen",
        min_length=1,
        max_length=50,
        description="The label that starts work, where no policy names one.",
    )

    data_dir: Path = Field(
        default_factory=lambda: default_data_dir(os.environ),
        description="Where the database, the mirrors and the trajectories are kept.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("DATABASE_URL"),
        description="`postgresql://…` for several workers, or `sqlite:///…`. Empty: SQLite in the data folder.",
    )

    openai_base_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("OPENAI_BASE_URL"),
        description="The OpenAI-compatible endpoint, such as `http://localhost:8001/v1`.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("OPENAI_API_KEY"),
        description="The endpoint's key. Local endpoints mostly need none.",
    )
    model: str = Field(default="qwen3-coder", min_length=1, description="The model's name, as the endpoint calls it.")
    model_preset: PresetName = Field(
        default="auto",
        description="What the endpoint is, so that it is asked in its own way. `auto`: by its host or port.",
    )
    model_sampling: JsonObject = Field(
        default=None,
        description='Sampling as a JSON object, such as `{"temperature": 0.2}`, sent as it is. Empty: that of '
        "Qwen3-Coder's model card, and the endpoint's own for other models. `{}`: the endpoint's own for all.",
    )
    model_stream: bool = Field(
        default=True, description="Whether answers are streamed, so that a silent endpoint is noticed early."
    )
    model_first_seconds: float = Field(
        default=300.0,
        gt=0,
        description="Seconds to the first token of an answer (a long prompt takes its time), or to the end of one that "
        "is not streamed.",
    )
    model_idle_seconds: float = Field(
        default=60.0, gt=0, description="Seconds that a stream may be silent before it is taken for broken."
    )
    context_window: int | None = Field(
        default=None,
        ge=4_096,
        description="The model's context in tokens, as its server was started. Empty: what is known of the model; "
        "`forgehand doctor model` looks.",
    )
    context_cap: int | None = Field(
        default=None,
        ge=2_048,
        description="Tokens to which a conversation grows before it is shrunk. Empty: 80 % of the context, at most "
        "128000, for a fuller context makes models worse.",
    )
    fallback_models: Commas = Field(
        default=(),
        description="Models that stand in when `FORGEHAND_MODEL` cannot answer, by commas, in this order: `name` at "
        "the same endpoint, or `name@https://host/v1`. The one that answered is kept for ten minutes.",
    )
    fallback_api_keys: SecretCommas = Field(
        default=(),
        description="Keys for the endpoints named in `FALLBACK_MODELS`: one for all, or one each in their order. "
        "`OPENAI_API_KEY` is never sent to them.",
    )
    price_input: float = Field(
        default=0.0, ge=0, description="US dollars per million input tokens. 0: money is not counted."
    )
    price_cached: float | None = Field(
        default=None, ge=0, description="US dollars per million cached input tokens. Empty: the price of input tokens."
    )
    price_output: float = Field(default=0.0, ge=0, description="US dollars per million output tokens.")

    review_unasked: bool = Field(
        default=True,
        description="Review pull requests without being asked, as far as their repository's policy wants it. `false`: "
        "reviews are made on command alone.",
    )
    budget_turns: int = Field(default=200, ge=1, description="Turns of the agent in one job, at most.")
    budget_long_turns: int = Field(
        default=500, ge=1, description="Turns of the agent in one job of a policy with `mode: long`, at most."
    )
    budget_tokens: int = Field(default=6_000_000, ge=1_000, description="Tokens in one job, input and output, at most.")
    budget_seconds: int = Field(default=3_600, ge=10, description="Seconds of one job, at most.")
    budget_usd: float = Field(default=3.0, gt=0, description="US dollars of one job, at most (needs the prices above).")

    attempts: int = Field(
        default=4, ge=1, le=8, description="Sessions on one issue at the same time that a policy may ask for, at most."
    )

    test_seconds: int = Field(
        default=1_200, ge=1, description="Seconds that one run of a repository's tests may take, at most."
    )

    worker_concurrency: int = Field(default=2, ge=1, le=64, description="Jobs that one worker runs at the same time.")
    worker_lease_seconds: float = Field(
        default=30.0,
        ge=1,
        le=600,
        description="PostgreSQL: seconds after which other workers take a silent one for dead and go on with its jobs.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="The address the web server listens on.")
    port: int = Field(default=8000, ge=1, le=65_535, description="The port the web server listens on.")
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="`json` for machines, `console` for people, `auto`: console on a terminal."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level logged."
    )

    ca_bundle: Path | None = Field(
        default=None,
        validation_alias=AliasChoices(f"{PREFIX}CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        description="A PEM file of certificate authorities, trusted by us, in image builds and in the set-up phase.",
    )
    docker_host: str | None = Field(
        default=None,
        validation_alias=AliasChoices(f"{PREFIX}DOCKER_HOST", "DOCKER_HOST"),
        description="The Docker engine. Empty: Docker's own default.",
    )
    sandbox_image: str | None = Field(
        default=None, description="The sandbox's image. Empty: the one that Forgehand builds."
    )
    allowed_images: Commas = Field(
        default=(),
        description="Images that a policy's `image` may name, by commas, such as `python:3.*,ghcr.io/acme/*`. `*` is "
        "anything; a pattern without `/` is for Docker Hub's official images. Empty: none but `SANDBOX_IMAGE`.",
    )
    sandbox_memory_mb: int = Field(
        default=4096,
        ge=256,
        description="Memory of one sandbox, in MB: what its three folders below take as they fill, and at least 256 "
        "for what runs.",
    )
    sandbox_cpus: float = Field(default=2.0, gt=0, description="Processors of one sandbox.")
    sandbox_pids: int = Field(default=512, ge=32, description="Processes of one sandbox.")
    sandbox_workspace_mb: int = Field(
        default=2048, ge=64, description="Size of a sandbox's workspace, in MB of its memory."
    )
    sandbox_tmp_mb: int = Field(default=512, ge=16, description="Size of a sandbox's /tmp, in MB of its memory.")
    sandbox_home_mb: int = Field(
        default=512, ge=16, description="Size of a sandbox's home folder, in MB of its memory."
    )
    allowed_hosts: Commas = Field(
        default=DEFAULT_ALLOWED_HOSTS,
        description="Hosts that set-up commands may reach, by commas; `*.example.com` is any host below.",
    )

    @field_validator(
        "webhook_secrets",
        "allowed_hosts",
        "allowed_images",
        "installations",
        "fallback_models",
        "fallback_api_keys",
        mode="before",
    )
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("model_sampling", mode="before")
    @classmethod
    def _json_object(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise _wrong('takes a JSON object, such as {"temperature": 0.2}')
        return parsed

    @field_validator("log_level", "log_format", "model_preset", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("private_key", mode="before")
    @classmethod
    def _unescape_line_breaks(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if _is_private_key(value):
            return value.replace("\\n", "\n").strip() + "\n"
        raise _wrong("is not a private key in PEM form: paste the whole file that GitHub gave you, BEGIN line included")

    @field_validator("github_api_url")
    @classmethod
    def _https_or_loopback(cls, value: str) -> str:
        return _checked_url(value, http_anywhere=False)

    @field_validator("openai_base_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        return value if value is None else _checked_url(value, http_anywhere=True)

    @field_validator("fallback_models")
    @classmethod
    def _fallbacks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for fallback in value:
            name, url = split_fallback(fallback)
            if not name:
                raise _wrong("takes names by commas, or name@URL for another endpoint, such as qwen3@https://host/v1")
            if url is not None:
                _checked_url(url, http_anywhere=True)
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or value.get_secret_value().startswith(("postgresql://", "postgres://", "sqlite:///")):
            return value
        raise _wrong("must start with postgresql:// or sqlite:///")

    @field_validator("ca_bundle", "private_key_path")
    @classmethod
    def _readable_file(cls, value: Path | None) -> Path | None:
        if value is not None and not (value.is_file() and os.access(value, os.R_OK)):
            raise _wrong("names a file that is not there or cannot be read: correct the path or the file's rights")
        return value

    @field_validator("private_key_path")
    @classmethod
    def _file_with_key(cls, value: Path | None) -> Path | None:
        if value is not None and not _is_private_key(value.read_text(encoding="utf-8", errors="replace")):
            raise _wrong(_NO_KEY)
        return value

    @field_validator("data_dir")
    @classmethod
    def _absolute_folder(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            bare = host.removeprefix("*.")
            if not bare or any(not (c.isalnum() or c in "-.:") for c in bare):
                raise _wrong("takes host names by commas, without scheme or path, such as pypi.org,*.example.com")
        return tuple(host.lower() for host in value)

    @model_validator(mode="after")
    def _keys_for_fallbacks(self) -> Settings:
        elsewhere = [fallback for fallback in self.fallback_models if split_fallback(fallback)[1] is not None]
        if len(self.fallback_api_keys) not in {0, 1, len(elsewhere)}:
            raise PydanticCustomError(
                "forgehand",
                "Set FORGEHAND_FALLBACK_API_KEYS to one key, or to one for each endpoint in FORGEHAND_FALLBACK_MODELS.",
            )
        return self

    @model_validator(mode="after")
    def _one_private_key(self) -> Settings:
        if self.private_key is not None and self.private_key_path is not None:
            raise PydanticCustomError(
                "forgehand", "Set either FORGEHAND_PRIVATE_KEY or FORGEHAND_PRIVATE_KEY_PATH, not both."
            )
        return self

    @model_validator(mode="after")
    def _memory_for_folders(self) -> Settings:
        # Else a full folder is no full disk, but the kernel's end for whatever runs.
        least = self.sandbox_workspace_mb + self.sandbox_tmp_mb + self.sandbox_home_mb + LEAST_MEMORY_MB
        if self.sandbox_memory_mb < least:
            raise PydanticCustomError(
                "forgehand",
                "Set FORGEHAND_SANDBOX_MEMORY_MB to at least {least}, or FORGEHAND_SANDBOX_WORKSPACE_MB, "
                "FORGEHAND_SANDBOX_TMP_MB or FORGEHAND_SANDBOX_HOME_MB lower: they are part of it.",
                {"least": least},
            )
        return self

    @property
    def github_web_url(self) -> str:
        """GitHub's web address, without a final slash, derived from the API's."""
        if self.github_api_url == "https://api.github.com":
            return "https://github.com"
        parts = urlsplit(self.github_api_url)
        # GitHub Enterprise Cloud with data residency has api.NAME.ghe.com; a server has HOST/api/v3.
        host = parts.netloc.removeprefix("api.") if parts.netloc.endswith(".ghe.com") else parts.netloc
        return f"{parts.scheme}://{host}"

    @property
    def database(self) -> str:
        """The database's URL; SQLite in the data folder when none is set. It may hold a password: never log it."""
        if self.database_url is not None:
            url = self.database_url.get_secret_value()
            return url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url
        return f"sqlite:///{self.data_dir / 'forgehand.sqlite3'}"

    @property
    def limits(self) -> Limits:
        """The bounds of one sandbox."""
        return Limits(
            memory_mb=self.sandbox_memory_mb,
            cpus=self.sandbox_cpus,
            pids=self.sandbox_pids,
            workspace_mb=self.sandbox_workspace_mb,
            tmp_mb=self.sandbox_tmp_mb,
            home_mb=self.sandbox_home_mb,
        )

    @property
    def budget(self) -> Budget:
        """The operator's maximum for one job."""
        return Budget(
            turns=self.budget_turns, tokens=self.budget_tokens, seconds=self.budget_seconds, usd=self.budget_usd
        )

    @property
    def limits_shown(self) -> dict[str, str]:
        """What people of a repository may know of these settings."""
        return {
            "attempts": f"at most {self.attempts}",
            "label": self.default_label,
            "minutes": f"at most {self.budget_seconds / 60:g}",
            "models": ", ".join((self.model, *(split_fallback(one)[0] for one in self.fallback_models))),
            "tokens": f"at most {self.budget_tokens:,}",
            "turns": f"at most {self.budget_turns}, {self.budget_long_turns} in the mode long",
            "usd": f"at most {self.budget_usd:g}",
        }

    @property
    def cached_price(self) -> float:
        """US dollars per million cached input tokens."""
        return self.price_input if self.price_cached is None else self.price_cached

    def read_private_key(self) -> SecretStr | None:
        """The App's private key in PEM form, from the variable or the file; None when neither is set.

        Raises SettingsError when the file holds something else.
        """
        if self.private_key_path is None:
            return self.private_key
        text = self.private_key_path.read_text(encoding="utf-8", errors="replace").strip()
        if not _is_private_key(text):
            raise SettingsError(f"{PREFIX}PRIVATE_KEY_PATH {_NO_KEY}.")
        return SecretStr(text + "\n")

    def missing_for_app(self) -> tuple[str, ...]:
        """What a server still needs, one sentence each; empty when it can start."""
        missing = []
        if self.app_id is None:
            missing.append(f"Set {PREFIX}APP_ID to the App's id, from its settings page on GitHub.")
        if self.private_key is None and self.private_key_path is None:
            missing.append(f"Set {PREFIX}PRIVATE_KEY_PATH to the App's private key file.")
        if not self.webhook_secrets:
            missing.append(f"Set {PREFIX}WEBHOOK_SECRETS to the App's webhook secret.")
        if self.openai_base_url is None:
            missing.append("Set OPENAI_BASE_URL to the model's OpenAI-compatible endpoint.")
        return tuple(missing)


def read_settings(env_file: Path | None = Path(".env")) -> Settings:
    """The settings from the environment and ``env_file`` (the environment wins).

    Raises SettingsError with one line for each wrong variable and for each likely misspelling.
    """
    problems = [
        f"{name} is not a setting: did you mean {near}?"
        for name, near in unknown_variables(os.environ, env_file).items()
        if near is not None
    ]
    settings = None
    try:
        # By a mapping, because the model's fields are all that a type checker knows of this constructor.
        source: dict[str, Any] = {"_env_file": env_file}
        settings = Settings(**source)
    except ValidationError as error:
        problems += [_render_problem(detail) for detail in error.errors(include_url=False, include_input=False)]
    except UnicodeDecodeError:
        problems.append(f"{env_file} is not UTF-8 text: save it as UTF-8.")
    if settings is None or problems:
        raise SettingsError("\n".join(problems)) from None
    return settings


def split_fallback(text: str) -> tuple[str, str | None]:
    """The model's name and, for another endpoint than the first, its base URL. A name may hold an ``@`` of its own."""
    for mark in ("@https://", "@http://"):
        name, found, rest = text.partition(mark)
        if found:
            return name, (found[1:] + rest).rstrip("/")
    return text, None


def unknown_variables(environment: Mapping[str, str], env_file: Path | None = None) -> dict[str, str | None]:
    """Variables with our prefix that are no setting, each with the setting it was probably meant to be."""
    known = {name for variables in variable_names().values() for name in variables}
    names = {name.upper() for name in environment}
    if env_file is not None and env_file.is_file():
        names |= {name.upper() for name in _names_in(env_file)}
    unknown = sorted(name for name in names - known if name.startswith(PREFIX))
    return {name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.85)), None) for name in unknown}


def variable_names() -> dict[str, tuple[str, ...]]:
    """The environment variables of each field, the preferred one first."""
    names = {}
    for field, info in Settings.model_fields.items():
        alias = info.validation_alias
        names[field] = (
            tuple(str(choice) for choice in alias.choices)
            if isinstance(alias, AliasChoices)
            else (f"{PREFIX}{field.upper()}",)
        )
    return names


def default_data_dir(environment: Mapping[str, str]) -> Path:
    """The XDG state folder's ``forgehand`` when there is a home or a state folder, else ``./.forgehand``."""
    state = environment.get("XDG_STATE_HOME", "")
    if state.startswith("/"):
        return Path(state) / "forgehand"
    home = environment.get("HOME", "")
    return Path(home) / ".local" / "state" / "forgehand" if home.startswith("/") else Path(".forgehand").absolute()


def _names_in(env_file: Path) -> list[str]:
    try:
        return list(dotenv_values(env_file))
    except UnicodeDecodeError:
        return []


def _is_private_key(text: str) -> bool:
    return text.lstrip().startswith("-----BEGIN ") and "PRIVATE KEY-----" in text


def _wrong(message: str) -> PydanticCustomError:
    # The message is a template of pydantic's: braces in it would be read as places to fill.
    return PydanticCustomError("forgehand", "{text}", {"text": message})


def _checked_url(value: str, *, http_anywhere: bool) -> str:
    url = value.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong("is not a URL: write it like https://host/path") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise _wrong("is not a URL: write it like https://host/path")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise _wrong("must be a plain URL: take out the user name, the password, the ? and the # part")
    if parts.scheme == "http" and not http_anywhere and not _is_loopback(host):
        raise _wrong("must use https (http is for a server on this machine alone): write https://…")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _render_problem(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    where = str(detail["loc"][0])
    names = next((names for names in variable_names().values() if where in names), (f"{PREFIX}{where.upper()}",))
    variable = next((name for name in names if name in os.environ), names[0])
    if detail["type"] == "forgehand":
        return f"{variable} {message}."
    advice = message[:1].lower() + message[1:]
    return f"{variable} is wrong: {advice.removeprefix('input ').strip()}. See docs/reference.md for what it takes."
