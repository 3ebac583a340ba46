"""The HTTP edge: one catch-all FastAPI route that sends a request, past the faults, to the API, git or the pages."""

from __future__ import annotations

import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, ClassVar
from urllib.parse import parse_qsl, unquote

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.localhub import (
    graphql_api,
    pages,
    rest,
    rest_apps,
    rest_checks,
    rest_git,
    rest_issues,
    rest_pulls,
    rest_releases,
    rest_repos,
)
from app.localhub.answers import Answer
from app.localhub.events import API_PREFIX
from app.localhub.faults import BODY_SHOWN, Fault, Faults, fault_answer
from app.localhub.git_http import PATH as GIT_PATH
from app.localhub.git_http import GitServer
from app.localhub.shapes import Links
from app.localhub.store import DOWNLOADS, Store

REST_ROOTS = ("app", "installation", "rate_limit", "repos", "repositories", "user", "users")
POLICY = "default-src 'none'; style-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
BODY_IN_MEMORY = 1024 * 1024


@dataclass(frozen=True)
class Exchange:
    """One REST or GraphQL call as an observer sees it; ``faulted`` ones were answered wrongly on purpose."""

    method: str
    path: str
    query: str
    request_headers: dict[str, str]
    request_body: bytes
    status: int
    response_headers: dict[str, str]
    response_body: bytes
    faulted: bool


Observer = Callable[[Exchange], None]


class ResettableProtocol(H11Protocol):
    """uvicorn's protocol, with its connections kept in reach so that a fault can reset one."""

    open_lines: ClassVar[dict[tuple[str, int], Any]] = {}

    def connection_made(self, transport: Any) -> None:
        """Remember the connection by the client's address."""
        self.open_lines[transport.get_extra_info("peername")[:2]] = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.open_lines.pop(self.transport.get_extra_info("peername", ("", 0))[:2], None)
        super().connection_lost(exc)


