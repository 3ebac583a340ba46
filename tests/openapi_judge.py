"""The judge: holds every REST exchange and webhook of the local GitHub against GitHub's own OpenAPI description."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_schema_validator import OAS30Validator
from werkzeug.datastructures import Headers, ImmutableMultiDict

from app.localhub.edge import Exchange
from app.localhub.records import Delivery

DESCRIPTION = Path(__file__).with_name("openapi") / "github.json"
HOST = "https://api.github.com"

# --- Known gaps of the description. A finding outside this list is a finding. -------------------------------------

# 1. GitHub takes a bare list of names where the description has only {"labels": [...]}: PyGithub's add_to_labels sends
#    one, and api.github.com answered 200 (recording Issue.testAddAndRemoveLabels).
BARE_LABEL_LIST = re.compile(r"/repos/[^/]+/[^/]+/issues/\d+/labels")
# 2. GET /repositories/{id} is not described; it is the same operation as by name.
BY_ID = re.compile(r"/repositories/\d+")
# 3. Errors that every operation can answer (401, 403, 404, 400, 409, 422, 5xx, limits) are described for few: when the
#    status is not among those of an operation, the body must still be GitHub's basic error.
ERROR_FROM = 400
# 4. Other media types than JSON (raw files, diffs) are described as strings or not at all.
OTHER_MEDIA = re.compile(r"application/vnd\.github\.(raw|diff|patch|sha)|text/html")
# 5. 301 (a renamed repository), 302 (where a log lies) and 304 (nothing new) have no body worth a schema.
NO_BODY = {204, 301, 302, 304}
# 6. Parameters that may contain slashes are single segments in the description; their tails are encoded first.
TAILS = re.compile(
    r"(?P<head>/repos/[^/]+/[^/]+/(?:contents|git/refs?|git/matching-refs|git/trees|branches|compare|commits))/"
    r"(?P<tail>.+?)(?P<end>/check-runs|/pulls)?"
)
# 7. An invalid request is a violation of the description too; when GitHub refuses it (4xx) that is the right end.
# 8. "nullable" beside an enum or beside oneOf/anyOf does not let null pass by the letter of OpenAPI 3.0, though the
#    recordings have null there (a check's conclusion, an issue's state_reason, the account of a commit's author).
#    One such "anyOf" (the account in the list of installations: a user or an enterprise) is written as an "allOf".
# 9. A folder's contents are an array, in which the description's discriminator ("type") cannot be looked up.
# 10. Where an error may be "one of" a basic error and a special one, the special one's fields are optional: both fit.
# 11. GraphQL is not in the description: the local GitHub itself holds every query against GitHub's public schema
#     (app/localhub/github.graphql), with graphql-core.
GRAPHQL = "graphql"
# 12. A review comment that is outdated has no line and no position (null), as the description says of the same comment
#     in webhooks and not in REST.
MAY_BE_OUTDATED = ("line", "position")
# 13. A label without a description has null there, in the lists of pull requests too (Label's own schema says so).
LABEL = {"color", "default", "description", "name"}

OWN_HEADERS = re.compile(r"authorization|content-length|date|etag|host|user-agent", re.IGNORECASE)
"""What is one exchange's own, and not described: without it most exchanges are like an earlier one."""
Fields = tuple[tuple[str, str], ...]


@dataclass
class _Request:
    host_url: str
    path: str
    method: str
    parameters: RequestParameters
    content_type: str
    body: bytes | None


@dataclass
class _Response:
    status_code: int
    headers: Headers
    content_type: str
    data: bytes | None


@cache
def _description() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DESCRIPTION.read_text(), object_hook=_mend)
    return loaded


def _mend(schema: dict[str, Any]) -> dict[str, Any]:
    """Gaps 8, 9, 10, 12 and 13, put right while reading."""
    if isinstance(schema.get("diff_hunk"), dict):
        for name in MAY_BE_OUTDATED:
            if name in schema:
                schema[name]["nullable"] = True
    if schema.keys() >= LABEL and isinstance(schema["description"], dict):
        schema["description"]["nullable"] = True
    if schema.get("nullable") is True:
        if "allOf" in schema:
            schema["anyOf"] = schema.pop("allOf")
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"].append(None)
        for word in ("oneOf", "anyOf"):
            if word in schema:
                schema[word].append({"enum": [None], "nullable": True})
    if {"$ref": "#/components/schemas/basic-error"} in schema.get("oneOf", []):
        schema["anyOf"] = schema.pop("oneOf")
    if isinstance(schema.get("discriminator"), dict) and "array" in schema["discriminator"].get("mapping", {}):
        del schema["discriminator"]
    return schema


@cache
def _openapi() -> OpenAPI:
    # The description is GitHub's; validating it as a document takes minutes and is not our business.
    return OpenAPI.from_dict(_description(), config=Config(spec_validator_cls=None))


def one_segment(path: str) -> str:
    """A path whose last parameter is percent-encoded into one segment, as the description's templates need it."""
    path = BY_ID.sub("/repos/octo/known-by-id", path)
    if re.fullmatch(r"/repos/[^/]+/[^/]+/contents/?", path):
        return path.rstrip("/") + "/%2E"
    match = TAILS.fullmatch(path)
    return f"{match['head']}/{quote(match['tail'], safe='%')}{match['end'] or ''}" if match else path


