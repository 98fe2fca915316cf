"""Word lists that read as words, not as rows of quotation marks."""

from __future__ import annotations


def listed(text: str) -> list[str]:
    """The words of ``text`` in order."""
    return text.split()


def words(text: str) -> frozenset[str]:
    """The words of ``text`` as a set."""
    return frozenset(text.split())
