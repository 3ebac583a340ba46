"""``python -m app.localhub``: start a seeded local GitHub and say how to use it."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from app.localhub.sample import PERSON, REPOSITORY, seed_sample
from app.localhub.server import LocalHub, new_key

KEY_FILE = "app.private-key.pem"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m app.localhub",
        description="A simulation of GitHub on 127.0.0.1, for trying Forgehand. Nothing leaves this machine.",
        epilog="Example: python -m app.localhub --port 8100 --data /tmp/hub --webhook-url http://127.0.0.1:8000/webhook",
    )
    parser.add_argument("--port", type=int, default=8100, help="port on 127.0.0.1; 0 takes a free one (default 8100)")
    parser.add_argument("--data", type=Path, required=True, help="folder for the repositories and the App's key")
    parser.add_argument("--webhook-url", help="where the App listens; without it nothing is sent")
    parser.add_argument(
        "--webhook-secret",
        default=os.environ.get("LOCALHUB_WEBHOOK_SECRET", "development"),
        help="signs the webhooks (default: $LOCALHUB_WEBHOOK_SECRET, or 'development')",
    )
    return parser.parse_args(arguments)


def find_or_create_key(folder: Path) -> Path:
    """The App's private key in the data folder, readable by its owner alone; the same one at every start."""
    path = folder / KEY_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(new_key())
    return path


def render_welcome(hub: LocalHub, *, key: Path, number: int) -> str:
    """What the newcomer reads: addresses, the App, and a call that labels the issue as a person."""
    call = f"{hub.api_url}/repos/{REPOSITORY}/issues/{number}/labels"
    token = hub.create_token(PERSON)
    lines = [
        "Local GitHub: a simulation for trying Forgehand, not github.com",
        f"  pages         {hub.html_url}/",
        f"  REST API      {hub.api_url}",
        f"  App id        {hub.app_id}",
        f"  private key   {key}",
        f"  repository    {hub.html_url}/{REPOSITORY}",
        f"Label issue {number} as {PERSON} to start a job:",
        f"  curl -X POST -H 'Authorization: Bearer {token}' {call} -d '{{\"labels\": [\"qwen\"]}}'",
        "End with Ctrl-C.",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until interrupted."""
    options = parse_arguments(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    key = find_or_create_key(options.data)
    try:
        hub = LocalHub(
            options.data,
            port=options.port,
            webhook_url=options.webhook_url,
            webhook_secret=options.webhook_secret,
            private_key_pem=key.read_text(),
        )
    except OSError as error:
        raise SystemExit(
            f"Port {options.port} cannot be used ({error.strerror}); choose another with --port."
        ) from None
    with hub:
        print(render_welcome(hub, key=key, number=seed_sample(hub)), flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
