"""Who and what the Python methods of the local GitHub name: accounts by login, repositories and issues by name."""

from __future__ import annotations

from app.localhub.acts import Actor
from app.localhub.records import App, Issue, Repository
from app.localhub.store import Store


class Cast:
    """The store, and how its records are found. ``app`` is the App made at the start."""

    app: App

    def __init__(self, store: Store) -> None:
        self.store = store

    def repository(self, full_name: str) -> Repository:
        """The repository's record. Raises KeyError."""
        found = self.store.find_repository(full_name)
        if found is None:
            raise KeyError(f"There is no repository {full_name}; make it with create_repository.")
        return found

    def issue(self, repository: str, number: int) -> Issue:
        """An issue's or pull request's record. Raises KeyError."""
        return self.repository(repository).issues[number]

    def _who(self, login: str) -> Actor:
        app = next((app for app in self.store.apps.values() if app.bot.login == login), None)
        return Actor(self.store.add_user(login), app)
