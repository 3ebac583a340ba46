"""Pull requests: read, opened and kept up to date."""

from __future__ import annotations

from typing import Any

import structlog

from app.github_calls import RepositoryCalls
from app.github_json import parse_pull_request
from app.github_text import fit_body, fit_title, same_text
from app.github_wire import Unclear
from workflows.services import BrokenWorld
from workflows.types import PullRequest

log = structlog.get_logger()


class PullRequestCalls(RepositoryCalls):
    """What GitHub's pull request API does, reviews aside."""

    def fetch_pull_request(self, number: int) -> PullRequest | None:
        """The pull request; None when there is none of that number, even after a few seconds."""
        data = self._read_settled(f"/pulls/{number}", f"reading pull request #{number}")
        return parse_pull_request(data) if data is not None else None

    def fetch_pull_requests(self, *, head: str) -> list[PullRequest]:
        """Those from our branch ``head``, newest first: GitHub's own filter goes by owner, not by repository."""
        return [parse_pull_request(pull) for pull in self._pulls_from(head, {})]

    def update_pull_request(self, number: int, *, title: str | None = None, body: str | None = None) -> None:
        """Change what is given, cut to what GitHub takes."""
        text = {"title": fit_title(title)} if title is not None else {}
        if body is not None:
            text["body"] = fit_body(body)
        if text:
            answer = self._send("PATCH", f"/pulls/{number}", body=text)
            self._accept(f"updating pull request #{number}", answer)

    def request_review(self, number: int, login: str) -> None:
        """Ask for a review; asking twice is asking once. A refusal of this person (422) is logged."""
        path = f"/pulls/{number}/requested_reviewers"
        answer = self._send("POST", path, body={"reviewers": [login]}, repeatable=True)
        if answer.status == 422:
            log.info("review_not_requested", number=number, login=login, reason=answer.message)
            return
        self._accept(f"asking {login} to review #{number}", answer)

    def find_or_create_pull_request(self, *, head: str, base: str, title: str, body: str, draft: bool) -> PullRequest:
        """Ours from ``head`` to ``base``: an open one, now with this title and body; a closed one as it is; a new one.

        A new one is not a draft where the repository's plan knows no drafts. Raises BrokenWorld when somebody else's
        stands in the way or there is nothing to merge.
        """
        text = {"title": fit_title(title), "body": fit_body(body)}

        def create() -> dict[str, Any]:
            return self._create_pull_request({**text, "head": head, "base": base, "draft": draft})

        with self._locks.hold((self._ref.id, "pull", head, base)):
            found = self._session.find_or_create(
                f"opening the pull request from {head}", lambda: self._find_pull_request(head, base), create
            )
            same = same_text(text["title"], found["title"]) and same_text(text["body"], found.get("body"))
            if found["state"] == "open" and not same:
                answer = self._send("PATCH", f"/pulls/{found['number']}", body=text)
                found = self._accept(f"updating pull request #{found['number']}", answer)
        return parse_pull_request(found)

    def _pulls_from(self, head: str, filters: dict[str, str]) -> list[dict[str, Any]]:
        owner = self._present_name().split("/")[0]
        query = {"head": f"{owner}:{head}", "state": "all", **filters}
        return [
            pull
            for pull in self._pages("/pulls", query)
            if pull["head"]["ref"] == head and (pull["head"].get("repo") or {}).get("id") == self._ref.id
        ]

    def _find_pull_request(self, head: str, base: str) -> dict[str, Any] | None:
        pulls = [pull for pull in self._pulls_from(head, {"base": base}) if pull["base"]["ref"] == base]
        ours = [pull for pull in pulls if self._identity.wrote(pull)]
        if ours:
            return max(ours, key=lambda pull: (pull["state"] == "open", pull["number"]))
        foreign = next((pull for pull in pulls if pull["state"] == "open"), None)
        if foreign is not None:
            raise BrokenWorld(
                "github",
                f"Pull request #{foreign['number']} from {head} is somebody else's ({foreign['user']['login']}). "
                "Close it or rename its branch, then start the job again.",
            )
        return None

    def _create_pull_request(self, new: dict[str, Any]) -> dict[str, Any]:
        what = f"opening the pull request from {new['head']}"
        answer = self._send("POST", "/pulls", body=new)
        said = answer.message.lower()
        if answer.status == 422 and new["draft"] and "draft pull requests are not supported" in said:
            answer = self._send("POST", "/pulls", body={**new, "draft": False})
            said = answer.message.lower()
        if answer.status == 422 and "already exists" in said:
            raise Unclear("GitHub says that it exists already, but does not list it")
        if answer.status == 422 and "no commits between" in said:
            raise BrokenWorld(
                "github",
                f"There is nothing to merge: {new['head']} holds no commit that {new['base']} does not. "
                "Perhaps the change was merged in the meantime; if not, start the job again.",
            )
        created: dict[str, Any] = self._accept(what, answer)
        return created