def cut(client: tuple[str, int]) -> None:
    """Reset a client's connection: it sees "connection reset by peer"."""
    transport = ResettableProtocol.open_lines.get(client)
    if transport:
        line = transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class Edge:
    """Answers every HTTP request of the local GitHub."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store = store
        self.faults = faults
        self.observers: list[Observer] = []
        self.closing = threading.Event()
        self._git = GitServer(store)
        resources = (rest_checks, rest_apps, rest_issues, rest_pulls, rest_git, rest_releases, rest_repos)
        self._routes = [route for resource in resources for route in resource.routes.all]

    def application(self) -> FastAPI:
        """The ASGI application."""
        application = FastAPI(title="Local GitHub", docs_url=None, redoc_url=None, openapi_url=None)
        methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        application.add_api_route("/{path:path}", self._route, methods=methods, response_model=None)
        return application

    async def _route(self, request: Request) -> Response:
        with tempfile.SpooledTemporaryFile(BODY_IN_MEMORY) as body:
            length = 0
            async for chunk in request.stream():
                length += len(chunk)
                body.write(chunk)
            body.seek(0)
            return await self._respond(request, body, length)

    async def _respond(self, request: Request, body: IO[bytes], length: int) -> Response:
        raw = request.scope["raw_path"].decode("ascii").partition("?")[0]
        prefixed = raw == API_PREFIX or raw.startswith(API_PREFIX + "/")
        path = raw.removeprefix(API_PREFIX) if prefixed else raw
        fault = self.faults.strike(request.method, path, body.read(BODY_SHOWN))
        body.seek(0)
        if fault and not fault.after_write:
            return await self._misbehave(request, fault)
        is_rest = prefixed or raw.split("/")[1] in REST_ROOTS
        if raw in graphql_api.PATHS and request.method == "POST":
            response = await run_in_threadpool(self._graphql, request, raw, body=body.read(), faulted=fault is not None)
        elif is_rest:
            response = await run_in_threadpool(
                self._rest, request, path, prefixed=prefixed, body=body.read(), faulted=fault is not None
            )
        elif GIT_PATH.fullmatch(unquote(path)):
            response = await run_in_threadpool(self._serve_git, request, unquote(path), body=body, length=length)
        else:
            response = await run_in_threadpool(self._page, request.method, unquote(path), request.url.query)
        return await self._misbehave(request, fault) if fault else response

    async def _misbehave(self, request: Request, fault: Fault) -> Response:
        """Answer with the fault; for a time-out, first say nothing."""
        await run_in_threadpool(fault.act)
        if fault.kind == "timeout":
            await run_in_threadpool(self.closing.wait, fault.seconds)
        if fault.kind in ("timeout", "reset"):
            if request.client:
                cut((request.client.host, request.client.port))
            return Response(status_code=504)
        answer = fault_answer(fault, now=int(time.time()))
        return Response(answer.content(), answer.status, headers=answer.headers, media_type=answer.media)

    def _rest(self, request: Request, path: str, *, prefixed: bool, body: bytes, faulted: bool) -> Response:
        origin = self.store.origin
        links = Links(api=origin + API_PREFIX if prefixed else origin, html=origin)
        query = request.url.query
        call = rest.Request(
            request.method, path, dict(parse_qsl(query, keep_blank_values=True)), request.headers, body, links
        )
        answer, _ = rest.answer(self.store, self._routes, call)
        return self._told(request, path, body=body, answer=answer, faulted=faulted)

    def _graphql(self, request: Request, path: str, *, body: bytes, faulted: bool) -> Response:
        answer = graphql_api.answer(self.store, body, authorization=request.headers.get("authorization"))
        return self._told(request, path, body=body, answer=answer, faulted=faulted)

    def _told(self, request: Request, path: str, *, body: bytes, answer: Answer, faulted: bool) -> Response:
        """The response, shown to the observers first."""
        query, got = request.url.query, dict(request.headers)
        headers = {**rate_headers(int(time.time())), **answer.headers}
        for observer in self.observers:
            sent = {**{name.lower(): value for name, value in headers.items()}, "content-type": answer.media}
            observer(Exchange(request.method, path, query, got, body, answer.status, sent, answer.content(), faulted))
        return _response(answer, headers)

    def _serve_git(self, request: Request, path: str, *, body: IO[bytes], length: int) -> Response:
        with tempfile.TemporaryFile() as file:  # git reads from a descriptor, which a spooled file has not
            while chunk := body.read(BODY_IN_MEMORY):
                file.write(chunk)
            file.seek(0)
            done = self._git.answer(
                request.method, path, query=request.url.query, headers=request.headers, body=file, length=length
            )
        media = done.headers.pop("Content-Type", "text/plain")
        return StreamingResponse(done.chunks, done.status, headers=done.headers, media_type=media)

    def _page(self, method: str, path: str, query: str) -> Response:
        if path.startswith(DOWNLOADS):
            text = self.store.downloads.get(path.removeprefix(DOWNLOADS))
            return Response(text, 200 if text is not None else 404, media_type="text/plain; charset=utf-8")
        with self.store.lock:
            page = pages.render(self.store, path, dict(parse_qsl(query)))
        headers = {
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        return Response(page.content, page.status, headers=headers | page.headers, media_type=page.media)


def rate_headers(now: int) -> dict[str, str]:
    """The headers of every answer; nothing is counted, so that tests never meet a limit they did not ask for."""
    limit = str(rest_apps.RATE_LIMIT)
    reset = {"x-ratelimit-reset": str(now + 3600), "x-ratelimit-resource": "core", "x-ratelimit-used": "0"}
    return {"x-ratelimit-limit": limit, "x-ratelimit-remaining": limit, **reset, "x-github-media-type": "github.v3"}


def _response(answer: Answer, headers: dict[str, str]) -> Response:
    if answer.status in (204, 304):
        return Response(status_code=answer.status, headers=headers)
    return Response(answer.content(), answer.status, headers=headers, media_type=answer.media)
