"""What commands on this machine cannot begin with: one message that says what to do, and nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.composition import Composition
from app.doctor import examine
from app.fix import _find_checkout
from app.settings import Settings, SettingsError, variable_names
from tests.ports import ReservedPort

ROOT = Path(__file__).parent.parent.parent


def git(*arguments: str | Path) -> None:
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", *person, *arguments], check=True, capture_output=True)


def forgehand(folder: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """The exit code, and what was said on standard error; of a server, its log."""
    known = {name for names in variable_names().values() for name in names}
    environment = {name: value for name, value in os.environ.items() if name not in known}
    own = {"PYTHONPATH": str(ROOT), "FORGEHAND_DATA_DIR": str(folder / "data"), "COLUMNS": "300", **settings}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**environment, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", **own},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr if arguments == ("serve",) else done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkouts and files that are wrong in their own ways, and a sound one."""
    place = tmp_path_factory.mktemp("fix")
    for name in ("sound", "empty"):
        git("init", "-q", "-b", "main", place / name)
    (place / "sound" / "inner").mkdir()
    (place / "sound" / "inner" / "a.txt").write_text("one\n")
    git("-C", place / "sound", "add", ".")
    git("-C", place / "sound", "commit", "-qm", "one")
    git("clone", "-q", place / "sound", place / "detached")
    git("-C", place / "detached", "checkout", "-q", "--detach")
    git("clone", "-q", "--bare", place / "sound", place / "bare.git")
    (place / "plain").mkdir()
    (place / "latin.txt").write_bytes(b"caf\xe9\n")
    (place / "blank.txt").write_text("\n \n")
    return place


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sound", "--issue-file", "nothere.txt"], "'nothere.txt' does not exist"),
        (["sound", "--issue-file", "plain"], "'plain' is a directory"),
        (["sound", "--issue-file", "latin.txt"], "latin.txt is not UTF-8 text: save it as UTF-8"),
        (["sound", "--issue-file", "blank.txt"], "Say what is to be done"),
        (["sound", "--issue", "x", "--issue-file", "blank.txt"], "--issue or --issue-file, not both"),
        (["nothere", "--issue", "x"], "nothere is in no git checkout. Name the folder of one"),
        (["plain", "--issue", "x"], "plain is in no git checkout. Name the folder of one"),
        (["latin.txt", "--issue", "x"], "latin.txt is in no git checkout. Name the folder of one"),
        (["empty", "--issue", "x"], "empty is on no branch, or holds no commit yet. Name a branch with --base"),
        (["detached", "--issue", "x"], "detached is on no branch, or holds no commit yet. Name a branch with --base"),
        (["sound", "--issue", "x", "--base", "nope"], "sound has no branch nope. Name one of its own with --base"),
        (["https://github.com/a/b/pull/7"], "https://github.com/OWNER/NAME/issues/NUMBER is missing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_begin_is_said_with_what_to_do(place: Path, arguments: list[str], words: str) -> None:
    """A wrong file, folder, branch or address: the exit code is not 0, and no traceback hides the sentence."""
    code, said = forgehand(place, "fix", *arguments)
    assert code in (1, 2)
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "arguments", [["fix", "sound", "--issue", "x"], ["trajectory", "show"], ["replay", "x"]], ids=lambda value: value[0]
)
def test_a_database_that_refuses_is_said(place: Path, arguments: list[str]) -> None:
    """A file that is none, or a data folder that cannot be: one sentence, whichever command meets it."""
    (place / "bad.sqlite3").write_text("no database " * 100)
    code, said = forgehand(place, *arguments, DATABASE_URL=f"sqlite:///{place}/bad.sqlite3")
    assert code == 1
    assert said.startswith("The database refuses: file is not a database. See that")
    assert said.count("\n") == 1
    code, said = forgehand(place, *arguments, FORGEHAND_DATA_DIR=str(place / "latin.txt"))
    assert code == 1
    assert said.startswith("FORGEHAND_DATA_DIR: ")
    assert said.count("\n") == 1


def serve(place: Path, **settings: str) -> tuple[int, str]:
    """`forgehand serve` of an App whose key looks like one and is none."""
    (place / "broken.pem").write_text("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")
    return forgehand(
        place,
        "serve",
        FORGEHAND_APP_ID="1",
        FORGEHAND_PRIVATE_KEY_PATH=str(place / "broken.pem"),
        FORGEHAND_WEBHOOK_SECRETS="a secret of some length",
        FORGEHAND_DATA_DIR=str(place / "served"),
        DOCKER_HOST="unix:///nonexistent.sock",
        **settings,
    )


def test_a_server_does_not_start_with_a_broken_key(place: Path) -> None:
    """What looks like a private key and is none ends `forgehand serve` with the sentence that the doctor has for it."""
    with ReservedPort() as port:
        code, said = serve(place, FORGEHAND_PORT=str(port.number))
    assert code == 1
    assert "cannot start" in said
    assert "Make a new one on the App's settings page and give that file." in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("127.0.0.1", "cannot listen on 127.0.0.1 port {}: Address already in use. Stop what listens there, or name"),
        ("192.0.2.1", "cannot listen on 192.0.2.1 port {}: Cannot assign requested address."),
        ("no.such.host.invalid", "FORGEHAND_HOST: no.such.host.invalid is no address of this machine"),
    ],
)
def test_a_server_whose_address_is_not_to_be_had_does_not_begin(place: Path, host: str, told: str) -> None:
    """The sentence says which setting to change, before anything else is looked at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = serve(place, FORGEHAND_HOST=host, FORGEHAND_PORT=port)
    assert code == 1
    assert told.format(port) in said
    assert said.count("\n") == 1


def test_a_checkout_is_found_from_inside(place: Path) -> None:
    """`forgehand fix .` works in a folder of a checkout, as git does; a bare repository is one too."""
    assert _find_checkout(place / "sound" / "inner") == place / "sound"
    assert _find_checkout(place / "bare.git") == place / "bare.git"


def test_a_data_folder_that_cannot_be_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file where the data folder should be is named, with the setting; the doctor says it, and goes on."""
    (tmp_path / "file").write_text("in the way")
    settings = Settings(data_dir=tmp_path / "file" / "data", docker_host="unix:///nonexistent.sock")
    with pytest.raises(SettingsError, match=r"^FORGEHAND_DATA_DIR: .*/data cannot be made: Not a directory\. Name"):
        _ = Composition(settings, say=print).data_dir
    assert examine(settings) == 1
    said = capsys.readouterr().out
    assert "MEND database FORGEHAND_DATA_DIR" in said
    assert "MEND model" in said
