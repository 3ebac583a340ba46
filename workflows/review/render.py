"""What a review says on GitHub: the summary, the comments on lines, and the hidden name of each finding. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from workflows.review.findings import Finding, RecordedRun, count_severities
from workflows.review.suggestions import SuggestionCheck, render_check, render_suggestion
from workflows.texts.outbound import (
    HOSTS,
    MARKER_ROOM,
    MAX_CHARACTERS,
    clean_line,
    clean_outbound,
    clean_words,
    code_block,
    code_span,
)

MOST_FOLDED = 50
MOST_NAMED = 50
MOST_RUNS = 20
LONGEST_FOLDED = 600
LONGEST_REASONING = 600
SHOWN_LINES = 12
SHOWN_CHARACTERS = 1_000
_FINDING = re.compile(r"(?m)^<!-- forgehand:finding=([0-9a-f]{12}) -->[ \t]*\r?$")
_EXIT_LINE = re.compile(r"\Aexit code -?\d+[^\n]*(?:\n|\Z)")


@dataclass(frozen=True)
class Told:
    """What a summary tells beside its findings.

    ``head`` is the reviewed commit; ``commit`` the one on which its comments stand, empty for the same. ``blob`` is the
    address of that commit's files, to which points without a comment are linked. ``inline`` are said on their lines,
    ``folded`` only here. ``fixed`` are titles of earlier findings that the change no longer has, ``open_before`` is how
    many earlier ones still stand. ``unread`` are paths with the reason why they were not read; ``notes`` are sentences
    of ours. ``runs`` are the commands that the harness recorded.
    """

    head: str
    commit: str = ""
    blob: str = ""
    inline: Sequence[Finding] = ()
    folded: Sequence[Finding] = ()
    fixed: Sequence[str] = ()
    open_before: int = 0
    unread: Sequence[tuple[str, str]] = ()
    runs: Sequence[RecordedRun] = ()
    notes: Sequence[str] = ()


def finding_marker(finding_id: str) -> str:
    """The hidden line that names a finding in its comment."""
    return f"<!-- forgehand:finding={finding_id} -->"


def parse_finding_marker(body: str) -> str | None:
    """The finding that a comment is about; anybody can write such a line: ask it only of comments by our own App."""
    found = _FINDING.findall(body)
    return found[-1] if found else None


def render_inline(
    finding: Finding,
    *,
    secrets: Collection[str] = (),
    hosts: Collection[str] = HOSTS,
    prefix: str = "/qwen",
) -> str:
    """The comment on a finding's lines. Its suggestion can be committed only when it comes through unchanged.

    ``prefix`` is what commands begin with; without one nobody can have it fixed by us.
    """
    head = f"**{finding.severity.capitalize()}** ({finding.category}): {_line(finding.title, secrets, hosts)}"
    parts = [head, _words(finding.body, secrets, hosts), _evidence(finding, secrets, hosts)]
    offer = f", or ask with {code_span(f'{prefix} fix')} to have it fixed" if prefix else ""
    foot = f"<sub>Answer here{offer}.</sub>\n\n{finding_marker(finding.id)}"
    check = finding.check or SuggestionCheck(status="untested")
    if finding.suggestion is not None and check.status != "failed":
        block = render_suggestion(finding.suggestion)
        with_block = _joined([*parts, block, _checked(check)], foot, secrets, hosts)
        if f"\n{block}\n" in with_block:
            return with_block
    return _joined(parts, foot, secrets, hosts)


def render_review(
    told: Told,
    *,
    marker: str,
    secrets: Collection[str] = (),
    hosts: Collection[str] = HOSTS,
) -> str:
    """The summary of a review: counts, what has no line of its own, what was fixed, what was not read, and what ran."""
    parts = [
        _headline(told),
        *(_line(note, secrets, hosts, limit=600) for note in told.notes),
        _named("Fixed since the last review", [_line(title, secrets, hosts) for title in told.fixed]),
        _folded(told, secrets, hosts),
        _unread(told.unread),
        _ran(told.runs),
    ]
    text = "\n\n".join(part for part in parts if part)
    return f"{clean_outbound(text, secrets, hosts=hosts, limit=MAX_CHARACTERS - MARKER_ROOM)}\n\n{marker}"


def render_title(findings: Sequence[Finding]) -> str:
    """The counts in one plain line, such as a check run's title."""
    counts = [f"{count} {severity}" for severity, count in count_severities(findings).items()]
    return ", ".join(counts) if counts else "Nothing to say"


def _headline(told: Told) -> str:
    found = [*told.inline, *told.folded]
    before = f" {_count(told.open_before, 'earlier point')} still open." if told.open_before else ""
    if not found:
        nothing = "nothing new." if told.open_before or told.fixed else "nothing that matters was found."
        return f"**Review of {code_span(told.head[:12])}:** {nothing}{before}"
    said = f" {len(told.inline)} on {'its line' if len(told.inline) == 1 else 'their lines'}." if told.inline else ""
    return f"**Review of {code_span(told.head[:12])}:** {render_title(found)}.{said}{before}"


