"""A client of apcupsd's network information server (NIS): one question, ``status``.

Both ways, a record is two bytes of length (big-endian) and so many bytes of text; a record of length 0 ends the answer
(apcupsd manual, "Apcupsd Network Monitoring"). Lines read ``KEY      : value``.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping
from typing import Final

from appliance.operations.power.reading import Reading, SilentError, Supply

PORT: Final = 3551
LIMIT_S: Final = 3.0
MAX_RECORDS: Final = 500
_LENGTH_BYTES: Final = 2


class ApcupsdUps:
    """The UPS of one apcupsd; see ``Ups``."""

    def __init__(self, host: str, port: int = PORT, *, limit_s: float = LIMIT_S) -> None:
        self._host, self._port, self._limit_s = host, port, limit_s

    async def read(self) -> Reading:
        """See ``Ups.read``."""
        try:
            async with asyncio.timeout(self._limit_s):
                return reading_of(await self._status())
        except TimeoutError:
            raise SilentError("apcupsd does not answer in time") from None
        except (asyncio.IncompleteReadError, ValueError, UnicodeDecodeError):
            raise SilentError("apcupsd answers in a way that is not its own") from None
        except OSError:
            raise SilentError("nobody listens where apcupsd should be") from None

    async def _status(self) -> dict[str, str]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            question = b"status"
            writer.write(len(question).to_bytes(_LENGTH_BYTES, "big") + question)
            await writer.drain()
            found: dict[str, str] = {}
            for _ in range(MAX_RECORDS):
                length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
                if not length:
                    return found
                key, colon, value = (await reader.readexactly(length)).decode("utf-8", "replace").partition(":")
                if not colon:
                    raise ValueError("a record without a colon")
                found[key.strip()] = value.strip()
            raise ValueError("an endless answer")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def reading_of(status: Mapping[str, str]) -> Reading:
    """What the keys of apcupsd's status report say.

    Raises:
        SilentError: apcupsd has lost its UPS, or does not say what feeds the machine.
    """
    words = set(status.get("STATUS", "").replace("SHUTTING DOWN", "SHUTTING_DOWN").split())
    if "COMMLOST" in words or not words & {"ONLINE", "ONBATT", "SHUTTING_DOWN"}:
        raise SilentError("apcupsd does not say whether the UPS is on battery")
    supply = Supply.MAINS
    if "SHUTTING_DOWN" in words or {"ONBATT", "LOWBATT"} <= words:
        supply = Supply.LOW
    elif "ONBATT" in words:
        supply = Supply.BATTERY
    minutes = _number(status.get("TIMELEFT"))
    return Reading(
        supply=supply,
        charge_percent=_number(status.get("BCHARGE")),
        runtime_s=None if minutes is None else minutes * 60.0,
        worn="REPLACEBATT" in words,
    )


def _number(text: str | None) -> float | None:
    """The figure before its unit (``35.0 Minutes``), where there is one."""
    try:
        value = float(text.split()[0]) if text and text.split() else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
