"""The process that parses untrusted files: frames in, frames out, with limits of its own; it ends with its input."""

from __future__ import annotations

import contextlib
import os
import resource
import sys

from workflows.repomap.extract import extract_symbols, load_grammars
from workflows.repomap.frames import LENGTH, REQUEST_HEAD
from workflows.repomap.symbols import encode_symbols

PROCESSOR_SECONDS = 300
ADDRESS_SPACE_BYTES = 1 << 30
NOBODY = 65534


def main() -> None:
    """Answer requests until the input ends."""
    load_grammars()
    give_up_rights()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(LENGTH.pack(0))
    answers.flush()
    while len(head := requests.read(REQUEST_HEAD.size)) == REQUEST_HEAD.size:
        name_length, content_length = REQUEST_HEAD.unpack(head)
        name = requests.read(name_length).decode()
        answer = encode_symbols(extract_symbols(name, requests.read(content_length)))
        answers.write(LENGTH.pack(len(answer)) + answer)
        answers.flush()


def give_up_rights() -> None:
    """Become nobody where we may, with little memory and no new file, socket or process, for the rest of its life.

    With no descriptor left, code that takes over the parser can open nothing: it can only answer nonsense.
    """
    if os.geteuid() == 0:
        with contextlib.suppress(PermissionError):  # root without the right to change users, in some containers
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    for limit, most in (
        (resource.RLIMIT_AS, ADDRESS_SPACE_BYTES),
        (resource.RLIMIT_CPU, PROCESSOR_SECONDS),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))


if __name__ == "__main__":
    main()
