"""The line from ``prontuario doctor`` to the core that runs. Apart from core's side: doctor must start fast, and without its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.config import Paths
from appliance.daemon.control import ask
from appliance.operations.doctor.patient import Ask


def line_to(home: Path, *, within_s: float) -> Ask:
    """How doctor asks the core that serves ``home``. Core waits some seconds for the other node: ``within_s`` is more."""
    socket = Paths(home).socket("control")

    async def asked(verb: str) -> Mapping[str, Any]:
        async with asyncio.timeout(within_s):
            return await ask(socket, verb)

    return lambda verb: asyncio.run(asked(verb))
