"""What became of every finding over the pushes of a pull request: open, fixed, rebutted or withdrawn. Pure.

It is kept in our database, not in a comment: whoever may write to the repository can edit a comment of ours, and so
could close a finding, or have one answered that never was (docs/decisions/0016).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from workflows.review.anchors import NO_FILES, Anchor, LineMap
from workflows.review.diff import Diff
from workflows.review.finding_threads import FindingThread, ThreadReply
from workflows.review.findings import Finding, Severity
from workflows.review.sameness import is_same_point, likeness, next_id
from workflows.types import Ends, Noun

MOST_ENTRIES = 200
MOST_OTHER_FILES = 300
LIKE_TITLES = 0.5
Found = Literal["placed", "unsure", "gone"]
State = Literal["open", "fixed", "rebutted", "withdrawn"]


class Entry(Noun):
    """A finding as it was last seen. ``sha`` is the head at which it was found fixed, ``found_at`` where it was found.
    ``unread``: no review has read what took the place of its code, so that it is only known to be gone.

    ``shown``: a run showed it. ``said``: some review told people of it. ``comment`` is our comment on its lines.
    ``answered`` is the last reply that was considered, 0 before the first: people have the last word after our one
    answer.
    """

    id: str
    severity: Severity
    category: str
    title: str
    path: str
    anchor: Anchor | None = None
    state: State = "open"
    sha: str = ""
    unread: bool = False
    found_at: str = ""
    shown: bool = False
    said: bool = True
    comment: int | None = None
    answered: int = 0

    @property
    def stands(self) -> bool:
        """Whether a verdict must count it: it is open, or gone from what nobody read."""
        return self.state == "open" or self.unread

    @property
    def asked_again(self) -> bool:
        """Whether each reading is asked if it still holds: on no line of the change, and without a thread, nothing
        else could tell.
        """
        return self.state == "open" and self.comment is None and (self.anchor is None or self.anchor.outside)


class Ledger(Noun):
    """The entries of one pull request, oldest first, at most 200. ``head`` is the commit that was reviewed last.

    ``base`` is the merge base of that review, empty where it is not known. ``partial``: something of the change up to
    the head was not read; ``unread`` are those of its files that another review can read, at most 3,000. ``lost``:
    nothing came of a part of the last reading, so the next one reads everything. ``approved`` is what we approved last,
    which reviews on GitHub do not tell of their base; None if we never did.
    """

    version: Literal[1] = 1
    head: str = ""
    base: str = ""
    partial: bool = False
    unread: tuple[str, ...] = ()
    lost: bool = False
    approved: Ends | None = None
    entries: tuple[Entry, ...] = ()

    def entry(self, finding_id: str) -> Entry | None:
        """The entry of a finding."""
        return next((entry for entry in self.entries if entry.id == finding_id), None)


class Rebuttal(Noun):
    """What people answered to an open finding, and nobody considered yet.

    ``counts``: it may withdraw the finding; of one that blocks only what somebody with write permission said last may.
    ``later``: we answered what they said ``before``, so they have the last word, and nothing is said to it.
    """

    entry: Entry
    replies: tuple[ThreadReply, ...]
    counts: bool = True
    later: bool = False
    before: tuple[ThreadReply, ...] = ()


@dataclass(frozen=True)
class Merged:
    """The ledger after a review. ``new`` are to be posted, and nothing else is; the lists hold entries as they are now.

    ``fixed`` and ``closed`` (rebutted or withdrawn) became so in this merge: their threads can be resolved.
    ``rebuttals`` wait for a judgement, told by :func:`answer_rebuttal`. ``open`` stood before and still stand;
    ``kept`` are those that block, and whose threads somebody without write permission resolved.
    """

    ledger: Ledger
    new: tuple[Finding, ...] = ()
    fixed: tuple[Entry, ...] = ()
    closed: tuple[Entry, ...] = ()
    open: tuple[Entry, ...] = ()
    rebuttals: tuple[Rebuttal, ...] = ()
    kept: tuple[Entry, ...] = ()


@dataclass
class _Merging:
    """The parts of a merge while its entries are gone through."""

    head: str
    diff: Diff
    maps: Mapping[str, LineMap]
    files: Mapping[str, LineMap]
    left: list[Finding]
    threads: Mapping[str, FindingThread]
    blocks: Callable[[Severity], bool]
    is_read: Callable[[Entry], bool]
    again: list[Finding] = field(default_factory=list)
    rebuttals: list[Rebuttal] = field(default_factory=list)
    kept: list[Entry] = field(default_factory=list)


def merge_review(
    ledger: Ledger,
    found: Sequence[Finding],
    *,
    head: str,
    diff: Diff,
    maps: Mapping[str, LineMap],
    files: Mapping[str, LineMap] = NO_FILES,
    threads: Sequence[FindingThread] = (),
    blocks: Callable[[Severity], bool] = lambda severity: False,
    is_read: Callable[[Entry], bool] = lambda entry: False,
) -> Merged:
    """The ledger after a review of ``head`` that found ``found``, in which nothing is said that was said before.

    ``diff`` is the whole pull request's, ``maps`` are its lines, and ``files`` those of the whole head. An open finding
    whose code is gone is fixed; so is one that the review was asked for again, read for (``is_read``) and did not find.
    One whose thread people resolved is rebutted, as long as its code is there. A finding that was closed is said again
    when a run shows it now and none did before, or when what was fixed is back; what nobody was told of is new when it
    is found again. What ``blocks``, by its severity, is closed by its code and by people with write permission alone.
    """
    work = _Merging(
        *(head, diff, maps, files, list(found)), {thread.finding: thread for thread in threads}, blocks, is_read
    )
    places = [_find(entry, work) for entry in ledger.entries]
    carried: dict[int, Entry] = {}
    # A finding on code that is there is that code's, before it is taken for what became of code that is gone.
    for at in sorted(range(len(places)), key=lambda at: places[at][1] != "placed"):
        carried[at] = _carry_on(ledger.entries[at], *places[at], work)
    before = {entry.id: entry.state for entry in ledger.entries}
    said_again = {one.id for one in work.again}
    kept = [entry for _, entry in sorted(carried.items()) if entry.id not in said_again]
    new = (*work.again, *_named(work.left, before))
    entries = _bounded([*kept, *(_entry(one, head) for one in new)])
    turned = [entry for entry in kept if before[entry.id] == "open" and entry.state != "open"]
    return Merged(
        ledger=ledger.model_copy(update={"head": head, "entries": tuple(entries)}),
        new=new,
        fixed=tuple(entry for entry in turned if entry.state == "fixed"),
        closed=tuple(entry for entry in turned if entry.state != "fixed"),
        open=tuple(entry for entry in kept if entry.state == "open"),
        rebuttals=tuple(work.rebuttals),
        kept=tuple(work.kept),
    )


def answer_rebuttal(ledger: Ledger, finding_id: str, *, reply: int, closed: State | None) -> Ledger:
    """The ledger once a rebuttal up to the comment ``reply`` was judged, and ``closed`` the finding or did not."""
    changes = {"answered": reply, **({"state": closed} if closed else {})}
    return _with(ledger, {finding_id: changes})


def withdraw(ledger: Ledger, finding_id: str) -> Ledger:
    """The ledger without the claim of a finding, such as when it was disproved."""
    return _with(ledger, {finding_id: {"state": "withdrawn"}})


def note_unshown(ledger: Ledger, names: Collection[str]) -> Ledger:
    """The ledger when the commands of these findings do not show them."""
    return _with(ledger, {name: {"shown": False} for name in names})


def keep_unsaid(ledger: Ledger, new: Collection[str], *, known: Collection[str]) -> Ledger:
    """The ledger when people were not told of the ``new`` findings: minor ones of which it did not know are dropped.

    The others stay open, as nothing reads their lines again before they change.
    """
    entries = (one.model_copy(update={"said": False}) if one.id in new else one for one in ledger.entries)
    kept = tuple(one for one in entries if one.said or one.severity != "minor" or one.id in known)
    return ledger.model_copy(update={"entries": kept})


def note_unread(ledger: Ledger, gone: Collection[str], *, is_read: Callable[[Entry], bool] = lambda _: False) -> Ledger:
    """The ledger with those of the findings ``gone``, and of earlier ones like them, as unread that are not read now.

    Whoever changes a line a little makes its finding go away; whether it is mended a review sees.
    """
    entries = (
        one.model_copy(update={"unread": (one.unread or one.id in gone) and one.state == "fixed" and not is_read(one)})
        for one in ledger.entries
    )
    return ledger.model_copy(update={"entries": tuple(entries)})


def note_comments(ledger: Ledger, comments: Mapping[str, int]) -> Ledger:
    """The ledger with our comments' ids by finding."""
    return _with(ledger, {name: {"comment": comment} for name, comment in comments.items()})


