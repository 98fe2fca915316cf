"""Figures as people read them: sizes, spans of time, moments. Portuguese writes the decimal comma."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def size(count: float, language: str) -> str:
    """A number of bytes with three significant digits: ``1,42 GiB``."""
    power = 0
    while count >= _STEP and power < len(_UNITS) - 1:
        count, power = count / _STEP, power + 1
    return f"{number(count, language)} {_UNITS[power]}"


def number(value: float, language: str) -> str:
    """Three significant digits, whole numbers in full, thousands apart."""
    if value == int(value):
        text = f"{int(value):,}"
    else:
        digits = max(0, 2 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{min(digits, 3)}f}"
    return text if language == "en" else text.translate(str.maketrans(",.", ".,"))


def span(seconds: float) -> str:
    """A span of time in its two largest units: ``3 d 4 h``, ``12 min 05 s``."""
    whole = max(0, int(seconds))
    if whole >= _DAY:
        return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
    if whole >= _HOUR:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    if whole >= _MINUTE:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    return f"{whole} s"


def moment(instant: str, language: str) -> str:
    """A FHIR instant in the dashboard machine's time zone: ``21/11/2026 14:03:22``; anything else as it came."""
    try:
        local = datetime.fromisoformat(instant).astimezone()
    except ValueError:
        return instant
    return local.strftime("%Y-%m-%d %H:%M:%S" if language == "en" else "%d/%m/%Y %H:%M:%S")
