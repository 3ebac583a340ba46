"""One HTTP exchange with GitHub's API over PyGithub's requester: where it may go, and what its answer means."""

from __future__ import annotations

import http.cookiejar
import ipaddress
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

import requests
import requests.adapters
import requests.utils
from github.Auth import Auth
from github.Requester import HTTPSRequestsConnectionClass, Requester, RequestsResponse

from workflows.services import BrokenWorld

API_VERSION = "2022-11-28"
ACCEPT = "application/vnd.github+json"
GRAPHQL = "/graphql"
"""The path of GraphQL; on GitHub Enterprise Server it lies beside REST's root, not below."""
REPLY_CAP = 300
DOWNLOAD_CAP = 256 * 1024 * 1024
DOWNLOAD_CHUNK = 64 * 1024


class Unclear(Exception):
    """Nobody knows whether GitHub did what was asked: no answer, a 5xx, or an answer that is not whole.

    ``pause`` is how many seconds GitHub asked us to wait, when it did.
    """

    def __init__(self, reason: str, *, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause = pause


class Limited(Exception):
    """GitHub did nothing because of a rate limit. ``seconds`` until it may be asked again; None: GitHub did not say."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(f"rate limited for {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Answer:
    """A definite answer, good or bad. ``headers`` have lower-case names; ``data`` is None when the body was empty."""

    status: int
    headers: Mapping[str, str]
    data: Any = None

    @property
    def ok(self) -> bool:
        """Whether GitHub did what was asked."""
        return 200 <= self.status < 300

    @property
    def moved(self) -> bool:
        """Whether GitHub points elsewhere. Nothing here ever follows."""
        return 300 <= self.status < 400

    @property
    def message(self) -> str:
        """GitHub's own words for what went wrong, on one short line; empty when it gave none."""
        if not isinstance(self.data, dict):
            return ""
        words = [str(self.data.get("message") or "")]
        errors = self.data.get("errors")
        for error in errors if isinstance(errors, list) else []:
            if isinstance(error, dict):
                said = error.get("message") or " ".join(str(error[key]) for key in ("field", "code") if error.get(key))
                words.append(str(said))
            else:
                words.append(str(error))
        return " ".join("; ".join(word for word in words if word).split())[:REPLY_CAP]

    @property
    def error_types(self) -> list[str]:
        """The kinds of GraphQL's errors, which come with status 200; what failed on GitHub's side has none: ""."""
        errors = self.data.get("errors") if self.status == 200 and isinstance(self.data, dict) else None
        return [
            str(error.get("type") or (error.get("extensions") or {}).get("code") or "")
            for error in errors or []
            if isinstance(error, dict)
        ]


def parse_api_url(url: str) -> str:
    """The API's address without a trailing slash.

    Raises ValueError, with what to write instead, for anything but ``https://host[/path]``; plain http is for loopback.
    """
    parts = urlsplit(url.strip())
    host = parts.hostname or ""
    example = "Write https://api.github.com, or https://HOST/api/v3 for GitHub Enterprise Server."
    if not host or parts.query or parts.fragment or ":" in host:
        raise ValueError(f"The GitHub API address is not an address of the form https://host/path. {example}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"The GitHub API address carries a user name or a password; leave them out. {example}")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ValueError(f"The GitHub API address must begin with https://, because tokens travel to it. {example}")
    if host in {"github.com", "www.github.com"}:
        raise ValueError(f"{host} is GitHub's website, not its API. {example}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def parse_limit(answer: Answer) -> Limited | None:
    """Whether a refusal is a rate limit, by GitHub's rules.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
    GraphQL says it with status 200:
    https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
    """
    if answer.status not in {403, 429} and "RATE_LIMITED" not in answer.error_types:
        return None
    pause = parse_pause(answer.headers)
    if pause is not None:
        return Limited(pause)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        # By GitHub's own clock, as ours may be wrong; one second more, because the reset is a whole second.
        return Limited(max(0.0, float(reset) - read_sent_at(answer.headers)) + 1.0)
    if answer.status in {200, 429} or Requester.isRateLimitError(answer.message) or "abuse" in answer.message.lower():
        return Limited(None)
    return None


def parse_pause(headers: Mapping[str, str]) -> float | None:
    """The seconds that ``Retry-After`` asks for (a number or a date); None when it is absent or unreadable."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - read_sent_at(headers))
    except ValueError:
        return None


def read_sent_at(headers: Mapping[str, str]) -> float:
    """The moment of an answer in seconds by GitHub's own clock; by ours when it did not say."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return time.time()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Redirected(Exception):
    """A 3xx, before PyGithub would follow it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class _Exchange(HTTPSRequestsConnectionClass):
    """One request on the shared session, in the shape that PyGithub calls a connection.

    PyGithub's own connection keeps verb, path and headers between two calls, where a second thread would replace them;
    and a 301 would be followed without its query. Here each request has its own, and a redirect is an answer.
    """

    def __init__(self, session: requests.Session, origin: str, *, deadline: tuple[float, float], verify: bool | str):
        self.session = session
        self.origin = origin
        self.deadline = deadline
        self.verify = verify

    def getresponse(self) -> RequestsResponse:
        response = self.session.request(
            self.verb,
            self.origin + self.url,
            headers=self.headers,
            data=self.input,
            timeout=self.deadline,
            verify=self.verify,
            allow_redirects=False,
        )
        if 300 <= response.status_code < 400:
            raise _Redirected(Answer(response.status_code, {key.lower(): v for key, v in response.headers.items()}))
        if self.verb == "GET" and response.status_code == 202:
            raise Unclear("GitHub is still preparing the answer")
        return RequestsResponse(response)


class _QuietRequester(Requester):
    """PyGithub's requester without its debug log, which would write out the body that carries a new token."""

    @property
    def _logger(self) -> logging.Logger:
        return logging.Logger("github", logging.CRITICAL)


class Wire:
    """The way to one GitHub API. Safe for many threads; knows no credential and repeats nothing.

    ``api_url`` as :func:`parse_api_url` gives it; ``timeouts`` in seconds for connecting and for each read;
    ``ca_file`` replaces the trusted certificate authorities.
    """

    def __init__(
        self, api_url: str, *, user_agent: str, timeouts: tuple[float, float], ca_file: str | None = None
    ) -> None:
        self.api_url = api_url
        self._user_agent = user_agent
        self._timeouts = timeouts
        self._verify: bool | str = ca_file or True
        parts = urlsplit(api_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._session = requests.Session()
        self._session.auth = Requester.noopAuth  # or requests would look for a password in ~/.netrc
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self._session.mount(f"{parts.scheme}://", requests.adapters.HTTPAdapter(pool_maxsize=32, max_retries=0))

    def exchange(
        self, verb: str, path: str, *, auth: Auth, parameters: Mapping[str, str] | None = None, body: Any = None
    ) -> Answer:
        """Send one request; ``path`` begins with a slash and is percent-encoded. Raises Unclear and Limited.

        GRAPHQL as the path goes to GraphQL, wherever it is beside this API.

        Raises BrokenWorld for a path with a ``.`` or ``..`` in it: on the way it would become another path.
        """
        if {".", ".."} & set(unquote(path).split("/")):
            raise BrokenWorld("github", f"{unquote(path)} cannot be asked of GitHub. Use a name without dots alone.")
        requester = _QuietRequester(
            auth, self.api_url, 0, self._user_agent, 100, self._verify, retry=0, pool_size=None, api_version=API_VERSION
        )
        connection = _Exchange(self._session, self._origin, deadline=self._timeouts, verify=self._verify)
        where = requester.graphql_url if path == GRAPHQL else path
        try:
            status, headers, text = requester.requestJson(
                verb, where, dict(parameters or {}), {"Accept": ACCEPT}, body, connection
            )
        except _Redirected as redirected:
            return redirected.answer
        except requests.ConnectionError as error:
            raise Unclear(f"no connection: {str(error)[:REPLY_CAP]}") from None
        except requests.RequestException as error:
            # The name alone: the text of some of these quotes request headers.
            raise Unclear(f"no whole answer: {type(error).__name__}") from None
        return _definite(Answer(status, headers), text)

    def download(self, url: str, *, limit: int) -> Answer:
        """The last ``limit`` bytes of a text that GitHub keeps elsewhere, without our credential: ``data`` is a str.

        When it is longer, the cut line at its beginning is left out; one of more than DOWNLOAD_CAP bytes is status 413.
        Raises Unclear, and BrokenWorld for an address that is not https (or on this GitHub itself).
        """
        host = urlsplit(url).hostname
        if urlsplit(url).scheme != "https" and not url.startswith(f"{self._origin}/"):
            raise BrokenWorld("github", f"GitHub points to {host} without https. Check the API address.")
        tail, length = b"", 0
        try:
            with self._session.get(
                url, stream=True, timeout=self._timeouts, verify=self._verify, allow_redirects=False
            ) as response:
                if response.status_code >= 500:
                    raise Unclear(f"{host} answered {response.status_code}")
                for chunk in response.iter_content(DOWNLOAD_CHUNK):
                    tail, length = (tail + chunk)[-limit:], length + len(chunk)
                    if length > DOWNLOAD_CAP:
                        return Answer(413, {})
        except requests.RequestException as error:
            raise Unclear(f"no whole answer from {host}: {type(error).__name__}") from None
        if length > limit:
            tail = tail.partition(b"\n")[2]
        return Answer(response.status_code, {}, tail.decode("utf-8-sig", "replace"))

    def next_page(self, answer: Answer) -> dict[str, str] | None:
        """The query of the next page of a list, or None on the last one.

        Only the query is taken from the link: the host and the path stay ours. Raises BrokenWorld on a foreign link.
        """
        for link in requests.utils.parse_header_links(answer.headers.get("link", "")):
            if link.get("rel") == "next":
                target = urlsplit(urljoin(self.api_url, link["url"]))
                if f"{target.scheme}://{target.netloc}" != self._origin:
                    raise BrokenWorld(
                        "github",
                        f"GitHub's next page lies on {target.hostname}, not on {self._origin}, and was not fetched. "
                        "Check the API address in the settings, and that no proxy rewrites GitHub's answers.",
                    )
                return dict(parse_qsl(target.query))
        return None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _definite(answer: Answer, text: str) -> Answer:
    """The answer with its body, or Unclear when it decides nothing."""
    if answer.status >= 500:
        raise Unclear(f"GitHub answered {answer.status}", pause=parse_pause(answer.headers) or 0.0)
    if not text and answer.status in {200, 201}:
        raise Unclear("GitHub's answer was empty")  # so it looks when the connection was cut in the headers
    try:
        data = json.loads(text) if text else None
    except ValueError:
        if answer.ok:
            raise Unclear("GitHub's answer was cut off or is not JSON") from None
        data = {"message": text[:REPLY_CAP]}
    whole = Answer(answer.status, answer.headers, data)
    limit = parse_limit(whole)
    if limit is not None:
        raise limit
    if "" in whole.error_types:
        raise Unclear(f"GitHub's GraphQL failed: {whole.message}")  # a time-out of theirs; a refusal has a type
    return whole
