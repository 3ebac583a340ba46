"""What people say without a command where it can mean one thing only."""

from __future__ import annotations

import re

_FIX_THIS = re.compile(
    r"(?:(?:yes|ok(?:ay)?|right|true|good catch|agreed|sure|fair|makes sense|thanks)[,.!]{0,2}\s{1,3}){0,2}"
    r"(?:(?:can|could|would|will) you\s{1,3})?(?:please\s{1,3}|pls\s{1,3})?(?:go ahead and\s{1,3})?"
    r"(?:fix\s{1,3}(?:this|it|that)(?:\s{1,3}(?:one|finding))?(?:,?\s{1,3}(?:please|pls|for me|thanks|thank you)){0,2}"
    r"|(?<=please )fix|fix,?\s{1,3}please)[.!?\s]{0,5}",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"^([*_]{1,3}|`)(.+)\1$", re.DOTALL)


def asks_to_fix(text: str) -> bool:
    """Whether an answer in a thread says nothing but that what the thread is about should be fixed."""
    plain = text.strip()
    return len(text) <= 100 and bool(_FIX_THIS.fullmatch(_EMPHASIS.sub(r"\2", plain)))
