"""Images that tests build for themselves on the engine that they share."""

from __future__ import annotations

import io
from typing import Any

import docker


def build_image(engine: docker.DockerClient, recipe: str, **options: Any) -> str:
    """The id of an image of its own.

    Nothing of it comes out of the engine's cache: whoever removes an image takes the layers below along, and with them
    what another build of the same steps goes on from at that moment.
    """
    image, _ = engine.images.build(fileobj=io.BytesIO(recipe.encode()), nocache=True, rm=True, forcerm=True, **options)
    return str(image.id)
