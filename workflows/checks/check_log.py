"""A job's log of GitHub Actions: its steps without the runner's dressing, and an excerpt; in linear time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

LONGEST_LINE = 500
BEFORE, AFTER = 3, 12  # lines of context around an error
# Every line begins with the time in UTC; see a job's raw log.
_STAMP = re.compile(r"(?m)^\ufeff?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z ?")
_ANSI = re.compile(r"\x1b(?:\[[0-9;:?]{0,30}[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|[@-Z\\-_])")
_BLANK = re.compile(r"\n(?:[ \t\r]*\n){2,}")
_GROUP, _END, _ERROR = "##[group]", "##[endgroup]", "##[error]"
# A group of the runner's own: an action's name, or a script, whose group tells its shell.
_ACTION = re.compile(r"Run (?:\./|docker://|[\w.-]+/[\w./-]+@)\S*")
_NOISE = re.compile(r"##\[(?:debug|endgroup|section)\].*")
_MARK = re.compile(r"##\[(?:group|command|warning|notice)\]")
_TELLING = re.compile(
    r"(?i)##\[error\]|\b(?:error|errors|failed|failure|failures|fatal|panic|panicked|exception|traceback|assert\w*)\b|[✖✗✕]"
    r"|^not ok\b|^E {2,}|^\s*--- FAIL"
)
_HARMLESS = re.compile(r"(?i)\b0 (?:errors?|failed|failures?)\b|\bPASS(?:ED)?\b|[✓✔]|\bok$")


@dataclass(frozen=True)
class LogStep:
    """One step: what it ran in GitHub's words (empty when the log begins within it), and its output line by line."""

    title: str
    lines: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether an error of the runner's stands in it."""
        return any(line.startswith(_ERROR) for line in self.lines)


def parse_check_log(log: str) -> list[LogStep]:
    """The steps of a log, or of its tail: without times, colours, and the scripts and environments that are echoed."""
    steps: list[tuple[str, list[str]]] = [("", [])]
    group: list[str] | None = None  # a "Run …" group, of which it is not known yet whether it begins a step
    for line in _plain_lines(log):
        if group is not None:
            group.append(line)
            if line.startswith(_END):
                _close_group(group, steps)
                group = None
        elif line.startswith(f"{_GROUP}Run "):
            group = [line]
        elif line == "Post job cleanup.":
            steps.append((line, []))
        else:
            steps[-1][1].append(line)
    if group is not None:
        steps[-1][1].extend(group)
    return [LogStep(title, tuple(lines)) for title, lines in steps if title or lines]


def failed_steps(steps: Sequence[LogStep]) -> list[LogStep]:
    """The steps that failed; all of them when none says so, as in the log of another service."""
    return [step for step in steps if step.failed] or list(steps)


def excerpt_log(log: str, most: int) -> str:
    """What matters of a log in at most ``most`` characters: the failed steps' first errors with the lines around them,
    and their end. Everything when it fits. It is still text from outside: fence it before a prompt.
    """
    lines = []
    for step in failed_steps(parse_check_log(log)):
        lines += [f"== {step.title or 'the log'} =="] + [
            _clipped(line) for line in step.lines if not _NOISE.fullmatch(line)
        ]
    lines = _collapsed(lines)
    if sum(len(line) + 1 for line in lines) <= most:
        return "\n".join(lines)
    return _rendered(lines, _chosen(lines, most))[:most]


def _plain_lines(log: str) -> list[str]:
    text = _BLANK.sub("\n\n", _ANSI.sub("", _STAMP.sub("", log)))
    # A progress bar writes its line over and over: the last writing is what people see.
    return [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]


def _close_group(group: list[str], steps: list[tuple[str, list[str]]]) -> None:
    title = group[0].removeprefix(_GROUP)
    if _ACTION.fullmatch(title) or any(line.startswith("shell: ") for line in group):
        steps.append((title, []))
    else:
        steps[-1][1].extend(group)  # a program's own group


def _clipped(line: str) -> str:
    line = _MARK.sub("", line)
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"


def _collapsed(lines: Sequence[str]) -> list[str]:
    collapsed = []
    for line, same in groupby(lines):
        times = sum(1 for _ in same)
        collapsed.append(f"{line} [{times} times]" if line and times > 1 else line)
    return collapsed


def _chosen(lines: Sequence[str], most: int) -> set[int]:
    """The numbers of the lines to keep: errors from the first on for half the room, then the end backwards."""
    room = most - 80
    half = room // 2
    chosen: set[int] = set()
    for number, line in enumerate(lines):
        if number in chosen or not _TELLING.search(line) or _HARMLESS.search(line):
            continue
        window = [at for at in range(max(0, number - BEFORE), min(len(lines), number + AFTER)) if at not in chosen]
        cost = 40 + sum(len(lines[at]) + 1 for at in window)
        if cost > half:
            break
        half -= cost
        room -= cost
        chosen.update(window)
    for number in range(len(lines) - 1, -1, -1):
        if number in chosen:
            continue
        room -= len(lines[number]) + 1
        if room < 0:
            break
        chosen.add(number)
    return chosen


def _rendered(lines: Sequence[str], chosen: set[int]) -> str:
    parts = []
    last = -1
    for number in [*sorted(chosen), len(lines)]:
        if number - last > 1:
            parts.append(f"[… {number - last - 1} lines left out …]")
        if number < len(lines):
            parts.append(lines[number])
        last = number
    return "\n".join(parts)
