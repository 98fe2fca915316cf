"""How the engine and its worker frame what they say."""

from __future__ import annotations

from typing import Final

LENGTH_BYTES: Final = 4
"""An unsigned little-endian length before each question and answer; an answer of no length ends a question."""
