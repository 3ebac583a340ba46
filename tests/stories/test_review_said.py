"""What reviews say and take back: verdicts by policy, nothing twice over many pushes, every kind of change."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from app import dispatch
from app.localhub.records import CheckRun, ReviewComment
from tests.localhub.conftest import Rest
from tests.stories.conftest import Ground, open_ground
from tests.stories.reviewing import (
    CHANGED,
    FILES,
    FINDING,
    RUN,
    command,
    ended,
    is_resolved,
    judges,
    line_comments,
    meanwhile,
    name_of,
    propose,
    report,
    reviews,
    stands,
    told_to_model,
)
from tests.stories.scripts import finish, turn
from tests.stories.world import SECRET

MENDED = CHANGED.replace("len(numbers)\n", "len(numbers) if numbers else 0\n")
STRICT = "review: { request_changes_on: important, fail_on: important }\n"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("said") / "world", engine, review_unasked=True) as ground:
        yield ground


def states(ground: Ground, repository: str, number: int) -> list[str]:
    """The states of our own reviews that say something, oldest first."""
    return [one.state for one in reviews(ground, repository, number) if "forgehand:review" in one.body]


def check(ground: Ground, repository: str) -> CheckRun:
    """The newest check of a review."""
    return [one for one in ground.world.hub.check_runs(repository) if one.name == "Forgehand review"][-1]


def dismissals(ground: Ground, repository: str) -> int:
    """How often we took a verdict back."""
    return sum(write.endswith("/dismissals") for write in ground.world.writes(repository))


def test_changes_are_requested_by_policy_and_taken_back(ground: Ground) -> None:
    """A finding of that severity requests changes; once it is fixed they are dismissed, by us, once."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "requested-changes", policy=STRICT)
    ended(ground, repository, number, jobs=1)
    assert states(ground, repository, number) == ["CHANGES_REQUESTED"]
    ground.script[:] = [stands(ground), report()]
    command(ground, repository, number, "/qwen review full")
    ended(ground, repository, number, jobs=2)
    assert states(ground, repository, number)[0] == "CHANGES_REQUESTED", "it is open still"
    ground.world.hub.commit(repository, {"calc.py": MENDED}, branch="mean")
    command(ground, repository, number, "/qwen review")
    ended(ground, repository, number, jobs=4)
    assert states(ground, repository, number) == ["DISMISSED", "COMMENTED", "COMMENTED"]
    assert check(ground, repository).conclusion == "success"
    assert dismissals(ground, repository) == 1


def test_no_changes_are_requested_where_nobody_can_answer(ground: Ground) -> None:
    """A point that has no line, or lost it while it was read, is told in the summary of a mere comment."""
    elsewhere = {**FINDING, "path": "test_calc.py", "line": 1, "code": "", "command": "", "suggestion": None}
    ground.script[:] = [stands(ground), report(elsewhere)]
    repository, number = propose(ground, "without-a-line", policy=STRICT)
    ended(ground, repository, number, jobs=1)
    assert states(ground, repository, number) == ["COMMENTED"]
    hub = ground.world.hub
    repository = ground.world.create_repository("lost-its-line", {**FILES, ".github/qwen.yml": STRICT})
    hub.commit(repository, {"calc.py": CHANGED}, branch="mean", start="main")
    ground.script[:] = [stands(ground), RUN, report(FINDING)]

    def rewrite() -> None:
        hub.commit(repository, {"calc.py": MENDED}, branch="mean", start="main", force=True)

    with meanwhile(ground, rewrite):
        number = hub.open_pull_request(repository, "alice", head="mean", title="A mean").number
        ended(ground, repository, number, jobs=2)
    assert states(ground, repository, number) == ["COMMENTED"]
    assert line_comments(ground, repository, number) == []


