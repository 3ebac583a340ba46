"""The App's signature and the keeping of tokens, without any network."""

from __future__ import annotations

import threading
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.github import GitHubApp
from app.github_auth import AppCredential, InstallationCredential, InstallationTokens, Minted, Scope
from app.github_retry import RetryRules
from app.keyed_locks import KeyedLocks
from tests.app.fake_clock import FakeClock
from workflows.durable.run import JobPostponed
from workflows.services import BrokenWorld

SCOPE = Scope.of(1, 2, {"issues": "write"})
RULES = RetryRules()


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class Mint:
    """Makes numbered tokens that live for an hour."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, scope: Scope, rules: RetryRules) -> Minted:
        self.made += 1
        return Minted(f"ghs_{self.made}", 3600.0)


def test_signature(key: rsa.RSAPrivateKey) -> None:
    """The App signs with RS256, a minute back and for less than ten minutes ahead."""
    token = AppCredential(12, pem(key)).auth().token
    claims = jwt.decode(token, key.public_key(), algorithms=["RS256"], options={"verify_iat": False})
    assert claims["iss"] == "12"
    assert claims["iat"] == pytest.approx(time.time() - 60, abs=5)
    assert time.time() < claims["exp"] < time.time() + 600


def test_key_on_one_line(key: rsa.RSAPrivateKey) -> None:
    """A key whose line ends were written as backslash-n in an environment file works."""
    assert AppCredential("Iv23abc", pem(key).replace("\n", "\\n")).auth().token


@pytest.mark.parametrize(
    "broken", ["", "SENTINEL", "-----BEGIN RSA PRIVATE KEY-----\nU0VOVElORUw=\n-----END RSA PRIVATE KEY-----"]
)
def test_key_that_is_none(broken: str) -> None:
    """What is not a key ends in a message that says what to do and does not show it."""
    with pytest.raises(BrokenWorld, match="App's settings page") as error:
        GitHubApp(1, broken)
    assert "SENTINEL" not in f"{error.value} {error.value.__cause__}"
    assert error.value.__suppress_context__


def test_key_of_another_kind() -> None:
    """A key that is not RSA is refused the same way."""
    with pytest.raises(BrokenWorld, match="RSA"):
        AppCredential(1, pem(ec.generate_private_key(ec.SECP256R1())))


def test_public_half_of_the_key(key: rsa.RSAPrivateKey) -> None:
    """The public key, with which nothing can be signed, is refused the same way."""
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(BrokenWorld, match="not an RSA private key"):
        AppCredential(1, public.decode())


def test_empty_app_id(key: rsa.RSAPrivateKey) -> None:
    """An empty App id is named."""
    with pytest.raises(BrokenWorld, match="id is empty"):
        AppCredential(" ", pem(key))


def test_token_is_kept_until_shortly_before_it_expires() -> None:
    """One token serves as long as it lives five more minutes; then a new one is made."""
    time_, mint = FakeClock(), Mint()
    tokens = InstallationTokens(mint, time_.clock)
    assert tokens.fetch(SCOPE, RULES).token == tokens.fetch(SCOPE, RULES).token == "ghs_1"
    time_.advance(3600 - 331)
    assert tokens.fetch(SCOPE, RULES).token == "ghs_1"
    time_.advance(2)
    assert tokens.fetch(SCOPE, RULES).token == "ghs_2"


def test_token_is_not_shared_between_scopes() -> None:
    """Another repository, installation or set of permissions has another token; their order is no matter."""
    tokens = InstallationTokens(Mint(), FakeClock().clock)
    first = tokens.fetch(Scope.of(1, 2, {"issues": "write", "checks": "write"}), RULES)
    assert tokens.fetch(Scope.of(1, 2, {"checks": "write", "issues": "write"}), RULES) is first
    others = [
        Scope.of(1, 3, {"issues": "write"}),
        Scope.of(9, 2, {"issues": "write"}),
        Scope.of(1, 2, {"issues": "read"}),
    ]
    assert len({first.token, *(tokens.fetch(each, RULES).token for each in others)}) == 4


def test_no_permissions_are_refused() -> None:
    """To ask for no permissions would give all that the installation has, so it is not possible."""
    with pytest.raises(ValueError, match="permissions"):
        Scope.of(1, 2, {})


def test_one_mint_at_a_time() -> None:
    """Threads that need the same token at once make one request; another scope is not held up by it."""
    entered, go = threading.Event(), threading.Event()
    made: list[Scope] = []

    def mint(scope: Scope, rules: RetryRules) -> Minted:
        made.append(scope)
        if scope == SCOPE:
            entered.set()
            assert go.wait(10)
        return Minted(f"ghs_{len(made)}", 3600.0)

    tokens = InstallationTokens(mint, FakeClock().clock)
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(tokens.fetch(SCOPE, RULES).token)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert entered.wait(10)
    tokens.fetch(Scope.of(1, 99, {"issues": "write"}), RULES)
    go.set()
    for thread in threads:
        thread.join()
    assert (len(set(got)), made.count(SCOPE)) == (1, 1)


def test_who_is_in_a_hurry_does_not_wait_for_another_s_token() -> None:
    """While one thread waits for GitHub's token with all its patience, a job that may be put off is."""
    entered, go = threading.Event(), threading.Event()

    def mint(scope: Scope, rules: RetryRules) -> Minted:
        entered.set()
        assert go.wait(10)
        return Minted("ghs_1", 3600.0)

    tokens = InstallationTokens(mint, FakeClock().clock)
    patient = threading.Thread(target=lambda: tokens.fetch(SCOPE, RULES))
    patient.start()
    assert entered.wait(10)
    with pytest.raises(JobPostponed):
        tokens.fetch(SCOPE, RULES.within(0.01))
    go.set()
    patient.join()
    assert tokens.fetch(SCOPE, RULES.within(0.01)).token == "ghs_1"


