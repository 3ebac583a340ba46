"""From a request to its end on a thread: nothing is said twice, and no end is left unsaid, wherever it comes."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.fakes import CancelledAt, KnownJobs, OneThread
from workflows.conversation.explaining import render_why
from workflows.durable.deliveries import DeliveryRecord
from workflows.durable.job_records import JobRecord, JobState
from workflows.durable.run import InlineRun
from workflows.outcome import Outcome
from workflows.progress import live_edits
from workflows.progress.tracking import marker
from workflows.requests.admission import admit, say
from workflows.requests.job_services import Jobs, JobServices, NoJobs, Spoken
from workflows.requests.thread_work import Thread, work_on_thread
from workflows.review.ledger import Ledger, dump_ledger
from workflows.review.ledgers import LedgersInMemory
from workflows.review.unasked import PUSHED, UNREAD
from workflows.services import BrokenWorld, JobCancelled
from workflows.trajectory.log import MemoryLog
from workflows.types import Actor, Budget, Command, CommandOptions, CommentRef, Ends, Job, RepositoryRef

NOW = datetime.now(UTC)
BROKEN_POLICY = "budgett: 3"


class NoSessions:
    """No session was ever begun."""

    def open(self, job_id: str, session: str = "agent") -> MemoryLog:
        return MemoryLog()

    def waiting(self, repository_id: int, number: int) -> None:
        return None


def make(word: str = "fix", *, workflow: str = "fix_issue", **more: Any) -> Job:
    fields: dict[str, Any] = {
        "id": "gh-1",
        "workflow": workflow,
        "repository": RepositoryRef(installation_id=1, id=11, full_name="octo/hello"),
        "number": 7,
        "actor": Actor(id=5, login="mona"),
        "trigger": "",
        "delivery_id": "1",
        "created_at": NOW,
        "command": Command(word=word) if word else None,
        "comment": CommentRef(kind="issue", id=99),
        "request": word,
        "admission": True,
    }
    return Job(**(fields | more))


def serve(github: OneThread, jobs: Jobs | None = None) -> JobServices:
    nothing = cast(Any, None)
    return JobServices(
        github=lambda ref: cast(Any, github),
        model=nothing,
        mirrors=nothing,
        workshop=nothing,
        budget=Budget(turns=10, tokens=1000, seconds=60, usd=1),
        test_seconds=60,
        default_label="qwen",
        secrets=(),
        hosts=(),
        trajectories=cast(Any, NoSessions()),
        long_turns=20,
        jobs=jobs or NoJobs(),
        spoken=Spoken(login="forgehand[bot]", help=lambda on_pull_request: "The commands."),
    )


def record(job: Job, state: JobState, **more: Any) -> JobRecord:
    return JobRecord(job=job.model_copy(update=more), state=state, queued_at=NOW, changed_at=NOW)


def queued(github: OneThread, **more: Any) -> Job:
    """The job as its admission passed it on."""
    job = admit(InlineRun("gh-1"), make(**more), serve(github))
    assert isinstance(job, Job)
    return job.model_copy(update={"admission": False})


def worked(thread: Thread) -> Outcome:
    thread.close("Done.")
    return Outcome(status="pull_request", reason="Done.")


@pytest.mark.parametrize(
    ("ledger", "asks"),
    [
        (None, False),
        (dump_ledger(Ledger(head="a")), False),
        (dump_ledger(Ledger(head="a", approved=Ends(head="a", base="main"))), True),
        ('{"version": 1, "head": "a"}', True),
        ("torn", True),
    ],
    ids=["never reviewed", "not approved", "approved", "of an earlier version", "unreadable"],
)
def test_a_push_that_nobody_reads_asks_github_where_something_was_approved(ledger: str | None, asks: bool) -> None:
    """Where reviews are switched off each push would cost a look at GitHub: our own record spares it."""
    ledgers, asked = LedgersInMemory(), []
    if ledger is not None:
        ledgers.keep(11, 7, ledger)
    services = serve(OneThread())
    services = replace(services, ledgers=ledgers, github=lambda ref: asked.append(ref) or cast(Any, OneThread()))
    job = make("", workflow="review_pull", request=UNREAD, on_pull_request=True)
    outcome = admit(InlineRun("gh-1"), job, services)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, bool(asked)) == ("ignored", asks)


def question(number: int, *, hours: float = 0.0, **more: Any) -> Job:
    """A question by somebody without write permission, so long ago."""
    when = NOW - timedelta(hours=hours)
    return make("ask", workflow="answer_question", id=f"gh-{number}", created_at=when, request=str(number), **more)


@pytest.mark.parametrize(
    ("before", "permission", "status"),
    [
        ((), "read", "queued"),
        ((question(2, hours=1), question(3, hours=23)), "read", "refused"),
        ((question(2, hours=1), question(3, hours=23)), "write", "queued"),
        ((question(2, hours=1), question(3, hours=25)), "read", "queued"),
        ((question(2), question(3, hours=1)), "read", "queued"),
        ((question(2, hours=1, actor=Actor(id=6, login="eve")), question(3, hours=1)), "read", "queued"),
    ],
    ids=["first", "used up", "writer", "yesterday's", "later", "somebody else's"],
)
def test_what_is_open_to_readers_has_a_limit_a_day(before: tuple[Job, ...], permission: Any, status: str) -> None:
    """What one person without write permission asked for before, in the last 24 hours, counts; it is told why, once."""
    github = OneThread(policy="readers: ask\nreaders_a_day: 2", permission=permission)
    services = serve(github, KnownJobs(*(record(one, "ended", admission=False) for one in before)))
    for _ in range(2):
        found = admit(InlineRun("gh-1"), question(1), services)
        assert (found.status if isinstance(found, Outcome) else "queued") == status
    said = [body for body in github.comments.values() if "are used up" in body]
    assert len(said) == (status == "refused")


@pytest.mark.parametrize(("auto", "said"), [("all", "are used up"), ("writers", "has no write permission: a command")])
def test_reviews_of_what_strangers_propose_have_the_same_limit(auto: str, said: str) -> None:
    """Where they are reviewed unasked: nobody asked, so it is on record alone."""
    github = OneThread(policy=f"review: {{ auto: {auto} }}\nreaders_a_day: 1", permission="read")
    job = make("", workflow="review_pull", request="review opened", on_pull_request=True)
    assert isinstance(admit(InlineRun("gh-1"), job, serve(github)), Job) == (auto == "all")
    services = serve(github, KnownJobs(record(question(2, hours=1), "ended", admission=False)))
    outcome = admit(InlineRun("gh-1"), job, services)
    assert isinstance(outcome, Outcome)
    assert outcome.status == "ignored"
    assert said in outcome.reason
    assert not github.comments


@pytest.mark.parametrize(("word", "said"), [("stop", "Nothing is queued"), ("config", "has mistakes"), ("help", "The")])
def test_a_broken_policy_stops_work_alone(word: str, said: str) -> None:
    """What only tells, and what stops, needs no policy; the mistakes are shown by `config`."""
    github = OneThread(policy=BROKEN_POLICY)
    outcome = admit(InlineRun("gh-1"), make(word, workflow="answer"), serve(github))
    assert isinstance(outcome, Outcome)
    assert outcome.status == "answered"
    [comment] = github.comments.values()
    assert said in comment
    refused = admit(InlineRun("gh-1"), make(), serve(OneThread(policy=BROKEN_POLICY)))
    assert isinstance(refused, Outcome)
    assert refused.status == "refused"


def test_a_closed_thread_can_be_stopped() -> None:
    """A question may be under way on it; but who may not write stops nothing."""
    outcome = admit(InlineRun("gh-1"), make("stop", workflow="answer"), serve(OneThread(closed=True)))
    assert isinstance(outcome, Outcome)
    assert outcome.status == "answered"
    outcome = admit(InlineRun("gh-1"), make("stop", workflow="answer"), serve(OneThread(permission="read")))
    assert isinstance(outcome, Outcome)
    assert outcome.status == "refused"


def test_the_job_knows_after_which_label_its_state_is_named() -> None:
    """The repository's own label, so that taking `<label>:working` off is known to be meant for it."""
    assert queued(OneThread(policy="label: autofix")).label == "autofix"
    assert queued(OneThread()).label == "qwen"


