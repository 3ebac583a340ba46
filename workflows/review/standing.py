"""What stood before a review: the ledger of earlier findings, and what people answered in their threads."""

from __future__ import annotations

from collections.abc import Mapping

from workflows.repository.policy import WRITERS
from workflows.requests.job_services import JobServices
from workflows.requests.thread_work import Thread
from workflows.review.anchors import LineMap
from workflows.review.finding_threads import FindingThread, gather_finding_threads
from workflows.review.ledger import Ledger, dump_ledger, parse_ledger, rebuild_ledger
from workflows.review.render import parse_finding_marker
from workflows.services import GitHub
from workflows.types import Noun, PullRequest


class Standing(Noun):
    """The ledger and the threads under our findings, as they were at one moment."""

    ledger: Ledger = Ledger()
    threads: tuple[FindingThread, ...] = ()

    def thread(self, finding: str) -> FindingThread | None:
        """The thread of a finding, the newest of one that was said again."""
        return next((one for one in reversed(self.threads) if one.finding == finding), None)


def read_threads(github: GitHub, services: JobServices, pull: PullRequest) -> tuple[FindingThread, ...]:
    """The threads of our findings now. Heard are those who may resolve a thread: writers, and the change's author.

    https://docs.github.com/en/pull-requests/collaborating-with-pull-requests/reviewing-changes-in-pull-requests/commenting-on-a-pull-request#resolving-conversations
    """
    ours = services.spoken.login
    comments = github.fetch_review_comments(pull.number)
    roots = {one.id for one in comments if one.author.login == ours and parse_finding_marker(one.body)}
    if not roots:
        return ()
    threads = [one for one in github.fetch_review_threads(pull.number) if roots & {*one.comments}]
    people = {one.author.login for one in comments if one.in_reply_to in roots and one.author.type == "User"}
    people |= {one.resolved_by for one in threads if one.resolved_by}
    writers = [login for login in sorted(people) if github.fetch_permission(login) in WRITERS]
    return gather_finding_threads(comments, threads, ours=ours, writers=writers, author=pull.author.login)


def read_standing(thread: Thread, pull: PullRequest, maps: Mapping[str, LineMap]) -> Standing:
    """What stands now. A ledger that is lost is made anew of our own comments."""
    threads = read_threads(thread.github, thread.services, pull)
    text = thread.services.ledgers.read(thread.job.repository.id, pull.number)
    ledger = parse_ledger(text) if text is not None else None
    return Standing(ledger=ledger or rebuild_ledger(threads, maps), threads=threads)


def keep_ledger(thread: Thread, ledger: Ledger) -> None:
    """Put the ledger down."""
    thread.services.ledgers.keep(thread.job.repository.id, thread.job.number, dump_ledger(ledger))