def test_an_answer_that_is_accepted_lifts_what_was_requested(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finding is withdrawn: its thread is resolved, the changes are requested no more, the check fails no more."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "lifted", policy=STRICT)
    ended(ground, repository, number, jobs=1)
    assert check(ground, repository).conclusion == "failure"
    [finding] = line_comments(ground, repository, number)
    ground.script[:] = [stands(ground), judges(**{name_of(finding): (True, "Right: nobody calls it so.")})]
    ground.world.hub.reply_to_comment(repository, finding.id, "alice", "It is never called with an empty list.")
    ended(ground, repository, number, jobs=3)
    assert is_resolved(ground, repository, number, finding)
    assert states(ground, repository, number) == ["DISMISSED"]
    assert (check(ground, repository).conclusion, check(ground, repository).title) == ("success", "Nothing to say")


def test_an_author_without_write_permission_lifts_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is talked into it, and the thread resolved: what was requested stands until a writer says so."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    hub = ground.world.hub
    hub.create_user("mallory")
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "talked-into", policy=STRICT.replace("{", "{ auto: all,"), author="mallory")
    ended(ground, repository, number, jobs=1)
    [finding] = line_comments(ground, repository, number)
    ground.script[:] = [stands(ground), judges(**{name_of(finding): (True, "Right: nobody calls it so.")})]
    hub.reply_to_comment(repository, finding.id, "mallory", "It is never called with an empty list.")
    ended(ground, repository, number, jobs=3)
    assert line_comments(ground, repository, number)[-1].body.partition("\n\n<!--")[0] == (
        "Right: nobody calls it so.\n\nIt blocks, so it stays open until its code changes, or until somebody with "
        "write permission agrees here or resolves this."
    )
    hub.resolve_thread(repository, finding.id, "mallory")
    hub.reply_to_comment(repository, finding.id, "mallory", "Thanks.")
    ended(ground, repository, number, jobs=5)
    assert states(ground, repository, number) == ["CHANGES_REQUESTED"]
    assert check(ground, repository).conclusion == "failure"
    said = line_comments(ground, repository, number)[-1].body
    assert said.startswith("This was resolved by somebody without write permission. It blocks, so it stays open until")
    hub.reply_to_comment(repository, finding.id, "alice", "She is right.")
    ended(ground, repository, number, jobs=7)
    assert states(ground, repository, number) == ["DISMISSED"]
    assert check(ground, repository).conclusion == "success"


def test_a_line_that_was_changed_a_little_lifts_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """The author changes the line, and says so: what was requested stands, and fails, until a review has read it."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "a-little", policy=STRICT)
    ended(ground, repository, number, jobs=1)
    [finding] = line_comments(ground, repository, number)
    changed = CHANGED.replace("sum(numbers)", "sum((numbers))")
    head = ground.world.hub.commit(repository, {"calc.py": changed, "other.py": "ONE = 1\n"}, branch="mean")
    ground.script[:] = []
    ground.world.hub.reply_to_comment(repository, finding.id, "alice", "Done.")
    ended(ground, repository, number, jobs=4)
    assert states(ground, repository, number)[0] == "CHANGES_REQUESTED"
    assert not is_resolved(ground, repository, number, finding)
    said = line_comments(ground, repository, number)[-1].body
    assert said.startswith(f"Its lines are changed in `{head[:12]}`; whether that mends it, the next review sees.")
    ground.script[:] = [stands(ground), report()]
    command(ground, repository, number, "/qwen review paths=other.py")
    ended(ground, repository, number, jobs=5)
    assert states(ground, repository, number)[0] == "CHANGES_REQUESTED"
    assert check(ground, repository).conclusion == "failure"
    ground.script[:] = [stands(ground), report()]
    command(ground, repository, number, "/qwen review")
    ended(ground, repository, number, jobs=6)
    assert states(ground, repository, number)[0] == "DISMISSED"
    assert is_resolved(ground, repository, number, finding)
    assert check(ground, repository).conclusion == "success"


def test_an_approval_by_policy_holds_as_long_as_it_is_true(ground: Ground) -> None:
    """A clean change is approved once; when something that matters is found later, the approval is taken back."""
    ground.script[:] = [stands(ground), report()]
    repository, number = propose(ground, "approved", policy="review: { approve: true }\n", changed={"calc.py": MENDED})
    ended(ground, repository, number, jobs=1)
    assert states(ground, repository, number) == ["APPROVED"]
    command(ground, repository, number, "/qwen review full")
    ended(ground, repository, number, jobs=2)
    assert states(ground, repository, number) == ["APPROVED"], "the same head is not approved twice"
    ground.world.hub.commit(repository, {"calc.py": CHANGED}, branch="mean")
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    command(ground, repository, number, "/qwen review")
    ended(ground, repository, number, jobs=4)
    assert states(ground, repository, number) == ["DISMISSED", "COMMENTED"]


def test_a_push_takes_the_approval_back(ground: Ground) -> None:
    """Where the policy has pushes not reviewed, and ours: once, people's stay, and the next review approves anew."""
    hub = ground.world.hub
    ground.script[:] = [stands(ground), report(), report()]
    repository, number = propose(ground, "pushed", policy="review: { approve: true }\n", changed={"calc.py": MENDED})
    ended(ground, repository, number, jobs=1)
    hub.submit_review(repository, number, "bob", event="APPROVE", body="Fine.")
    for jobs in (2, 3):
        hub.commit(repository, {"notes.txt": f"{jobs} notes.\n"}, branch="mean", author="alice")
        ended(ground, repository, number, jobs=jobs)
        assert states(ground, repository, number) == ["DISMISSED"]
    assert [one.state for one in reviews(ground, repository, number) if one.body == "Fine."] == ["APPROVED"]
    command(ground, repository, number, "/qwen review")
    ended(ground, repository, number, jobs=4)
    assert states(ground, repository, number) == ["DISMISSED", "APPROVED"]
    hub.commit(repository, {"more.txt": "More.\n"}, branch="main", author="alice")
    command(ground, repository, number, "/qwen update")
    ended(ground, repository, number, jobs=6)
    assert states(ground, repository, number) == ["DISMISSED", "DISMISSED"]
    assert dismissals(ground, repository) == 2


