"""NUT's protocol against Debian's own server, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.model import Power
from appliance.operations.power.nut import NutUps, reading_of
from appliance.operations.power.reading import Reading, SilentError, Supply
from appliance.operations.power.watch import PowerWatch
from tests.fakes import upsd
from tests.unit.operations.power.test_watch import NotedHands
from tests.unit.operations.watching.box import Box, fires
from tests.unit.operations.watching.conftest import box as box  # noqa: PLC0414  a fixture

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def rack() -> Iterator[upsd.Rack]:
    if not upsd.PRESENT:
        pytest.skip("nut-server is not installed")
    with upsd.rack(Path(tempfile.mkdtemp(prefix="ups"))) as one:
        yield one


async def told(ups: NutUps, supply: Supply) -> Reading:
    async with asyncio.timeout(PATIENCE_S):
        while (reading := await ups.read()).supply is not supply:  # noqa: ASYNC110  nothing tells when NUT has read its file
            await asyncio.sleep(0.1)
    return reading


@fires("OnBattery", "BatteryLow", "BatteryWorn", "UpsSilent")
async def test_a_real_server_tells_mains_battery_low_and_mains_again(rack: upsd.Rack, box: Box) -> None:
    """And the box's alerts follow what it tells, and that it tells nothing."""
    ups = NutUps("127.0.0.1", upsd.NAME, rack.port, limit_s=20.0)
    watch = PowerWatch(Power(kind="nut", confirm_s=2, calm_s=2), NotedHands(), box.clock, box.metrics, ups)

    async def alerts(asked: NutUps = ups) -> set[str]:
        for _ in range(5):
            await watch.look(asked)
            box.clock.pass_time(1.0)
        return box.on(within=70)

    assert await told(ups, Supply.MAINS) == Reading(supply=Supply.MAINS, charge_percent=100.0, runtime_s=3600.0)
    assert await alerts() == set()
    rack.say("OB DISCHRG", charge=81.5, runtime=1234)
    assert await told(ups, Supply.BATTERY) == Reading(supply=Supply.BATTERY, charge_percent=81.5, runtime_s=1234.0)
    assert await alerts() == {"OnBattery"}
    rack.say("OB LB", charge=9)
    assert (await told(ups, Supply.LOW)).charge_percent == 9.0
    assert await alerts() == {"OnBattery", "BatteryLow"}
    rack.say("OL CHRG RB", charge=10)
    assert (await told(ups, Supply.MAINS)).worn
    assert await alerts() == {"BatteryWorn"}
    assert await alerts(NutUps("127.0.0.1", upsd.NAME, upsd.free_port(), limit_s=20.0)) == {"UpsSilent"}
    rack.say("OL CHRG", charge=11)
    async with asyncio.timeout(PATIENCE_S):
        while (await ups.read()).worn:  # noqa: ASYNC110  nothing tells when NUT has read its file
            await asyncio.sleep(0.1)
    assert await alerts() == set()


async def test_a_ups_that_the_server_does_not_know_or_has_lost_is_silent(rack: upsd.Rack) -> None:
    with pytest.raises(SilentError, match="unknown-ups"):
        await NutUps("127.0.0.1", "cellar", rack.port, limit_s=20.0).read()


@asynccontextmanager
async def server(answer: bytes, *, hang: bool = False) -> AsyncIterator[NutUps]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        if hang:
            await reader.read()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield NutUps("127.0.0.1", "rack", listening.sockets[0].getsockname()[1], limit_s=0.3 if hang else 20.0)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"BEGIN LIST VAR rack\n",
        b"BEGIN LIST VAR other\nEND LIST VAR other\n",
        b'BEGIN LIST VAR rack\nVAR other ups.status "OL"\nEND LIST VAR rack\n',
        b'BEGIN LIST VAR rack\nVAR rack ups.status "OL\nEND LIST VAR rack\n',
        b"BEGIN LIST VAR rack\nVAR rack ups.status OL OB\nEND LIST VAR rack\n",
        b"BEGIN LIST VAR rack\n\xff\xfe\nEND LIST VAR rack\n",
        b"BEGIN LIST VAR rack\n" + b"x" * 100_000 + b"\n",
        b"BEGIN LIST VAR rack\n" + b'VAR rack ups.status "OL"\n' * 5000,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_nuts_is_silence(answer: bytes) -> None:
    async with server(answer) as ups:
        with pytest.raises(SilentError, match="not NUT's"):
            await ups.read()


async def test_quotes_and_backslashes_in_a_value_are_read_as_written() -> None:
    answer = (
        b'BEGIN LIST VAR rack\nVAR rack ups.model "19\\" rack \\\\ 2"\nVAR rack ups.status "OB"\nEND LIST VAR rack\n'
    )
    async with server(answer) as ups:
        assert (await ups.read()).supply is Supply.BATTERY


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async with server(b"", hang=True) as ups:
        with pytest.raises(SilentError, match="in time"):
            await ups.read()


async def test_nobody_there_is_silence() -> None:
    with pytest.raises(SilentError, match="nobody listens"):
        await NutUps("127.0.0.1", "rack", upsd.free_port(), limit_s=20.0).read()


@pytest.mark.parametrize("status", ["", "WAIT", "WAIT OL", "CHRG", "OFF", "BYPASS"])
def test_a_status_that_does_not_tell_the_supply_is_silence(status: str) -> None:
    with pytest.raises(SilentError, match="does not say"):
        reading_of({"ups.status": status})


def test_low_without_battery_is_a_battery_that_charges_and_an_ordered_shutdown_is_low() -> None:
    assert reading_of({"ups.status": "OL LB CHRG"}).supply is Supply.MAINS
    assert reading_of({"ups.status": "FSD OL"}).supply is Supply.LOW


@given(st.text(max_size=12))
def test_a_figure_is_a_finite_number_or_nothing(text: str) -> None:
    found = reading_of({"ups.status": "OL", "battery.charge": text}).charge_percent
    assert found is None or 0 <= found < float("inf")