def test_nothing_is_seen_of_an_event_that_joins_another() -> None:
    """A second red check joins the first without a reaction, for the pull request may be a stranger's."""
    github = OneThread()
    event = make("", workflow="fix_checks", request="checks abc", comment=None)
    earlier = record(event, "queued", id="gh-0", admission=False)
    outcome = admit(InlineRun("gh-1"), event, serve(github, KnownJobs(earlier)))
    assert isinstance(outcome, Outcome)
    assert outcome.status == "joined"
    assert (github.reactions, github.comments) == ([], {})
    command = make(request="same")
    joined = admit(
        InlineRun("gh-1"), command, serve(github, KnownJobs(record(command, "queued", id="gh-0", admission=False)))
    )
    assert isinstance(joined, Outcome)
    assert (joined.status, github.reactions) == ("joined", [99])


def test_a_retry_of_what_an_event_asked_for_is_acknowledged() -> None:
    """A person asked for it now: there is a comment of it, and it is not ended unsaid when it begins."""
    github = OneThread()
    review = make("", workflow="address_feedback", request="feedback", on_pull_request=True)
    failed = record(review, "ended", id="gh-0", admission=False)
    job = admit(InlineRun("gh-1"), make("retry", workflow="answer"), serve(github, KnownJobs(failed)))
    assert isinstance(job, Job)
    assert job.workflow == "address_feedback"
    assert job.tracking in github.comments
    ended = Outcome(status="ignored", reason="Nothing to do.")
    outcome = work_on_thread(
        InlineRun("gh-1"), job, serve(github), worked, look=lambda github, job, asked, services: ended
    )
    assert outcome.status == "pull_request"


