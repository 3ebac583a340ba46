"""GraphQL, for what REST lacks: review threads and their state, by graphql-core over GitHub's own schema."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from graphql import GraphQLError, GraphQLSchema, OperationType, build_schema, execute_sync, get_operation_ast, parse
from graphql import validate as find_mistakes

from app.localhub import reviews
from app.localhub.answers import Answer, Refusal
from app.localhub.auth import Caller, Level, granted, identify, sees
from app.localhub.records import Issue, Json, Repository, ReviewComment
from app.localhub.shapes import node_id
from app.localhub.shapes_pulls import is_outdated, pull_of
from app.localhub.store import Store, has_role

PATHS = ("/api/graphql", "/graphql")
SCHEMA = Path(__file__).with_name("github.graphql")
MOST = 100
GONE = "Could not resolve to a node with the global id of '{}'."
NO_BOUNDS = "You must provide a `first` or `last` value to properly paginate the `{}` connection."
TOO_MANY = "Requesting {} records on the `{}` connection exceeds the `first` limit of 100 records."


class Trouble(Exception):
    """An error with a type in GitHub's words; the field that it struck is null."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@cache
def _schema() -> GraphQLSchema:
    return build_schema(SCHEMA.read_text())


def answer(store: Store, body: bytes, *, authorization: str | None) -> Answer:
    """The answer to a query, 200 for all but a missing or bad credential; every mutation is put in the journal."""
    with store.lock:
        try:
            caller = identify(store, authorization)
            if caller.token is None:
                raise Refusal(401, "This endpoint requires you to be authenticated.")
            asked = json.loads(body)
            document = parse(str(asked.get("query") or ""))
        except Refusal as refusal:
            return refusal.answer("graphql")
        except ValueError:
            return Refusal(400, "Problems parsing JSON").answer("graphql")
        except GraphQLError as error:
            return Answer(200, {"errors": [_mistake(error)]})
        mistakes = find_mistakes(_schema(), document)
        if mistakes:
            return Answer(200, {"errors": [_mistake(error) for error in mistakes]})
        done = execute_sync(_schema(), document, _Root(store, caller).fields(), variable_values=asked.get("variables"))
        told: Json = {"data": done.data}
        if done.errors:
            told["errors"] = [_error_json(error) for error in done.errors]
        operation = get_operation_ast(document)
        if operation and operation.operation is OperationType.MUTATION:
            wanted = {"query": asked["query"], "variables": asked.get("variables")}
            store.record("POST", "/graphql", actor=caller.name, body=wanted, status=403 if done.errors else 200)
        return Answer(200, told)


def _mistake(error: GraphQLError) -> Json:
    """A query that the schema does not allow: it has a code and is not carried out."""
    places = [{"line": place.line, "column": place.column} for place in error.locations or []]
    return {"message": error.message, "locations": places, "path": [], "extensions": {"code": "invalidQuery"}}


def _error_json(error: GraphQLError) -> Json:
    cause = error.original_error
    if cause is None:
        return {**_mistake(error), "path": list(error.path or [])}
    if not isinstance(cause, Trouble):
        raise cause
    return {"type": cause.kind, "path": list(error.path or []), "message": str(cause)}


@dataclass(frozen=True)
class _Thread:
    """A review thread, found by its first comment's id."""

    repo: Repository
    issue: Issue
    top: int
    comments: list[ReviewComment]


