"""What the provider (in the core) and the engine (in its child) say to each other, as msgpack."""

from __future__ import annotations

import msgspec

MIRROR = "mirror"


class Question(msgspec.Struct, frozen=True, array_like=True):
    """Words to mirror, and how many of them at most."""

    words: list[str]
    max_words: int


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """One word of the answer; the last piece of an answer has a ``finish_reason``."""

    text: str
    finish_reason: str | None = None
