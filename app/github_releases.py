"""What happened between two commits, and the draft release that tells of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from app.github_calls import RepositoryCalls
from app.github_json import parse_merged_pull, parse_release
from app.github_session import read_pages, refusal
from app.github_text import fit_body, fit_title, same_text, scrub
from app.github_wire import Answer
from workflows.services import BrokenWorld
from workflows.types import MergedPull, Release

RELEASE_LIMIT = 125_000
"""Characters that GitHub takes as a release's text."""


class ReleaseCalls(RepositoryCalls):
    """What GitHub's comparison and release APIs do."""

    def fetch_compared_commits(self, base: str, head: str) -> list[tuple[str, str, str | None]]:
        """The commits of ``base...head``, oldest first, over all pages."""
        return [
            (commit["sha"], scrub(commit["commit"]["message"]), (commit.get("author") or {}).get("login"))
            for commit in self._compare(base, head)
        ]

    def fetch_merged_pulls(self, base: str, head: str) -> list[MergedPull]:
        """One request a commit: GitHub knows which pull request brought it, squashed and rebased ones too.

        https://docs.github.com/en/rest/commits/commits#list-pull-requests-associated-with-a-commit
        """
        found: dict[int, MergedPull] = {}
        brought: defaultdict[int, list[str]] = defaultdict(list)
        for commit in self._compare(base, head):
            for pull in self._pages(f"/commits/{commit['sha']}/pulls"):
                if pull.get("merged_at") and pull["base"]["repo"]["id"] == self._ref.id:
                    found[pull["number"]] = parse_merged_pull(pull)
                    brought[pull["number"]].append(commit["sha"])
        pulls = [pull.model_copy(update={"commits": tuple(brought[number])}) for number, pull in found.items()]
        return sorted(pulls, key=lambda pull: (pull.merged_at, pull.number))

    def find_or_create_release(self, *, tag: str, target: str, name: str, body: str, marker: str) -> Release:
        """Our draft, now with this target, name and text; or what is published under this tag, untouched."""
        what = f"drafting the release {tag}"
        text = fit_body(body, keep=marker, limit=RELEASE_LIMIT)
        state = {"target_commitish": target, "name": fit_title(name), "body": text}

        def look() -> dict[str, Any] | None:
            named = [release for release in self._pages("/releases") if release["tag_name"] == tag]
            published = next((release for release in named if not release["draft"]), None)
            ours = (each for each in named if marker in (each.get("body") or "") and self._identity.wrote(each))
            return published or next(ours, None)

        def create() -> dict[str, Any]:
            answer = self._send("POST", "/releases", body={"tag_name": tag, "draft": True, **state})
            created: dict[str, Any] = self._accept(what, answer)
            return created

        with self._locks.hold((self._ref.id, "release", tag)):
            found = self._session.find_or_create(what, look, create)
            same = all(same_text(wanted, found.get(field)) for field, wanted in state.items())
            if found["draft"] and not same:
                answer = self._send("PATCH", f"/releases/{found['id']}", body=state)
                found = self._accept(what, answer)
        return parse_release(found)

    def _compare(self, base: str, head: str) -> Iterator[dict[str, Any]]:
        between = f"{base}...{head}"

        def fetch(query: Any) -> Answer:
            answer = self._send("GET", f"/compare/{quote(between)}", parameters=query)
            if answer.status == 404:
                raise BrokenWorld(
                    "github",
                    f"GitHub cannot compare {between} ({answer.message}). Name two tags, branches or commits of this "
                    "repository that have a common past.",
                )
            if not answer.ok:
                raise refusal(f"comparing {between}", answer)
            return answer

        return read_pages(fetch, self._session.next_page, {}, item="commits")
