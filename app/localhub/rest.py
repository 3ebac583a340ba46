"""The REST surface as a table of routes, and the one function that answers a call: who, where, may they, do it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import unquote

from app.localhub import bare
from app.localhub.acts import Actor
from app.localhub.answers import Answer, Refusal, invalid_request, no_access, not_found, paged
from app.localhub.auth import Caller, Level, conversation_permissions, identify, require, sees
from app.localhub.records import Issue, Json, Repository, Role
from app.localhub.shapes import Links
from app.localhub.store import Store, find_comment

T = TypeVar("T")
Access = Literal["repository", "app", "installation", "token", "anyone"]
JSON_ACCEPT = "application/json"


@dataclass(frozen=True)
class Request:
    """A REST request as it came; ``path`` is still percent-encoded and has no ``/api/v3``."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    links: Links


@dataclass
class Call:
    """A REST call in hand: the request, the store (locked), the caller, and the repository when the path names one."""

    request: Request
    store: Store
    caller: Caller
    params: dict[str, str]
    _repo: Repository | None = None
    body: Json = field(default_factory=dict)

    @property
    def links(self) -> Links:
        """The addresses for the answer."""
        return self.request.links

    @property
    def query(self) -> dict[str, str]:
        """The query parameters."""
        return self.request.query

    @property
    def repo(self) -> Repository:
        """The repository that the path names."""
        assert self._repo
        return self._repo

    @property
    def actor(self) -> Actor:
        """The caller as the one who acts."""
        return self.caller.actor

    @property
    def issue(self) -> Issue:
        """The issue that ``{number}`` names. Raises Refusal 404."""
        found = self.repo.issues.get(int(self.params["number"]))
        if found is None:
            raise not_found()
        return found

    @property
    def pull(self) -> Issue:
        """The pull request that ``{number}`` names. Raises Refusal 404."""
        issue = self.issue
        if issue.pull is None:
            raise not_found()
        return issue

    def accepts(self, word: str) -> bool:
        """Whether the Accept header asks for this GitHub media type (``raw``, ``diff``, ``patch``)."""
        return bool(re.search(rf"vnd\.github\.(?:v3\.)?{word}\b", self.request.headers.get("accept", "")))

    def page(self, items: Sequence[T], render: Callable[[T], Any]) -> Answer:
        """One page of a list, with a Link header."""
        shown, link = paged(items, self.query, url=self.links.api + self.request.path, render=render)
        return Answer(200, shown, {"Link": link} if link else {})

    def text(self, name: str, *, required: bool = False) -> str | None:
        """A string of the body. Raises Refusal 422 when it is missing or something else."""
        value = self.body.get(name)
        if value is None and required:
            raise invalid_request(f'"{name}" wasn\'t supplied.')
        if value is not None and not isinstance(value, str):
            raise invalid_request(f"For 'properties/{name}', {json.dumps(value)} is not a string.")
        return value

    def needed(self, name: str) -> str:
        """A string that must be there. Raises Refusal 422."""
        value = self.text(name, required=True)
        assert value is not None
        return value

    def commit(self, revision: str) -> str:
        """The commit of a branch, tag or sha. Raises Refusal 404, or 409 for an empty repository."""
        sha = bare.resolve(self.repo.path, revision)
        if sha is None:
            raise not_found()
        return sha


Act = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """One operation: how its path looks, who may call it, and where GitHub documents it."""

    method: str
    pattern: re.Pattern[str]
    access: Access
    permissions: tuple[str, ...]
    level: Level
    role: Role
    docs: str
    act: Act


class Routes:
    """The operations of one resource, in the order in which they are tried."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        docs: str,
        access: Access = "repository",
        permission: str = "metadata",
        level: Level | None = None,
        role: Role | None = None,
    ) -> Callable[[Act], Act]:
        """Register the decorated function. In ``path`` a name matches a segment, ``{x:int}`` digits, ``{x:path}`` all.

        ``permission`` is the App permission (``conversation``: issues, or pull requests when it is one); ``level``
        and ``role`` (for users) follow from the method unless given.
        """
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
        pattern = re.sub(r"\{(\w+):int\}", r"(?P<\1>[0-9]{1,18})", pattern)
        pattern = re.sub(r"\{(\w+):path\}", r"(?P<\1>.+)", pattern)
        wanted = level or ("read" if method == "GET" else "write")

        def register(act: Act) -> Act:
            self.all.append(
                Route(
                    method,
                    re.compile(pattern),
                    access,
                    (permission,),
                    wanted,
                    role or ("read" if wanted == "read" else "write"),
                    docs,
                    act,
                )
            )
            return act

        return register


def find_route(routes: Sequence[Route], method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The operation for a method and an encoded path, with the decoded parameters."""
    for route in routes:
        match = route.pattern.fullmatch(path) if route.method == method else None
        if match:
            return route, {name: unquote(value) for name, value in match.groupdict().items()}
    return None


