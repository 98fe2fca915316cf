"""Maintenance windows: ``HH:MM-HH:MM`` of the machine's own local time, over midnight if the end comes first."""

from __future__ import annotations

import re
from datetime import time

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def parse(text: str) -> tuple[time, time]:
    """(begin, end). Raises ``ValueError``."""
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no window: say HH:MM-HH:MM")
    hour, minute, end_hour, end_minute = map(int, found.groups())
    return time(hour, minute), time(end_hour, end_minute)


def within(text: str, now: time) -> bool:
    """Whether ``now`` lies in the window. Raises ``ValueError``."""
    begin, end = parse(text)
    return begin <= now < end if begin <= end else now >= begin or now < end
