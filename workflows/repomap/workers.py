"""The host's side of the parsing workers: at most two, each file with a deadline; a crash costs one file's symbols."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from workflows.repomap.frames import LENGTH, REQUEST_HEAD
from workflows.repomap.symbols import FileSymbols, parse_stored
from workflows.services import BrokenWorld

WORKERS = 2
FILE_SECONDS = 5.0
START_SECONDS = 60.0
LARGEST_ANSWER = 4_000_000


@dataclass(frozen=True)
class Source:
    """A file's content to parse. ``key`` names the answer; ``language`` is one of LANGUAGES."""

    key: str
    language: str
    content: bytes


class Workers:
    """Up to two worker processes, started when first needed; a context that ends them."""

    def __init__(self) -> None:
        self._lanes = [_Lane() for _ in range(WORKERS)]

    @property
    def starts(self) -> int:
        """How many processes were started so far."""
        return sum(lane.starts for lane in self._lanes)

    def parse(self, sources: Iterable[Source], *, deadline: float) -> dict[str, FileSymbols | None]:
        """The symbols by key; None for a file whose parsing crashed or took over five seconds.

        What is not begun before ``deadline`` (time.monotonic) is absent. Raises BrokenWorld when no worker starts.
        """
        waiting = deque(sources)
        done: dict[str, FileSymbols | None] = {}

        def drain(lane: _Lane) -> None:
            while waiting and time.monotonic() < deadline:
                try:
                    source = waiting.popleft()
                except IndexError:
                    return
                done[source.key] = lane.parse(source)

        lanes = self._lanes[: len(waiting)]
        with ThreadPoolExecutor(WORKERS) as threads:
            for running in [threads.submit(drain, lane) for lane in lanes]:
                running.result()
        return done

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self._lanes:
            lane.end()


class _Lane:
    """One worker process after another."""

    def __init__(self) -> None:
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    def parse(self, source: Source) -> FileSymbols | None:
        process = self._process or self._start()
        name = source.language.encode()
        request = REQUEST_HEAD.pack(len(name), len(source.content)) + name + source.content
        answer = _exchange(process, request, time.monotonic() + FILE_SECONDS)
        symbols = None if answer is None else parse_stored(answer)
        if symbols is None:
            self.end()
        return symbols

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        self._process = process = subprocess.Popen(
            [sys.executable, "-I", "-m", "workflows.repomap.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={},
            cwd="/",
            start_new_session=True,
        )
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        if _exchange(process, b"", time.monotonic() + START_SECONDS) is None:
            self.end()
            raise BrokenWorld("repo_map", "The repo map's parser does not start. Install Forgehand again, whole.")
        return process


def _exchange(process: subprocess.Popen[bytes], request: bytes, deadline: float) -> bytes | None:
    """Send a request and read one answer; None when the process ended, is late, or answers too much.

    Both ways at once and never blocking: what the worker parses may have taken it over.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    left, answer = memoryview(request), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if request:
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while (wait := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(wait):
                if key.fileobj is process.stdout:
                    chunk = os.read(key.fd, 65_536)
                    if not chunk:
                        return None
                    answer += chunk
                    continue
                try:
                    left = left[os.write(key.fd, left[:65_536]) :]
                except BrokenPipeError:
                    return None
                if not left:
                    selector.unregister(process.stdin)
            if len(answer) < LENGTH.size:
                continue
            whole = LENGTH.size + LENGTH.unpack_from(answer)[0]
            if len(answer) > whole or whole > LARGEST_ANSWER:
                return None
            if len(answer) == whole:
                return bytes(answer[LENGTH.size :])
    return None