def answer(store: Store, routes: Sequence[Route], request: Request) -> tuple[Answer, str]:
    """The answer to a REST request, and the caller's name. Every write is put in the journal."""
    name, docs, parsed = "anonymous", "", None
    with store.lock:
        try:
            caller = identify(store, request.headers.get("authorization"))
            name = caller.name
            found = find_route(routes, request.method, request.path)
            if found is None:
                raise not_found()
            route, params = found
            docs = route.docs
            call = Call(request, store, caller, params)
            admit(call, route)
            call.body = parsed = parse_body(request)
            done = route.act(call)
        except Refusal as refusal:
            done = refusal.answer(docs)
        if request.method != "GET":
            store.record(request.method, request.path, actor=name, body=parsed, status=done.status)
    return conditional(request, done), name


def conditional(request: Request, done: Answer) -> Answer:
    """The answer with an ETag, or 304 when the caller has it already."""
    if request.method != "GET" or done.status != 200:
        return done
    tag = f'"{hashlib.sha256(done.content()).hexdigest()}"'
    if request.headers.get("if-none-match", "").removeprefix("W/") == tag:
        return Answer(304, None, {"ETag": tag})
    return Answer(done.status, done.body, {**done.headers, "ETag": tag}, done.media)


def parse_body(request: Request) -> Json:
    """The JSON object of the body. Raises Refusal 400 in GitHub's words.

    Recorded: GithubIntegration.testGetAccessTokenWithInvalidData ("Problems parsing JSON").
    """
    if not request.body.strip() or request.method == "GET":
        return {}
    try:
        parsed = json.loads(request.body)
    except (ValueError, RecursionError):
        raise Refusal(400, "Problems parsing JSON") from None
    if isinstance(parsed, list) and request.path.endswith("/labels"):
        return {"labels": parsed}
    if not isinstance(parsed, dict):
        raise Refusal(400, "Body should be a JSON object")
    return parsed


def admit(call: Call, route: Route) -> None:
    """Find the repository and check the caller's right. Raises Refusal 301, 401, 403 or 404."""
    caller = call.caller
    if route.access == "repository":
        call._repo = repo = _named_repository(call)
        permissions = route.permissions
        if permissions == ("conversation",):
            permissions = conversation_permissions(_conversation(call, repo))
        require(caller, repo, permissions=permissions, level=route.level, role=route.role)
        if route.level == "write" and repo.archived:
            raise Refusal(403, "Repository was archived so is read-only.")
    elif route.access == "app" and not caller.app:
        raise Refusal(401, "A JSON web token could not be decoded")
    elif route.access == "installation" and not (caller.token and caller.token.installation):
        raise Refusal(403, "You must authenticate with an installation access token in order to list repositories")
    elif route.access == "token" and (not caller.token or caller.token.installation):
        raise no_access() if caller.token or caller.app else Refusal(401, "Requires authentication")


def _named_repository(call: Call) -> Repository:
    if "repository_id" in call.params:
        found = call.store.repositories.get(int(call.params["repository_id"]))
    else:
        full_name = f"{call.params['owner']}/{call.params['repo']}"
        found = call.store.find_repository(full_name)
        moved = call.store.repositories.get(call.store.old_names.get(full_name.lower(), 0))
        if found is None and moved and sees(call.caller, moved):
            rest = call.request.path.split("/", 4)[4:]
            where = "/".join([f"{call.links.api}/repositories/{moved.id}", *rest])
            raise Refusal(301, "Moved Permanently", headers={"Location": where})
    if found is None:
        raise not_found()
    return found


def _conversation(call: Call, repo: Repository) -> Issue | None:
    if "number" in call.params:
        return repo.issues.get(int(call.params["number"]))
    found = find_comment(repo, int(call.params["comment_id"])) if "comment_id" in call.params else None
    return found[0] if found else None
