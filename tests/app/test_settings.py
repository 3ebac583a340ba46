from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, SettingsError, default_data_dir, read_settings, unknown_variables, variable_names

PEM = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for names in variable_names().values():
        for name in names:
            monkeypatch.delenv(name, raising=False)


def read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_settings(env_file=None)


def problem(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(monkeypatch, **variables)
    return str(caught.value)


def test_nothing_has_to_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a single variable there are settings, and a list of what a server still needs."""
    settings = read(monkeypatch)

    assert settings.github_web_url == "https://github.com"
    assert settings.database == f"sqlite:///{settings.data_dir}/forgehand.sqlite3"
    assert settings.budget.turns == 200
    assert len(settings.missing_for_app()) == 4
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_every_secret_stays_out_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings' text nor an error's message holds a secret's value."""
    secret = "s3ntinel"
    settings = read(
        monkeypatch,
        FORGEHAND_PRIVATE_KEY=PEM.replace("AAAA", secret).replace("\n", "\\n"),
        FORGEHAND_WEBHOOK_SECRETS=f"{secret}1, {secret}2",
        OPENAI_API_KEY=secret,
        DATABASE_URL=f"postgresql://u:{secret}@h/d",
    )

    assert secret not in repr(settings)
    assert [value.get_secret_value() for value in settings.webhook_secrets] == [f"{secret}1", f"{secret}2"]
    key = settings.read_private_key()
    assert key is not None
    assert key.get_secret_value() == PEM.replace("AAAA", secret)
    assert secret not in problem(monkeypatch, FORGEHAND_PRIVATE_KEY=secret, DATABASE_URL=f"mysql://{secret}")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("FORGEHAND_APP_ID", "abc", "valid integer"),
        ("FORGEHAND_INSTALLATIONS", "12,acme", "valid integer"),
        ("FORGEHAND_PORT", "99999", "less than or equal to 65535"),
        ("FORGEHAND_PRIVATE_KEY", "AAAA", "paste the whole file"),
        ("FORGEHAND_PRIVATE_KEY_PATH", "/nowhere/key.pem", "correct the path"),
        ("FORGEHAND_PRIVATE_KEY_PATH", __file__, "holds no private key in PEM form"),
        ("FORGEHAND_GITHUB_API_URL", "http://ghe.example.com/api/v3", "write https://"),
        ("FORGEHAND_GITHUB_API_URL", "https://user:pw@ghe.example.com", "plain URL"),
        ("FORGEHAND_GITHUB_API_URL", "https://[::1", "write it like"),
        ("OPENAI_BASE_URL", "localhost:8001/v1", "write it like"),
        ("DATABASE_URL", "mysql://h/d", "postgresql://"),
        ("FORGEHAND_CA_BUNDLE", "/nowhere/ca.pem", "correct the path"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "correct the path"),
        ("FORGEHAND_ALLOWED_HOSTS", "https://pypi.org", "host names"),
        ("FORGEHAND_LOG_LEVEL", "loud", "'debug', 'info'"),
        ("FORGEHAND_BUDGET_USD", "-1", "greater than 0"),
        ("FORGEHAND_COMMAND_PREFIX", "qwen", "pattern"),
    ],
)
def test_wrong_value_names_the_variable_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    """A wrong value is one line that begins with the variable that was set and says what it takes."""
    message = problem(monkeypatch, **{variable: value})

    assert message.startswith(variable)
    assert says in message
    assert "\n" not in message


def test_a_sandbox_has_memory_beside_its_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that can use up all memory would have a full disk end the commands, and is refused with the figure."""
    message = problem(monkeypatch, FORGEHAND_SANDBOX_MEMORY_MB="2048", FORGEHAND_SANDBOX_WORKSPACE_MB="1024")
    assert message.startswith("Set FORGEHAND_SANDBOX_MEMORY_MB to at least 2304, or FORGEHAND_SANDBOX_WORKSPACE_MB")


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two wrong variables and a misspelt one give three lines, not three tries."""
    message = problem(
        monkeypatch, FORGEHAND_PORT="x", FORGEHAND_APP_ID="y", FORGEHAND_WEBHOOK_SECRET="z", FORGEHAND_ELSEWHERE="1"
    )

    assert len(message.splitlines()) == 3
    assert "FORGEHAND_WEBHOOK_SECRET is not a setting: did you mean FORGEHAND_WEBHOOK_SECRETS?" in message


