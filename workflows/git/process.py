"""One git process: its environment, deadline, bounded output, and what its failure means to people.

Nothing of the host's or a user's configuration reaches it, and a token reaches it by its environment alone.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from workflows.services import BrokenWorld

Reason = Literal["authentication", "not_found", "network", "timeout", "usage", "broken"]

STDERR_KEPT = 8_192
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
# Proxies and certificate authorities are the host's to set; HOME is not passed on, so ~/.netrc is never read.
PASSED_ON = (
    "PATH",
    "TMPDIR",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
)
FIXED = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}
CONFIG = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("core.bigFileThreshold", "16m"),
    ("credential.helper", ""),
    ("safe.bareRepository", "explicit"),
    ("protocol.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("merge.conflictStyle", "diff3"),
    ("attr.tree", EMPTY_TREE),  # git 2.43 and newer would read the attributes of a bare repository's HEAD
    ("push.recurseSubmodules", "no"),
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "500"),
    ("http.lowSpeedTime", "60"),
)
# The programs git starts on the other side of a local path: they read that repository's own configuration.
LOCAL_UPLOAD_PACK = "git -c safe.directory=* -c core.hooksPath=/dev/null -c core.fsmonitor=false upload-pack"
LOCAL_RECEIVE_PACK = (
    "git -c safe.directory=* -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.alternateRefsCommand=true"
    " -c receive.denyCurrentBranch=refuse -c receive.autogc=false -c gc.auto=0 receive-pack"
)


class GitFailure(BrokenWorld):
    """git failed. ``kind`` is "git"; ``reason`` tells the failures apart; the message holds no secret."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__("git", message)
        self.reason = reason


@dataclass(frozen=True)
class GitAnswer:
    """What a git process said. ``truncated``: it was ended because its output passed the limit."""

    code: int
    output: bytes
    errors: str
    truncated: bool


@dataclass(frozen=True)
class Remote:
    """Where to fetch from or push to: a checked address, and the token for it."""

    url: str
    token: str | None
    scheme: Literal["https", "http", "file"]

    def config(self) -> tuple[tuple[str, str], ...]:
        """git configuration for this remote alone."""
        settings: list[tuple[str, str]] = [(f"protocol.{self.scheme}.allow", "always")]
        if self.scheme == "file":
            return tuple(settings)
        parts = urlsplit(self.url)
        origin = f"{parts.scheme}://{parts.netloc}/"
        if self.scheme == "http":
            settings.append((f"http.{origin}.proxy", ""))
        if self.token:
            settings.append((f"http.{origin}.extraHeader", f"AUTHORIZATION: basic {_basic(self.token)}"))
        return tuple(settings)

    def secrets(self) -> tuple[str, ...]:
        """The strings that no message may hold."""
        return (self.token, _basic(self.token)) if self.token else ()


def parse_remote(url: str, token: str | None, *, local_checkouts: bool) -> Remote:
    """A checked address: https anywhere, http to loopback, a local path where it is allowed; never with credentials.

    Raises GitFailure("usage").
    """
    parts = urlsplit(url)
    if url.startswith("/") or parts.scheme == "file":
        if not local_checkouts:
            raise GitFailure("usage", "Local paths are for the command line only. Give an https:// address.")
        return Remote(url, None, "file")
    if parts.username is not None or parts.password is not None:
        raise GitFailure("usage", "The repository's address holds credentials. Give it without them.")
    if not parts.hostname or re.search(r"[\x00-\x20\x7f]", url):
        raise GitFailure("usage", "This is not a repository's address. Give one such as https://github.com/owner/name.")
    if parts.scheme == "https":
        return Remote(url, token, "https")
    if parts.scheme == "http" and _is_loopback(parts.hostname):
        return Remote(url, token, "http")
    raise GitFailure("usage", f"Addresses must begin with https://, not {parts.scheme}://. Correct the address.")


