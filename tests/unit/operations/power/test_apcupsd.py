"""apcupsd's records, as its manual writes them, and answers cut short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from appliance.operations.power.apcupsd import ApcupsdUps, reading_of
from appliance.operations.power.reading import Reading, SilentError, Supply

ON_BATTERY = (
    "APC      : 001,036,0879\n",
    "STATUS   : ONBATT \n",
    "BCHARGE  : 042.0 Percent\n",
    "TIMELEFT :  12.5 Minutes\n",
)


def record(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


@asynccontextmanager
async def daemon(answer: bytes, asked: list[bytes] | None = None) -> AsyncIterator[ApcupsdUps]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        if asked is not None:
            asked.append(question)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield ApcupsdUps("127.0.0.1", server.sockets[0].getsockname()[1], limit_s=20.0)


async def test_the_status_is_asked_for_and_read() -> None:
    asked: list[bytes] = []
    async with daemon(b"".join(map(record, ON_BATTERY)) + b"\0\0", asked) as ups:
        assert await ups.read() == Reading(supply=Supply.BATTERY, charge_percent=42.0, runtime_s=750.0)
    assert asked == [b"status"]


@pytest.mark.parametrize(
    ("status", "supply"),
    [
        ("ONLINE", Supply.MAINS),
        ("ONLINE REPLACEBATT", Supply.MAINS),
        ("TRIM ONLINE", Supply.MAINS),
        ("ONLINE LOWBATT", Supply.MAINS),
        ("ONBATT", Supply.BATTERY),
        ("ONBATT LOWBATT", Supply.LOW),
        ("SHUTTING DOWN", Supply.LOW),
        ("ONBATT SHUTTING DOWN", Supply.LOW),
    ],
)
def test_every_word_of_status(status: str, supply: Supply) -> None:
    reading = reading_of({"STATUS": status})
    assert (reading.supply, reading.worn) == (supply, "REPLACEBATT" in status)


@pytest.mark.parametrize("status", [{}, {"STATUS": "COMMLOST"}, {"STATUS": "ONBATT COMMLOST"}, {"STATUS": "SLAVEDOWN"}])
def test_a_lost_ups_is_silence(status: dict[str, str]) -> None:
    with pytest.raises(SilentError):
        reading_of(status)


def records(parts: Sequence[str]) -> bytes:
    return b"".join(map(record, parts))


@pytest.mark.parametrize("answer", [b"", records(ON_BATTERY), records(ON_BATTERY)[:-3], record("no colon") + b"\0\0"])
async def test_an_answer_cut_short_or_of_another_kind_is_silence(answer: bytes) -> None:
    async with daemon(answer) as ups:
        with pytest.raises(SilentError, match="not its own"):
            await ups.read()


async def test_an_endless_answer_is_silence() -> None:
    async with daemon(record("KEY : value") * 600) as ups:
        with pytest.raises(SilentError, match="not its own"):
            await ups.read()


async def test_figures_that_are_words_are_left_out() -> None:
    parts = ("STATUS : ONLINE\n", "BCHARGE : N/A\n", "TIMELEFT : \n")
    async with daemon(records(parts) + b"\0\0") as ups:
        assert await ups.read() == Reading(supply=Supply.MAINS)