def dump_ledger(ledger: Ledger) -> str:
    """The ledger as JSON, for the database."""
    return ledger.model_dump_json()


def parse_ledger(text: str) -> Ledger | None:
    """A ledger as it was stored; None when it cannot be read: then :func:`rebuild_ledger` makes one of the threads."""
    try:
        return Ledger.model_validate_json(text)
    except ValidationError:
        return None


def rebuild_ledger(threads: Sequence[FindingThread], maps: Mapping[str, LineMap]) -> Ledger:
    """A ledger out of our own comments, for a lost one: what people who may write or we resolved is closed."""
    entries = []
    for thread in threads:
        lines = maps.get(thread.path)
        anchor = lines.anchor(thread.line, side=thread.side) if lines and thread.line is not None else None
        entries.append(
            Entry(
                id=thread.finding,
                severity=thread.severity,
                category=thread.category,
                title=thread.title,
                path=thread.path,
                anchor=anchor,
                state="rebutted" if thread.resolved and not thread.by_reader else "open",
                comment=thread.comment,
                answered=thread.answered,
            )
        )
    return Ledger(entries=tuple(_bounded(entries)))


def _carry_on(entry: Entry, anchor: Anchor | None, where: Found, work: _Merging) -> Entry:
    """An entry as it is after this review, its finding taken out of those that are left to say."""
    gone = where == "gone"
    placed = entry.model_copy(update={"anchor": anchor, "path": anchor.path if anchor else entry.path})
    twins = [one for one in work.left if _is_again(placed, one, where)]
    twins.sort(key=lambda one: (one.id != entry.id, -likeness(one.title, entry.title)))
    twin = twins[0] if twins else None
    # Only of one place is it known that all that is like it there is the same.
    work.left = [one for one in work.left if one not in (twins if where == "placed" else twins[:1])]
    if entry.state != "open":
        back = entry.state == "fixed" or (twin is not None and twin.evidence.run is not None and not entry.shown)
        if twin is not None and back:
            work.again.append(twin.model_copy(update={"id": entry.id}))
        return entry if gone else placed
    if twin is None and (gone or (entry.asked_again and work.is_read(entry))):
        # Where nothing changed, nothing was fixed: the later reading has the last word.
        state: State = "withdrawn" if entry.found_at == work.head else "fixed"
        return entry.model_copy(update={"state": state, "sha": work.head})
    if twin is not None and not entry.said:
        work.again.append(twin.model_copy(update={"id": entry.id}))
        return placed
    if twin is not None:
        shown = entry.shown or twin.evidence.run is not None
        placed = placed.model_copy(update={"anchor": twin.anchor or anchor, "path": twin.path, "shown": shown})
    thread = work.threads.get(entry.id)
    if thread is None:
        return placed
    if thread.resolved and gone and twin is not None:
        # People took their change for the remedy, and it is none: that is worth saying once more.
        work.again.append(twin.model_copy(update={"id": entry.id}))
        return placed
    if thread.resolved and not (thread.by_reader and work.blocks(entry.severity)):
        return placed.model_copy(update={"state": "rebutted"})
    heard = _hear(placed, thread, work)
    if thread.resolved and heard.state == "open":
        work.kept.append(heard)
    return heard