def _folded(told: Told, secrets: Collection[str], hosts: Collection[str]) -> str:
    findings = told.folded
    if not findings:
        return ""
    lines = []
    for finding in findings[:MOST_FOLDED]:
        body = " ".join(finding.body.split())
        shown = f": {_line(body, secrets, hosts, limit=LONGEST_FOLDED)}" if body else ""
        title = _line(finding.title, secrets, hosts).rstrip(".")
        run = finding.evidence.run
        ran = f" ({code_span(run.command[:200])}, {_exit(run)})" if run else ""
        lines.append(f"- {finding.severity} · {_place(finding, told.blob)} · **{title}**{shown}{ran}")
    more = len(findings) - MOST_FOLDED
    lines += [f"- and {more} more"] if more > 0 else []
    return _details(_count(len(findings), "point without a comment", "points without a comment"), lines)


def _place(finding: Finding, blob: str) -> str:
    """Where a point without a comment is, as a link where the reviewed commit has such a line."""
    anchor = finding.anchor
    place = code_span((f"{finding.path}:{anchor.first}" if anchor else finding.path)[:300])
    if not blob or (anchor is not None and anchor.side == "LEFT"):
        return place
    lines = "" if anchor is None else f"#L{anchor.first}" + (f"-L{anchor.line}" if anchor.start_line else "")
    return f"[{place}]({blob}/{quote(finding.path)}{lines})"


def _unread(unread: Sequence[tuple[str, str]]) -> str:
    if not unread:
        return ""
    lines = [f"- {code_span(path[:300])}: {reason}" for path, reason in unread[:MOST_NAMED]]
    more = len(unread) - MOST_NAMED
    lines += [f"- and {more} more"] if more > 0 else []
    return _details(f"{_count(len(unread), 'file was', 'files were')} not read", lines)


def _ran(runs: Sequence[RecordedRun]) -> str:
    if not runs:
        return ""
    lines = [
        f"- {code_span(run.command[:300])}: {_exit(run)}, output {code_span(run.sha256)}" for run in runs[:MOST_RUNS]
    ]
    more = len(runs) - MOST_RUNS
    lines += [f"- and {more} more"] if more > 0 else []
    lines += ["", "_The harness ran these and recorded their output (SHA-256)._"]
    return _details(f"{_count(len(runs), 'command')} ran", lines)


def _evidence(finding: Finding, secrets: Collection[str], hosts: Collection[str]) -> str:
    run = finding.evidence.run
    if run is not None:
        shown = code_block(f"$ {run.command[:300]}\n{_last_lines(run)}", "console")
        return _details(f"Shown by a command that was run: {_exit(run)}", [shown])
    reasoning = finding.evidence.reasoning
    return f"Reasoning: {_line(reasoning, secrets, hosts, limit=LONGEST_REASONING)}" if reasoning else ""


def _last_lines(run: RecordedRun) -> str:
    """The end of what a command printed, without our own word on its exit code."""
    lines = _EXIT_LINE.sub("", run.excerpt, count=1).strip("\n").split("\n")
    text = "\n".join(lines[-SHOWN_LINES:])
    return text if len(text) <= SHOWN_CHARACTERS else f"…{text[-SHOWN_CHARACTERS:]}"


def _checked(check: SuggestionCheck) -> str:
    ran = f" ({code_span(check.command[:200])})" if check.status == "tested" and check.command else ""
    return f"{render_check(check).rstrip('.')}{ran}."


def _exit(run: RecordedRun) -> str:
    return "ended early" if run.exit_code is None else f"exit code {run.exit_code}"


def _named(title: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = len(names) - MOST_NAMED
    lines = [f"- {name}" for name in names[:MOST_NAMED]] + ([f"- and {more} more"] if more > 0 else [])
    return "\n".join([f"{title}:", "", *lines])


def _details(summary: str, lines: Sequence[str]) -> str:
    return "\n".join(["<details>", f"<summary>{summary}</summary>", "", *lines, "", "</details>"])


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _line(text: str, secrets: Collection[str], hosts: Collection[str], *, limit: int = 200) -> str:
    return clean_line(text, secrets, hosts=hosts, limit=limit)


def _words(text: str, secrets: Collection[str], hosts: Collection[str]) -> str:
    return clean_words(text, secrets, hosts=hosts, limit=8_000).strip()


def _joined(parts: Sequence[str], foot: str, secrets: Collection[str], hosts: Collection[str]) -> str:
    text = "\n\n".join(part for part in [*parts, foot] if part)
    return clean_outbound(text, secrets, hosts=hosts)
