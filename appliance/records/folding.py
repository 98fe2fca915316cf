"""Texts as searches see them: without case, accents and repeated spaces (FHIR R4 §3.1.1.4.8)."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """``"  São João "`` → ``"sao joao"``."""
    if text.isascii():
        return " ".join(text.lower().split())
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(letter for letter in decomposed if not unicodedata.combining(letter)).split())


def word_starts(folded: str) -> list[str]:
    """``"maria da silva"`` → itself, ``"da silva"``, ``"silva"``: a prefix search then finds every word."""
    words = folded.split(" ")
    return [" ".join(words[start:]) for start in range(len(words))] if folded else []
