"""What other Apps do on the local GitHub, as Python methods: above all the jobs of GitHub Actions."""

from __future__ import annotations

from app.localhub import acts_checks, bare
from app.localhub.acts import Actor
from app.localhub.acts_checks import Outcome
from app.localhub.cast import Cast
from app.localhub.records import App, CheckRun, Repository
from app.localhub.shapes_checks import ACTIONS


class ChecksOfApps(Cast):
    """Each method sends the webhooks that GitHub would, and asks for no permission."""

    def add_check_run(
        self,
        repository: str,
        sha: str,
        name: str,
        *,
        app: str = ACTIONS,
        workflow: str = "CI",
        outcome: Outcome | None = None,
        details_url: str | None = None,
    ) -> CheckRun:
        """Start a check by the App ``app`` on a branch or commit; with an ``outcome`` it ends at once.

        ``workflow`` is the one that a job of GitHub Actions is part of. The App is registered when absent; it needs no
        installation. Raises KeyError for an unknown commit.
        """
        with self.store.lock:
            repo = self.repository(repository)
            commit = bare.resolve(repo.path, sha)
            if commit is None:
                raise KeyError(f"There is no commit {sha} in {repository}.")
            run = acts_checks.new_check(self.store, repo, self._app(app), name=name, sha=commit, workflow=workflow)
            run.status, run.details_url = "in_progress", details_url
            bot = Actor(run.app.bot, run.app)
            acts_checks.announce_check(self.store, repo, run, action="created", actor=bot)
            if outcome:
                acts_checks.complete_check(self.store, repo, run, outcome=outcome, actor=bot)
            return run

    def finish_check(self, repository: str, check_run_id: int, outcome: Outcome) -> None:
        """End a check run of any App. Raises KeyError."""
        with self.store.lock:
            repo, run = self._check(repository, check_run_id)
            bot = Actor(run.app.bot, run.app)
            acts_checks.complete_check(self.store, repo, run, outcome=outcome, actor=bot)

    def rerun_check(self, repository: str, check_run_id: int, actor: str) -> CheckRun:
        """Press "Re-run": the run that will have the new conclusion, which for a job of GitHub Actions is a new one.

        Raises KeyError, and Refusal 403 while any job of the same workflow run is at work.
        """
        with self.store.lock:
            repo, run = self._check(repository, check_run_id)
            return acts_checks.rerun_check(self.store, repo, run, actor=self._who(actor))

    def grant(self, permission: str, level: str) -> None:
        """Give our App a permission, accepted on all its installations; tokens that exist do not gain it."""
        with self.store.lock:
            for installation in self.store.installations.values():
                if installation.app is self.app:
                    installation.permissions[permission] = level
            self.app.permissions[permission] = level

    def check_runs(self, repository: str, sha: str | None = None) -> list[CheckRun]:
        """The check runs of a repository, or of one commit."""
        with self.store.lock:
            found = self.repository(repository).check_runs.values()
            return [run for run in found if sha in (None, run.head_sha)]

    def _check(self, repository: str, check_run_id: int) -> tuple[Repository, CheckRun]:
        repo = self.repository(repository)
        if check_run_id not in repo.check_runs:
            raise KeyError(f"There is no check run {check_run_id} in {repository}.")
        return repo, repo.check_runs[check_run_id]

    def _app(self, slug: str) -> App:
        """The App with this slug, registered when absent with our own App's key: making one takes long."""
        found = next((app for app in self.store.apps.values() if app.slug == slug), None)
        if found is None:
            found = self.store.add_app(slug, private_key=self.app.private_key, public_key=self.app.public_key)
        return found