def test_unknown_variable_without_a_neighbour_is_only_reported(tmp_path: Path) -> None:
    """A variable of another version does not stop the start; the caller is told of it, in .env too."""
    env_file = tmp_path / ".env"
    env_file.write_text("FORGEHAND_ZEBRA=1\nOTHER=2\n")

    assert unknown_variables({"FORGEHAND_XYLOPHONE": "1"}, env_file) == {
        "FORGEHAND_XYLOPHONE": None,
        "FORGEHAND_ZEBRA": None,
    }


def test_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """.env fills in what the environment leaves open; an empty variable counts as unset."""
    env_file = tmp_path / ".env"
    env_file.write_text("FORGEHAND_PORT=9001\nFORGEHAND_HOST=0.0.0.0\nFORGEHAND_MODEL=\n")
    monkeypatch.setenv("FORGEHAND_PORT", "9002")

    settings = read_settings(env_file)

    assert (settings.port, settings.host, settings.model) == (9002, "0.0.0.0", "qwen3-coder")


def test_key_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The key's file is read when it is asked for; something else in it is said, both sources at once are refused."""
    path = tmp_path / "key.pem"
    path.write_text(PEM)
    settings = read(monkeypatch, FORGEHAND_PRIVATE_KEY_PATH=str(path))
    key = settings.read_private_key()

    assert key is not None
    assert key.get_secret_value() == PEM
    assert "not both" in problem(monkeypatch, FORGEHAND_PRIVATE_KEY=PEM)
    path.write_text("not a key")
    with pytest.raises(SettingsError, match="PRIVATE_KEY_PATH"):
        settings.read_private_key()


@pytest.mark.parametrize(
    ("api", "web"),
    [
        ("https://api.github.com/", "https://github.com"),
        ("https://ghe.example.com/api/v3", "https://ghe.example.com"),
        ("https://api.octo.ghe.com", "https://octo.ghe.com"),
        ("http://127.0.0.1:4567/api/v3", "http://127.0.0.1:4567"),
        ("http://localhost:4567", "http://localhost:4567"),
    ],
)
def test_web_address_follows_from_the_api(monkeypatch: pytest.MonkeyPatch, api: str, web: str) -> None:
    """github.com, a server, a data residency and a local GitHub are all found from their API's address."""
    assert read(monkeypatch, FORGEHAND_GITHUB_API_URL=api).github_web_url == web


def test_own_variable_wins_over_the_common_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The certificate bundle is found as other programs find it, and can be set for us alone."""
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    ours.touch()
    theirs.touch()

    assert read(monkeypatch, SSL_CERT_FILE=str(theirs)).ca_bundle == theirs
    assert read(monkeypatch, FORGEHAND_CA_BUNDLE=str(ours)).ca_bundle == ours


def test_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """State goes where XDG says, else below home, else here."""
    assert default_data_dir({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/forgehand")
    assert default_data_dir({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/state/forgehand")
    assert default_data_dir({}) == Path.cwd() / ".forgehand"
    assert read(monkeypatch, FORGEHAND_DATA_DIR="state").data_dir == Path.cwd() / "state"


def test_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images and installations are lists by commas, spaces or not."""
    settings = read(
        monkeypatch, FORGEHAND_ALLOWED_IMAGES="python:3.*, ghcr.io/acme/*", FORGEHAND_INSTALLATIONS="12, 13,"
    )
    assert settings.allowed_images == ("python:3.*", "ghcr.io/acme/*")
    assert settings.installations == (12, 13)
