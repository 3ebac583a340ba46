"""The texts of a pull request: title, body, commit message and branch name."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from workflows.agent.describe import Category
from workflows.evidence.markdown import render_evidence, render_warnings
from workflows.git.leaks import redact
from workflows.publishing.pull_body import MARKS
from workflows.publishing.templates import Fact, Section, find_template, fit_template, render_sections
from workflows.texts.changelog import ChangelogEntry
from workflows.texts.conventional import TYPE_OF, are_conventional, parse_conventional
from workflows.texts.outbound import (
    HOSTS,
    MAX_CHARACTERS,
    clean_line,
    clean_outbound,
    clean_title,
    clean_words,
    code_span,
)
from workflows.types import Actor, Patch, Usage, Verdict

__all__ = [
    "PullRequestText",
    "branch_name",
    "find_template",
    "render_body",
    "render_commit_message",
    "render_title",
    "render_usage",
]

LONGEST_TITLE = 72
LONGEST_BRANCH = 60
MOST_FILES = 100
NOREPLY = "users.noreply.github.com"
# Words that stop continuous integration, and trailers, are the harness's to write.
_SKIP_CI = re.compile(
    r"\[((?:skip|no)[\s-](?:ci|actions)|(?:ci|actions)[\s-]skip)\]|\*\*\*(NO_CI)\*\*\*", re.IGNORECASE
)
_TRAILER = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)+[ \t]*:|(?:fixes|closes|resolves|refs|see)[ \t]*:", re.IGNORECASE)


@dataclass(frozen=True)
class PullRequestText:
    """Everything a description is made of. ``summary``, ``files`` (path to reason) and ``verification`` are the
    model's words; all else is the harness's. ``seconds`` is the job's wall time; ``notes`` are sentences on what was
    detected.
    """

    job_id: str
    issue: int | None
    requester: Actor
    model: str
    summary: str
    verdict: Verdict
    patch: Patch
    files: Mapping[str, str] = field(default_factory=dict)
    verification: str = ""
    changelog: ChangelogEntry | None = None
    notes: Sequence[str] = ()
    usage: Usage = field(default_factory=Usage)
    turns: int = 0
    seconds: float = 0.0
    setup_commands: Sequence[str] = ()
    setup_failed: str = ""
    blocked_hosts: Sequence[str] = ()
    protected: Sequence[str] = ()
    hidden: Mapping[str, int] = field(default_factory=dict)
    author: str = "model"
    unfinished: str = ""
    unproven: Sequence[str] = ()


def render_body(
    text: PullRequestText,
    *,
    template: str | None = None,
    secrets: Collection[str] = (),
    hosts: Collection[str] = HOSTS,
) -> str:
    """The description in Markdown, ready for GitHub; fitted into ``template`` if given."""
    sections = _sections(text, secrets, hosts)
    warnings = render_warnings(
        text.verdict,
        patch=text.patch,
        protected=text.protected,
        blocked_hosts=text.blocked_hosts,
        setup_failed=text.setup_failed,
        hidden=text.hidden,
        unfinished=text.unfinished,
        unproven=text.unproven,
    )
    main = fit_template(template, sections, facts=_facts(text)) if template else render_sections(sections)
    footer = "\n\n" + clean_outbound(_footer(text), secrets, hosts=hosts)
    return (
        clean_outbound(
            f"{warnings}\n\n{main}".strip(),
            secrets,
            hosts={*hosts, *_hosts_in(template or "")},
            limit=MAX_CHARACTERS - MARKS - len(footer),
            closes=text.issue,
        )
        + footer
    )


def render_title(title: str, *, subjects: Sequence[str] = (), category: Category = "Changed") -> str:
    """The title in one line of at most 72 characters, with a conventional type where the ``subjects`` have one.

    ``subjects`` are the repository's last commit subjects.
    """
    line = _without_commands(title).rstrip(".") or "Change"
    if are_conventional(subjects) and parse_conventional(line) is None:
        first = line[0].lower() if line[1:2].islower() or not line[1:2].isalpha() else line[0]
        # With "fix: " before it, a number closes an issue that it did not close alone.
        line = clean_title(f"{TYPE_OF[category]}: {first}{line[1:]}")
    if len(line) <= LONGEST_TITLE:
        return line
    cut = line[: LONGEST_TITLE - 1]
    words = cut.rpartition(" ")[0]
    return (words if len(words) > LONGEST_TITLE // 2 else cut).rstrip(" ,;:.-") + "…"


def render_commit_message(
    title: str, body: str, *, issue: int | None, requester: Actor, secrets: Collection[str] = ()
) -> str:
    """Title, wrapped body, and our trailers: the issue it fixes, and the requester (if of GitHub) as co-author.

    Trailers and words that stop continuous integration in the model's ``body`` are taken out.
    """
    subject = _without_commands(redact(title, secrets))
    cleaned = clean_words(redact(body, secrets), limit=4_000)
    kept = [line for line in _SKIP_CI.sub(_parenthesised, cleaned).split("\n") if not _TRAILER.match(line.strip())]
    # Wrapping can break such a word over two lines, and GitHub's reader may join them again: so again, after it.
    paragraphs = [
        _SKIP_CI.sub(_parenthesised, _wrapped(paragraph))
        for paragraph in re.split(r"\n[ \t]*\n", "\n".join(kept))
        if paragraph.strip()
    ]
    trailers = [f"Fixes: #{issue}"] if issue else []
    if requester.id and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}(?:\[bot\])?", requester.login):
        address = f"{requester.id}+{requester.login}@{NOREPLY}"
        trailers.append(f"Co-authored-by: {requester.login} <{address}>")
    return "\n\n".join([subject, *paragraphs, *(["\n".join(trailers)] if trailers else [])]) + "\n"


def parse_job_id(body: str) -> str | None:
    """The job that opened a pull request of ours, as its body says; only to be believed where the body is ours."""
    found = re.findall(r"^<!-- forgehand:job=([A-Za-z0-9._:/+-]+) -->\r?$", body, re.MULTILINE)
    return found[-1] if found else None


def branch_name(prefix: str, number: int | None, title: str) -> str:
    """``qwen/issue-123-short-title``: valid for git, ASCII, and the same whenever it is computed again."""
    start = re.sub(r"[^A-Za-z0-9._/-]+", "-", prefix).strip("/.-") or "qwen"
    start = "/".join(part.strip(".").removesuffix(".lock") for part in start.split("/") if part.strip("."))
    ending = prefix[-1:] if prefix[-1:] in ("/", "-", "_") else "/"
    head = f"{start.removesuffix(ending)}{ending}" + (f"issue-{number}" if number else "")
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    room = LONGEST_BRANCH - len(head) - 1
    slug = words if len(words) <= room else words[: max(0, room) + 1].rpartition("-")[0] or words[: max(0, room)]
    if number:
        return f"{head}-{slug}".rstrip("-")
    return f"{head}{slug or 'change'}"


def render_usage(usage: Usage, *, turns: int, seconds: float) -> str:
    """What the work cost, in one line."""
    minutes, rest = divmod(round(seconds), 60)
    cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
    # Without prices in the settings nothing is known of money, and 0 would be a claim.
    estimated = " (estimated)" if usage.estimated else ""
    money = f"{usage.usd:.4f} USD{estimated}" if usage.usd else "money not counted: no prices are set"
    return (
        f"{turns} turns · {usage.input_tokens:,} tokens in{cached}, {usage.output_tokens:,} out · "
        f"{f'{minutes} min {rest} s' if minutes else f'{rest} s'} · {money}"
    )


def _sections(text: PullRequestText, secrets: Collection[str], hosts: Collection[str]) -> list[Section]:
    closing = f"Fixes #{text.issue}" if text.issue else ""
    evidence = render_evidence(text.verdict)
    words = clean_words(text.verification, secrets, hosts=hosts, limit=4_000).strip()
    told = f"\n\nWhat the model says it did to check its work:\n\n{words}" if words else ""
    return [
        Section("summary", "Summary", clean_words(text.summary, secrets, hosts=hosts, limit=8_000)),
        Section("issue", "", closing),
        Section("why", "Why", f"Asked for in #{text.issue}." if text.issue else "", spare=True),
        Section("verification", "Verification", evidence + told),
        Section("changes", "Changes", _changes(text, secrets, hosts)),
        Section("changelog", "Changelog", _changelog(text.changelog, secrets, hosts)),
        Section("details", "How this was set up", _details(text)),
    ]


def _changes(text: PullRequestText, secrets: Collection[str], hosts: Collection[str]) -> str:
    lines = []
    for file in text.patch.files[:MOST_FILES]:
        kind = "deleted" if file.content is None else "link" if file.mode == "120000" else ""
        if file.content is not None and b"\0" in file.content[:8_000]:
            kind = f"binary, {len(file.content):,} bytes"
        why = clean_line(text.files.get(file.path, ""), secrets, hosts=hosts)
        lines.append(f"- {code_span(file.path)}{f' ({kind})' if kind else ''}{': ' + why if why else ''}")
    rest = len(text.patch.files) - MOST_FILES
    return "\n".join([*lines, *([f"- … and {rest} more files"] if rest > 0 else [])])


def _changelog(entry: ChangelogEntry | None, secrets: Collection[str], hosts: Collection[str]) -> str:
    if entry is None:
        return ""
    line = f"{entry.category}: {clean_line(entry.text, secrets, hosts=hosts, limit=500)}"
    return f"{line}\n\nThe entry is in {code_span(entry.path)}." if entry.path else line


def _details(text: PullRequestText) -> str:
    lines = [f"- {note}" for note in text.notes]
    lines += [f"- Set-up command: {code_span(command[:300])}" for command in text.setup_commands[:20]]
    return "\n".join(lines)


def _footer(text: PullRequestText) -> str:
    who, agent = code_span(f"@{text.requester.login}"), code_span(text.model)
    by = "" if text.author == "model" else " The description was made without the model."
    cost = render_usage(text.usage, turns=text.turns, seconds=text.seconds)
    return "\n".join(
        [
            "---",
            "",
            f"This change was written by an AI agent: Forgehand with the model {agent}, asked by {who}.{by}",
            "Review it as you would review a stranger's.",
            "",
            f"<sub>{cost} · job {code_span(text.job_id)}</sub>",
            "",
            f"<!-- forgehand:job={re.sub(r'[^A-Za-z0-9._:/+-]', '_', text.job_id)} -->",
        ]
    )


def _facts(text: PullRequestText) -> set[Fact]:
    verdict = text.verdict
    facts: set[Fact] = set()
    after = verdict.after
    if verdict.status == "verified" and after and after.exit_code == 0 and not verdict.broken + verdict.still_failing:
        facts.add("tests_pass")
    if verdict.red_first:
        facts.add("tests_added")
    if text.changelog and text.changelog.path:
        facts.add("changelog")
    if text.issue:
        facts.add("issue")
    return facts


def _hosts_in(template: str) -> set[str]:
    """The hosts a repository's own template links to: its maintainers put them there."""
    return set(re.findall(r"https://([A-Za-z0-9.-]{1,253}(?::\d{1,5})?)", template))


def _parenthesised(match: re.Match[str]) -> str:
    return f"({match.group(1) or match.group(2)})"


def _without_commands(title: str) -> str:
    """The title in one line that neither closes, mentions nor stops anything."""
    return _SKIP_CI.sub(_parenthesised, clean_title(title))


def _wrapped(paragraph: str) -> str:
    if re.search(r"(?m)^(\s|[-*+>|]|\d+[.)] |`{3})", paragraph):
        return paragraph
    return textwrap.fill(" ".join(paragraph.split()), 72, break_long_words=False, break_on_hyphens=False)