def judge_exchange(exchange: Exchange) -> list[str]:
    """What is wrong with a request and its answer, one sentence each; nothing for an exchange as GitHub's."""
    if exchange.path.endswith(GRAPHQL):
        return []
    name = f"{exchange.method} {exchange.path} -> {exchange.status}"
    method, path, found = exchange.method.lower(), _like_others(one_segment(exchange.path)), []
    if exchange.status < ERROR_FROM and not _known_request_gap(exchange):
        headers = _described(exchange.request_headers)
        found += [
            f"{name}: request: {text}"
            for text in _judge_request(method, path, exchange.query, headers, exchange.request_body or None)
        ]
    if exchange.status not in NO_BODY and not OTHER_MEDIA.match(exchange.response_headers.get("content-type", "")):
        headers = _described(exchange.response_headers)
        found += [
            f"{name}: response: {text}"
            for text in _judge_response(method, path, exchange.status, headers, exchange.response_body)
        ]
    return found


def _described(headers: Mapping[str, str]) -> Fields:
    """The headers that may be described, numbers alike."""
    kept = ((n, "1" if v.isdigit() else v) for n, v in headers.items() if not OWN_HEADERS.fullmatch(n))
    return tuple(sorted(kept))


def _like_others(path: str) -> str:
    """A path with other ids and another repository: the description says no more of them than their types."""
    return re.sub(r"(?<=/)\d+(?=/|$)", "1", re.sub(r"^/repos/[^/]+/[^/]+", "/repos/octo/known", path))


@lru_cache(2048)
def _judge_request(method: str, path: str, query: str, headers: Fields, body: bytes | None) -> tuple[str, ...]:
    parameters = RequestParameters(
        query=ImmutableMultiDict(parse_qsl(query, keep_blank_values=True)), header=Headers(headers)
    )
    request = _Request(HOST, path, method, parameters, "application/json", body)
    return tuple(_sentences(_openapi().iter_request_errors(request)))


@lru_cache(2048)
def _judge_response(method: str, path: str, status: int, headers: Fields, body: bytes) -> tuple[str, ...]:
    request = _Request(HOST, path, method, RequestParameters(), "application/json", None)
    response = _Response(status, Headers(headers), "application/json", body)
    errors = list(_openapi().iter_response_errors(request, response))
    kinds = {type(error).__name__ for error in errors}
    undescribed = status >= ERROR_FROM and "ResponseNotFound" in kinds
    if undescribed or (status == 404 and "PathNotFound" in kinds):
        errors = list(_basic_error(body))
    return tuple(_sentences(errors))


def _known_request_gap(exchange: Exchange) -> bool:
    bare_list = exchange.request_body.lstrip().startswith(b"[")
    return bare_list and bool(BARE_LABEL_LIST.fullmatch(exchange.path))


def _basic_error(body: bytes) -> Iterator[Exception]:
    schema = {"$ref": "#/components/schemas/basic-error", "components": _description()["components"]}
    yield from OAS30Validator(schema).iter_errors(json.loads(body))


def _sentences(errors: Iterable[Exception]) -> list[str]:
    """The errors with their causes: openapi-core hides the schema's complaints one or two levels down."""
    found = []
    for error in errors:
        causes = [error, error.__cause__, getattr(error.__cause__, "__cause__", None)]
        details = [d for c in causes if c is not None for d in getattr(c, "schema_errors", None) or ()]
        words = [f"{'.'.join(str(part) for part in d.absolute_path)}: {d.message[:300]}" for d in details]
        found.append("; ".join(words) or f"{type(error).__name__}: {str(error)[:300]} {error.__cause__ or ''}")
    return found


def judge_payload(event: str, payload: dict[str, Any]) -> list[str]:
    """What is wrong with a webhook's payload by the description's ``x-webhooks``."""
    action = payload.get("action")
    name = "-".join(filter(None, (event, action))).replace("_", "-")
    hook = _description()["x-webhooks"].get(name)
    if hook is None:
        return [f"webhook {name}: not among the described ones; add it to tests/openapi/prune.py"]
    media = hook["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = OAS30Validator({**media, "components": _description()["components"]})
    errors = sorted(validator.iter_errors(payload), key=lambda error: list(map(str, error.absolute_path)))
    return [f"webhook {name}: {'.'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in errors]


class Judge:
    """Gathers exchanges (give :meth:`watch` to ``hub.observe``) and gives its verdict at the end."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def watch(self, exchange: Exchange) -> None:
        """Keep an exchange for the verdict."""
        self.exchanges.append(exchange)

    def findings(self, deliveries: Iterable[Delivery] = ()) -> list[str]:
        """Every violation in what was watched (faults on purpose aside) and in these webhooks."""
        found = [text for exchange in self.exchanges if not exchange.faulted for text in judge_exchange(exchange)]
        for delivery in deliveries:
            found += judge_payload(delivery.event, json.loads(delivery.payload))
        return list(dict.fromkeys(found))

    def check(self, deliveries: Iterable[Delivery] = ()) -> None:
        """Raise AssertionError with all findings."""
        found = self.findings(deliveries)
        assert not found, "Not as GitHub's OpenAPI description has it:\n" + "\n".join(found)
