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
    """The threads of our findings now. Heard are those who may resolve a thread: writers, and the change's author."""
    ours = services.spoken.login
    comments = github.fetch_review_comments(pull.number)
    roots = {one.id for one in comments if one.author.login == ours and parse_finding_marker(one.body)}
    if not roots:
        return ()
    people = {one.author.login for one in comments if one.in_reply_to in roots and one.author.type == "User"}
    heard = [login for login in sorted(people) if _is_heard(github, pull, login)]
    return gather_finding_threads(comments, github.fetch_review_threads(pull.number), ours=ours, heard=heard)


def read_standing(thread: Thread, pull: PullRequest, maps: Mapping[str, LineMap]) -> Standing:
    """What stands now. A ledger that is lost is made anew of our own comments."""
    threads = read_threads(thread.github, thread.services, pull)
    text = thread.services.ledgers.read(thread.job.repository.id, pull.number)
    ledger = parse_ledger(text) if text is not None else None
    return Standing(ledger=ledger or rebuild_ledger(threads, maps), threads=threads)


def keep_ledger(thread: Thread, ledger: Ledger) -> None:
    """Put the ledger down."""
    thread.services.ledgers.keep(thread.job.repository.id, thread.job.number, dump_ledger(ledger))


def _is_heard(github: GitHub, pull: PullRequest, login: str) -> bool:
    return login == pull.author.login or github.fetch_permission(login) in WRITERS
