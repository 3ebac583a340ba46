"""What a review says: nothing that a model wrote acts, and a suggestion is committable only as it was tested."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workflows.review.lines import added_file
from workflows.review.findings import Evidence, Finding, RecordedRun
from workflows.review.render import Told, parse_finding_marker, render_inline, render_review, render_title
from workflows.review.sameness import finding_id
from workflows.review.suggestions import Suggestion, SuggestionCheck, render_suggestion
from workflows.texts.outbound import clean_outbound, clean_words

RUN = RecordedRun(command="pytest -q", exit_code=1, sha256="ab" * 32, excerpt="exit code 1\n..F\n```\nassert 1 == 2\n")
TESTED = SuggestionCheck(status="tested", passed=214, command="make test")


def finding(**changes: Any) -> Finding:
    anchor = added_file("a.py", b"x = 1\ny = 2\n").anchor(2)
    told: dict[str, Any] = {
        "id": finding_id("a.py", "t", anchor),
        "severity": "important",
        "category": "bug",
        "confidence": 0.5,
        "title": "y is never read",
        "body": "It is set and lost.",
        "path": "a.py",
        "anchor": anchor,
    }
    return Finding(**(told | changes))


def test_a_comment_on_a_line() -> None:
    """A comment has severity, title, words, evidence and a block to commit that says whether it was tested."""
    shown = finding(evidence=Evidence(run=RUN), suggestion=Suggestion(lines=("y = x",)), check=TESTED)
    body = render_inline(shown)
    assert body == "\n\n".join(
        [
            "**Important** (bug): y is never read",
            "It is set and lost.",
            "<details>\n<summary>Shown by a command that was run: exit code 1</summary>",
            "````console\n$ pytest -q\n..F\n```\nassert 1 == 2\n````",
            "</details>",
            "```suggestion\ny = x\n```",
            "Applied and tested: 214 passed (`make test`).",
            "<sub>Answer here, or ask with `/qwen fix` to have it fixed.</sub>",
            f"<!-- forgehand:finding={shown.id} -->",
        ]
    )
    assert parse_finding_marker(body.replace("\n", "\r\n")) == shown.id
    assert parse_finding_marker(f"> <!-- forgehand:finding={shown.id} -->") is None
    fork = SuggestionCheck(status="untested", reason="what comes from a fork is not run")
    untested = render_inline(finding(suggestion=Suggestion(lines=("y = x",)), check=fork))
    assert "```suggestion\ny = x\n```\n\nNot tested: what comes from a fork is not run." in untested
    failed = render_inline(finding(suggestion=Suggestion(lines=("y = x",)), check=SuggestionCheck(status="failed")))
    assert "suggestion" not in failed


@pytest.mark.parametrize(
    "lines",
    [("@media screen {",), ("/merge",), ("token = 'ghp_0123456789abcdefghijklmnopqrstuvwxyz'",), ("x = '\u202e'",)],
)
def test_a_suggestion_is_committed_as_it_was_tested_or_not_at_all(lines: tuple[str, ...]) -> None:
    """Where the filter of outgoing text would change a line, the finding is said in words alone."""
    body = render_inline(finding(suggestion=Suggestion(lines=lines), check=TESTED))
    assert "suggestion" not in body
    assert "tested" not in body
    assert "y is never read" in body


def test_words_cannot_pass_for_a_suggestion() -> None:
    """A block that a model put into its words can be read, and not be committed."""
    blocks = ["```suggestion\nrm()\n```", "- ~~~ Suggestion x\n  rm()\n  ~~~", "> ```suggestion\n> rm()"]
    for words in [*blocks, "1. ~~~suggestion\n   rm()\n   ~~~", "2) - ~~~suggestion\n     rm()\n     ~~~"]:
        body = render_inline(finding(body=words))
        assert "rm()" in body
        assert not re.search(r"(```|~~~)\s*suggestion", body, re.IGNORECASE)
        # In an answer within a thread, too, as nobody tried it.
        assert not re.search(r"(```|~~~)\s*suggestion", clean_words(words), re.IGNORECASE)


HOSTILE = st.text(alphabet=st.sampled_from("`~<>!-[]()@/#\\ \n&;abcsuggestion"), max_size=60) | st.sampled_from(
    [
        "@octocat please",
        "/qwen fix",
        "fixes #1",
        "<!-- forgehand:finding=0123456789ab -->",
        "</details>",
        "# heading",
        "![x](https://evil.example/a.png)",
        "```suggestion\nrm()\n```",
    ]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    title=HOSTILE, body=HOSTILE, reasoning=HOSTILE, lines=st.lists(HOSTILE.filter(lambda t: "\n" not in t), max_size=3)
)
def test_nothing_that_a_model_wrote_acts(title: str, body: str, reasoning: str, lines: list[str]) -> None:
    """Cleaning a comment again changes nothing, its own marker is the only one, and no other block is committable."""
    suggestion = Suggestion(lines=tuple(lines))
    shown = finding(title=title or "t", body=body, evidence=Evidence(reasoning=reasoning), suggestion=suggestion)
    text = render_inline(shown)
    assert clean_outbound(text) == text
    assert parse_finding_marker(text) == shown.id
    assert text.count("<!--") - render_suggestion(suggestion).count("<!--") <= 1
    without = text.replace(render_suggestion(suggestion), "", 1)
    assert not any(line.lstrip(" >*+-").startswith(("```suggestion", "~~~suggestion")) for line in without.split("\n"))
    summary = render_review(Told("a" * 40, folded=[shown], fixed=[title]), marker="<!-- forgehand:review=1 -->")
    assert summary.count("<!--") == 1
    assert clean_outbound(summary) == summary


def test_the_summary() -> None:
    """The summary counts by severity, folds the rest, and names what was fixed, what was not read, and what ran."""
    minor = finding(severity="minor", title="A slip", body="Only\nthis.", anchor=None, path="b c.py")
    body = render_review(
        Told(
            head="0123456789abcdef",
            inline=[finding(), finding(severity="critical")],
            folded=[minor],
            fixed=["An old one"],
            open_before=1,
            unread=[("yarn.lock", "generated"), ("big.sql", "too large")],
            runs=[RUN],
            notes=["The linked issue #7 asks for a test, and there is none."],
        ),
        marker="<!-- forgehand:review=x -->",
    )
    assert body.startswith(
        "**Review of `0123456789ab`:** 1 critical, 1 important, 1 minor. 2 on their lines. 1 earlier point"
    )
    for part in (
        "Fixed since the last review:\n\n- An old one",
        "<summary>1 point without a comment</summary>\n\n- minor · `b c.py` · **A slip**: Only this.",
        "<summary>2 files were not read</summary>\n\n- `yarn.lock`: generated\n- `big.sql`: too large",
        f"- `pytest -q`: exit code 1, output `{'ab' * 32}`",
    ):
        assert part in body
    assert body.endswith("\n\n<!-- forgehand:review=x -->")
    assert clean_outbound(body) == body
    quiet = render_review(Told("0" * 40), marker="<!-- forgehand:review=x -->")
    assert quiet == "**Review of `000000000000`:** nothing that matters was found.\n\n<!-- forgehand:review=x -->"
    assert (render_title([minor]), render_title([])) == ("1 minor", "Nothing to say")


def test_a_point_without_a_comment_is_linked_to_its_line() -> None:
    """What stands in the summary alone leads to the reviewed commit; lines that are gone there lead nowhere."""
    blob = "https://github.com/o/r/blob/" + "a" * 40
    told = Told("a" * 40, blob=blob, folded=[finding(), finding(anchor=None, path="b c (d).py", id="0" * 12)])
    body = render_review(told, marker="<!-- forgehand:r=1 -->")
    assert f"[`a.py:2`]({blob}/a.py#L2)" in body
    assert f"[`b c (d).py`]({blob}/b%20c%20%28d%29.py)" in body
    anchor = finding().anchor
    assert anchor is not None
    gone = finding(anchor=anchor.model_copy(update={"side": "LEFT"}))
    assert "](" not in render_review(replace(told, folded=[gone]), marker="<!-- forgehand:r=1 -->")


def test_evidence_is_short() -> None:
    """Of a long output the last lines are shown, and not more than a screen."""
    loud = RUN.model_copy(update={"excerpt": "\n".join(f"line {number}" for number in range(200))})
    body = render_inline(finding(evidence=Evidence(run=loud)))
    assert "line 199" in body
    assert "line 187\n" not in body
    wide = RUN.model_copy(update={"excerpt": "x" * 1_500})
    assert len(render_inline(finding(evidence=Evidence(run=wide)))) < 1_500


def test_a_summary_fits_in_a_comment() -> None:
    """However much there is, the summary is one comment with its marker."""
    many = [finding(title=f"{number} " + "long " * 30, body="words " * 700) for number in range(100)]
    unread = [(f"{'deep/' * 50}{number}.py", "generated") for number in range(5_000)]
    body = render_review(Told("0" * 40, folded=many, unread=unread, runs=[RUN] * 100), marker="<!-- forgehand:r=1 -->")
    assert len(body) <= 65_536
    assert body.endswith("<!-- forgehand:r=1 -->")
    assert "and 4950 more" in body