def _is_again(entry: Entry, finding: Finding, where: Found) -> bool:
    """Whether a finding is the entry's. Where the code is gone, words must tell: it was changed and not mended."""
    if where == "placed":
        return is_same_point(entry, finding)
    alike = entry.path == finding.path and likeness(entry.title, finding.title) >= LIKE_TITLES
    return entry.id == finding.id or (alike if where == "gone" else is_same_point(entry, finding))


def _named(findings: Sequence[Finding], taken: Collection[str]) -> list[Finding]:
    """The findings, each by a name of its own: one line of code with one fault may stand in several functions."""
    named: dict[str, Finding] = {}
    for finding in findings:
        name = finding.id
        while name in named or name in taken:
            name = next_id(name)
        named[name] = finding.model_copy(update={"id": name})
    return list(named.values())


def _hear(entry: Entry, thread: FindingThread, work: _Merging) -> Entry:
    """Replies since the last that was considered wait for a judgement.

    After our answer to what blocks, only the words of those with write permission can close it.
    """
    # The thread knows of an answer that a crash kept out of the ledger.
    answered = max(entry.answered, thread.answered)
    replies = tuple(reply for reply in thread.replies if reply.id > answered)
    if not replies:
        return entry.model_copy(update={"answered": answered})
    blocks, before = work.blocks(entry.severity), tuple(reply for reply in thread.replies if reply.id <= answered)
    heard = tuple(reply for reply in replies if reply.writer) if blocks and answered else replies
    if not heard:
        return entry.model_copy(update={"answered": replies[-1].id})
    counts = not blocks or heard[-1].writer
    work.rebuttals.append(Rebuttal(entry=entry, replies=heard, counts=counts, later=bool(answered), before=before))
    return entry


