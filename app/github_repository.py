"""One repository on GitHub, seen through one installation: the whole of what workflows ask of GitHub."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from app.github_checks import CheckCalls
from app.github_conversation import ConversationCalls
from app.github_json import parse_permission, parse_repository
from app.github_pulls import PullRequestCalls
from app.github_releases import ReleaseCalls
from app.github_reviews import ReviewCalls
from workflows.services import BrokenWorld, Permission
from workflows.types import Repository


class RepositoryClient(ConversationCalls, PullRequestCalls, ReviewCalls, CheckCalls, ReleaseCalls):
    """Implements :class:`workflows.services.GitHub`. Safe for many threads. What is not a theme of its own is here."""

    def fetch_repository(self) -> Repository:
        """The repository as it is now, under its present name."""
        with self._naming:
            return parse_repository(self._find_by_id(), self._ref.installation_id)

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

    def git_token(self) -> str:
        """The installation's token; it lives at least five more minutes."""
        return self._credential.auth().token

    def _contents(self, path: str, ref: str) -> Any:
        answer = self._send("GET", f"/contents/{quote(path.strip('/'))}", parameters={"ref": ref})
        if answer.status == 404:
            return None
        if answer.status == 403 and "too_large" in answer.message:
            raise BrokenWorld("github", f"{path} is too large to be read. Make it smaller.")
        return self._accept(f"reading {path or 'the top folder'} at {ref}", answer)
