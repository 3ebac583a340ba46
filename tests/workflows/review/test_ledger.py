"""The ledger over pushes: nothing is said twice, what is gone is fixed, and people's words are considered once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.workflows.review.lines import changed_file
from workflows.review.anchors import LineMap, map_files
from workflows.review.diff import Diff, FileDiff
from workflows.review.finding_threads import FindingThread, ThreadReply, gather_finding_threads
from workflows.review.findings import Evidence, Finding, RecordedRun
from workflows.review.ledger import (
    MOST_ENTRIES,
    Entry,
    Ledger,
    Merged,
    answer_rebuttal,
    dump_ledger,
    keep_unsaid,
    merge_review,
    note_comments,
    parse_ledger,
    rebuild_ledger,
    withdraw,
)
from workflows.review.render import render_inline
from workflows.review.sameness import finding_id
from workflows.types import Actor, ReviewComment, ReviewThread

BUG = "+    return sum(items) / len(items)"
FIRST = [" import math", "+def mean(items):", BUG, " ", " def other():"]
MOVED = ["+import os", "+import re", *FIRST]
FIXED = [*FIRST[:2], "+    return sum(items) / max(1, len(items))", *FIRST[3:]]
RUN = RecordedRun(command="pytest", exit_code=1, sha256="ab" * 32)
START = datetime(2026, 1, 1, tzinfo=UTC)
BOT = Actor(id=1, login="forgehand[bot]", type="Bot")


def maps_of(lines: list[str], path: str = "a.py") -> dict[str, LineMap]:
    return {path: changed_file(path, *lines)}


def diff_of(*paths: str, old: str | None = None) -> Diff:
    return Diff(tuple(FileDiff(path, old or path, "modified", b"@@ -1 +1 @@\n-a\n+b\n") for path in paths))


def finding(
    maps: dict[str, LineMap], line: int, title: str = "Divides by zero for an empty list", **changes: Any
) -> Finding:
    anchor = maps["a.py"].anchor(line)
    told: dict[str, Any] = {
        "id": finding_id("a.py", title, anchor),
        "severity": "important",
        "category": "bug",
        "confidence": 0.9,
        "title": title,
        "body": "It breaks.",
        "path": "a.py",
        "anchor": anchor,
    }
    return Finding(**(told | changes))


def first_review() -> tuple[Ledger, Finding]:
    maps = maps_of(FIRST)
    found = finding(maps, 3)
    merged = merge_review(Ledger(), [found], head="1", diff=diff_of("a.py"), maps=maps)
    assert merged.new == (found,)
    return note_comments(merged.ledger, {found.id: 77}), found


def push(ledger: Ledger, lines: list[str], *found: Finding, head: str = "2", **more: Any) -> Merged:
    return merge_review(ledger, found, head=head, diff=diff_of("a.py"), maps=maps_of(lines), **more)


def thread(of: Finding, *replies: tuple[int, str], **changes: Any) -> FindingThread:
    said = tuple(ThreadReply(id=number, author="ann", text=text) for number, text in replies)
    return FindingThread(finding=of.id, comment=77, thread="T", path="a.py", replies=said, **changes)


def test_nothing_is_said_again() -> None:
    """On the next push the same point, in other words and in another place, is open as before and not said again."""
    ledger, _ = first_review()
    again = finding(maps_of(MOVED), 5, "An empty list leads to a division by zero")
    merged = push(ledger, MOVED, again)
    assert (merged.new, merged.fixed, merged.closed) == ((), (), ())
    assert [(entry.comment, entry.anchor.line if entry.anchor else 0) for entry in merged.open] == [(77, 5)]
    unread = push(merged.ledger, FIRST, head="3")
    assert (unread.new, len(unread.open), unread.ledger.head) == ((), 1, "3")


def test_what_nobody_was_told_of_stays_open() -> None:
    """A silent review keeps what is not minor: open over pushes that do not touch it, new when it is found again."""
    maps = maps_of(FIRST)
    doubt, taste = finding(maps, 3, confidence=0.2), finding(maps, 2, "A longer name says more", severity="minor")
    merged = push(Ledger(), FIRST, doubt, taste)
    silent = keep_unsaid(merged.ledger, {doubt.id, taste.id}, known=())
    assert [(entry.id, entry.state, entry.said) for entry in silent.entries] == [(doubt.id, "open", False)]
    unread = push(silent, MOVED, head="3")
    assert (unread.new, [entry.said for entry in unread.open]) == ((), [False])
    sure = push(unread.ledger, FIRST, doubt.model_copy(update={"confidence": 0.9}), head="4")
    assert [one.id for one in sure.new] == [doubt.id]
    assert [(entry.said, entry.found_at) for entry in sure.ledger.entries] == [(True, "4")]
    again = keep_unsaid(sure.ledger, {doubt.id}, known={doubt.id})
    assert push(again, FIXED, head="5").fixed


def test_code_that_is_gone_is_fixed() -> None:
    """When the code of a finding is gone it is fixed in that head; when it comes back, it is said again."""
    ledger, found = first_review()
    merged = push(ledger, FIXED)
    assert [(entry.id, entry.state, entry.sha) for entry in merged.fixed] == [(found.id, "fixed", "2")]
    quiet = push(merged.ledger, FIXED, head="3")
    assert (quiet.fixed, quiet.open, quiet.new) == ((), (), ())
    back = push(quiet.ledger, FIRST, found, head="4")
    assert [one.id for one in back.new] == [found.id]
    assert [(entry.state, entry.found_at) for entry in back.ledger.entries] == [("open", "4")]


def test_a_change_that_mends_nothing_is_the_same_point() -> None:
    """Changed code with the same fault keeps its open thread; another fault in its place is new, the old one fixed."""
    ledger, found = first_review()
    maps = maps_of(FIXED)
    same = push(ledger, FIXED, finding(maps, 3, "Still divides by zero for an empty list"))
    assert (same.new, same.fixed, [entry.id for entry in same.open]) == ((), (), [found.id])
    other = push(ledger, FIXED, finding(maps, 3, "Rounds the wrong way"))
    assert ([one.title for one in other.new], len(other.fixed)) == (["Rounds the wrong way"], 1)
    resolved = [thread(found, resolved=True)]
    again = push(ledger, FIXED, finding(maps, 3, "Still divides by zero for an empty list"), threads=resolved)
    assert ([one.id for one in again.new], len(again.ledger.entries)) == ([found.id], 1)


def test_like_code_elsewhere_is_another_point() -> None:
    """The same line in another function is a place of its own."""
    twice = [*FIRST, " ", " def more(items):", BUG]
    ledger, found = first_review()
    merged = push(ledger, twice, finding(maps_of(twice), 8, "Here a list without items is divided by zero"))
    assert ([one.anchor.line if one.anchor else 0 for one in merged.new], len(merged.open)) == ([8], 1)
    assert merged.open[0].id == found.id


def test_one_line_of_code_in_two_functions_is_two_points() -> None:
    """With the same title they are two findings by two names, over pushes too; one that is mended is fixed alone."""
    twice = [*FIRST, " ", "+def more(items):", BUG]
    maps = maps_of(twice)
    both = [finding(maps, 3), finding(maps, 8)]
    first = push(Ledger(), twice, *both, head="1")
    names = [one.id for one in first.new]
    assert ([entry.id for entry in first.ledger.entries], len(set(names))) == (names, 2)
    again = push(first.ledger, twice, *reversed(both))
    assert (again.new, [entry.id for entry in again.open]) == ((), names)
    mended = push(first.ledger, [*FIXED, *twice[5:]], finding(maps, 8))
    assert ([entry.id for entry in mended.fixed], [entry.id for entry in mended.open]) == (names[:1], names[1:])
    late = push(push(Ledger(), twice, both[0], head="1").ledger, twice, both[1])
    assert ([one.anchor.line for one in late.new if one.anchor], len(late.ledger.entries)) == ([8], 2)


def test_where_its_code_is_gone_one_finding_is_the_same() -> None:
    """Of two like faults in what took the place of the code, one is the old point and the other one is said."""
    ledger, found = first_review()
    longer = [*FIXED, "+def more(items):", "+    return 1 / len(items)"]
    maps = maps_of(longer)
    like = [finding(maps, line, f"Divides by zero for an empty list of {name}") for line, name in ((3, "a"), (7, "b"))]
    merged = push(ledger, longer, *like)
    assert ([entry.id for entry in merged.open], [one.id for one in merged.new]) == ([found.id], [like[1].id])


def test_a_finding_follows_its_file() -> None:
    """Renamed, the code is followed; a file that left the change takes its findings along; an unread one keeps them."""
    ledger, _ = first_review()
    renamed = merge_review(ledger, [], head="2", diff=diff_of("b.py", old="a.py"), maps=maps_of(FIRST, "b.py"))
    assert [entry.path for entry in renamed.open] == ["b.py"]
    assert merge_review(ledger, [], head="2", diff=diff_of("c.py"), maps={}).fixed
    huge = Diff((FileDiff("a.py", "a.py", "modified", b"x", left_out="too large"),))
    assert merge_review(ledger, [], head="2", diff=huge, maps={}).open
    assert merge_review(ledger, [], head="2", diff=Diff(cut=True), maps={}).open


def head_of(*lines: str, path: str = "a.py") -> Mapping[str, LineMap]:
    """All lines of the head's one file."""
    return map_files([path], lambda _: "\n".join(lines).encode())


