"""Requests that kill: remembered by a hash of their content, never by the content."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

DEATHS_UNTIL_POISON: Final = 2
_REMEMBERED: Final = 1024


def fingerprint(kind: str, payload: bytes) -> bytes:
    """What two identical requests have in common."""
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    digest.update(b"\0")
    digest.update(payload)
    return digest.digest()


class PoisonRegister:
    """Counts the deaths at which a request was alive; bounded, the oldest is forgotten first."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._deaths: OrderedDict[bytes, int] = OrderedDict()
        self._remembered = remembered

    def blame(self, prints: Iterable[bytes]) -> None:
        """These were alive when the child died. Identical requests of one death count once."""
        for mark in set(prints):
            self._deaths[mark] = self._deaths.get(mark, 0) + 1
            self._deaths.move_to_end(mark)
        while len(self._deaths) > self._remembered:
            self._deaths.popitem(last=False)

    def suspect(self, mark: bytes) -> bool:
        """Alive at one death or more."""
        return mark in self._deaths

    def poisonous(self, mark: bytes) -> bool:
        """Alive at two deaths: refuse it."""
        return self._deaths.get(mark, 0) >= DEATHS_UNTIL_POISON

    def acquit(self, mark: bytes) -> None:
        """It ended without harm."""
        self._deaths.pop(mark, None)

    def clear(self) -> None:
        """Forget everything (operator's reset, or a new model)."""
        self._deaths.clear()

    def __len__(self) -> int:
        return len(self._deaths)
