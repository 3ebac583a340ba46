"""The pages a newcomer looks at, with text that strangers wrote."""

from __future__ import annotations

import re

import pytest
import requests

from app.localhub.pages import BANNER, render_markdown
from app.localhub.reviews import Wanted
from app.localhub.server import LocalHub
from tests.localhub.conftest import REPO

EVIL = "<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) <a href='javascript:x'>y</a>"


def page(hub: LocalHub, path: str) -> str:
    answer = requests.get(hub.html_url + path, timeout=30)
    assert answer.status_code == 200, answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert BANNER in answer.text
    return answer.text


def test_issue_and_repository(hub: LocalHub) -> None:
    """An issue shows its Markdown and comments; the repository lists it."""
    number = hub.create_issue(
        REPO, "alice", "add is wrong", "It **fails**:\n\n- [ ] one\n- [x] two", labels=["bug"]
    ).number
    hub.add_comment(REPO, number, "forgehand[bot]", "<!-- hidden marker -->\n| a | b |\n|---|---|\n| 1 | 2 |")
    shown = page(hub, f"/{REPO}/issues/{number}")
    assert "<strong>fails</strong>" in shown
    assert "☐ one" in shown
    assert "☑ two" in shown
    assert "<td>1</td>" in shown
    assert "hidden marker" not in shown
    assert "add is wrong" in page(hub, f"/{REPO}")
    assert REPO in page(hub, "/")


def test_pull_request(hub: LocalHub) -> None:
    """A pull request shows checks, commits, review comments and a coloured diff."""
    sha = hub.commit(REPO, {"calc.py": "def add(a, b):\n    return a + b\n"}, branch="fix", message="Fix add")
    number = hub.open_pull_request(REPO, "alice", head="fix", title="Fix add", body="Fixes #1").number
    hub.submit_review(REPO, number, "bob", body="hm", comments=[Wanted("calc.py", "use **sum**", line=2)])
    shown = page(hub, f"/{REPO}/pull/{number}")
    assert re.search(r'<tr class="removed">.*-    return a - b', shown)
    assert re.search(r'<tr class="added">.*\+    return a \+ b', shown)
    for words in ("Fix add", sha[:10], "use <strong>sum</strong>", "Files changed (1)"):
        assert words in shown
    assert requests.get(f"{hub.html_url}/{REPO}/issues/{number}", timeout=30).url.endswith(f"/pull/{number}")
    assert "+    return a + b" in requests.get(f"{hub.html_url}/{REPO}/pull/{number}.diff", timeout=30).text
    assert "Fix add" in page(hub, f"/{REPO}/commit/{sha}")


def test_strangers_text_is_harmless(hub: LocalHub) -> None:
    """No script, handler or javascript: address of a stranger reaches the page from title, body, file or name."""
    number = hub.create_issue(REPO, "alice", EVIL, EVIL).number
    hub.add_comment(
        REPO, number, "alice", f"```\n{EVIL}\n```\n\n<details>\n<summary>{EVIL}</summary>\n\n{EVIL}</details>"
    )
    hub.commit(REPO, {"<img src=x onerror=alert(1)>.txt": EVIL}, branch="evil", message=EVIL)
    pull = hub.open_pull_request(REPO, "alice", head="evil", title=EVIL, body=EVIL).number
    for path in (f"/{REPO}", f"/{REPO}/issues/{number}", f"/{REPO}/pull/{pull}"):
        shown = page(hub, path)
        assert "<script" not in shown
        assert "<img" not in shown
        assert not re.search(r"<[^>]*(javascript:|onerror)[^>]*>", shown, re.IGNORECASE)
    assert "<details>" in page(hub, f"/{REPO}/issues/{number}")


@pytest.mark.parametrize(
    "text",
    [
        "<details onclick=alert(1)>",
        "<br onload=x>",
        "<DETAILS/onclick=x>",
        "<!--><script>x</script>-->",
        "<!-- --><script>x</script>",
        "<scr<!-- -->ipt>x</scr<!-- -->ipt>",
        "<<br>script>x</script>",
        "<details\nopen ontoggle=alert(1)>",
        "&lt;script&gt;",
        "<svg><script>x</script></svg>",
        "<sub><img src=x></sub>",
    ],
)
def test_tags_are_bare_or_text(text: str) -> None:
    """Only a few tags without attributes pass; every other angle bracket becomes text."""
    shown = str(render_markdown(text))
    allowed = r"</?(?:p|details|summary|sub|sup|kbd|br|code|pre)(?: /| open)?>"
    assert "<" not in re.sub(allowed, "", shown), shown


def test_missing_pages(hub: LocalHub) -> None:
    """An address that names nothing is a friendly 404."""
    for path in ("/nobody/nothing", f"/{REPO}/issues/99", f"/{REPO}/pull/1", f"/{REPO}/tree/x", "/favicon.ico"):
        answer = requests.get(hub.html_url + path, timeout=30)
        assert answer.status_code == 404
        assert "names no repository" in answer.text