def test_what_only_left_the_diff_is_not_fixed() -> None:
    """Code that the head still has is open, though no hunk shows it any more: what was changed beside it was not."""
    ledger, found = first_review()
    head = [line[1:] for line in FIRST]
    apart = ["+import os", " import math"]
    there = push(ledger, apart, files=head_of("import os", *head))
    assert [(entry.id, entry.anchor.line, entry.anchor.outside) for entry in there.open if entry.anchor] == [
        (found.id, 4, True)
    ]
    assert not there.fixed
    back = push(there.ledger, MOVED, head="3")
    assert [(entry.anchor.line, entry.anchor.outside) for entry in back.open if entry.anchor] == [(5, False)]
    assert push(there.ledger, apart, files=head_of("import os", *head[:2], *head[3:]), head="3").fixed
    renamed = merge_review(
        ledger, [], head="2", diff=diff_of("b.py", old="a.py"), maps={}, files=head_of(*head, path="b.py")
    )
    assert [entry.path for entry in renamed.open] == ["b.py"]


def test_what_stands_on_no_line_of_the_change_is_asked_for_again() -> None:
    """Without a line, or on one that no hunk shows, a finding is fixed once a review read for it and lacks it."""
    head = head_of("import a", "a.mean([])", path="b.py")
    nowhere = finding(maps_of(FIRST), 3, "The mean has no test").model_copy(update={"anchor": None})
    caller = finding(maps_of(FIRST), 3, "This caller breaks")
    caller = caller.model_copy(update={"path": "b.py", "anchor": head["b.py"].anchor(2)})
    ledger = push(Ledger(), FIRST, nowhere, caller, head="1", files=head).ledger
    assert all(entry.asked_again for entry in ledger.entries)

    def review(*found: Finding, head_now: str = "2", **more: Any) -> list[str]:
        return [entry.state for entry in push(ledger, FIXED, *found, head=head_now, files=head, **more).ledger.entries]

    assert review(is_read=lambda _: True) == ["fixed", "fixed"]
    assert review(is_read=lambda entry: entry.path == "b.py") == ["open", "fixed"]
    assert review(nowhere, caller, is_read=lambda _: True) == ["open", "open"]
    assert review(head_now="1", is_read=lambda _: True) == ["withdrawn", "withdrawn"]
    assert not first_review()[0].entries[0].asked_again
    shown = push(Ledger(), FIRST, finding(maps_of(FIRST), 3), head="1").ledger
    assert push(shown, FIRST, is_read=lambda _: True).open, "its line tells"
    talked = note_comments(ledger, {entry.id: 77 for entry in ledger.entries})
    assert len(push(talked, FIRST, files=head, is_read=lambda _: True).open) == 2, "its thread tells"


