"""One repository on GitHub, seen through one installation: reads, and writes that can be found again."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from app.github_auth import InstallationCredential
from app.github_json import (
    parse_comment,
    parse_issue,
    parse_permission,
    parse_pull_request,
    parse_repository,
)
from app.github_retry import Clock
from app.github_session import Session, Verb, read_pages, refusal
from app.github_text import SUMMARY_LIMIT, fit_body, fit_title, same_text
from app.github_wire import Answer, Unclear
from app.keyed_locks import KeyedLocks
from workflows.services import BrokenWorld, Conclusion, Permission, Reaction
from workflows.types import Comment, Issue, PullRequest, Repository, RepositoryRef

SETTLE_PAUSES = (1.0, 3.0)
"""Seconds before an issue that an event just named is looked for again: reads lag behind events."""


@dataclass(frozen=True)
class AppIdentity:
    """Our App as GitHub knows it."""

    id: int
    slug: str

    @property
    def login(self) -> str:
        """The account under which its writes appear. Nobody can register it: brackets are for Apps."""
        return f"{self.slug}[bot]"

    def wrote(self, data: Mapping[str, Any]) -> bool:
        """Whether a comment or pull request is by this App."""
        user = data.get("user") or {}
        through = data.get("performed_via_github_app") or {}
        return user.get("type") == "Bot" and (user.get("login") == self.login or through.get("id") == self.id)


class RepositoryClient:
    """Implements :class:`workflows.services.GitHub`. Safe for many threads.

    The repository is found by its id: before the first request its name is checked, and a rename is followed.
    """

    def __init__(
        self,
        ref: RepositoryRef,
        *,
        session: Session,
        credential: InstallationCredential,
        identity: AppIdentity,
        locks: KeyedLocks,
        clock: Clock,
    ) -> None:
        self._ref = ref
        self._name = ref.full_name
        self._checked = False
        self._session = session
        self._credential = credential
        self._identity = identity
        self._locks = locks
        self._clock = clock
        self._naming = threading.Lock()

    def fetch_repository(self) -> Repository:
        """The repository as it is now, under its present name."""
        with self._naming:
            return parse_repository(self._find_by_id(), self._ref.installation_id)

    def fetch_issue(self, number: int) -> Issue | None:
        """The issue or pull request; None when it was deleted, moved away, or is still unknown after a few seconds."""
        for pause in (*SETTLE_PAUSES, None):
            answer = self._send("GET", f"/issues/{number}")
            if answer.ok:
                return parse_issue(answer.data)
            if answer.status == 410 or answer.moved:
                return None
            if answer.status != 404:
                raise refusal(f"reading #{number}", answer)
            if pause is not None:
                self._clock.sleep(pause)
        return None

    def fetch_comments(self, number: int) -> list[Comment]:
        """All comments, oldest first."""
        return sorted(map(parse_comment, self._pages(f"/issues/{number}/comments")), key=lambda comment: comment.id)

    def fetch_permission(self, login: str) -> Permission:
        """The role now; "none" for somebody GitHub does not know here."""
        answer = self._send("GET", f"/collaborators/{quote(login, safe='')}/permission")
        if answer.status == 404:
            return "none"
        return parse_permission(self._accept(f"reading the permission of {login}", answer))

    def fetch_file(self, path: str, ref: str) -> bytes | None:
        """A file's bytes; None when there is no file there (a folder, a submodule, a link that leads nowhere included).

        Raises BrokenWorld for a file above GitHub's 1 MB: a policy that is too long must not count as none.
        """
        data = self._contents(path, ref)
        if not isinstance(data, dict) or data.get("type") != "file":
            return None
        if data.get("encoding") != "base64":
            raise BrokenWorld("github", f"{path} is larger than the 1 MB that can be read. Make it smaller.")
        return base64.b64decode(data["content"])

    def fetch_folder(self, path: str, ref: str) -> list[str]:
        """The sorted names in a folder."""
        data = self._contents(path, ref)
        return sorted(entry["name"] for entry in data) if isinstance(data, list) else []

    def react(self, number: int, reaction: Reaction) -> None:
        """GitHub itself answers a second reaction with the first."""
        answer = self._send("POST", f"/issues/{number}/reactions", body={"content": reaction}, repeatable=True)
        self._accept(f"reacting to #{number}", answer)

    def remove_label(self, number: int, label: str) -> None:
        """Take the label off; absent is fine."""
        answer = self._send("DELETE", f"/issues/{number}/labels/{quote(label, safe='')}")
        if answer.status not in {404, 410}:
            self._accept(f"removing the label {label} from #{number}", answer)

    def find_or_create_comment(self, number: int, marker: str, body: str) -> int:
        """The id of our comment with this marker; a marker in anybody else's comment counts for nothing."""
        what = f"commenting on #{number}"
        path = f"/issues/{number}/comments"

        def look() -> int | None:
            for comment in self._pages(path):
                if marker in (comment.get("body") or "") and self._identity.wrote(comment):
                    return int(comment["id"])
            return None

        def create() -> int:
            answer = self._send("POST", path, body={"body": fit_body(body, keep=marker)})
            return int(self._accept(what, answer)["id"])

        with self._locks.hold((self._ref.id, "comment", number, marker)):
            return self._session.find_or_create(what, look, create)

    def update_comment(self, comment_id: int, body: str) -> None:
        """Edit our comment. Raises BrokenWorld when somebody deleted it."""
        answer = self._send("PATCH", f"/issues/comments/{comment_id}", body={"body": fit_body(body)})
        self._accept("editing our comment", answer)

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

    def find_or_create_check_run(
        self, *, head_sha: str, name: str, external_id: str, title: str, summary: str, conclusion: Conclusion | None
    ) -> int:
        """The id of our check run with ``external_id``, now with this title, summary and conclusion."""
        what = f"reporting the check {name}"
        output = {"title": fit_title(title), "summary": fit_body(summary, limit=SUMMARY_LIMIT)}
        state: dict[str, Any] = {"status": "in_progress", "output": output}
        if conclusion is not None:
            state |= {"status": "completed", "conclusion": conclusion}

        def look() -> dict[str, Any] | None:
            ours = {"check_name": name, "app_id": str(self._identity.id), "filter": "all"}
            for run in self._pages(f"/commits/{head_sha}/check-runs", ours, item="check_runs"):
                if run.get("external_id") == external_id and (run.get("app") or {}).get("id") == self._identity.id:
                    return run
            return None

        def create() -> dict[str, Any]:
            new = {"name": name, "head_sha": head_sha, "external_id": external_id, **state}
            created: dict[str, Any] = self._accept(what, self._send("POST", "/check-runs", body=new))
            return created

        with self._locks.hold((self._ref.id, "check", head_sha, external_id)):
            run = self._session.find_or_create(what, look, create)
            if not _shows(run, state):
                self._accept(what, self._send("PATCH", f"/check-runs/{run['id']}", body=state))
        return int(run["id"])

    def git_token(self) -> str:
        """The installation's token; it lives at least five more minutes."""
        return self._credential.auth().token

    def _find_pull_request(self, head: str, base: str) -> dict[str, Any] | None:
        owner = self._present_name().split("/")[0]
        query = {"head": f"{owner}:{head}", "base": base, "state": "all"}
        pulls = [
            pull
            for pull in self._pages("/pulls", query)
            if (pull["head"]["ref"], pull["base"]["ref"]) == (head, base)
            and (pull["head"].get("repo") or {}).get("id") == self._ref.id
        ]
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

    def _contents(self, path: str, ref: str) -> Any:
        answer = self._send("GET", f"/contents/{quote(path.strip('/'))}", parameters={"ref": ref})
        if answer.status == 404:
            return None
        if answer.status == 403 and "too_large" in answer.message:
            raise BrokenWorld("github", f"{path} is too large to be read. Make it smaller.")
        return self._accept(f"reading {path or 'the top folder'} at {ref}", answer)

    def _pages(
        self, suffix: str, parameters: Mapping[str, str] | None = None, *, item: str | None = None
    ) -> Iterator[dict[str, Any]]:
        def fetch(query: Mapping[str, str]) -> Answer:
            answer = self._send("GET", suffix, parameters=query)
            self._accept(f"listing {suffix.strip('/')}", answer)
            return answer

        return read_pages(fetch, self._session.next_page, parameters or {}, item=item)

    def _send(
        self,
        verb: Verb,
        suffix: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Any = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """One request below the repository; when it was renamed in the meantime, once more under its new name."""
        name = self._present_name()
        while True:
            answer = self._session.send(
                verb, f"/repos/{name}{suffix}", parameters=parameters, body=body, repeatable=repeatable
            )
            if not answer.moved:
                return answer
            self.fetch_repository()
            if self._name == name:
                return answer
            name = self._name

    def _present_name(self) -> str:
        with self._naming:
            if not self._checked:
                self._find_by_id()
            return self._name

    def _find_by_id(self) -> dict[str, Any]:
        """Whatever now bears the old name may be somebody else's, so the id decides. Call with the naming lock held."""
        answer = self._session.send("GET", f"/repos/{self._name}")
        data: dict[str, Any] | None = answer.data if answer.ok and answer.data["id"] == self._ref.id else None
        if data is None and not (answer.ok or answer.moved or answer.status == 404):
            raise refusal(f"reading {self._name}", answer)
        if data is None:
            visible = read_pages(self._fetch_visible, self._session.next_page, {}, item="repositories")
            data = next((each for each in visible if each["id"] == self._ref.id), None)
        if data is None:
            raise BrokenWorld(
                "github",
                f"The App can no longer see {self._name}: it was deleted, or taken out of the installation. "
                "Add it to the App's repositories in the account's settings.",
            )
        self._name, self._checked = str(data["full_name"]), True
        return data

    def _fetch_visible(self, query: Mapping[str, str]) -> Answer:
        """What our token can see: this one repository, under its present name, because it was minted by id."""
        answer = self._session.send("GET", "/installation/repositories", parameters=query)
        self._accept("listing the installation's repositories", answer)
        return answer

    @staticmethod
    def _accept(what: str, answer: Answer) -> Any:
        if not answer.ok:
            raise refusal(what, answer)
        return answer.data


def _shows(run: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Whether a check run already looks as wanted."""
    output = run.get("output") or {}
    return (
        (run.get("status"), run.get("conclusion")) == (state["status"], state.get("conclusion"))
        and same_text(state["output"]["title"], output.get("title"))
        and same_text(state["output"]["summary"], output.get("summary"))
    )