def test_a_push_that_is_told_late_takes_no_newer_approval_back(ground: Ground) -> None:
    """GitHub delivers a push again after what was pushed since then was read and approved: that stands."""
    hub = ground.world.hub
    ground.script[:] = [stands(ground), report(), report()]
    repository, number = propose(ground, "late", policy="review: { approve: true }\n", changed={"calc.py": MENDED})
    ended(ground, repository, number, jobs=1)
    hub.set_webhook(hub.app.webhook_url, "another secret")
    hub.commit(repository, {"notes.txt": "A note.\n"}, branch="mean", author="alice")
    hub.wait_for_deliveries()
    hub.set_webhook(hub.app.webhook_url, SECRET)
    late = next(one for one in reversed(hub.deliveries) if one.action == "synchronize")
    assert states(ground, repository, number) == ["APPROVED"]
    hub.commit(repository, {"notes.txt": "Two notes.\n"}, branch="mean", author="alice")
    command(ground, repository, number, "/qwen review")
    ended(ground, repository, number, jobs=3)
    assert states(ground, repository, number) == ["DISMISSED", "APPROVED"]
    hub.redeliver(late)
    ended(ground, repository, number, jobs=4)
    assert states(ground, repository, number) == ["DISMISSED", "APPROVED"]


def test_a_head_that_nobody_read_is_not_approved(ground: Ground) -> None:
    """The reviewed commit is pushed away after the last look, before the approval: the new one gets a comment."""
    ground.script[:] = [stands(ground), report()]
    repository = ground.world.create_repository(
        "not-read", {**FILES, ".github/qwen.yml": "review: { approve: true }\n"}
    )
    hub = ground.world.hub
    hub.commit(repository, {"calc.py": MENDED}, branch="mean", start="main")

    def rewrite() -> None:
        hub.commit(repository, {"calc.py": CHANGED}, branch="mean", start="main", force=True)

    with meanwhile(ground, rewrite, path=r"/pulls/\d+/reviews$"):
        number = hub.open_pull_request(repository, "alice", head="mean", title="A mean").number
        ended(ground, repository, number, jobs=2)
    assert states(ground, repository, number) == ["COMMENTED"]
    [review] = reviews(ground, repository, number)
    assert "The branch moved to" in review.body


def test_findings_that_cannot_be_read_are_no_clean_review(ground: Ground) -> None:
    """A reviewer hands over prose: no approval and no green check, and the next review reads the change again."""
    prose = turn(finish("I looked at it all: the mean of no numbers divides by zero."))
    ground.script[:] = [stands(ground), prose, prose, prose]
    repository, number = propose(ground, "prose", policy="review: { approve: true }\n")
    [record] = ended(ground, repository, number, jobs=1)
    assert record.outcome is not None
    assert record.outcome.status == "reviewed"
    assert states(ground, repository, number) == []
    assert (check(ground, repository).conclusion, check(ground, repository).title) == ("neutral", "Not read to its end")
    assert "its findings could not be read" in check(ground, repository).summary
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    command(ground, repository, number, "/qwen review")
    ended(ground, repository, number, jobs=2)
    assert len(line_comments(ground, repository, number)) == 1