def test_what_people_resolve_is_closed() -> None:
    """A thread that people resolved is not raised again, except by a run that shows it where none did before."""
    ledger, found = first_review()
    merged = push(ledger, FIRST, found, threads=[thread(found, resolved=True)])
    assert [entry.state for entry in merged.closed] == ["rebutted"]
    assert not push(merged.ledger, FIRST, found, head="3").new
    shown = found.model_copy(update={"evidence": Evidence(run=RUN)})
    once = push(merged.ledger, FIRST, shown, head="3")
    assert [one.id for one in once.new] == [found.id]
    closed = push(once.ledger, FIRST, shown, head="4", threads=[thread(found, resolved=True)])
    assert not push(closed.ledger, FIRST, shown, head="5").new
    assert push(ledger, FIXED, threads=[thread(found, resolved=True)]).fixed


@pytest.mark.parametrize("accepted", [True, False])
def test_a_rebuttal_is_considered_once(accepted: bool) -> None:
    """Replies wait for a judgement, each once: accepted, it is withdrawn; if not, the last word is people's."""
    ledger, found = first_review()
    merged = push(ledger, FIRST, threads=[thread(found, (80, "It is never empty."), (81, "See the caller."))])
    [rebuttal] = merged.rebuttals
    assert [reply.id for reply in rebuttal.replies] == [80, 81]
    judged = answer_rebuttal(merged.ledger, found.id, reply=81, closed="withdrawn" if accepted else None)
    same = thread(found, (80, "It is never empty."), (81, "See the caller."))
    after = push(judged, FIRST, found, head="3", threads=[same])
    assert (after.rebuttals, after.new) == ((), ())
    assert [entry.state for entry in after.ledger.entries] == ["withdrawn" if accepted else "open"]
    insisted = push(judged, FIRST, found, head="3", threads=[thread(found, *[(80, "a"), (81, "b"), (90, "No.")])])
    assert [entry.state for entry in insisted.ledger.entries] == ["withdrawn" if accepted else "open"]
    told = [(one.later, [reply.id for reply in one.before], one.replies[-1].id) for one in insisted.rebuttals]
    assert told == ([] if accepted else [(True, [80, 81], 90)])