def _find(entry: Entry, work: _Merging) -> tuple[Anchor | None, Found]:
    """Where an entry's code is now. In one of several like places (unsure) the old one is kept for want of a better."""
    anchor, diff, maps = entry.anchor, work.diff, work.maps
    if anchor is None:
        return None, "unsure"
    moved = [file.path for file in diff.files if file.old_path == entry.path != file.path]
    # What the diff shows no longer, the head may still have: something beside it was taken back.
    places = (maps, work.files) if anchor.side == "RIGHT" else (maps,)
    for lines in (shown[path] for path in (entry.path, *moved) for shown in places if path in shown):
        placed = lines.place(anchor)
        if placed.outcome != "gone":
            return (placed.anchor, "placed") if placed.anchor else (anchor, "unsure")
    if entry.path in maps:
        return anchor, "gone"
    if diff.file(entry.path) is not None or diff.cut:
        return anchor, "unsure"
    for path in [path for path in maps if path not in moved][:MOST_OTHER_FILES]:
        elsewhere = maps[path].place(anchor).anchor
        if elsewhere is not None:
            return elsewhere, "placed"
    return anchor, "gone"


def _entry(finding: Finding, head: str) -> Entry:
    return Entry(
        id=finding.id,
        severity=finding.severity,
        category=finding.category,
        title=finding.title,
        path=finding.path,
        anchor=finding.anchor,
        found_at=head,
        shown=finding.evidence.run is not None,
    )


def _bounded(entries: Sequence[Entry]) -> list[Entry]:
    """At most 200 entries: closed ones go first, then minor ones, the oldest first."""
    kept = list(entries)
    for expendable in (lambda one: one.state != "open", lambda one: one.severity == "minor", lambda _: True):
        surplus = len(kept) - MOST_ENTRIES
        dropped = {id(one) for one in [one for one in kept if expendable(one)][: max(0, surplus)]}
        kept = [one for one in kept if id(one) not in dropped]
    return kept


def _with(ledger: Ledger, changes: Mapping[str, Mapping[str, object]]) -> Ledger:
    entries = [entry.model_copy(update=dict(changes.get(entry.id, {}))) for entry in ledger.entries]
    return ledger.model_copy(update={"entries": tuple(entries)})
