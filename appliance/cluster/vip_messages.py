"""What core and vipd say to each other: one JSON line each way on a Unix socket."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

LINE_LIMIT_BYTES: Final = 4096
Verb = Literal["acquire", "renew", "release", "status"]


class VipRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``deadline_s`` is absolute on the lease clock: a request that waited in a queue does not prolong anything.

    ``addresses`` and ``interface`` count only for ``acquire``; all of them come up together, or none.
    """

    verb: Verb
    epoch: int = 0
    deadline_s: float = 0.0
    addresses: tuple[str, ...] = ()
    interface: str = ""


class VipAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """vipd's state after the request. ``code`` and ``details`` tell why it was refused; empty: it was done."""

    epoch: int
    """The highest epoch that vipd has seen since it started."""
    held: tuple[str, ...] = ()
    """Addresses granted until ``deadline_s``; empty: nobody holds them."""
    up: tuple[str, ...] = ()
    """Allowed addresses that this machine really has now."""
    deadline_s: float = 0.0
    backend: str = ""
    code: str = ""
    details: dict[str, str | int] = {}
