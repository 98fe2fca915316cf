"""Where an engine's requests run: in the own child, and in the other node's engine while that one is lent to us."""

from __future__ import annotations

from typing import Final, Protocol

from appliance.engines.requests import PendingRequest
from appliance.engines.slots import Slots
from appliance.plugin_api.messages import ToEngine

MOST_AWAY_BYTES: Final = (1 << 20) - (8 << 10)
"""A larger payload stays here: one message between the nodes carries no more. A full window of speech has 960 000."""


class Line(Protocol):
    """What takes requests: a living child's channel, or the way to the other node's engine."""

    @property
    def writable(self) -> bool: ...
    def send(self, message: ToEngine) -> None: ...


class Target:
    """One engine that works for us: the line to it, None while there is none, and what it works on."""

    def __init__(self, limit: int) -> None:
        self.line: Line | None = None
        self.slots = Slots(limit)

    @property
    def open(self) -> bool:
        """Whether it could take anything now."""
        return self.line is not None and self.line.writable and not self.slots.full

    def may_run(self, request: PendingRequest) -> bool:
        """Whether it may take this one now."""
        return self.open and self.slots.may_run(request)


class Targets:
    """``own`` and ``far``; nothing is ``far`` until it is lent."""

    def __init__(self, limit: int) -> None:
        """``limit``: the own engine's slots."""
        self.own = Target(limit)
        self.far = Target(0)

    def choose(self, request: PendingRequest) -> Target | None:
        """Who takes ``request`` now; None: it waits.

        The own engine while half of its slots are free, then whichever has more free: what shares a batch slows each other
        down, what crosses the link costs it a part of a millisecond.
        """
        own = self.own.may_run(request)
        if not (may_leave(request) and self.far.may_run(request)):
            return self.own if own else None
        slots = self.own.slots
        roomy = 2 * slots.room >= slots.limit or slots.room >= self.far.slots.room
        return self.own if own and roomy else self.far

    def may_run(self, request: PendingRequest) -> bool:
        """Whether anybody may take it now."""
        return self.choose(request) is not None

    def working_on(self, request_id: int) -> Target | None:
        """Who has the request of this id."""
        return next((target for target in (self.own, self.far) if target.slots.get(request_id) is not None), None)


def may_leave(request: PendingRequest) -> bool:
    """Whether it may run on the other node.

    Not what must run only once (a probe also proves the own child, and nobody else), not what came back from there already,
    not what may have killed a child, not what is too large.
    """
    return (
        request.options.idempotent
        and not request.stays
        and not request.suspect
        and len(request.payload) <= MOST_AWAY_BYTES
    )
