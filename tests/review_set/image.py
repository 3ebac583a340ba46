"""The sandbox image with Go, from the same distribution: in it the set's code runs in all its languages."""

from __future__ import annotations

import hashlib
import io
import os

import docker
from docker.errors import BuildError, ImageNotFound

from sandbox.authorities import find_authorities
from sandbox.images import ImageUnavailable, ensure_image

_RECIPE = """\
FROM {base}
USER root
RUN apt-get update -qq \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends golang-go \\
 && rm -rf /var/lib/apt/lists/*
USER agent
"""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def ensure_set_image(client: docker.DockerClient) -> str:
    """The image's tag; built once, from the sandbox image and the same package mirror. Raises ImageUnavailable."""
    base = ensure_image(client, say=print, authorities=find_authorities(os.environ), environment=os.environ)
    recipe = _RECIPE.format(base=base)
    # A name of its own: forgehand/ is kept for what the product makes.
    tag = f"review-set/sandbox:{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    try:
        client.images.get(tag)
    except ImageNotFound:
        print("Adding Go to the sandbox image. This happens once.")
        proxies = {name: value for name in _PROXIES if (value := os.environ.get(name))}
        try:
            client.images.build(
                fileobj=io.BytesIO(recipe.encode()), tag=tag, network_mode="host", buildargs=proxies, rm=True
            )
        except BuildError as error:
            last = "".join(str(line.get("stream", "")) for line in error.build_log)[-1_500:]
            raise ImageUnavailable(f"Go cannot be added to the sandbox image: {error}\n{last}") from error
    return tag