@pytest.mark.parametrize("push", [True, False])
def test_a_change_onto_another_base_is_read_whole(ground: Ground, monkeypatch: pytest.MonkeyPatch, push: bool) -> None:
    """Retargeted, the pull request has commits that nobody read: the approval is taken back at once, and they are read,
    unasked where pushes are."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    hub = ground.world.hub
    policy = f"review: {{ approve: true, push: {str(push).lower()} }}\n"
    repository = ground.world.create_repository(f"retargeted-{push}", {**FILES, ".github/qwen.yml": policy})
    hub.commit(repository, {"calc.py": CHANGED}, branch="below", start="main")
    hub.commit(repository, {"notes.txt": "A note.\n"}, branch="mean", start="below")
    ground.script[:] = [stands(ground), report()]
    number = hub.open_pull_request(repository, "alice", head="mean", base="below", title="A note").number
    ended(ground, repository, number, jobs=1)
    assert states(ground, repository, number) == ["APPROVED"]
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    answer = Rest(hub.api_url, hub.create_token("alice"))(
        "PATCH", f"/repos/{hub.repository(repository).full_name}/pulls/{number}", {"base": "main"}
    )
    assert answer.status_code == 200, answer.text
    if not push:
        ended(ground, repository, number, jobs=2)
        assert states(ground, repository, number) == ["DISMISSED"]
        command(ground, repository, number, "/qwen review")
    ended(ground, repository, number, jobs=2 if push else 3)
    assert len(line_comments(ground, repository, number)) == 1
    assert states(ground, repository, number) == ["DISMISSED", "COMMENTED"]


def accept_on_paths(ground: Ground, name: str, *said: dict[str, Any]) -> tuple[str, int, ReviewComment]:
    """An answer to the finding on a head of which a later review, with these turns, read some paths: it is accepted."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, name, policy=STRICT)
    ended(ground, repository, number, jobs=1)
    [finding] = line_comments(ground, repository, number)
    ground.world.hub.commit(repository, {"other.py": "ONE = 1\n"}, branch="mean")
    ground.script[:] = [stands(ground), *said]
    command(ground, repository, number, "/qwen review paths=other.py")
    ended(ground, repository, number, jobs=3)
    assert check(ground, repository).conclusion == "failure"
    ground.script[:] = [stands(ground), judges(**{name_of(finding): (True, "Right: nobody calls it so.")})]
    ground.world.hub.reply_to_comment(repository, finding.id, "alice", "It is never called with an empty list.")
    ended(ground, repository, number, jobs=4)
    return repository, number, finding


