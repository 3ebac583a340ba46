"""``python -m app.localhub``: what a newcomer starts."""

from __future__ import annotations

import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import requests


def start(folder: Path, port: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "app.localhub", "--port", str(port), "--data", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_welcome(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("End with"):
            break
    return "".join(lines)


def end(process: subprocess.Popen[str]) -> int:
    process.terminate()
    code = process.wait(60)
    assert process.stdout
    process.stdout.close()
    return code


def test_start_look_and_label(tmp_path: Path) -> None:
    """It prints addresses, key and a call that labels the sample issue; the call works, and Ctrl-C ends it cleanly."""
    process = start(tmp_path)
    try:
        words = read_welcome(process)
        key = tmp_path / "app.private-key.pem"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert str(key) in words
        page = re.search(r"repository +(\S+)", words)
        call = re.search(r"'Authorization: (Bearer \S+)' (\S+) -d", words)
        assert page
        assert call
        assert "to_celsius gives wrong results" in requests.get(page[1], timeout=30).text
        done = requests.post(call[2], json={"labels": ["qwen"]}, headers={"Authorization": call[1]}, timeout=30)
        assert [label["name"] for label in done.json()] == ["qwen"]
    finally:
        assert end(process) == 0
    again = start(tmp_path)
    before = key.read_text()
    read_welcome(again)
    assert (end(again), key.read_text()) == (0, before), "the App's key stays the same from start to start"


def test_only_loopback(tmp_path: Path) -> None:
    """It listens on 127.0.0.1 and nowhere else."""
    process = start(tmp_path)
    try:
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", read_welcome(process))[1])  # type: ignore[index]
        listening = [
            line.split()[1]
            for table in ("/proc/net/tcp", "/proc/net/tcp6")
            for line in Path(table).read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
        ]
        assert listening == [f"0100007F:{port:04X}"]
    finally:
        end(process)


def test_port_in_use(tmp_path: Path) -> None:
    """A taken port is one sentence that says what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        process = start(tmp_path, other.getsockname()[1])
        words = process.communicate(timeout=120)[0]
    assert process.returncode == 1
    assert "choose another with --port" in words
    assert "Traceback" not in words