@pytest.mark.parametrize(
    ("step", "after"), [("accept", False), ("acknowledge", False), ("label", True), ("close", False)]
)
def test_a_job_that_is_cancelled_says_so_wherever_it_was(step: str, after: bool) -> None:
    """In any of its first steps too: its comment does not go on to say that it is queued, and no label stays."""
    github = OneThread()
    job = queued(github)
    with pytest.raises(JobCancelled):
        work_on_thread(CancelledAt(step, after=after), job, serve(github), worked)
    [comment] = github.comments.values()
    assert comment.startswith("Cancelled")
    assert github.labels == set()


def test_a_job_that_is_cancelled_after_its_last_word_keeps_it() -> None:
    """Its pull request is there, and the label says that it waits for a review."""
    github = OneThread()
    job = queued(github)
    with pytest.raises(JobCancelled):
        work_on_thread(CancelledAt("label", nth=2), job, serve(github), worked)
    [comment] = github.comments.values()
    assert comment.startswith("Done.")
    assert github.labels == {"qwen:in-review"}


def test_a_bug_is_told_after_the_live_edit_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of it stands in the same comment, and the live edit that GitHub holds back would take it away."""
    monkeypatch.setattr(live_edits, "SECONDS_BETWEEN_EDITS", 0.0)
    github = OneThread()
    job = queued(github)
    raised: list[str] = []

    def broken(thread: Thread) -> Outcome:
        github.hold()
        thread.tracking.output("make", "one\n")
        assert github.asked.wait(20)
        raise ZeroDivisionError

    def work() -> None:
        with pytest.raises(ZeroDivisionError):
            work_on_thread(InlineRun("gh-1"), job, serve(github), broken)
        raised.append(next(iter(github.comments.values())))

    working = threading.Thread(target=work)
    working.start()
    working.join(0.2)
    github.let.set()
    working.join(20)
    assert "Working on it" in raised[0], "it had landed by then"


def test_a_word_is_said_in_a_new_comment_when_ours_was_deleted() -> None:
    """Somebody deleted the tracking comment between admission and work: the end is said all the same."""
    github = OneThread()
    job = queued(github)
    github.comments.clear()
    say(cast(Any, github), job, "Not started.")
    [comment] = github.comments.values()
    assert comment == f"Not started.\n\n{marker(job.id)}"
    github.closed = True
    github.comments.clear()
    assert work_on_thread(InlineRun("gh-1"), job, serve(github), worked).status == "refused"
    assert "closed" in next(iter(github.comments.values()))


def test_stop_tells_what_it_ended_also_after_it_died() -> None:
    """The step is made again after a crash: what it had cancelled before is counted and told, older jobs are not."""
    github = OneThread()
    waiting = queued(github)
    stop = make("stop", workflow="answer", id="gh-2")
    older = JobRecord(job=make(id="gh-0", created_at=datetime(2026, 1, 1, tzinfo=UTC)), state="cancelled",
        queued_at=datetime(2026, 1, 1, tzinfo=UTC), changed_at=datetime(2026, 1, 2, tzinfo=UTC))  # fmt: skip
    records = KnownJobs(older, record(waiting, "cancelled"))
    outcome = admit(InlineRun("gh-2"), stop, serve(github, records))
    assert isinstance(outcome, Outcome)
    assert outcome.status == "answered"
    first, answer = github.comments.values()
    assert first.startswith("Cancelled")
    assert answer.startswith("Stopped: 1 job ")


def test_what_died_and_was_cancelled_is_told_by_the_tidying() -> None:
    """Its worker can say nothing more: the comment does not go on to say that it works, and the label goes."""
    github = OneThread()
    job = queued(github)
    github.comments[1] = f"Working on it: publish.\n\n{marker(job.id)}"
    github.labels = {"qwen:working", "bug"}
    tidying = make("", workflow="tidy", id="gh-2", words="The issue was closed.")
    died = record(job, "cancelled").model_copy(update={"attempts": 1})
    admit(InlineRun("gh-2"), tidying, serve(github, KnownJobs(died)))
    assert github.comments[1] == f"Cancelled. The issue was closed.\n\n{marker(job.id)}"
    assert github.labels == {"bug"}


def test_the_last_word_of_a_cancelled_job_is_kept_by_the_tidying() -> None:
    """It says more; and while another job works, the label stays."""
    github = OneThread()
    job = queued(github)
    github.comments[1] = f"Cancelled, when draft pull request #8 was open already.\n\n{marker(job.id)}"
    github.labels = {"qwen:working"}
    tidying = make("", workflow="tidy", id="gh-2", words="The label `qwen` was taken off.")
    other = record(job, "running", id="gh-3")
    admit(InlineRun("gh-2"), tidying, serve(github, KnownJobs(record(job, "cancelled"), other)))
    assert "pull request #8" in github.comments[1]
    assert github.labels == {"qwen:working"}


def test_why_tells_of_every_job_of_a_comment() -> None:
    """A comment with several commands is one delivery, and what became of each is told; a reason of ours else."""
    comment = DeliveryRecord(
        guid="1",
        event="issue_comment",
        action="created",
        received_at=NOW,
        digest="",
        decision="Started.",
        job_id="gh-1",
    )
    push = comment.model_copy(update={"guid": "2", "event": "push", "decision": "Ignored: nothing.", "job_id": None})
    ends = {"gh-1": Outcome(status="refused", reason="No."), "gh-1-2": Outcome(status="answered", reason="Said.")}
    records = {
        name: JobRecord(job=make(id=name), state="ended", outcome=end, queued_at=NOW, changed_at=NOW)
        for name, end in ends.items()
    }
    told = render_why([comment, push], records, serve(OneThread()))
    assert "refused: No.; answered: Said." in told
    assert "Ignored: nothing." in told


def waiting_review(github: OneThread) -> Job:
    """A person's review of some paths, which waits in its comment."""
    options = CommandOptions(paths=("src/**",))
    command = Command(word="review", options=options)
    asked = make(workflow="review_pull", command=command, on_pull_request=True)
    job = admit(InlineRun("gh-1"), asked, serve(github))
    assert isinstance(job, Job)
    return job.model_copy(update={"admission": False})


