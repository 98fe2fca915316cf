from __future__ import annotations

from collections.abc import AsyncIterator

from admin_ui.events import Event, read_events


async def lines(text: str) -> AsyncIterator[str]:
    for line in text.split("\n"):
        yield line


async def events_of(text: str) -> list[Event]:
    return [event async for event in read_events(lines(text))]


async def test_events_are_dispatched_at_the_blank_line() -> None:
    found = await events_of('event: snapshot\ndata: {"a": 1}\n\ndata:x\n\n')
    assert found == [Event("snapshot", '{"a": 1}'), Event("message", "x")]


async def test_several_data_lines_are_one_event() -> None:
    assert await events_of("data: a\ndata:  b\n\n") == [Event("message", "a\n b")]


async def test_comments_ids_and_unknown_fields_are_passed_over() -> None:
    assert await events_of(": keep-alive\n\nid: 7\nretry: 10\ndata: x\nnonsense\n\n") == [Event("message", "x")]


async def test_an_event_cut_off_by_the_end_is_dropped() -> None:
    assert await events_of("data: whole\n\nevent: snapshot\ndata: cut") == [Event("message", "whole")]


async def test_a_name_does_not_leak_into_the_next_event() -> None:
    assert await events_of("event: snapshot\n\ndata: x\n\n") == [Event("message", "x")]
