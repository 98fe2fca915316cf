"""The requests that an engine is working on, and who may take the next slot.

A slot can't be taken back, so some are kept free: nobody waits for background work, so it holds a quarter of them at most; an
eighth is for urgent requests alone; and one user leaves a quarter to the others, however many requests they send.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from appliance.engines.requests import PendingRequest
from appliance.plugin_api.engine import Lane

_BACKGROUND_SHARE: Final = 4
_URGENT_SHARE: Final = 8
_OTHERS_SHARE: Final = 4


class Slots:
    """Up to ``limit`` running requests by their id."""

    def __init__(self, limit: int) -> None:
        self.resize(limit)
        self._running: dict[int, PendingRequest] = {}
        self._lanes: Counter[Lane] = Counter()
        self._users: Counter[str] = Counter()

    def resize(self, limit: int) -> None:
        """From now on up to ``limit`` may run; what runs goes on, even if it is more."""
        self.limit = limit
        self._background = max(1, limit // _BACKGROUND_SHARE)
        self._not_urgent = limit - limit // _URGENT_SHARE
        self._one_user = limit - limit // _OTHERS_SHARE

    def __len__(self) -> int:
        return len(self._running)

    @property
    def room(self) -> int:
        """How many more may run."""
        return max(0, self.limit - len(self._running))

    @property
    def full(self) -> bool:
        """Whether nothing more can run."""
        return len(self._running) >= self.limit

    def may_run(self, request: PendingRequest) -> bool:
        """Whether a slot is free for this one."""
        if self.full:
            return False
        if request.lane is Lane.URGENT:
            return True
        if request.lane is Lane.BACKGROUND and self._lanes[Lane.BACKGROUND] >= self._background:
            return False
        not_urgent = len(self._running) - self._lanes[Lane.URGENT]
        return not_urgent < self._not_urgent and self._users[request.user] < self._one_user

    def add(self, request: PendingRequest) -> None:
        """It runs from now on, under ``request.request_id``."""
        self._running[request.request_id] = request
        self._lanes[request.lane] += 1
        self._users[request.user] += 1

    def get(self, request_id: int) -> PendingRequest | None:
        """The running request of this id."""
        return self._running.get(request_id)

    def free(self, request_id: int) -> PendingRequest | None:
        """It runs no longer; None if it did not."""
        request = self._running.pop(request_id, None)
        if request is not None:
            self._lanes[request.lane] -= 1
            self._users[request.user] -= 1
            if not self._users[request.user]:
                del self._users[request.user]
        return request

    def empty(self) -> list[PendingRequest]:
        """Nothing runs any longer; what did, in order of start."""
        running = list(self._running.values())
        self._running.clear()
        self._lanes.clear()
        self._users.clear()
        return running
