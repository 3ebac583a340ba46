"""Our text in our own pull request's body: renewed where it is as we wrote it, and people's words always kept."""

from __future__ import annotations

import hashlib
import time

import pytest

from workflows.publishing.pull_body import MARKS, first_body, renewed_body
from workflows.texts.outbound import MAX_CHARACTERS

FIRST = "## Summary\n\n- [ ] One thing.\n\n<!-- forgehand:job=gh-1 -->"
SECOND = "## Summary\n\nTwo things.\n\n<!-- forgehand:job=gh-2 -->"
THIRD = "Three things."


def renewed(body: str, text: str) -> str:
    found = renewed_body(body, text)
    assert found is not None
    assert renewed_body(found, text) == found, "done again, it changes nothing"
    return found


def test_it_is_replaced_where_it_stands() -> None:
    """As we wrote it, it is replaced; what people wrote around it stays, to the character."""
    body = f"Read this first.\r\n\r\n{first_body(FIRST)}\n\nAnd *this* after."
    found = renewed(body, SECOND)
    assert "One thing." not in found
    assert "Two things." in found
    assert found.startswith("Read this first.\r\n\r\n<!-- forgehand:section=change -->")
    assert found.endswith("\n\nAnd *this* after.")


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_saving_without_an_edit_is_none(end: str) -> None:
    """What GitHub's page does to line ends when somebody saves the text unchanged is no edit."""
    assert "One thing." not in renewed(first_body(FIRST).replace("\n", end), SECOND)


@pytest.mark.parametrize(
    "edited", [("One thing.", "One thing, said better."), ("- [ ]", "- [x]"), ("<!-- forgehand:text=", "<!-- mine=")]
)
def test_an_edit_within_it_stays(edited: tuple[str, str]) -> None:
    """Where people edited our own words they stay, and the new text stands below; later ones replace that."""
    body = first_body(FIRST).replace(*edited)
    found = renewed(body, SECOND)
    assert found.startswith(body)
    assert "Two things." in found
    assert "edited by people" in found
    again = renewed(found, THIRD)
    assert again.startswith(body)
    assert "Two things." not in again
    assert again.count("edited by people") == 1


def test_a_text_without_markers_stays() -> None:
    """Where people took our markers out, or there never were some, nothing is taken for ours."""
    found = renewed("All theirs.", FIRST)
    assert found.startswith("All theirs.\n\n<!-- forgehand:section=change -->\n## Summary")


def test_the_longest_text_has_room_and_a_longer_body_none() -> None:
    """The markers find room beside the longest text; a body that people filled is left alone."""
    longest = "x" * (MAX_CHARACTERS - MARKS)
    assert len(first_body(longest)) <= MAX_CHARACTERS
    assert renewed_body("y" * 1_000 + first_body(FIRST), longest) is None


def test_a_template_with_our_markers_is_no_end() -> None:
    """A line like a marker of ours in a repository's template ends no section."""
    text = "One.\n<!-- forgehand:end=change -->\n<!-- forgehand:section=change -->\nTwo."
    assert "Two." not in renewed(first_body(text), SECOND)


@pytest.mark.parametrize("piece", ["\n", "\n \n", "<!-- forgehand:text=0123456789abcdef -->\n"])
def test_what_people_left_in_it_costs_linear_time(piece: str) -> None:
    """Lines that the seal could be looked for at, over and over: twice as many take about twice as long."""

    def seconds(size: int) -> float:
        body = first_body(f"One.{piece * (size // len(piece))}x")
        body = body.replace("text=", "text =") if piece[0] == "\n" else body
        start = time.thread_time()
        assert renewed_body(body, "Two.") is not None
        return time.thread_time() - start

    half, whole = seconds(16_000), seconds(32_000)
    assert whole < 3 * half + 0.1
    assert whole < 1


def opened(number: int) -> str:
    return f"<!-- forgehand:section=change{f'-{number}' if number > 1 else ''} -->\n"


def closed(number: int) -> str:
    return opened(number).replace("section=", "end=")


def test_forged_sections_cost_linear_time() -> None:
    """As many as a body holds, beside each other or each around the next, are passed by at a glance each."""
    seal = "<!-- forgehand:text=0123456789abcdef -->\n"
    numbers = range(1, 450)
    beside = "".join(f"{opened(number)}{seal}{closed(number)}" for number in numbers)
    around = "".join(map(opened, numbers)) + "".join(seal + closed(number) for number in numbers)
    for body in (beside, around):
        assert len(body) < MAX_CHARACTERS
        start = time.thread_time()
        found = renewed_body(body, "Two.")
        assert time.thread_time() - start < 0.1
        assert found is not None
        assert found.startswith(f"{body}\n{opened(450)}")


@pytest.mark.parametrize(("within", "theirs"), [("Words.", False), (f"{opened(3)}{closed(3)}".rstrip(), True)])
def test_a_section_around_another_is_not_ours(within: str, theirs: bool) -> None:
    """Its seal may be right, but we never write markers into our text, so it is people's."""
    digest = hashlib.sha256(within.encode()).hexdigest()[:16]
    body = f"{opened(1)}{within}\n\n<!-- forgehand:text={digest} -->\n{closed(1)}"
    assert renewed(body, SECOND).startswith(body) is theirs
