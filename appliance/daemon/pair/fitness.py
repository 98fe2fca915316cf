"""Whether this node could be primary: its disk takes and keeps bytes, and its programs are there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from appliance.config import Paths
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Health
from appliance.store import durable
from appliance.store.litestream_config import program
from appliance.telemetry.logs import get_logger

log = get_logger("pair")
EVERY_S: Final = 1.0
PROBE_LIMIT_S: Final = 5.0
ROOM_BYTES: Final = 64 << 20
"""Less than this free, and the disk counts as full: the rest is for closing down in good order."""
FULL: Final = "store.full"
FAILED: Final = "store.failed"
MISSING: Final = "store.litestream_missing"


class Fitness:
    """Looks every second, on a thread: a disk that hangs must not hang the loop that decides."""

    def __init__(self, paths: Paths) -> None:
        self._folder = paths.database.parent
        self._task: asyncio.Task[None] | None = None
        self.sick_because = ""
        """A stable code; empty: all is well."""

    async def start(self) -> None:
        """Look once, then on and on."""
        await self.look()
        self._task = asyncio.create_task(self._run(), name="fitness")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def look(self) -> str:
        """Judge now; the code, empty if well."""
        try:
            async with asyncio.timeout(PROBE_LIMIT_S):
                found = await asyncio.to_thread(probe, self._folder)
        except TimeoutError:
            found = FAILED
        if found != self.sick_because:
            log.warning("this node's fitness to lead changed", code=found or "well")
        self.sick_because = found
        return found

    async def health(self) -> Health:
        """A check for the registry."""
        advice = {FULL: "free disk space", FAILED: "look at the disk", MISSING: "install Prontuário again"}
        code = self.sick_because
        if not code:
            return Health("ok", "could lead", message_pt="poderia assumir")
        return Health(
            "failed",
            f"this node could not lead: {code}",
            advice[code],
            message_pt=f"este nó não poderia assumir: {code}",
            advice_pt={
                FULL: "libere espaço em disco",
                FAILED: "examine o disco",
                MISSING: "instale o Prontuário de novo",
            }[code],
        )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self.look()


def probe(folder: Path) -> str:
    """Free space, and a few bytes written through to the disk. Blocks."""
    draft = folder / ".probe"
    try:
        if shutil.disk_usage(folder).free < ROOM_BYTES:
            return FULL
        durable.write_aside(draft, os.urandom(16))
        program()
    except ProntuarioError:
        return MISSING
    except OSError as error:
        return durable.as_failure(error).kind.code
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    return ""
