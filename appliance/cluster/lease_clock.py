"""The clock of leases: seconds that go on while the machine sleeps.

``time.monotonic`` stands still while a Mac (or a Linux machine) sleeps: a primary that slept through its lease would wake
up believing in it. Absolute readings are comparable between the processes of one machine, so a deadline may be handed to
vipd as it is.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from appliance.telemetry.clock import SystemClock

# Darwin: CLOCK_MONOTONIC_RAW counts sleep and is not slewed. Linux: only CLOCK_BOOTTIME counts suspend.
_CLOCK: Final = time.CLOCK_MONOTONIC_RAW if sys.platform == "darwin" else time.CLOCK_BOOTTIME


def steady_s() -> float:
    """Seconds since some boot-time origin, the same for every process of this machine."""
    return time.clock_gettime(_CLOCK)


class LeaseClock(SystemClock):
    """Wall time as ever; ``monotonic`` counts sleep too. Give it to whatever compares with ``LeaseView.expires``."""

    def monotonic(self) -> float:
        return steady_s()
