"""The HTML view of repositories, issues, pull requests and diffs, for a newcomer's browser; it changes nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markupsafe import Markup

from app.localhub import bare
from app.localhub.patches import parse_patch
from app.localhub.records import Issue, Json, Repository
from app.localhub.shapes_pulls import base_commit, pull_of
from app.localhub.store import Store

TEMPLATES = Path(__file__).with_name("templates")
BANNER = "Local GitHub: a simulation for trying Forgehand, not github.com"
PLAIN_TAGS = re.compile(r"<!--.*?-->|</?(?:details|summary|sub|sup|kbd|br)>|<details open>", re.DOTALL | re.IGNORECASE)
DIFF_FILES = 300


@dataclass(frozen=True)
class Page:
    """A page's answer."""

    content: bytes
    status: int = 200
    media: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


class PlainRenderer(RendererHTML):
    """Renders Markdown and passes no HTML through: comments vanish, a few bare tags stay, the rest becomes text."""

    def html_block(self, tokens: Any, idx: int, *rest: Any) -> str:
        """A block of HTML in the Markdown."""
        return plain_tags(tokens[idx].content)

    def html_inline(self, tokens: Any, idx: int, *rest: Any) -> str:
        """HTML within a line."""
        return plain_tags(tokens[idx].content)


def plain_tags(text: str) -> str:
    """HTML with everything escaped but attribute-less layout tags; comments are left out, as GitHub does."""
    shown, place = [], 0
    for match in PLAIN_TAGS.finditer(text):
        shown.append(html.escape(text[place : match.start()]))
        shown.append("" if match[0].startswith("<!--") else match[0].lower())
        place = match.end()
    return "".join([*shown, html.escape(text[place:])])


def render_markdown(text: str | None) -> Markup:
    """Markdown as safe HTML; check boxes become ballot boxes."""
    reader = MarkdownIt("commonmark", {"html": True}, renderer_cls=PlainRenderer).enable(["table", "strikethrough"])
    rendered = str(reader.render((text or "").encode("utf-8", "replace").decode()))
    rendered = re.sub(r"(<li>(?:\s*<p>)?)\[ \] ", "\\1\u2610 ", rendered)
    rendered = re.sub(r"(<li>(?:\s*<p>)?)\[[xX]\] ", "\\1\u2611 ", rendered)
    return Markup(rendered)  # noqa: S704 - the renderer above lets no HTML of the text through


def render(store: Store, path: str, query: dict[str, str]) -> Page:
    """The page at a path; the caller holds the lock."""
    if path == "/localhub.css":
        return Page((TEMPLATES / "localhub.css").read_bytes(), media="text/css; charset=utf-8")
    if path == "/":
        return _fill("index.html", repositories=list(store.repositories.values()))
    parts = path.strip("/").split("/")
    repo = store.find_repository("/".join(parts[:2]))
    if repo is None:
        return _missing()
    show = VIEWS.get(parts[2] if len(parts) > 2 else "")
    page = show(repo, "/".join(parts[3:]), query) if show else None
    return page or _missing()


def _fill(template: str, status: int = 200, **values: Any) -> Page:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["markdown"] = render_markdown
    text = environment.get_template(template).render(banner=BANNER, **values)
    return Page(text.encode("utf-8", "replace"), status)


def _missing() -> Page:
    return _fill("missing.html", 404)


def _repository(repo: Repository, rest: str, query: dict[str, str]) -> Page:
    issues = sorted(repo.issues.values(), key=lambda issue: -issue.number)
    branches = {name.removeprefix("refs/heads/"): sha for name, sha in bare.refs(repo.path, "refs/heads/").items()}
    return _fill("repository.html", repo=repo, issues=issues, branches=branches)


def _issue(repo: Repository, rest: str, query: dict[str, str]) -> Page | None:
    if not rest:
        return _repository(repo, rest, query)
    issue = repo.issues.get(int(rest)) if rest.isdigit() else None
    if issue and issue.pull:
        return Page(b"", 302, headers={"Location": f"/{repo.full_name}/pull/{issue.number}"})
    return _fill("issue.html", repo=repo, issue=issue) if issue else None


def _pull(repo: Repository, rest: str, query: dict[str, str]) -> Page | None:
    number, _, suffix = rest.partition(".")
    issue = repo.issues.get(int(number)) if number.isdigit() else None
    if issue is None or issue.pull is None:
        return None
    start, head = base_commit(repo, pull_of(issue)), pull_of(issue).head_sha
    if suffix == "diff":
        text = bare.diff_text(repo.path, start, head)
        return Page(text.encode("utf-8", "replace"), media="text/plain; charset=utf-8")
    span = head if start == bare.NO_TREE else f"{start}..{head}"
    checks = [run for run in repo.check_runs.values() if run.head_sha == head]
    return _fill(
        "pull.html",
        repo=repo,
        issue=issue,
        pull=issue.pull,
        checks=checks,
        commits=bare.read_commits(repo.path, "--reverse", span),
        files=_files(repo, start, head),
        talk=_conversation(issue),
    )


def _conversation(issue: Issue) -> list[Json]:
    """Comments and reviews in the order of time."""
    pull = pull_of(issue)
    said: list[Json] = [{"at": c.created_at, "comment": c, "review": None} for c in issue.comments]
    for review in pull.reviews:
        lines = [comment for comment in pull.comments if comment.review_id == review.id]
        at = review.submitted_at or issue.updated_at
        said.append({"at": at, "comment": None, "review": review, "lines": lines})
    return sorted(said, key=lambda item: item["at"])


def _files(repo: Repository, base: str, head: str) -> list[Json]:
    files = bare.diff_files(repo.path, base, head)[:DIFF_FILES]
    return [{"file": entry, "lines": parse_patch(entry.patch) if entry.patch else []} for entry in files]


def _check(repo: Repository, rest: str, query: dict[str, str]) -> Page | None:
    run = repo.check_runs.get(int(rest)) if rest.isdigit() else None
    return _fill("check.html", repo=repo, run=run) if run else None


def _commit(repo: Repository, rest: str, query: dict[str, str]) -> Page | None:
    sha = bare.resolve(repo.path, rest)
    if sha is None:
        return None
    commit = bare.read_commit(repo.path, sha)
    base = commit.parents[0] if commit.parents else bare.NO_TREE
    return _fill("commit.html", repo=repo, commit=commit, files=_files(repo, base, sha))


VIEWS: dict[str, Callable[[Repository, str, dict[str, str]], Page | None]] = {
    "": _repository,
    "issues": _issue,
    "pulls": _issue,
    "pull": _pull,
    "runs": _check,
    "commit": _commit,
}
