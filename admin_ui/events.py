"""Server-sent events (WHATWG HTML §9.2.6), read from an HTTP stream line by line."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event; several ``data`` lines are joined by a line feed."""

    name: str
    data: str


async def read_events(lines: AsyncIterable[str]) -> AsyncIterator[Event]:
    """Events of a stream of lines without their line ends; an event cut off by the end of the stream is dropped."""
    name, data = "message", list[str]()
    async for line in lines:
        if not line:
            if data:
                yield Event(name, "\n".join(data))
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
