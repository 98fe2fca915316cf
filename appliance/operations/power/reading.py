"""What a UPS tells, in one shape for every kind of it."""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec


class Supply(enum.StrEnum):
    """What feeds the machine."""

    MAINS = "mains"
    BATTERY = "battery"
    LOW = "low"
    """On battery, and it ends soon."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. ``charge_percent`` 0 to 100 and ``runtime_s`` (seconds left) are None where the UPS does not tell."""

    supply: Supply
    charge_percent: float | None = None
    runtime_s: float | None = None
    worn: bool = False
    """The UPS asks for a new battery."""

    def judged(self, low_charge_percent: float, low_runtime_s: float) -> Reading:
        """The same with the hospital's own thresholds: a battery below either of them is low."""
        charge_low = self.charge_percent is not None and self.charge_percent <= low_charge_percent
        time_low = self.runtime_s is not None and self.runtime_s <= low_runtime_s
        if self.supply is Supply.BATTERY and (charge_low or time_low):
            return msgspec.structs.replace(self, supply=Supply.LOW)
        return self


class SilentError(Exception):
    """The UPS can't be asked; ``why`` is one English clause without addresses."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class Ups(Protocol):
    """Something that knows how the machine is fed."""

    async def read(self) -> Reading:
        """Ask it now.

        Raises:
            SilentError: no answer, or none that can be believed.
        """
        ...