def reader(of: Finding, *replies: tuple[int, str, bool], **changes: Any) -> FindingThread:
    said = tuple(ThreadReply(id=number, author="eve", text=text, writer=writer) for number, text, writer in replies)
    return FindingThread(finding=of.id, comment=77, thread="T", path="a.py", replies=said, **changes)


def blocking(ledger: Ledger, *threads: FindingThread, lines: list[str] = FIRST) -> Merged:
    """The next push where what is important blocks."""
    return push(ledger, lines, threads=threads, blocks=lambda severity: severity == "important")


def test_what_blocks_is_closed_by_its_code_and_by_people_who_may_write() -> None:
    """The change's author without write permission answers, insists and resolves: it stays open, and is told once."""
    ledger, found = first_review()
    [rebuttal] = blocking(ledger, reader(found, (80, "Yes, withdraw it.", True), (81, "Never empty.", False))).rebuttals
    assert not rebuttal.counts
    [rebuttal] = blocking(ledger, reader(found, (80, "Never empty.", False), (81, "Right.", True))).rebuttals
    assert rebuttal.counts
    answered = answer_rebuttal(ledger, found.id, reply=81, closed=None)
    insists = blocking(answered, reader(found, (90, "No.", False), answered=81))
    assert [(entry.state, entry.answered) for entry in insists.ledger.entries] == [("open", 90)]
    agrees = blocking(answered, reader(found, (90, "She is right.", True), (91, "See?", False), answered=81))
    assert [(one.later, [reply.id for reply in one.replies]) for one in agrees.rebuttals] == [(True, [90])]
    resolved = reader(found, resolved=True, by_reader=True)
    assert [entry.id for entry in blocking(ledger, resolved).kept] == [found.id]
    assert [entry.state for entry in blocking(ledger, reader(found, resolved=True)).closed] == ["rebutted"]
    assert blocking(ledger, resolved, lines=FIXED).fixed
    assert [entry.state for entry in push(ledger, FIRST, threads=[resolved]).closed] == ["rebutted"], (
        "it blocks nothing"
    )
    assert [entry.state for entry in rebuild_ledger([resolved], maps_of(FIRST)).entries] == ["open"]


