"""What must hold of every job, however often its process was killed: nothing lost, nothing doubled, nothing left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.faults.arena import Told

Kind = Literal["lost", "duplicated", "wrong", "left behind"]
KEPT = re.compile(
    r"data|tmp|data/(egress|mirrors|sockets)|data/egress/\w+\.lock|tmp/forgehand-image-0\.lock|data/forgehand\.sqlite3(\.lock|-wal|-shm)?"
    r"|data/mirrors/\d+(\.lock|\.git(/(HEAD|config|packed-refs|refs(/(heads|tags)(/.*)?)?)?)?)"
)
"""The files that a worker at rest keeps."""


@dataclass(frozen=True)
class Complaint:
    """What does not hold."""

    kind: Kind
    text: str


def judge(told: Told, undisturbed: Told, *, processes: int = 0) -> list[Complaint]:
    """All that is wrong with a job, by comparison with one that nobody disturbed.

    ``processes`` is how many have worked on it: one more than the kills unless given.
    """
    if len(told.jobs) != 1:
        return [Complaint("duplicated" if told.jobs else "lost", f"{len(told.jobs)} jobs")]
    return [
        *_judge_objects(told),
        *_judge_commit(told, undisturbed),
        *_judge_journal(told, processes or len(told.kills) + 1),
        *_judge_calls(told.trail),
        *_judge_rest(told),
    ]


def _judge_objects(told: Told) -> Iterator[Complaint]:
    """One of each, in its last state."""
    job = told.jobs[0]
    if job.state != "ended" or job.outcome is None or job.outcome.status != "pull_request":
        yield Complaint("lost", f"the job ended as {job.state}: {job.outcome}")
    labels = [label.name for label in told.issue.labels]
    if labels != ["qwen:in-review"]:
        yield Complaint("wrong", f"the labels are {labels}")
    eyes = [reaction for reaction in told.issue.reactions if reaction.content == "eyes"]
    counted = {
        "branches": len(told.branches) - 1,
        "pull requests": len(told.pulls),
        "comments": len(told.comments),
        "check runs": len(told.checks),
        "reactions": len(told.issue.reactions),
        "👀": len(eyes),
    }
    for what, count in counted.items():
        if count != 1:
            yield Complaint("duplicated" if count else "lost", f"{count} {what}")
    if any(count != 1 for count in counted.values()):
        return
    [pull], [check], [comment] = told.pulls, told.checks, told.comments
    assert pull.pull is not None
    [branch] = told.branches.keys() - {"main"}
    tip = told.branches[branch]
    facts = {
        "the pull request is a draft": pull.pull.draft and pull.state == "open",
        "its head is our branch": (pull.pull.head, pull.pull.head_sha) == (branch, tip),
        "the check run succeeded on our commit": (check.conclusion, check.head_sha) == ("success", tip),
        "the check run bears the job's id": check.external_id == job.job.id,
        "the comment says the end": comment.body.startswith(f"Done: draft pull request #{pull.number}, verified"),
        "the label is off": "qwen" not in [label.name for label in told.issue.labels],
        "the default branch is untouched": told.branches["main"] == told.base,
        "the outcome names them": job.outcome is not None
        and (job.outcome.pull_request, job.outcome.branch, job.outcome.commit) == (pull.number, branch, tip),
    }
    yield from (Complaint("wrong", f"not true: {fact}") for fact, holds in facts.items() if not holds)


def _judge_commit(told: Told, undisturbed: Told) -> Iterator[Complaint]:
    """All that makes a commit's id: so it is the id that an undisturbed run of the same job would have made."""
    made = [told.commits[branch] for branch in told.branches if branch != "main"]
    [expected] = [undisturbed.commits[branch] for branch in undisturbed.branches if branch != "main"]
    when = f"> {int(told.jobs[0].job.created_at.timestamp())} +0000"
    for commit in made:
        if (commit.tree, commit.message) != (expected.tree, expected.message):
            yield Complaint("wrong", "the commit has another tree or message")
        if commit.parents != (told.base,):
            yield Complaint("wrong", f"the commit's parents are {commit.parents}")
        if not commit.author.endswith(when) or not commit.committer.endswith(when):
            yield Complaint("wrong", f"the commit is dated {commit.author}, not by its job")


def _judge_journal(told: Told, processes: int) -> Iterator[Complaint]:
    """Exactly the expected effects; what is sent again must have changed nothing."""
    effects: Counter[str] = Counter()
    for entry in told.journal:
        path = re.sub(rf"^/?(repos/)?{told.repository}[/ ]", "", entry.path)
        what = re.sub(r"\d+", "N", f"{entry.method} {path}")
        again = (entry.method, entry.status) in (("POST", 200), ("DELETE", 404))
        edit = (entry.method, entry.status) == ("PATCH", 200) and path.startswith("issues/comments/")
        asked_again = what == "POST /app/hook/deliveries/N/attempts"
        # A label that is put on again is on; what stands at the end is judged with the objects.
        state = what in ("POST labels", "POST issues/N/labels") or what.endswith("working")
        if not (again or edit or asked_again or state):
            effects[f"{what} {entry.status}"] += 1
    minted = effects.pop("POST /app/installations/N/access_tokens 201", 0)
    given_back = effects.pop("DELETE /installation/token 204", 0)
    if not max(1, given_back) <= minted <= processes:
        yield Complaint("wrong", f"{minted} tokens were minted, and {given_back} given back, by {processes} processes")
    branch = re.sub(r"\d+", "N", next(iter(told.branches.keys() - {"main"}), ""))
    expected = {
        "POST issues/N/reactions 201",
        "POST issues/N/comments 201",
        "DELETE issues/N/labels/qwen 200",
        f"PUSH refs/heads/{branch} 200",
        "POST pulls 201",
        "POST check-runs 201",
    }
    for effect in sorted(expected | effects.keys()):
        if effect not in expected:
            yield Complaint("wrong", f"an effect that nobody expects: {effect}")
        elif effects[effect] != 1:
            yield Complaint("duplicated" if effects[effect] else "lost", f"{effects[effect]} times {effect}")


def _judge_calls(trail: Sequence[str]) -> Iterator[Complaint]:
    """A model call that was followed by another one is never paid again; one in flight once more a kill."""
    killed, order, before = False, list[str](), ""
    for line in trail:
        moment = line.removesuffix(" KILLED")
        if moment.startswith("before model"):
            call = moment.removeprefix("before ")
            if call in order and (order[-1] != call or not killed):
                yield Complaint("duplicated", f"{call} was paid again")
            order.append(call)
            # A container opens beside the first call, which may still begin in the process that is killed there.
            killed = "container create" in before and before.endswith(" KILLED")
        killed, before = killed or line != moment, line


def _judge_rest(told: Told) -> Iterator[Complaint]:
    """Nothing lies about."""
    if told.containers:
        yield Complaint("left behind", f"containers {told.containers}")
    strange = [name for name in told.files if not KEPT.fullmatch(name)]
    if strange:
        yield Complaint("left behind", f"files {strange}")
