"""Private certificate authorities: which files count, and what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sandbox.authorities import BadAuthorities, find_authorities


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three self-made authorities: a.pem, b.pem, c.pem, and the key of a.pem."""
    folder = tmp_path_factory.mktemp("authorities")
    for name in "abc":
        subprocess.run(
            (
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"),
            ),
            cwd=folder,
            check=True,
            capture_output=True,
        )
    return folder


def test_nothing_private_is_nothing(tmp_path: Path) -> None:
    """A machine without private authorities has none, also when a variable names a file that is not there."""
    assert find_authorities({"SSL_CERT_FILE": "/nowhere.pem"}, local=tmp_path, public=tmp_path) is None


def test_what_variables_and_administrator_name_counts_once(folder: Path, tmp_path: Path) -> None:
    """The usual variables and the administrator's folder are united; what the distribution ships is left out."""
    local, public = tmp_path / "local", tmp_path / "public"
    local.mkdir()
    public.mkdir()
    (local / "b.crt").write_text((folder / "b.pem").read_text())
    (public / "c.crt").write_text((folder / "c.pem").read_text())
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("".join(f"# {name}\r\n" + (folder / f"{name}.pem").read_text() for name in "abc"))
    variables = {"SSL_CERT_FILE": str(bundle), "NODE_EXTRA_CA_CERTS": str(folder / "a.pem")}
    found = find_authorities(variables, local=local, public=public)
    assert found is not None
    assert set(found.certificates) == {(folder / "a.pem").read_text(), (folder / "b.pem").read_text()}


def test_own_variable_decides_alone(folder: Path, tmp_path: Path) -> None:
    """FORGEHAND_CA_BUNDLE is taken as it is and nothing beside it."""
    variables = {"FORGEHAND_CA_BUNDLE": str(folder / "a.pem"), "SSL_CERT_FILE": str(folder / "b.pem")}
    found = find_authorities(variables, local=tmp_path, public=folder)
    assert found is not None
    assert found.pem == (folder / "a.pem").read_text()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "Mend the path"),
        ("nothing", "holds no PEM certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "damaged certificate"),
        ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "private key"),
    ],
)
def test_bad_files_are_named(content: str | None, words: str, tmp_path: Path) -> None:
    """An absent, empty or damaged file, and above all one with a private key, is refused with its name and a remedy."""
    file = tmp_path / "bundle.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BadAuthorities, match=words) as refused:
        find_authorities({"FORGEHAND_CA_BUNDLE": str(file)}, local=tmp_path, public=tmp_path)
    assert str(file) in str(refused.value)


def test_key_beside_certificate_is_refused_in_any_variable(folder: Path, tmp_path: Path) -> None:
    """A bundle that also holds its key is refused, whichever variable names it."""
    file = tmp_path / "both.pem"
    file.write_text((folder / "a.pem").read_text() + (folder / "a.key").read_text())
    with pytest.raises(BadAuthorities, match="remove the key"):
        find_authorities({"REQUESTS_CA_BUNDLE": str(file)}, local=tmp_path, public=tmp_path)