def pushed(github: OneThread, jobs: KnownJobs) -> Job | Outcome:
    later = make("", id="gh-2", workflow="review_pull", comment=None, request=PUSHED, on_pull_request=True)
    return admit(InlineRun("gh-2"), later, serve(github, jobs))


def test_a_push_takes_over_a_waiting_review_with_its_comment() -> None:
    """What a person asked for goes on in the comment that they were answered in, and there is no second one."""
    github = OneThread(policy="review: { push: true }")
    jobs = KnownJobs(record(waiting_review(github), "queued"))
    job = pushed(github, jobs)
    assert isinstance(job, Job)
    [(number, body)] = github.comments.items()
    assert job.tracking == number
    assert marker("gh-2") in body
    assert jobs.cancelled == ["gh-1"]


def test_what_waits_is_not_ended_for_what_cannot_be_said() -> None:
    """GitHub breaks while the later request is acknowledged: the one that waits still does."""
    github = OneThread(policy="review: { push: true }")
    jobs = KnownJobs(record(waiting_review(github), "queued"))

    def broken(comment_id: int, body: str) -> None:
        raise BrokenWorld("github", "No.")

    github.update_comment = broken  # type: ignore[method-assign]
    with pytest.raises(BrokenWorld):
        pushed(github, jobs)
    assert jobs.cancelled == []
