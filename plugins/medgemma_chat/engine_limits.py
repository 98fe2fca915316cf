"""How much a step may read, and how many conversations the memory holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from appliance.plugin_api.kv_geometry import KvGeometry
from plugins.medgemma_chat.budget import in_blocks

_LEAST_TOKENS: Final = 16
_SMOOTHING: Final = 0.3
_OTHERS_PLACES: Final = 4
_OTHERS_BYTES: Final = 8


def with_reserve(places: int) -> int:
    """``places`` and a quarter more, which only the first row of a person (and what is urgent) may take.

    A row can't be stopped in the middle: without them a person with a hundred requests would hold every place, and the next
    one's first word would wait for one of those answers to end.
    """
    return places + max(1, places // _OTHERS_PLACES)


class PrefillPace:
    """Bounds what is read of prompts in one step, so that running answers wait ``stall_s`` at most.

    Learns the seconds that a token costs from what was read; the first chunks are small.
    """

    def __init__(self, stall_s: float, most_tokens: int) -> None:
        self._stall_s = stall_s
        self._most = most_tokens
        self._token_s: float | None = None

    def tokens(self, rows: int, *, others_wait: bool) -> int:
        """Tokens of each row to read in this step. With nobody waiting for a next token the most there may be."""
        if not others_wait:
            return self._most
        if self._token_s is None:
            return min(self._most, _LEAST_TOKENS)
        return max(_LEAST_TOKENS, min(self._most, int(self._stall_s / self._token_s / max(1, rows))))

    def learn(self, tokens: int, seconds: float) -> None:
        """``tokens`` (of all rows together) took ``seconds``."""
        if tokens <= 0 or seconds <= 0:
            return
        measured = seconds / tokens
        old = self._token_s
        self._token_s = measured if old is None else old + _SMOOTHING * (measured - old)


class KvBudget:
    """Admits a row only if the caches of all rows, each padded to the longest of its bucket and full to its end, still fit."""

    def __init__(self, geometry: KvGeometry, max_bytes: int) -> None:
        self._geometry = geometry
        self.max_bytes = max_bytes

    def needed(self, buckets: Iterable[Sequence[int]]) -> int:
        """Bytes of buckets given as the longest contexts (tokens) that their rows may reach."""
        return sum(len(rows) * self._geometry.row_bytes(in_blocks(max(rows))) for rows in buckets if rows)

    def fits(self, buckets: Iterable[Sequence[int]]) -> bool:
        """Whether these rows may be in memory together."""
        return self.needed(buckets) <= self.max_bytes

    def fits_beside_others(self, buckets: Iterable[Sequence[int]]) -> bool:
        """Whether these rows leave an eighth of the memory: for whoever has none yet."""
        return self.needed(buckets) <= self.max_bytes - self.max_bytes // _OTHERS_BYTES

    def longest_context(self, most: int) -> int:
        """The longest context up to ``most`` of which one row alone fits."""
        while most > 1 and not self.fits([[most]]):
            most = most * 3 // 4
        return most
