"""What people do on the local GitHub, as Python methods: in the conversation, on branches, in reviews."""

from __future__ import annotations

from collections.abc import Sequence

from app.localhub import acts, acts_pulls, bare, reviews
from app.localhub.cast import Cast
from app.localhub.records import Comment, Issue, Reaction, Release, Repository, Review, ReviewComment
from app.localhub.shapes_pulls import base_commit, pull_of
from app.localhub.store import find_comment, find_review_comment


class People(Cast):
    """Each method acts as the user it is given, sends the same webhooks as REST, and asks for no permission."""

    def create_issue(
        self, repository: str, author: str, title: str, body: str = "", *, labels: Sequence[str] = ()
    ) -> Issue:
        """Open an issue."""
        with self.store.lock:
            repo = self.repository(repository)
            return acts.open_issue(self.store, repo, self._who(author), title=title, body=body, labels=labels)

    def edit_issue(
        self, repository: str, number: int, actor: str, *, title: str | None = None, body: str | None = None
    ) -> None:
        """Change title or body."""
        given = {"title": title, "body": body}
        with self.store.lock:
            changes = {name: text for name, text in given.items() if text is not None}
            repo, issue = self.repository(repository), self.issue(repository, number)
            acts.edit_issue(self.store, repo, issue, actor=self._who(actor), changes=changes)

    def close_issue(self, repository: str, number: int, actor: str) -> None:
        """Close an issue or pull request."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            acts.set_state(self.store, repo, issue, actor=self._who(actor), state="closed")

    def reopen_issue(self, repository: str, number: int, actor: str) -> None:
        """Reopen an issue or pull request."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            acts.set_state(self.store, repo, issue, actor=self._who(actor), state="open")

    def add_label(self, repository: str, number: int, label: str, actor: str) -> None:
        """Put a label on an issue or pull request."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            acts.add_labels(self.store, repo, issue, actor=self._who(actor), names=[label])

    def remove_label(self, repository: str, number: int, label: str, actor: str) -> None:
        """Take a label off. Raises Refusal when it is not on."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            acts.remove_label(self.store, repo, issue, actor=self._who(actor), name=label)

    def add_comment(self, repository: str, number: int, author: str, body: str) -> Comment:
        """Comment on an issue or pull request."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            return acts.add_comment(self.store, repo, issue, actor=self._who(author), body=body)

    def edit_comment(self, repository: str, comment_id: int, actor: str, body: str) -> None:
        """Edit a comment. Raises KeyError."""
        with self.store.lock:
            repo = self.repository(repository)
            found = find_comment(repo, comment_id)
            if found is None:
                raise KeyError(f"There is no comment {comment_id} in {repository}.")
            acts.edit_comment(self.store, repo, found[0], comment=found[1], actor=self._who(actor), body=body)

    def delete_issue(self, repository: str, number: int, actor: str = "octocat") -> None:
        """Make an issue vanish, as an owner can in the page; REST answers 404 from then on."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            acts.delete_issue(self.store, repo, issue, actor=self._who(actor))

    def delete_comment(self, repository: str, comment_id: int, actor: str) -> None:
        """Delete a comment. Raises KeyError."""
        with self.store.lock:
            repo = self.repository(repository)
            found = find_comment(repo, comment_id)
            if found is None:
                raise KeyError(f"There is no comment {comment_id} in {repository}.")
            acts.delete_comment(self.store, repo, found[0], comment=found[1], actor=self._who(actor))

    def react(self, repository: str, number: int, actor: str, content: str, *, comment_id: int | None = None) -> None:
        """React to an issue or pull request, or to one of its comments, on the conversation or on a line."""
        with self.store.lock:
            acts.add_reaction(
                self.store, self.reactions(repository, number, comment_id), self._who(actor).user, content=content
            )

    def remove_reaction(
        self, repository: str, number: int, actor: str, content: str, *, comment_id: int | None = None
    ) -> None:
        """Take a reaction back; GitHub sends no webhook for it."""
        with self.store.lock:
            acts.remove_reaction(self.reactions(repository, number, comment_id), self._who(actor).user, content=content)

    def reactions(self, repository: str, number: int, comment_id: int | None = None) -> list[Reaction]:
        """The reactions to an issue or pull request, or to one of its comments. Raises KeyError."""
        issue = self.issue(repository, number)
        if comment_id is None:
            return issue.reactions
        said: list[Comment | ReviewComment] = [*issue.comments, *(issue.pull.comments if issue.pull else [])]
        for comment in said:
            if comment.id == comment_id:
                return comment.reactions
        raise KeyError(f"There is no comment {comment_id} on #{number} of {repository}.")

    def comments(self, repository: str, number: int) -> list[Comment]:
        """The conversation of an issue or pull request, oldest first."""
        with self.store.lock:
            return list(self.issue(repository, number).comments)

    def open_pull_request(
        self,
        repository: str,
        author: str,
        *,
        head: str,
        title: str,
        body: str = "",
        base: str | None = None,
        draft: bool = False,
    ) -> Issue:
        """Open a pull request between two branches."""
        with self.store.lock:
            repo = self.repository(repository)
            target = base or repo.default_branch
            return acts_pulls.open_pull(
                self.store, repo, self._who(author), head=head, base=target, title=title, body=body, draft=draft
            )

    def pull_requests(self, repository: str, state: str = "all") -> list[Issue]:
        """The pull requests, oldest first; each is an Issue with ``pull`` (head, base, head_sha, draft, reviews …)."""
        with self.store.lock:
            issues = self.repository(repository).issues.values()
            return [issue for issue in issues if issue.pull and state in ("all", issue.state)]

    def diff(self, repository: str, number: int) -> str:
        """The unified diff of a pull request."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            pull = pull_of(issue)
            return bare.diff_text(repo.path, base_commit(repo, pull), pull.head_sha)

    def merge_pull_request(self, repository: str, number: int, actor: str, *, squash: bool = False) -> str:
        """Merge with a merge commit, or as one commit, and return its id."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            return acts_pulls.merge_pull(self.store, repo, issue, actor=self._who(actor), squash=squash)

    def mark_ready(self, repository: str, number: int, actor: str) -> None:
        """Take a pull request out of draft."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            acts_pulls.mark_ready(self.store, repo, issue, actor=self._who(actor))

    def convert_to_draft(self, repository: str, number: int, actor: str) -> None:
        """Make a pull request a draft again."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            acts_pulls.convert_to_draft(self.store, repo, issue, actor=self._who(actor))

    def delete_branch(self, repository: str, branch: str, actor: str) -> None:
        """Delete a branch, which closes the pull requests from it. Raises KeyError."""
        with self.store.lock:
            repo = self.repository(repository)
            if bare.branch_sha(repo.path, branch) is None:
                raise KeyError(f"There is no branch {branch} in {repository}.")
            acts_pulls.move_branch(self.store, repo, f"refs/heads/{branch}", after=bare.ZERO, actor=self._who(actor))

    def create_tag(self, repository: str, tag: str, actor: str, *, on: str | None = None) -> str:
        """Put a tag on a branch or commit (the default branch unless given) and return the commit. Raises KeyError."""
        with self.store.lock:
            repo = self.repository(repository)
            sha = bare.resolve(repo.path, on or repo.default_branch)
            if sha is None:
                raise KeyError(f"There is no {on or repo.default_branch} in {repository}.")
            acts_pulls.move_branch(self.store, repo, f"refs/tags/{tag}", after=sha, actor=self._who(actor))
            return sha

    def create_release(
        self, repository: str, author: str, tag: str, *, name: str = "", body: str = "", draft: bool = False
    ) -> Release:
        """Make a release; unless it is a draft the tag is put on the default branch when it does not exist."""
        with self.store.lock:
            repo, now = self.repository(repository), self.store.now()
            if not draft and bare.resolve(repo.path, f"refs/tags/{tag}") is None:
                self.create_tag(repository, tag, author)
            release = Release(
                self.store.new_id(),
                self._who(author).user,
                tag,
                repo.default_branch,
                name,
                body,
                draft=draft,
                prerelease=False,
                created_at=now,
                published_at=None if draft else now,
            )
            repo.releases[release.id] = release
            return release

    def releases(self, repository: str) -> list[Release]:
        """The releases and drafts, oldest first."""
        with self.store.lock:
            return list(self.repository(repository).releases.values())

    # --- reviews ------------------------------------------------------------------------------------------------

    def request_review(self, repository: str, number: int, actor: str, reviewer: str) -> None:
        """Ask somebody for a review: a person, or an App's bot as the page offers it for some. Raises Refusal."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            wanted = [self._who(reviewer).user]
            acts_pulls.request_review(self.store, repo, issue, actor=self._who(actor), reviewers=wanted)

    def submit_review(
        self,
        repository: str,
        number: int,
        author: str,
        *,
        event: str | None = "COMMENT",
        body: str = "",
        comments: Sequence[reviews.Wanted] = (),
    ) -> Review:
        """Review a pull request; without an event it stays pending. Raises Refusal for a line outside the diff."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            return reviews.submit_review(
                self.store, repo, issue, actor=self._who(author), event=event, body=body, comments=comments
            )

    def comment_on_line(self, repository: str, number: int, author: str, wanted: reviews.Wanted) -> ReviewComment:
        """Comment on a line outside a larger review. Raises Refusal for a line outside the diff."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            head = pull_of(issue).head_sha
            return reviews.add_line_comment(
                self.store, repo, issue, actor=self._who(author), wanted=wanted, commit_id=head
            )

    def reply_to_comment(self, repository: str, comment_id: int, author: str, body: str) -> ReviewComment:
        """Answer in the thread of a review comment. Raises KeyError."""
        with self.store.lock:
            repo, issue, parent = self._line_comment(repository, comment_id)
            return reviews.reply(self.store, repo, issue, actor=self._who(author), parent=parent, body=body)

    def edit_review_comment(self, repository: str, comment_id: int, actor: str, body: str) -> None:
        """Edit a review comment. Raises KeyError."""
        with self.store.lock:
            repo, issue, comment = self._line_comment(repository, comment_id)
            reviews.edit_line_comment(self.store, repo, issue, comment=comment, actor=self._who(actor), body=body)

    def delete_review_comment(self, repository: str, comment_id: int, actor: str) -> None:
        """Delete a review comment. Raises KeyError."""
        with self.store.lock:
            repo, issue, comment = self._line_comment(repository, comment_id)
            reviews.delete_line_comment(self.store, repo, issue, comment=comment, actor=self._who(actor))

    def resolve_thread(self, repository: str, comment_id: int, actor: str, *, resolved: bool = True) -> None:
        """Resolve the thread of a review comment, or open it again. Raises KeyError."""
        with self.store.lock:
            repo, issue, comment = self._line_comment(repository, comment_id)
            top = comment.in_reply_to or comment.id
            reviews.resolve_thread(self.store, repo, issue, top=top, actor=self._who(actor), resolved=resolved)

    def resolved_threads(self, repository: str, number: int) -> dict[int, str]:
        """Who resolved which thread, by the id of its first comment."""
        with self.store.lock:
            return {top: user.login for top, user in pull_of(self.issue(repository, number)).resolved.items()}

    def dismiss_review(self, repository: str, number: int, review_id: int, actor: str) -> None:
        """Dismiss a review. Raises KeyError."""
        with self.store.lock:
            repo, issue = self.repository(repository), self.issue(repository, number)
            found = next((each for each in pull_of(issue).reviews if each.id == review_id), None)
            if found is None:
                raise KeyError(f"There is no review {review_id} of #{number} in {repository}.")
            reviews.dismiss_review(self.store, repo, issue, review=found, actor=self._who(actor))

    def _line_comment(self, repository: str, comment_id: int) -> tuple[Repository, Issue, ReviewComment]:
        repo = self.repository(repository)
        found = find_review_comment(repo, comment_id)
        if found is None:
            raise KeyError(f"There is no review comment {comment_id} in {repository}.")
        return repo, *found
