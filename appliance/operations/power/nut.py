"""A client of NUT's network protocol (RFC 9271), as much of it as watching needs: ``LIST VAR``, without a login.

A connection for each question: upsd is on this machine or on the hospital's network, and a connection that is kept open
would have to be doubted after every pause anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import shlex
from collections.abc import Mapping
from typing import Final

from appliance.operations.power.reading import Reading, SilentError, Supply

PORT: Final = 3493
LIMIT_S: Final = 3.0
MAX_LINES: Final = 1000
MAX_LINE_BYTES: Final = 4096
_ASKED_OFF: Final = frozenset({"FSD"})
"""Whoever runs the UPS has ordered everything off (RFC 9271 §5.1): there is as little time as on a low battery."""


class NutUps:
    """One UPS of one upsd; see ``Ups``."""

    def __init__(self, host: str, name: str, port: int = PORT, *, limit_s: float = LIMIT_S) -> None:
        self._host, self._name, self._port, self._limit_s = host, name, port, limit_s

    async def read(self) -> Reading:
        """See ``Ups.read``."""
        try:
            async with asyncio.timeout(self._limit_s):
                return reading_of(await self._variables())
        except TimeoutError:
            raise SilentError("the UPS server does not answer in time") from None
        except OSError:
            raise SilentError("nobody listens where the UPS server should be") from None
        except (ValueError, UnicodeDecodeError):
            raise SilentError("the UPS server answers in a way that is not NUT's") from None

    async def _variables(self) -> dict[str, str]:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=MAX_LINE_BYTES)
        try:
            writer.write(f"LIST VAR {self._name}\n".encode())
            await writer.drain()
            await _expect(reader, ["BEGIN", "LIST", "VAR", self._name])
            found: dict[str, str] = {}
            for _ in range(MAX_LINES):
                words = await _words(reader)
                if words == ["END", "LIST", "VAR", self._name]:
                    return found
                if words[:2] != ["VAR", self._name]:
                    raise ValueError("an unexpected line")
                name, value = words[2:]
                found[name] = value
            raise ValueError("an endless list")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _expect(reader: asyncio.StreamReader, wanted: list[str]) -> None:
    words = await _words(reader)
    if words[:1] == ["ERR"]:
        raise SilentError(f"the UPS server refuses: {' '.join(words[1:2]).lower()}")
    if words != wanted:
        raise ValueError("an unexpected line")


async def _words(reader: asyncio.StreamReader) -> list[str]:
    """One line's words; quotes and backslashes as in RFC 9271 §4.1, which a shell's are a superset of."""
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise ValueError("the connection ended within a line")
    return shlex.split(line.decode("utf-8"))


def reading_of(variables: Mapping[str, str]) -> Reading:
    """What the variables of RFC 9271 appendix A say.

    Raises:
        SilentError: the driver itself has lost the UPS, or ``ups.status`` does not say what feeds the machine.
    """
    flags = set(variables.get("ups.status", "").split())
    if "WAIT" in flags or not flags & {"OL", "OB", "FSD"}:
        raise SilentError("the UPS does not say whether it is on battery")
    supply = Supply.MAINS
    if flags & _ASKED_OFF or {"OB", "LB"} <= flags:
        supply = Supply.LOW
    elif "OB" in flags:
        supply = Supply.BATTERY
    return Reading(
        supply=supply,
        charge_percent=_number(variables.get("battery.charge")),
        runtime_s=_number(variables.get("battery.runtime")),
        worn="RB" in flags,
    )


def _number(text: str | None) -> float | None:
    """A figure, where there is a sensible one: drivers also write nothing, or words."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
