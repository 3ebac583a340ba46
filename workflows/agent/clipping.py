"""Long text cut to its head and tail."""

from __future__ import annotations


def clip(text: str, limit: int) -> str:
    """The text, or its head and tail with a note on how much is left out between them; about ``limit`` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"