def test_refused_token_is_replaced_once() -> None:
    """When two threads are told that the same token is no good, one new token is made for both."""
    mint = Mint()
    credential = InstallationCredential(InstallationTokens(mint, FakeClock().clock), SCOPE, RULES)
    refused = credential.auth()
    credential.renew(refused)
    assert credential.auth().token == "ghs_2"
    credential.renew(refused)
    assert (credential.auth().token, mint.made) == ("ghs_2", 2)


def test_drained_tokens_are_those_that_live() -> None:
    """What is to be revoked at the end are the tokens that still live."""
    time_ = FakeClock()
    tokens = InstallationTokens(Mint(), time_.clock)
    tokens.fetch(SCOPE, RULES)
    time_.advance(4000)
    tokens.fetch(Scope.of(1, 3, {"issues": "write"}), RULES)
    assert [token.token for token in tokens.drain()] == ["ghs_2"]
    assert tokens.drain() == []


def test_nothing_shows_a_secret(key: rsa.RSAPrivateKey) -> None:
    """No object shows a token or a key when it is printed."""
    tokens = InstallationTokens(Mint(), FakeClock().clock)
    shown = [
        repr(each) for each in (Minted("ghs_1", 1.0), tokens, tokens.fetch(SCOPE, RULES), AppCredential(1, pem(key)))
    ]
    shown.append(repr(GitHubApp(1, pem(key))))
    assert "ghs_" not in "".join(shown)
    assert "PRIVATE" not in "".join(shown)


def test_locks_go_with_their_holders() -> None:
    """A name that nobody holds takes no room; a held one lets only one thread through."""
    locks = KeyedLocks()
    inside: list[int] = []

    def enter() -> None:
        with locks.hold("a"):
            inside.append(1)

    with locks.hold("a"), locks.hold("b"):
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(0.05)
        assert inside == []
    thread.join(10)
    assert (inside, len(locks._locks)) == ([1], 0)