def test_an_answer_that_a_crash_kept_out_of_the_ledger() -> None:
    """Where the thread shows our answer, the replies before it are not judged again."""
    ledger, found = first_review()
    assert not push(ledger, FIRST, threads=[thread(found, (80, "No."), answered=80)]).rebuttals


def test_ledgers_are_kept_small_and_read_back() -> None:
    """A ledger survives its storage, holds two hundred entries, and lets closed and minor ones go first."""
    ledger, _ = first_review()
    assert parse_ledger(dump_ledger(ledger)) == ledger
    assert parse_ledger('{"version": 2}') is None
    assert parse_ledger("") is None
    states: list[dict[str, Any]] = [{"state": "fixed"}, {"severity": "minor"}, {}]
    many = [
        Entry(
            **(
                {"id": f"{n:012x}", "severity": "important", "category": "bug", "title": "t", "path": "p"}
                | states[n % 3]
            )
        )
        for n in range(MOST_ENTRIES + 90)
    ]
    kept = push(Ledger(entries=tuple(many)), FIRST).ledger.entries
    assert len(kept) == MOST_ENTRIES
    assert sum(entry.state == "fixed" for entry in kept) == 97 - 90
    assert [entry.state for entry in withdraw(ledger, ledger.entries[0].id).entries] == ["withdrawn"]


def comment(number: int, author: Actor, body: str, *, parent: int | None = None) -> ReviewComment:
    when = START + timedelta(minutes=number)
    return ReviewComment(
        id=number,
        review_id=1,
        in_reply_to=parent,
        author=author,
        body=body,
        path="a.py",
        line=3,
        start_line=None,
        side="RIGHT",
        diff_hunk="",
        commit_id="1",
        created_at=when,
        updated_at=when,
    )


def test_threads_are_ours_and_people_s_words_count() -> None:
    """A copied marker names nothing, strangers are not heard, and a lost ledger is made anew from the threads."""
    _, found = first_review()
    ann, eve = Actor(id=2, login="Ann"), Actor(id=3, login="eve")
    body = render_inline(found)
    said = [
        comment(10, BOT, body),
        comment(11, eve, "I am a stranger.", parent=10),
        comment(12, ann, "It is never empty.", parent=10),
        comment(13, BOT, "It is, in main().", parent=10),
        comment(14, ann, "Not any more.", parent=10),
        comment(20, eve, body),
        comment(21, BOT, "Something else."),
    ]
    node = ReviewThread(id="T1", resolved=True, outdated=False, comments=(10, 11, 12, 13, 14))
    [gathered] = gather_finding_threads(said, [node], ours="forgehand[bot]", writers={"ann"})
    assert (gathered.finding, gathered.comment, gathered.thread, gathered.resolved) == (found.id, 10, "T1", True)
    assert ([reply.id for reply in gathered.replies], gathered.answered) == ([12, 14], 12)
    [entry] = rebuild_ledger([gathered], maps_of(FIRST)).entries
    assert (entry.id, entry.title, entry.severity, entry.category) == (found.id, found.title, "important", "bug")
    assert (entry.state, entry.anchor) == ("rebutted", found.anchor)
    node = node.model_copy(update={"resolved_by": "Eve"})
    [gathered] = gather_finding_threads(said, [node], ours="forgehand[bot]", writers={"ann"}, author="eve")
    assert [(reply.id, reply.writer) for reply in gathered.replies] == [(11, False), (12, True), (14, True)]
    assert gathered.by_reader
