"""The real engine, but for the answers that it gives in a race: those are given as often as a test says."""

from __future__ import annotations

import json
from typing import Any

import docker
import requests
from requests.adapters import BaseAdapter


class RefusingEngine(BaseAdapter):
    """Between a client and its engine. ``left`` removals of a container are refused, the others reach the engine."""

    def __init__(self, client: docker.DockerClient, *, left: int, status: int, words: str) -> None:
        super().__init__()
        self._engine = client.api.get_adapter(client.api.base_url)
        self.left, self.status, self.words = left, status, words
        client.api.mount(f"{client.api.base_url}/", self)
        client.api.mount("http+docker://", self)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **named: Any) -> requests.Response:
        if request.method != "DELETE" or not self.left:
            return self._engine.send(request, *arguments, **named)
        self.left -= 1
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = self.status, str(request.url), request
        answer.headers["Content-Type"] = "application/json"
        answer._content = json.dumps({"message": self.words}).encode()
        return answer

    def close(self) -> None:
        self._engine.close()
