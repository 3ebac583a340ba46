"""git over HTTP: git's own ``git http-backend`` behind per-token Basic authentication; pushed refs are announced."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.localhub import bare
from app.localhub.acts_pulls import ref_moved
from app.localhub.answers import Refusal
from app.localhub.auth import Caller, granted, identify, sees
from app.localhub.records import Repository
from app.localhub.store import Store, has_role

PATH = re.compile(r"/(?P<owner>[^/]+)/(?P<repo>[^/]+?)(?:\.git)?/(?P<rest>info/refs|git-upload-pack|git-receive-pack)")
CHUNK = 64 * 1024
CHALLENGE = {"WWW-Authenticate": 'Basic realm="GitHub"'}
DECLINED = b"hook declined"


@dataclass(frozen=True)
class GitAnswer:
    """What git's client gets: ``chunks`` are read from the running git process."""

    status: int
    headers: dict[str, str]
    chunks: Iterator[bytes]
    actor: str = "anonymous"


def text_answer(status: int, text: str, headers: dict[str, str] | None = None) -> GitAnswer:
    """A short answer that git shows as ``remote: …``."""
    return GitAnswer(status, {"Content-Type": "text/plain", **(headers or {})}, iter([text.encode()]))


class GitServer:
    """Serves every repository of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(
        self, method: str, path: str, *, query: str, headers: Mapping[str, str], body: IO[bytes], length: int
    ) -> GitAnswer:
        """Answer one request of git's client; ``body`` is at its start and ``length`` bytes long."""
        match = PATH.fullmatch(path)
        assert match
        push = match["rest"] == "git-receive-pack" or "service=git-receive-pack" in query
        with self._store.lock:
            repo = self._store.find_repository(f"{match['owner']}/{match['repo']}")
            try:
                caller = identify(self._store, headers.get("authorization"))
            except Refusal:
                return text_answer(401, "Invalid username or token.\n", CHALLENGE)
            refused = refuse(caller, repo, push=push)
            if refused or repo is None:
                return refused or text_answer(404, "Repository not found.\n")
            environment = _cgi(repo, caller, match["rest"], method=method, query=query, headers=headers, length=length)
            if match["rest"] == "git-receive-pack":
                return self._receive(repo, caller, environment, body)
        return _stream(environment, body, actor=caller.name)

    def _receive(self, repo: Repository, caller: Caller, environment: dict[str, str], body: IO[bytes]) -> GitAnswer:
        """Let git take the pack, then announce every ref that moved, before the client hears that it is done.

        The lock is held meanwhile (the pack is on this side already), so that no other write is mistaken for the push.
        """
        with tempfile.TemporaryDirectory() as folder:
            reasons = Path(folder) / "reasons"
            environment["LOCALHUB_REASONS"] = str(reasons)
            before = bare.refs(repo.path)
            done = _stream(environment, body, actor=caller.name)
            output = b"".join(done.chunks)
            refused = reasons.read_bytes() if reasons.exists() else b""
        if refused:
            output = explain(output, dict(line.split(b"\t", 1) for line in refused.splitlines()))
        after = bare.refs(repo.path)
        for ref in sorted(before.keys() | after.keys()):
            old, new = before.get(ref, bare.ZERO), after.get(ref, bare.ZERO)
            if old != new and not ref.startswith("refs/pull/"):
                ref_moved(self._store, repo, ref, before=old, after=new, actor=caller.actor)
        return GitAnswer(done.status, done.headers, iter([output]), caller.name)


def refuse(caller: Caller, repo: Repository | None, *, push: bool) -> GitAnswer | None:
    """Why this caller may not, in the words that GitHub's git server uses, or None."""
    token = caller.token
    if repo is None or not sees(caller, repo):
        return text_answer(404, "Repository not found.\n") if token else text_answer(401, "Unauthorized\n", CHALLENGE)
    if not push and not repo.private:
        return None
    if token is None:
        return text_answer(401, "Unauthorized\n", CHALLENGE)
    if token.installation:
        here = token.installation.account is repo.owner
        chosen = token.repositories
        allowed = here and (chosen is None or repo.id in chosen)
        if not allowed or not granted(token, "contents", "write" if push else "read"):
            return text_answer(403, "Write access to repository not granted.\n")
    elif not has_role(repo, token.user, "write" if push else "read"):
        return text_answer(403, f"Permission to {repo.full_name}.git denied to {token.user.login}.\n")
    if push and repo.archived:
        return text_answer(403, "This repository was archived so it is read-only.\n")
    return None


def _cgi(
    repo: Repository,
    caller: Caller,
    rest: str,
    *,
    method: str,
    query: str,
    headers: Mapping[str, str],
    length: int,
) -> dict[str, str]:
    token = caller.token
    workflows = token is not None and (token.installation is None or granted(token, "workflows", "write"))
    given = {
        "GIT_PROJECT_ROOT": str(repo.path.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repo.path.name}/{rest}",
        "REQUEST_METHOD": method,
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(length),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_USER": caller.name if token else "",
        "REMOTE_ADDR": "127.0.0.1",
        "LOCALHUB_WORKFLOWS": "write" if workflows else "none",
    }
    return bare.environment({name: value for name, value in given.items() if value})


def _stream(environment: dict[str, str], body: IO[bytes], *, actor: str) -> GitAnswer:
    """Run the CGI program on the body and pass on what it writes as it writes it."""
    process = subprocess.Popen(
        ["git", "http-backend"], stdin=body, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    output = process.stdout
    assert output
    status, headers = 200, {}
    while line := output.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value.strip()

    def chunks() -> Iterator[bytes]:
        try:
            while chunk := output.read1(CHUNK):  # type: ignore[attr-defined]  # a BufferedReader, which IO[bytes] hides
                yield chunk
        finally:
            output.close()
            process.wait()

    return GitAnswer(status, headers, chunks(), actor)


def explain(output: bytes, reasons: Mapping[bytes, bytes]) -> bytes:
    """The receive-pack report with GitHub's reasons in place of git's ``hook declined``.

    The report is pkt-lines, wrapped into side-band pkt-lines when the client asked for them (it always does).
    """
    packets = []
    for packet in _packets(output):
        if packet.startswith(b"\x01") and DECLINED in packet:
            inner = [_explained(line, reasons) for line in _packets(packet[1:])]
            packets.append(b"\x01" + b"".join(map(_packet, inner)))
        else:
            packets.append(packet)
    return b"".join(map(_packet, packets))


def _explained(line: bytes, reasons: Mapping[bytes, bytes]) -> bytes:
    for ref, reason in reasons.items():
        if line.startswith(b"ng " + ref + b" " + DECLINED):
            return b"ng " + ref + b" " + reason + b"\n"
    return line


def _packets(data: bytes) -> Iterator[bytes]:
    """The payloads of pkt-lines; a flush is empty."""
    place = 0
    while place + 4 <= len(data):
        size = max(int(data[place : place + 4], 16), 4)
        yield data[place + 4 : place + size]
        place += size


def _packet(payload: bytes) -> bytes:
    return b"%04x" % (len(payload) + 4) + payload if payload else b"0000"
