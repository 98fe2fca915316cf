"""FHIR dates as ranges of time (FHIR R4 §2.24.0.1 date, dateTime, instant; §3.1.1.4.5 search by date).

A date of any precision is the half-open range of milliseconds since 1970 that it names: ``2024`` is a whole year.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

HOSPITAL_ZONE: Final = timezone(timedelta(hours=-3))
"""Where a day begins when a date has no zone of its own: Brasília, without daylight saving since 2019."""
EARLIEST: Final = -(1 << 62)
LATEST: Final = 1 << 62
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST_YEAR: Final = 9999
_SHAPE: Final = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(T(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d+))?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?"
)

Range = tuple[int, int]


def date_range(text: str) -> Range:
    """(first millisecond inside, first one outside) of a FHIR date, dateTime or instant.

    Raises:
        ValueError: not such a date, or not in the calendar.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError("not a date")
    year, month, day = int(match["year"]), match["month"], match["day"]
    if match["hour"] is not None:
        return _moment(match)
    start = datetime(year, int(month or 1), int(day or 1), tzinfo=HOSPITAL_ZONE)
    if day is not None:
        return _milliseconds(start), _milliseconds(start) + 86_400_000
    return _milliseconds(start), _after(year, int(month) if month else None)


def is_calendar_date(text: str) -> bool:
    """Whether the day exists; the schema has already checked the form."""
    try:
        date_range(text)
    except (ValueError, OverflowError):
        return False
    return True


def period_range(start: str | None, end: str | None) -> Range:
    """The range of a FHIR Period; an open side reaches to the end of time."""
    low = date_range(start)[0] if start else EARLIEST
    high = date_range(end)[1] if end else LATEST
    return low, high


def _moment(match: re.Match[str]) -> Range:
    second = int(match["second"] or 0)
    leap = second == 60  # noqa: PLR2004  FHIR allows the leap second; it is stored as the last one of its minute
    whole = datetime(
        int(match["year"]),
        int(match["month"]),
        int(match["day"]),
        int(match["hour"]),
        int(match["minute"]),
        59 if leap else second,
        tzinfo=_zone(match["zone"]),
    )
    low = _milliseconds(whole)
    if match["second"] is None:
        return low, low + 60_000
    if match["fraction"] is None:
        return low, low + 1000
    digits = match["fraction"][:3]
    return low + int(digits.ljust(3, "0")), low + int(digits.ljust(3, "0")) + int(10 ** (3 - len(digits)))


def _zone(text: str | None) -> timezone:
    if text is None:
        return HOSPITAL_ZONE
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)


def _after(year: int, month: int | None) -> int:
    if month is None or month == 12:  # noqa: PLR2004  December
        year, month = year + 1, 1
    else:
        month += 1
    if year > _LAST_YEAR:
        return LATEST
    return _milliseconds(datetime(year, month, 1, tzinfo=HOSPITAL_ZONE))


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