def test_an_accepted_answer_counts_on_a_head_of_which_paths_were_read(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head counts as unread, and shows its check all the same: it fails no more either."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    repository, _, _ = accept_on_paths(ground, "paths-lifted", report())
    assert check(ground, repository).conclusion == "success"


def test_an_accepted_answer_makes_no_check_green_whose_review_was_stopped(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A review of some paths, whose findings cannot be read: the head's check does not pass, whatever is withdrawn."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    prose = turn(finish("I looked at it all."))
    repository, number, finding = accept_on_paths(ground, "stopped-paths", prose, prose, prose)
    assert is_resolved(ground, repository, number, finding)
    assert (check(ground, repository).conclusion, check(ground, repository).title) == (
        "action_required",
        "Not read to its end",
    )


def test_a_doubt_that_was_not_said_is_not_approved_later(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too doubtful for a word, yet not minor: the next review, which does not read it again, approves nothing."""
    monkeypatch.setattr(dispatch, "BURST_SECONDS", 0.0)
    doubt = {**FINDING, "confidence": 0.2, "command": "", "suggestion": None}
    ground.script[:] = [stands(ground), report(doubt)]
    policy = "review: { approve: true, push: true }\n"
    repository, number = propose(ground, "doubtful", policy=policy)
    ended(ground, repository, number, jobs=1)
    assert reviews(ground, repository, number) == []
    ground.script[:] = [stands(ground), report()]
    ground.world.hub.commit(repository, {"notes.txt": "A note.\n"}, branch="mean")
    ended(ground, repository, number, jobs=2)
    assert states(ground, repository, number) == []
    assert (check(ground, repository).conclusion, check(ground, repository).title) == ("neutral", "1 important open")


def test_what_is_protected_is_not_approved(ground: Ground) -> None:
    """A clean change of a path that the policy protects is left to people: no approval."""
    ground.script[:] = [stands(ground), report()]
    policy = "review: { approve: true }\nprotected: calc.py\n"
    repository, number = propose(ground, "guarded", policy=policy, changed={"calc.py": MENDED})
    ended(ground, repository, number, jobs=1)
    assert states(ground, repository, number) == []


def test_five_pushes_say_each_thing_once(ground: Ground) -> None:
    """Found, mended, found again when it is back, not once more while it stands, and mended again."""
    ground.script[:] = [stands(ground), RUN, report(FINDING)]
    repository, number = propose(ground, "three-pushes", policy="review: { auto: never }\n")
    hub = ground.world.hub
    pushes: list[tuple[str, list[dict[str, Any]], int]] = [
        (CHANGED + "\n\nONE = 1\n", [FINDING], 1),
        (MENDED, [], 2),
        (CHANGED, [FINDING], 3),
        (CHANGED + "\n\nTWO = 2\n", [{**FINDING, "title": "Dividing by zero: the mean of no numbers"}], 3),
        (MENDED, [], 4),
    ]
    for turn_of, (text, found, comments) in enumerate(pushes):
        hub.commit(repository, {"calc.py": text}, branch="mean")
        ground.script[:] = [stands(ground), RUN, report(*found)]
        command(ground, repository, number, "/qwen review full")
        ended(ground, repository, number, jobs=3 + 2 * turn_of)
        assert len(line_comments(ground, repository, number)) == comments, f"after push {turn_of + 1}"
    first, fixed, again, mended = line_comments(ground, repository, number)
    assert name_of(again) == name_of(first)
    for top, answer in ((first, fixed), (again, mended)):
        assert answer.in_reply_to == top.id
        assert answer.body.startswith("Fixed in")
        assert is_resolved(ground, repository, number, top)


def test_a_disproved_finding_is_not_said(ground: Ground) -> None:
    """What the second reader disproves is not posted, and its return in the next review is not news."""
    ground.script[:] = [stands(ground), report(FINDING)]
    repository, number = propose(ground, "before-it-fell")
    ended(ground, repository, number, jobs=1)
    [said] = line_comments(ground, repository, number)
    fallen = stands(ground, **{name_of(said): {"stands": False, "why": "calc.py:5 is never called."}})
    ground.script[:] = [fallen, report(FINDING)]
    repository, number = propose(ground, "fell")
    [record] = ended(ground, repository, number, jobs=1)
    assert record.outcome is not None
    assert record.outcome.status == "clean"
    ground.script[:] = [stands(ground), report(FINDING)]
    command(ground, repository, number, "/qwen review full")
    ended(ground, repository, number, jobs=2)
    assert line_comments(ground, repository, number) == []
    assert check(ground, repository).conclusion == "success"


def test_a_command_that_shows_nothing_is_no_evidence(ground: Ground) -> None:
    """The second reader is told the line and what the command printed; what that does not show is a mere doubt."""
    doubt = {**FINDING, "confidence": 0.1, "suggestion": None}
    ground.script[:] = [stands(ground), RUN, report(doubt)]
    repository, number = propose(ground, "shown-by-a-run")
    ended(ground, repository, number, jobs=1)
    [said] = line_comments(ground, repository, number)
    assert "Shown by a command that was run" in said.body
    told = next(one for one in reversed(told_to_model(ground)) if "You are the second reader" in one)
    assert "calc.py, line 6 of the new file: The mean of no numbers divides by zero" in told
    assert "Its command (exit code 1): python -c 'import calc; calc.mean([])'" in told
    assert "ZeroDivisionError: division by zero" in told
    ground.script[:] = [stands(ground, **{name_of(said): {"stands": True, "shown": False}}), RUN, report(doubt)]
    repository, number = propose(ground, "not-shown-by-a-run")
    [record] = ended(ground, repository, number, jobs=1)
    assert line_comments(ground, repository, number) == []
    assert record.outcome is not None
    assert record.outcome.status == "clean"


def test_what_nobody_challenged_says_so(ground: Ground) -> None:
    """When no answer of the second reader can be read, the review says that its points were not challenged."""
    ground.script[:] = [{**stands(ground), "content": "They stand, I think."}, RUN, report(FINDING)]
    repository, number = propose(ground, "unchallenged")
    ended(ground, repository, number, jobs=1)
    [review] = reviews(ground, repository, number)
    assert "1 point was not challenged by a second reader." in review.body


WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")


def test_sixty_findings_are_five_comments(ground: Ground) -> None:
    """However much is found: five comments, the rest folded, and all of it as annotations, fifty a request."""
    lines = [f"{WORDS[number % 8]}_{number} = compute({number})" for number in range(120)]
    many = [
        {
            **FINDING,
            "category": "other",
            "path": "many.py",
            "line": 2 * number + 1,
            "code": lines[2 * number],
            "title": f"{WORDS[number % 8]}{number} {WORDS[number // 8]}s {number}th",
            "command": "",
            "suggestion": None,
        }
        for number in range(60)
    ]
    ground.script[:] = [stands(ground), report(*many)]
    repository, number = propose(ground, "sixty", changed={"many.py": "\n".join(lines) + "\n"})
    ended(ground, repository, number, jobs=1)
    assert len(line_comments(ground, repository, number)) == 5
    [review] = reviews(ground, repository, number)
    assert review.body.startswith(f"**Review of `{review.commit_id[:12]}`:** 60 important. 5 on their lines.")
    assert "<summary>55 points without a comment</summary>" in review.body
    assert "- and 5 more" in review.body
    shown = check(ground, repository)
    assert sorted(one["start_line"] for one in shown.annotations) == list(range(1, 120, 2))
    asked = [one.body["output"] for one in ground.world.hub.journal if one.path.endswith(f"/check-runs/{shown.id}")]
    assert [len(one["annotations"]) for one in asked if one.get("annotations")] == [50, 10]


def git(folder: Path, *arguments: str) -> None:
    """Real git, as a person who works in the repository."""
    person = ("-c", "user.name=alice", "-c", "user.email=alice@example.com")
    subprocess.run(["git", *person, *arguments], cwd=folder, check=True, capture_output=True)


def test_every_kind_of_change_in_one_pull_request(ground: Ground, tmp_path: Path) -> None:
    """A changed and a pure rename, a binary file, a mode, a last line without its end: lines are right in all."""
    old = "".join(f"LINE_{number} = {number}\n" for number in range(30))
    base = {**FILES, "old name.py": old, "plain.txt": "text\n" * 20, "run.sh": "echo\n", "bare.py": "A = 1\nB = 2"}
    repository = ground.world.create_repository("kinds", base)
    bare = ground.world.hub.repository(repository).path
    git(tmp_path, "clone", "-q", str(bare), "work")
    work = tmp_path / "work"
    git(work, "checkout", "-qb", "kinds")
    git(work, "mv", "old name.py", "new näme.py")
    (work / "new näme.py").write_text(old.replace("LINE_20 = 20", "LINE_20 = 1 / 0"))
    git(work, "mv", "plain.txt", "moved.txt")
    (work / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0" * 50)
    (work / "run.sh").chmod(0o755)
    (work / "bare.py").write_text("A = 1\nB = 2 / 0")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "All kinds")
    git(work, "push", "-q", "origin", "kinds")
    plain = {**FINDING, "command": "", "confidence": 0.9}
    in_renamed = {**plain, "path": "new näme.py", "line": 21, "code": "LINE_20 = 1 / 0", "title": "Line twenty raises"}
    at_the_end = {**plain, "path": "bare.py", "line": 2, "code": "B = 2 / 0", "title": "B raises at import"}
    about_logo = {**plain, "path": "logo.png", "line": 1, "code": "", "title": "The logo is too large"}
    in_renamed["suggestion"], at_the_end["suggestion"] = "LINE_20 = 20", "B = 2"
    ground.script[:] = [stands(ground), report(in_renamed, at_the_end, about_logo)]
    number = ground.world.hub.open_pull_request(repository, "alice", head="kinds", title="Kinds").number
    [record] = ended(ground, repository, number, jobs=1)
    assert record.outcome is not None
    assert record.outcome.status == "reviewed", record.outcome
    said = {one.path: one for one in line_comments(ground, repository, number)}
    assert {path: one.line for path, one in said.items()} == {"new näme.py": 21, "bare.py": 2}
    assert "```suggestion\nB = 2\n```\n\nApplied and tested: 1 passed" in said["bare.py"].body
    [review] = reviews(ground, repository, number)
    assert "`logo.png`: binary" in review.body
    assert "The logo is too large" in review.body
    told = "\n".join(told_to_model(ground)[-3:])
    assert "LINE_20 = 1 / 0" in told
    assert "(renamed from old name.py)" in told


def test_suggestions_that_cannot_be_committed_blindly(ground: Ground) -> None:
    """Without a test command a suggestion says that it is untested; one that does not parse is not one; fences grow."""
    calc = {**FINDING, "command": "", "suggestion": "    return sum(numbers) / max(1, len(numbers))"}
    broken = {**calc, "path": "other.py", "line": 1, "code": "x = (1", "title": "It does not add up"}
    broken["suggestion"] = "x = (1 +"
    page = {**calc, "path": "page.md", "line": 1, "code": "A page", "title": "The page shows no code"}
    page["suggestion"] = "A page\n```python\nmean([])\n```"
    ground.script[:] = [stands(ground), report(calc, broken, page)]
    changed = {"calc.py": CHANGED, "other.py": "x = (1)\n", "page.md": "A page\n", "test_calc.py": None}
    broken["code"] = "x = (1)"
    ground.script[:] = [stands(ground), report(calc, broken, page)]
    repository, number = propose(ground, "suggested", changed=changed)
    ended(ground, repository, number, jobs=1)
    said = {one.path: one.body for one in line_comments(ground, repository, number)}
    assert said.keys() == {"calc.py", "other.py", "page.md"}
    assert "max(1, len(numbers))\n```\n\nNot tested: no test command is known." in said["calc.py"]
    assert "suggestion" not in said["other.py"]
    assert "````suggestion\nA page\n```python\nmean([])\n```\n````" in said["page.md"]


def test_a_branch_that_is_rewritten_while_it_is_read(ground: Ground) -> None:
    """The reviewed commit is pushed away: what holds stands on the new lines, the rest in the summary, once each."""
    gone = {**FINDING, "line": 2, "code": "    return a + b", "title": "Strings are no numbers here"}
    gone |= {"command": "", "suggestion": None}
    ground.script[:] = [stands(ground), RUN, report(FINDING, gone)]
    repository = ground.world.create_repository("rewritten", FILES)
    hub = ground.world.hub
    hub.commit(repository, {"calc.py": CHANGED}, branch="mean", start="main")
    moved = "ONE = 1\n\n\n" + CHANGED.replace("return a + b", "return sum((a, b))")

    def rewrite() -> None:
        hub.commit(repository, {"calc.py": moved}, branch="mean", start="main", force=True)

    with meanwhile(ground, rewrite):
        number = hub.open_pull_request(repository, "alice", head="mean", title="A mean").number
        found = ended(ground, repository, number, jobs=2)
    assert [one.outcome.status for one in found if one.outcome] == ["reviewed", "ignored"]
    [comment] = line_comments(ground, repository, number)
    assert (comment.line, comment.commit_id) == (9, hub.branches(repository)["mean"])
    assert "suggestion" not in comment.body, "it was not tried there"
    [review] = reviews(ground, repository, number)
    assert "The branch moved to" in review.body
    assert "Strings are no numbers here" in review.body


BULK: dict[str, str | bytes | None] = {
    f"part_{number}/module.py": "\n".join(f"x_{number}_{line} = {line}" for line in range(2_000)) for number in range(4)
}


def test_what_had_no_room_is_no_success_until_a_command_reads_it(ground: Ground) -> None:
    """Nothing found in a part of a large change: silence, and a neutral check that names the rest, to be read later."""
    ground.script[:] = [stands(ground), report()]
    repository, number = propose(ground, "large-and-clean", policy="review: { approve: true }\n", changed=BULK)
    [record] = ended(ground, repository, number, jobs=1)
    assert record.outcome is not None
    assert record.outcome.status == "reviewed"
    assert reviews(ground, repository, number) == []
    assert ground.world.comments(number, repository) == []
    first = check(ground, repository)
    assert (first.conclusion, first.title) == ("neutral", "Not read to its end")
    assert "module.py`: the budget was used up by riskier files" in first.summary
    assert "1 changed file was not read to the end by any review yet: `/qwen review` reads on." in first.summary
    before = len(told_to_model(ground))
    command(ground, repository, number, "/qwen review")
    ended(ground, repository, number, jobs=2)
    told = "\n".join(told_to_model(ground)[before:])
    assert [f"x_{part}_1999" in told for part in range(4)].count(True) == 1, "what was not read alone"
    assert states(ground, repository, number) == ["APPROVED"], "by now all of it was read"
    assert check(ground, repository).conclusion == "success"
    command(ground, repository, number, "/qwen review")
    [*_, last] = ended(ground, repository, number, jobs=3)
    assert last.outcome is not None
    assert last.outcome.reason.startswith("Nothing was pushed since the last review")


def test_a_long_file_is_read_by_several(ground: Ground) -> None:
    """What is too long for one reviewer is cut; what three cannot hold is named by its line, and is no success."""
    ground.script[:] = [stands(ground), report()]
    lines = [f"value_{line} = some_call(argument, other={line})" for line in range(5_000)]
    repository, number = propose(ground, "long-file", changed={"auth.py": "\n".join(lines[:1_800])})
    ended(ground, repository, number, jobs=1)
    told = told_to_model(ground)
    assert any("+value_0 =" in one and "=== auth.py (added, a part of it)" in one for one in told)
    assert any("+value_1799 =" in one and "+value_0 =" not in one for one in told)
    assert check(ground, repository).conclusion == "success"
    repository, number = propose(ground, "longer-file", changed={"auth.py": "\n".join(lines)})
    ended(ground, repository, number, jobs=1)
    assert check(ground, repository).conclusion == "neutral"
    assert "`auth.py`: from line 4" in check(ground, repository).summary
    assert "on, longer than one review reads" in check(ground, repository).summary


def test_paths_are_read_whatever_was_read_before(ground: Ground) -> None:
    """`paths=` on a reviewed head reads these files, whole; where no changed file is there, it says so."""
    ground.script[:] = [stands(ground), report()]
    repository, number = propose(ground, "paths-again", changed={"calc.py": CHANGED, "other.py": "ANOTHER = 1\n"})
    ended(ground, repository, number, jobs=1)
    before = len(told_to_model(ground))
    command(ground, repository, number, "/qwen review paths=other.py")
    ended(ground, repository, number, jobs=2)
    told = told_to_model(ground)[before:]
    assert "ANOTHER = 1" in told[0]
    assert "def mean" not in told[0]
    assert check(ground, repository).conclusion == "success", "all of the head was read before"
    before = len(told_to_model(ground))
    said = len(reviews(ground, repository, number))
    command(ground, repository, number, "/qwen review paths=srcc/**")
    ended(ground, repository, number, jobs=3)
    assert len(told_to_model(ground)) == before
    assert len(reviews(ground, repository, number)) == said
    assert any(
        "Nothing was read: no changed file is at `srcc/**`." in one for one in ground.world.comments(number, repository)
    )


def test_a_part_that_was_asked_for_makes_no_check_green(ground: Ground) -> None:
    """A review of some paths of a head that nobody read whole is no success, and one that covers it is."""
    ground.script[:] = [stands(ground), report()]
    changed: dict[str, str | bytes | None] = {"calc.py": CHANGED, "other.py": "ANOTHER = 1\n"}
    repository, number = propose(ground, "part-alone", policy="review: { auto: never }\n", changed=changed)
    ended(ground, repository, number, jobs=1)
    command(ground, repository, number, "/qwen review paths=other.py")
    ended(ground, repository, number, jobs=2)
    assert (check(ground, repository).conclusion, check(ground, repository).title) == ("neutral", "Not read to its end")
    command(ground, repository, number, "/qwen review paths=*.py")
    ended(ground, repository, number, jobs=3)
    assert check(ground, repository).conclusion == "success"
