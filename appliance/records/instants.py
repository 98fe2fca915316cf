"""Milliseconds since 1970 as FHIR instants, for comparing with stored ``lastUpdated`` texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = "0001-01-01T00:00:00.000Z"
_LAST: Final = "9999-12-31T23:59:59.999Z"


def instant_of(milliseconds: int) -> str:
    """The instant; before year 1 or after 9999 the nearest one."""
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _FIRST if milliseconds < 0 else _LAST
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")  # strftime leaves years below 1000 unpadded