def run_git(
    arguments: Sequence[str],
    *,
    git_dir: Path | None = None,
    remote: Remote | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float = 120,
    limit: int = 64_000_000,
    held: Sequence[int] = (),
) -> GitAnswer:
    """Run one git command; its process group is ended at ``timeout`` seconds or past ``limit`` bytes of output.

    ``held`` are file descriptors that the process inherits (locks). Any exit code is an answer. Raises GitFailure when
    git is absent or the deadline passed.
    """
    command = ["git", *(["--git-dir", str(git_dir)] if git_dir else []), *arguments]
    settings = (*CONFIG, *(remote.config() if remote else ()))
    environ = {**_passed_on(), **FIXED, **_config_environment(settings), **(environment or {})}
    with tempfile.TemporaryFile() as source:
        source.write(stdin)
        source.seek(0)
        try:
            process = subprocess.Popen(
                command,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environ,
                cwd="/",
                start_new_session=True,
                umask=0o022,
                pass_fds=tuple(held),
            )
        except FileNotFoundError:
            raise GitFailure("broken", "git is not installed on this host. Install git 2.38 or newer.") from None
    with process:
        try:
            output, errors, truncated = _drain(process, deadline=time.monotonic() + timeout, limit=limit)
        except TimeoutError:
            raise GitFailure(
                "timeout", f"git {arguments[0]} took longer than {timeout:.0f} s and was ended. Try again later."
            ) from None
        finally:
            _end(process)
    text = clean_message(errors.decode("utf-8", "replace"), remote.secrets() if remote else ())
    return GitAnswer(process.returncode, output, text, truncated)


def failure(action: str, answer: GitAnswer) -> GitFailure:
    """What a failed command means: its reason, and a sentence that says what to do."""
    text = answer.errors
    for reason, patterns, advice in _FAILURES:
        if re.search("|".join(patterns), text, re.IGNORECASE):
            return GitFailure(reason, f"git could not {action}: {advice} (git said: {_short(text)})")
    return GitFailure("broken", f"git could not {action}. Look at what git said and try again: {_short(text)}")


def clean_message(text: str, secrets: Sequence[str]) -> str:
    """git's words without secrets, credentials in addresses, and control characters."""
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    text = re.sub(r"://[^/\s@]{1,500}@", "://", text)
    return re.sub(r"[^\t\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufffc]", "?", text)


_FAILURES: tuple[tuple[Reason, tuple[str, ...], str], ...] = (
    (
        "authentication",
        (
            "authentication failed",
            "could not read (username|password)",
            "invalid (username|credentials)",
            r"returned error: 40[13]\b",
            "permission to .* denied",
            "write access to repository not granted",
        ),
        "access was refused. Check that the App is installed on the repository and has `contents: write`.",
    ),
    ("not_found", ("redirect", r"returned error: 30\d"), "the repository has moved. Use its present address."),
    (
        "not_found",
        (
            "repository .*not found",
            "returned error: 404",
            "does not appear to be a git repository",
            "no such file or directory",
            "couldn't find remote ref",
            "not a git repository",
        ),
        "the repository was not found. Check its address and that the App may see it.",
    ),
    (
        "network",
        (
            "could not resolve|couldn't connect|failed to connect|connection (refused|reset|timed out)|timed out",
            "ssl|certificate|tls|early eof|rpc failed|hung up|unexpected disconnect|empty reply|transfer closed",
            r"returned error: (5\d\d|429)|proxy|network is unreachable|bytes/sec",
        ),
        "the connection broke. Check the network and the certificate settings, then try again.",
    ),
)


def _short(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[:400] or "nothing"


def _basic(token: str) -> str:
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _passed_on() -> dict[str, str]:
    environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    bundle = os.environ.get("SSL_CERT_FILE")
    if bundle:
        environ["SSL_CERT_FILE"] = bundle
        environ.setdefault("GIT_SSL_CAINFO", bundle)  # git's TLS library does not read SSL_CERT_FILE by itself
    return environ


def _config_environment(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    # https://git-scm.com/docs/git-config#Documentation/git-config.txt-GITCONFIGCOUNT
    environ = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        environ[f"GIT_CONFIG_KEY_{number}"] = key
        environ[f"GIT_CONFIG_VALUE_{number}"] = value
    return environ


def _drain(process: subprocess.Popen[bytes], *, deadline: float, limit: int) -> tuple[bytes, bytes, bool]:
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, errors)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in selector.select(left):
                chunk = os.read(key.fd, 65_536)
                if not chunk:
                    selector.unregister(key.fileobj)
                key.data.extend(chunk)
            del errors[:-STDERR_KEPT]
            if len(output) > limit:
                return bytes(output[:limit]), bytes(errors), True
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return bytes(output), bytes(errors), False


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is not None:
        return
    # Not reaped yet, so the id is still ours; its children (git-remote-https) are in the same group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
