"""W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context-1/): the ``traceparent`` header, read and written.

``tracestate`` is neither read nor passed on: it is free text of other people's systems.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_FIELDS: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.ASCII,
)
_LONGEST: Final = 256
_SAMPLED: Final = 0x01
_INVALID_VERSION: Final = "ff"
_VERSION: Final = "00"


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where a span belongs: ``trace_id`` (32 hexadecimal digits) and ``span_id`` (16), lower case, neither all zeros."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def traceparent(self) -> str:
        """The header's value."""
        return f"{_VERSION}-{self.trace_id}-{self.span_id}-{_SAMPLED if self.sampled else 0:02x}"


def parse_traceparent(text: str) -> TraceContext | None:
    """The context that ``text`` names; None unless it is well-formed, for then the trace begins here (§3.2.2)."""
    found = _FIELDS.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or found["version"] == _INVALID_VERSION or (found["version"] == _VERSION and found["more"]):
        return None
    if not int(found["trace"], 16) or not int(found["span"], 16):
        return None
    return TraceContext(found["trace"], found["span"], bool(int(found["flags"], 16) & _SAMPLED))
