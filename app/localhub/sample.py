"""The sample that a newcomer finds in a freshly started local GitHub: a small repository with a bug and an issue."""

from __future__ import annotations

from app.localhub.server import LocalHub

REPOSITORY = "octo/temperature"
PERSON = "alice"
FILES = {
    "README.md": "# temperature\n\nConverts between Celsius and Fahrenheit.\n",
    "temperature.py": (
        '"""Convert temperatures."""\n\n\n'
        "def to_fahrenheit(celsius: float) -> float:\n    return celsius * 9 / 5 + 32\n\n\n"
        "def to_celsius(fahrenheit: float) -> float:\n    return fahrenheit - 32 * 5 / 9\n"
    ),
    "test_temperature.py": (
        "from temperature import to_celsius, to_fahrenheit\n\n\n"
        "def test_freezing_in_fahrenheit():\n    assert to_fahrenheit(0) == 32\n\n\n"
        "def test_zero_fahrenheit_is_cold():\n    assert to_celsius(0) < 0\n"
    ),
    "CHANGELOG.md": "# Changelog\n\n## Unreleased\n",
}
TITLE = "to_celsius gives wrong results"
BODY = "`to_celsius(212)` should be 100, but it returns 194.2 or so.\n\nIt seems to forget parentheses."


def seed_sample(hub: LocalHub) -> int:
    """Make the sample repository with one person and one issue, and return the issue's number."""
    hub.create_repository(REPOSITORY, files=FILES, description="A sample with a bug")
    hub.create_user(PERSON)
    hub.set_permission(REPOSITORY, PERSON, "write")
    return hub.create_issue(REPOSITORY, PERSON, TITLE, BODY).number
