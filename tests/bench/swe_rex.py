"""SWE-ReX's own client on its own server in a container: run by SWE-ReX's Python, prints milliseconds a kind of call.

``python swe_rex.py PORT TOKEN``. It stands alone: that Python has none of ours.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median

from swerex.runtime.abstract import (  # type: ignore[import-not-found]
    BashAction,
    CreateBashSessionRequest,
    ReadFileRequest,
    WriteFileRequest,
)
from swerex.runtime.remote import RemoteRuntime  # type: ignore[import-not-found]

TIMES = 30
PATH = "/tmp/rex"
LINES = "".join(f"line {number} here\n" for number in range(400))


async def measure(port: int, token: str) -> dict[str, float]:
    """Median milliseconds of a shell command in a session, of reading 400 lines, of an edit (read, then write)."""
    runtime = RemoteRuntime(auth_token=token, host="http://127.0.0.1", port=port, timeout=30.0)
    await runtime.wait_until_alive(timeout=60.0)
    await runtime.create_session(CreateBashSessionRequest(startup_timeout=30.0))

    async def shell() -> None:
        await runtime.run_in_session(BashAction(command="true", timeout=30))

    async def read() -> None:
        await runtime.read_file(ReadFileRequest(path=PATH))

    async def edit() -> None:
        text = (await runtime.read_file(ReadFileRequest(path=PATH))).content
        await runtime.write_file(WriteFileRequest(path=PATH, content=text.replace("line 200 here", "line 200 there")))

    await runtime.write_file(WriteFileRequest(path=PATH, content=LINES))
    return {name: await timed(call) for name, call in (("shell", shell), ("read", read), ("edit", edit))}


async def timed(call: Callable[[], Awaitable[None]]) -> float:
    """Median milliseconds of so many calls."""
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), sys.argv[2]))))
