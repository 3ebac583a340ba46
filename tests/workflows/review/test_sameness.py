"""Which points are the same: in like words, of lines that they share."""

from __future__ import annotations

import pytest

from tests.workflows.review.lines import changed_file
from workflows.review.findings import Finding
from workflows.review.sameness import finding_id, is_same_point

SHOWN = changed_file("a.py", *(f"+x = {number}" for number in range(9)))


def point(title: str, line: int = 3, category: str = "bug") -> Finding:
    anchor = SHOWN.anchor(line)
    told = {
        "severity": "important",
        "category": category,
        "confidence": 0.9,
        "title": title,
        "body": "",
        "path": "a.py",
    }
    return Finding.model_validate(told | {"id": finding_id("a.py", title, anchor), "anchor": anchor})


@pytest.mark.parametrize(
    ("one", "other", "lines", "same"),
    [
        ("The mean of no numbers divides by zero", "An empty mean divides by zero", (3, 3), True),
        ("The file handle is never closed", "The retry count is never reset", (3, 3), False),
        ("SQL injection through name", "SQL injection through order", (3, 4), False),
        ("An empty list divides by zero", "Divides by zero for an empty list", (3, 4), True),
        ("An empty list divides by zero", "Divides by zero for an empty list", (3, 5), False),
        ("空列表会导致除以零", "列表为空时除以零", (3, 3), True),
        ("空列表会导致除以零", "文件句柄没有关闭", (3, 3), False),
        ("Пустой список приводит к делению на ноль", "Деление на ноль, если список пустой", (3, 3), True),
        ("Пустой список приводит к делению на ноль", "Файл остаётся открытым", (3, 3), False),
        ("💥", "💥", (3, 3), True),
        ("💥", "🔥", (3, 3), False),
    ],
)
def test_titles_in_any_script(one: str, other: str, lines: tuple[int, int], same: bool) -> None:
    """Reworded it is the same point, in scripts without spaces too; another fault on the line, or beside it, is not."""
    first, second = (point(title, line) for title, line in zip((one, other), lines, strict=True))
    assert (is_same_point(first, second), is_same_point(second, first)) == (same, same)
    assert (first.id == second.id) is (one == other)