class _Root:
    """What can be asked, as one caller may see it."""

    def __init__(self, store: Store, caller: Caller) -> None:
        self._store = store
        self._caller = caller

    def fields(self) -> dict[str, Callable[..., Any]]:
        """The root's resolvers."""
        return {
            "node": self._node,
            "resolveReviewThread": lambda info, input: self._settle(input, resolved=True),
            "unresolveReviewThread": lambda info, input: self._settle(input, resolved=False),
        }

    def _node(self, info: Any, id: str) -> Json:
        repo, issue, thread = self._find(id)
        self._admit(repo, ("pull_requests",), level="read")
        return _thread_fields(thread) if thread else _pull_fields(repo, issue)

    def _settle(self, given: Mapping[str, Any], *, resolved: bool) -> Json:
        repo, issue, thread = self._find(given["threadId"])
        if thread is None:
            raise Trouble("NOT_FOUND", GONE.format(given["threadId"]))
        # An App needs contents: write as well; users of GitHub found out (quoted in many public trackers).
        self._admit(repo, ("pull_requests", "contents"), level="write")
        reviews.resolve_thread(self._store, repo, issue, top=thread.top, actor=self._caller.actor, resolved=resolved)
        return {"thread": _thread_fields(thread), "clientMutationId": given.get("clientMutationId")}

    def _find(self, wanted: str) -> tuple[Repository, Issue, _Thread | None]:
        kind, _, number = _decoded(wanted).partition(":")
        for repo in self._store.repositories.values():
            for issue in (i for i in repo.issues.values() if i.pull and sees(self._caller, repo)):
                if kind == "PullRequest" and number == str(pull_of(issue).id):
                    return repo, issue, None
                if kind == "PullRequestReviewThread" and number.isdigit():
                    said = reviews.threads_of(issue).get(int(number))
                    if said:
                        return repo, issue, _Thread(repo, issue, int(number), said)
        raise Trouble("NOT_FOUND", GONE.format(wanted))

    def _admit(self, repo: Repository, permissions: Sequence[str], *, level: Level) -> None:
        token = self._caller.token
        assert token
        if level == "read" and not repo.private:
            return
        allowed = (
            all(granted(token, name, level) for name in permissions)
            if token.installation
            else has_role(repo, token.user, level)
        )
        if not allowed:
            raise Trouble("FORBIDDEN", "Resource not accessible by integration")


def _decoded(wanted: str) -> str:
    try:
        return base64.b64decode(wanted, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _pull_fields(repo: Repository, issue: Issue) -> Json:
    def threads(info: Any, **bounds: Any) -> Json:
        found = [_Thread(repo, issue, top, said) for top, said in reviews.threads_of(issue).items()]
        return _connection("reviewThreads", [_thread_fields(each) for each in found], bounds)

    return {
        "__typename": "PullRequest",
        "id": node_id("PullRequest", pull_of(issue).id),
        "number": issue.number,
        "reviewThreads": threads,
    }


def _thread_fields(thread: _Thread) -> Json:
    pull = pull_of(thread.issue)

    def resolved(info: Any) -> bool:
        return thread.top in pull.resolved

    def resolved_by(info: Any) -> Json | None:
        # The field is of the type User, and a Bot is none.
        user = pull.resolved.get(thread.top)
        return {"id": node_id("User", user.id), "login": user.login} if user and user.type == "User" else None

    def comments(info: Any, **bounds: Any) -> Json:
        return _connection("comments", [_comment_fields(each) for each in thread.comments], bounds)

    return {
        "__typename": "PullRequestReviewThread",
        "id": reviews.thread_id(thread.top),
        "isResolved": resolved,
        "isCollapsed": resolved,
        "resolvedBy": resolved_by,
        "isOutdated": is_outdated(thread.repo, pull, thread.comments[0]),
        "comments": comments,
    }


def _comment_fields(comment: ReviewComment) -> Json:
    return {
        "__typename": "PullRequestReviewComment",
        "id": node_id("PullRequestReviewComment", comment.id),
        "databaseId": comment.id,
        "fullDatabaseId": str(comment.id),
        "body": comment.body,
        "path": comment.path,
    }


def _connection(name: str, items: list[Json], bounds: Mapping[str, Any]) -> Json:
    """One page of a connection, by ``first`` and ``after`` or by ``last`` and ``before``."""
    first, last = bounds.get("first"), bounds.get("last")
    size = first if first is not None else last
    if size is None:
        raise Trouble("MISSING_PAGINATION_BOUNDARIES", NO_BOUNDS.format(name))
    if size > MOST:
        raise Trouble("EXCESSIVE_PAGINATION", TOO_MANY.format(size, name))
    start, end = _place(bounds.get("after"), 0), _place(bounds.get("before"), len(items) + 1) - 1
    if first is not None:
        end = min(start + size, end)
    else:
        start = max(end - size, start)
    cursors = [base64.b64encode(f"cursor:{place}".encode()).decode() for place in range(start + 1, end + 1)]
    return {
        "nodes": items[start:end],
        "totalCount": len(items),
        "pageInfo": {
            "endCursor": cursors[-1] if cursors else None,
            "startCursor": cursors[0] if cursors else None,
            "hasNextPage": end < len(items),
            "hasPreviousPage": start > 0,
        },
    }


def _place(cursor: str | None, default: int) -> int:
    number = _decoded(cursor or "").removeprefix("cursor:")
    return int(number) if number.isdigit() else default
