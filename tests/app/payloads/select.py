"""Makes the payloads of this folder from npm's ``@octokit/webhooks-examples``: ``python select.py */index.json``.

``examples.json.xz`` holds every example of the package once, of github.com and of Enterprise Server.
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path

WANTED = (
    ("ping", ""), ("issues", "labeled"), ("issues", "unlabeled"), ("issues", "deleted"), ("issue_comment", "created"),
    ("pull_request", "labeled"), ("push", ""), ("installation", "created"), ("check_run", "completed"),
    ("star", "created"),
)  # fmt: skip


def pack(indexes: list[Path]) -> None:
    """Write all examples, each as ``{"event", "payload"}``, with none twice."""
    found = {
        json.dumps({"event": event["name"], "payload": example}, separators=(",", ":"), sort_keys=True): None
        for index in indexes
        for event in json.loads(index.read_text())
        for example in event["examples"]
    }
    text = "[\n" + ",\n".join(found) + "\n]\n"
    target = Path(__file__).with_name("examples.json.xz")
    target.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def main(indexes: list[Path]) -> None:
    """Write one compact file for each wanted event and action; an example of an App's delivery where there is one."""
    for name, action in WANTED:
        examples = [
            example
            for index in indexes
            for event in json.loads(index.read_text())
            for example in event["examples"]
            if event["name"] == name and (not action or example.get("action") == action)
        ]
        example = min(examples, key=lambda found: (not found.get("installation"), len(json.dumps(found))))
        target = Path(__file__).parent / f"{name}.{action}.json".replace("..", ".")
        target.write_text(json.dumps(example, separators=(",", ":"), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
    pack([Path(argument) for argument in sys.argv[1:]])
