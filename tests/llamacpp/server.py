"""llama.cpp's own server, from a released package, in front of a scripted model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.fetched import Package, fetch
from tests.llamacpp.scripted_weights import write_model

# 34 MB, for x86-64 and for ARM. It holds llama.cpp as compiled code and needs nothing else.
LLAMA_CPP = Package(
    "xllamacpp",
    "2026.10.11549",
    (
        "c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261",
        "e2a3e79e775515de4ad197e667f874070446ef9ac9cf2044bc9866bc4c72289e",
    ),
    "is the real model server of the tests",
)
NAME = "scripted-session"
WINDOW = 65_536


@contextmanager
def serve_script(
    folder: Path, with_tools: Sequence[str], without: Sequence[str] = (), *, window: int = WINDOW, endless: bool = False
) -> Iterator[str]:
    """The base URL of a server whose model says these replies; see :func:`write_model`. ``window`` is in bytes."""
    model = folder / "scripted.gguf"
    write_model(model, with_tools, without, window=window, endless=endless)
    command = [sys.executable, str(Path(__file__).with_name("serve.py")), str(model), NAME, str(window)]
    environment = os.environ | {"PYTHONPATH": str(fetch(LLAMA_CPP))}
    with (
        (folder / "llama.log").open("wb") as log,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            address = next((line for line in process.stdout if line.startswith("http")), None)
            assert address is not None, (folder / "llama.log").read_text(errors="replace")[-4000:]
            yield f"{address.strip()}/v1"
        finally:
            process.kill()


def write_call(name: str, **parameters: str) -> str:
    """A call as Qwen3-Coder writes it."""
    inner = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in parameters.items())
    return f"<tool_call>\n<function={name}>\n{inner}</function>\n</tool_call>"
