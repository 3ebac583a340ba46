"""What people say without a command where it can mean one thing only."""

from __future__ import annotations

import re

_FIX_THIS = re.compile(
    r"(?:(?:yes|ok(?:ay)?|right|true|good catch)[,.!]?\s{1,3})?(?:please\s{1,3}|can you\s{1,3}|could you\s{1,3})?"
    r"fix\s{1,3}(?:this|it|that)(?:,?\s{1,3}(?:please|for me|thanks))?[.!?\s]{0,5}",
    re.IGNORECASE,
)


def asks_to_fix(text: str) -> bool:
    """Whether an answer in a thread says nothing but that what the thread is about should be fixed."""
    return len(text) <= 100 and bool(_FIX_THIS.fullmatch(text.strip()))
