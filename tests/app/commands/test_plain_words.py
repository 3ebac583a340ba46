"""What is heard as a command without being one, and what is only about one."""

from __future__ import annotations

import pytest

from app.commands.plain_words import asks_to_fix


@pytest.mark.parametrize(
    "text",
    [
        *(
            "fix this",
            "Please fix this!",
            "can you fix this?",
            "Could you please fix this?",
            "please fix",
            "Please fix.",
        ),
        *(
            "Agreed, please fix this.",
            "Yes, please fix this, thanks",
            "go ahead and fix this",
            "fix this one",
            "ok fix it",
        ),
        *("**fix this**", "_please fix this_", "`fix this`", "  Fix this.\n", "Good catch! Please fix that for me"),
    ],
)
def test_words_that_ask_for_the_fix(text: str) -> None:
    """Whoever says nothing else, however politely, wants it fixed."""
    assert asks_to_fix(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "fix",
            "Why fix this?",
            "Don't fix this",
            "I will fix this",
            "Please do not fix this",
            "not agreed, fix that",
        ),
        *(
            "Please fix the other one",
            "> fix this",
            "fix this and that other thing",
            "fix this " * 20,
            "please fixture",
        ),
    ],
)
def test_words_that_ask_for_nothing(text: str) -> None:
    """A promise, a question, a quotation and a refusal start no job."""
    assert not asks_to_fix(text)
