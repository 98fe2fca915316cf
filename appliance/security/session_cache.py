"""Sessions in memory, so that authenticating a request costs a look-up and not a query.

The node that writes is the only one that revokes, and it drops entries as soon as the revocation is durable; an entry is
nevertheless read again every ``FRESH_S``. An answer that was read before a revocation is never put in after it: readers
note ``epoch`` before they read and hand it back.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from appliance.plugin_api.http import Principal

FRESH_S: Final = 30.0
_MAX_ENTRIES: Final = 8192


@dataclass(frozen=True, slots=True)
class Entry:
    """A valid access token's session; times are monotonic seconds."""

    principal: Principal
    fingerprint: bytes
    ends_at: float
    fresh_until: float


class SessionCache:
    """By token digest. Used on the event loop only, except ``newest``, which any thread may read with ``get``."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.newest: dict[str, int] = {}
        self.epoch = 0
        """Grows with every invalidation."""

    def get(self, digest: bytes) -> Entry | None:
        """The entry, if there is one."""
        return self._entries.get(digest)

    def put(self, digest: bytes, entry: Entry, generation: int, epoch: int) -> bool:
        """Keep an answer that was read after ``epoch`` was noted; False when an invalidation came in between."""
        if epoch != self.epoch:
            return False
        self._entries[digest] = entry
        session = entry.principal.session_id
        self.newest[session] = max(generation, self.newest.get(session, 0))
        while len(self._entries) > _MAX_ENTRIES:
            _, oldest = self._entries.popitem(last=False)
            self.newest.pop(oldest.principal.session_id, None)
        return True

    def drop(self, *, session_id: str | None = None, user_id: str | None = None, device_id: str | None = None) -> None:
        """Forget every token of a session, a person or a device."""
        self.epoch += 1
        for digest, entry in list(self._entries.items()):
            who = entry.principal
            if who.session_id == session_id or who.user_id == user_id or who.device_id == device_id:
                del self._entries[digest]

    def drop_token(self, digest: bytes) -> None:
        """Forget one token that has ended."""
        self._entries.pop(digest, None)

    def clear(self) -> None:
        """Forget everything: this node's role has changed."""
        self.epoch += 1
        self._entries.clear()
        self.newest.clear()

    def __len__(self) -> int:
        return len(self._entries)
