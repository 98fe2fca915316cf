"""A standby's receiver as a process of its own: ``receive.py HOME PORT CA CERTIFICATE KEY``; prints ``ready PORT``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from appliance.cluster.peer_server import PeerServer
from appliance.cluster.receiver import Receiver
from appliance.config.model import Paths
from appliance.security.node_authority import NodeFiles, server_side


async def main(home: str, port: str, *files: str) -> None:
    receiver = Receiver(Paths(Path(home)).replicas)
    await receiver.fence(1)
    server = PeerServer("127.0.0.1", int(port), server_side(NodeFiles(*map(Path, files))), receiver.handlers())
    await server.start()
    print("ready", server.port, flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
