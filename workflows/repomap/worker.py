"""The process that parses untrusted files: frames in, frames out, with limits of its own; it ends with its input."""

from __future__ import annotations

import resource
import sys

from workflows.repomap.extract import extract_symbols
from workflows.repomap.frames import LENGTH, REQUEST_HEAD
from workflows.repomap.symbols import encode_symbols

PROCESSOR_SECONDS = 300
ADDRESS_SPACE_BYTES = 1 << 30


def main() -> None:
    """Answer requests until the input ends."""
    limit_this_process()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(LENGTH.pack(0))
    answers.flush()
    while len(head := requests.read(REQUEST_HEAD.size)) == REQUEST_HEAD.size:
        name_length, content_length = REQUEST_HEAD.unpack(head)
        name = requests.read(name_length).decode()
        answer = encode_symbols(extract_symbols(name, requests.read(content_length)))
        answers.write(LENGTH.pack(len(answer)) + answer)
        answers.flush()


def limit_this_process() -> None:
    """Little memory, no new processes, no written files, no core dumps: for the rest of this process's life."""
    for limit, most in (
        (resource.RLIMIT_AS, ADDRESS_SPACE_BYTES),
        (resource.RLIMIT_CPU, PROCESSOR_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))


if __name__ == "__main__":
    main()
