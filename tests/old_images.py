"""Images that the real engine takes for old ones: an age cannot be waited for, but it can be loaded."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import docker


def load_image(client: docker.DockerClient, tag: str, *, labels: Mapping[str, str], age: timedelta) -> str:
    """Load an empty image that says it was made ``age`` ago; its tag."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        _add(archive, "tag", tag.encode())
    content = layer.getvalue()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%S.123456789Z"),
        "config": {"Labels": dict(labels), "Cmd": ["none"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        _add(archive, "layer.tar", content)
        _add(archive, "config.json", json.dumps(config).encode())
        manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    client.images.load(packed.getvalue())
    return tag


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
