"""What a review is about: the change in lines, the part of it that is read now, and what a reply about it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from workflows.agent.prompts import render_prompt
from workflows.git.globs import matches_pattern
from workflows.git.mirrors import Mirror
from workflows.pulls.pull_change import PullChange
from workflows.requests.one_waiting import wants_all
from workflows.requests.options import options_of
from workflows.requests.thread_work import Thread
from workflows.review.anchors import LineMap, map_files, map_lines
from workflows.review.demands import Demand, render_demands
from workflows.review.diff import Diff, FileDiff, render_file
from workflows.review.finding_reply import parse_findings
from workflows.review.findings import Finding, RecordedRun
from workflows.review.ledger import Ledger
from workflows.review.pieces import shown_size
from workflows.review.reading import read_attributes, read_diff
from workflows.review.risk import Partition, partition
from workflows.review.sameness import is_same_point
from workflows.texts.untrusted import fence_untrusted, show_hidden
from workflows.types import Noun, PullRequest

PART = 80_000
"""Characters of diff that one reviewer is shown."""
MOST_PARTS = 3
MOST_UNREAD = 3_000
UNREADABLE = "its findings could not be read"
MOST_TOLD = 20
"""Findings of which one objection speaks."""
LONGEST_SHOWN = 80_000
"""Characters of diff that are shown to who judges an answer."""


class Found(Noun):
    """What sessions handed over, read; ``refused`` says what was not taken. ``stopped``: why it is perhaps not all.

    ``lost``: of some session nothing could be read, so what it was to read counts as not read.
    """

    findings: tuple[Finding, ...] = ()
    runs: tuple[RecordedRun, ...] = ()
    refused: tuple[str, ...] = ()
    stopped: str = ""
    lost: bool = False


class Scope(Noun):
    """What a review reads: what is new after the commit ``since``, or everything when that is empty.

    ``paths`` are globs, empty for all. ``again`` are files of the change that earlier reviews had no room for, read
    whole. ``nothing``: there is nothing to read.
    """

    since: str = ""
    paths: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    nothing: bool = False


EVERYTHING = Scope()


@dataclass(frozen=True)
class Material:
    """The change of a pull request as it is at one head."""

    thread: Thread
    pull: PullRequest
    change: PullChange
    scope: Scope = EVERYTHING

    @cached_property
    def diff(self) -> Diff:
        """The whole change, with what is generated or vendored told by the base."""
        return self._compare(self.change.base)

    @cached_property
    def maps(self) -> Mapping[str, LineMap]:
        """The lines on which GitHub takes a comment."""
        return map_lines(self.diff)

    @cached_property
    def files(self) -> Mapping[str, LineMap]:
        """All lines of the head's files."""
        return map_files(self._modes, lambda path: self._mirror.read_file(self.change.head, path))

    @cached_property
    def wanted(self) -> Diff:
        """What is read now: of what is new only what the whole change has too, as merges bring in work of others."""
        scope = self.scope
        diff = self._compare(scope.since) if scope.since else self.diff
        again = {file.path: file for file in self.diff.files if file.path in scope.again}
        of_change = {file.path for file in self.diff.files} - again.keys()
        files = [file for file in diff.files if file.path in of_change and _is_asked_for(file.path, scope.paths)]
        return replace(diff, files=(*files, *again.values()))

    @cached_property
    def partition(self) -> Partition:
        """Who reads what, and what nobody reads."""
        return partition(self.wanted, characters=PART, parts=MOST_PARTS)

    @property
    def has_unreadable(self) -> bool:
        """Whether the change holds what no review can read, whatever is asked for."""
        files, room = self.diff.files, PART * MOST_PARTS
        large = any(one.left_out == "too large" or (not one.left_out and shown_size(one.raw) > room) for one in files)
        return large or self.diff.cut or any(reason == "unreadable" for _, reason in self.partition.unread)

    def still_unread(self, before: Sequence[str], *, stopped: bool) -> tuple[str, ...]:
        """The files of the change that no review has read by now, of those ``before`` this one and those in it.

        ``stopped``: a session of this review ended early, so that of none of its files it is known.
        """
        wanted = {file.path for part in self.partition.parts for file in part}
        missed = [*self.partition.postponed, *(sorted(wanted) if stopped else ())]
        read = set() if stopped else {path for path in wanted if not self.scope.since or path in self.scope.again}
        renamed = {file.old_path: file.path for file in self.wanted.files if file.old_path}
        left = [renamed.get(path, path) for path in before if path not in read]
        there = {file.path for file in self.diff.files}
        return tuple(dict.fromkeys([*missed, *(path for path in left if path in there)]))[:MOST_UNREAD]

    def reads_all_new(self, ledger: Ledger) -> bool:
        """Whether the paths that were asked for hold all that is new since the review that the ledger knows of."""
        new = self._compare(ledger.head) if self._goes_on(ledger) else self.diff
        of_change = {file.path for file in self.diff.files}
        return not new.cut and all(self.is_wanted(file.path) for file in new.files if file.path in of_change)

    @cached_property
    def unseen(self) -> frozenset[str]:
        """What the files that nobody reads are, and were, called."""
        unread = {path for path, _ in self.partition.unread}
        names = {file.old_path for file in self.wanted.files if file.path in unread and file.old_path}
        return frozenset(unread | names)

    def is_wanted(self, path: str) -> bool:
        """Whether a file is among those that are read now."""
        return _is_asked_for(path, self.scope.paths)

    @cached_property
    def shown(self) -> str:
        """The change as who judges an answer is told it: the riskiest files, whole, as far as they have room."""
        return show_files([file for part in self.partition.parts for file in part], LONGEST_SHOWN)

    def by_part(self, findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
        """The parts of the change in which there are findings, each as its reviewer was shown it, with these."""
        parts = self.partition.parts or ((),)
        found: list[list[Finding]] = [[] for _ in parts]
        for finding in findings:
            found[self.partition.part_of(finding.path, finding.anchor)].append(finding)
        return [(show_files(part), of_part) for part, of_part in zip(parts, found, strict=True) if of_part]

    def within(self, scope: Scope) -> Material:
        """The same change, of which so much is read; what was parsed of it is kept."""
        narrowed = replace(self, scope=scope)
        narrowed.__dict__.update({name: self.__dict__[name] for name in ("diff", "maps") if name in self.__dict__})
        return narrowed

    def choose_scope(self, ledger: Ledger) -> Scope:
        """What a review reads after those that the ledger knows of; what is new, unless all of it is asked for."""
        job = self.thread.job
        paths = options_of(job).paths
        if paths:
            # Whoever names files has them read, whatever was read before.
            return Scope(paths=paths, nothing=not any(_is_asked_for(file.path, paths) for file in self.diff.files))
        if wants_all(job) or ledger.lost or not self._goes_on(ledger):
            return EVERYTHING
        again = () if job.unasked else ledger.unread
        return Scope(since=ledger.head, again=again, nothing=ledger.head == self.change.head and not again)

    def _goes_on(self, ledger: Ledger) -> bool:
        """Whether the change begins where it began at the last review, or later: onto another base it may have grown.

        Where it began then, older ledgers do not say.
        """
        if not ledger.head or not self._mirror.holds(ledger.head):
            return False
        before, now = ledger.base, self.change.base
        return not before or (self._mirror.holds(before) and self._mirror.is_ancestor(before, now))

    def request(self, files: Sequence[FileDiff], ledger: Ledger, demands: Sequence[Demand]) -> str:
        """What one reviewer is asked for: files of the change, what was said before, and what the issues demand."""
        since = self.scope.since
        parts = [render_prompt("review_task", base=self.change.base)]
        if since and since != self.change.head:
            parts.append(
                f"An earlier review read everything up to `{since}`. Review only what is new since then, "
                f"which is shown: `git diff {since} HEAD`. Give lines of the new files, side RIGHT."
            )
        again = [file.path for file in files if file.path in self.scope.again]
        if again:
            parts.append(
                f"No earlier review had room for these files, whose whole change is shown: {', '.join(again)}."
            )
        parts.append(fence_untrusted("change", show_files(files)))
        own = {file.path for file in files}
        others = dict.fromkeys(one.path for part in self.partition.parts for one in part if one.path not in own)
        if others:
            parts.append(f"Other reviewers read: {', '.join(list(others)[:50])}. Report nothing of these files alone.")
        if self.scope.paths:
            parts.append(f"Only these paths are asked for: {', '.join(self.scope.paths)}.")
        parts += _tell_earlier(ledger)
        return "\n\n".join([*parts, *([render_demands(demands)] if demands else [])])

    def objection(self, text: str) -> str:
        """What is wrong with a reply, for the model."""
        parsed = parse_findings(text, self.maps, files=self.files, moved=self._moved)
        misplaced = " ".join(f"“{one.what}”: {one.reason}." for one in parsed.misplaced[:MOST_TOLD])
        told = f"Name the file of each finding by its path in the repository. {misplaced}" if misplaced else ""
        return parsed.mistake or told

    def read(self, replies: Sequence[tuple[str, tuple[RecordedRun, ...], str]]) -> Found:
        """The findings of all replies, each point once. A reply: its text, the runs, why the session was stopped."""
        findings: list[Finding] = []
        refused: list[str] = []
        lost, misplaced = False, 0
        for text, runs, _ in replies:
            parsed = parse_findings(text, self.maps, runs=runs, files=self.files, moved=self._moved)
            lost = lost or bool(parsed.mistake)
            findings += [one for one in parsed.findings if not any(is_same_point(one, other) for other in findings)]
            misplaced += len(parsed.misplaced)
            refused += [f"{one.what}: {one.reason}" for one in parsed.refused]
        every = {run.command: run for _, runs, _ in replies for run in runs}
        stopped = next((why for _, _, why in replies if why), UNREADABLE if lost else _say_misplaced(misplaced))
        return Found(
            findings=tuple(findings), runs=tuple(every.values()), refused=tuple(refused), stopped=stopped, lost=lost
        )

    def file_at_head(self, path: str) -> tuple[str, bytes] | None:
        """Mode and content of a file of the head."""
        content = self._mirror.read_file(self.change.head, path)
        mode = self._modes.get(path)
        return None if content is None or mode is None else (mode, content)

    def _compare(self, since: str) -> Diff:
        attributes = read_attributes(self._mirror, self.change.base)
        return read_diff(self._mirror, since, self.change.head, attributes=attributes)

    @cached_property
    def _modes(self) -> dict[str, str]:
        return {entry.path: entry.mode for entry in self._mirror.tree(self.change.head)}

    @cached_property
    def _moved(self) -> dict[str, str]:
        return {file.old_path: file.path for file in self.diff.files if file.old_path and file.status == "renamed"}

    @property
    def _mirror(self) -> Mirror:
        return self.thread.mirror(self.change.base, self.change.head, pull=self.pull.number)


def show_files(files: Sequence[FileDiff], room: int | None = None) -> str:
    """Files of a change as models are told them, whole, as far as there is room."""
    parts, left = [], room
    for file in files:
        text = f"{_name_file(file)}\n{render_file(file)}"
        if left is not None:
            if len(text) > left:
                continue
            left -= len(text)
        parts.append(text)
    return "\n".join(parts)


def _name_file(file: FileDiff) -> str:
    """A file's name above its lines, and what became of it where the lines do not say."""
    moved = file.old_path if file.status in ("renamed", "copied") else ""
    how = f"{file.status} from {show_hidden(moved)}" if moved else file.status
    return f"=== {show_hidden(file.path)} ({how}{', a part of it' if file.in_part else ''})"


def _tell_earlier(ledger: Ledger) -> list[str]:
    """What earlier reviews found: what is not to be said again, and what is when it still holds."""
    said = [f"{one.path}: {one.title} ({one.state})" for one in ledger.entries if one.said and not one.asked_again]
    asked = [f"{one.path}: {one.title}" for one in ledger.entries if one.asked_again]
    told = (
        ("Said in an earlier review, do not say it again:", said),
        ("Found by an earlier review; report again, in the same words, what of it still holds:", asked),
    )
    return ["\n".join([order, fence_untrusted("earlier", "\n".join(lines))]) for order, lines in told if lines]


def _say_misplaced(count: int) -> str:
    if not count:
        return ""
    return f"{count} {'finding names' if count == 1 else 'findings name'} no file of the repository"


def _is_asked_for(path: str, globs: Sequence[str]) -> bool:
    return not globs or any(matches_pattern(path, glob, any_case=False) for glob in globs)
