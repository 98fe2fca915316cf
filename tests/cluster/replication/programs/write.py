"""A primary as a process of its own: ``write.py HOME PORT FIRST CA CERTIFICATE KEY``; prints ``acknowledged N both|alone``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from appliance.security.node_authority import NodeFiles
from tests.cluster.replication.nodes import Primary


async def main(home: str, port: str, first: str, *files: str) -> None:
    async with AsyncExitStack() as stack:
        primary = Primary(Path(home), {"a": NodeFiles(*map(Path, files))}, int(port))
        primary.sync.peer_in_sync = True  # the key names the peer: nothing may be acknowledged without it
        primary.barrier._set_alone(False)
        await primary.start(stack)
        print("litestream", primary.litestream.pid, flush=True)

        async def writer(start: int) -> None:
            for number in range(start, start + 1_000_000, 8):
                await primary.write(number)
                print("acknowledged", number, primary.barrier.mode, flush=True)

        await asyncio.gather(*(writer(int(first) + n) for n in range(8)))


asyncio.run(main(*sys.argv[1:]))
