"""The sandbox image, shared by every test that opens a container."""

from __future__ import annotations

import os

import docker
import pytest

from sandbox.authorities import find_authorities
from sandbox.images import ensure_image


@pytest.fixture(scope="session")
def sandbox_image(engine: docker.DockerClient) -> str:
    """The tag of the sandbox image; built on the first use on a machine, found ever after."""
    return ensure_image(engine, say=print, authorities=find_authorities(os.environ), environment=os.environ)
