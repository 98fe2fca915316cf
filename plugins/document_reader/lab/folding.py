"""How printed words are compared: small letters, no accents, the micro sign as u, raised digits as digits."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SIGNS: Final = str.maketrans({"µ": "u", "μ": "u", "–": "-", "—": "-", "−": "-"})
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9+ ]+")
_LEADERS: Final = re.compile(r"[.·…_:=]{2,}|[:=]+$")


def folded(text: str) -> str:
    """``"Potássio"`` → ``"potassio"``, ``"mm³"`` → ``"mm3"``. The letter º stays what it is: it is what ³ is often taken for."""
    parts = (unicodedata.normalize("NFKD", sign) if sign != "º" else sign for sign in text.lower().translate(_SIGNS))
    return "".join(sign for part in parts for sign in part if not unicodedata.combining(sign)).translate(_SIGNS)


def name_of(text: str) -> str:
    """A printed name as the table has it: folded, without leaders, brackets and hyphens."""
    return " ".join(_NOT_IN_NAMES.sub(" ", _LEADERS.sub(" ", folded(text))).split())


def unit_of(text: str) -> str:
    """A printed unit as the table has it: folded, without blanks."""
    return "".join(folded(text).split())
