"""The other node, as long as this process lives: a door for its questions and two links for ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from appliance.cluster.blob_shipping import BlobReceiver
from appliance.cluster.file_sync import FileReceiver
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_messages import Answer, Call
from appliance.cluster.peer_server import PeerServer
from appliance.cluster.receiver import Receiver
from appliance.cluster.replication_errors import PEER_MISUNDERSTOOD
from appliance.config import Config, Paths
from appliance.security.node_authority import client_side, node_files, server_side

Service = Callable[[str, bytes], Awaitable[bytes]]
"""Given a verb and a body, the answer's body."""
CALL_LIMIT_S: Final = 30.0
MODELS: Final = "models"


class Neighbour:
    """Owns the receiving half of replication. ``services`` answer the peer's own calls, by name; add them before ``start``."""

    def __init__(self, paths: Paths, config: Config) -> None:
        """Reads the fence: blocks a little. Raises ``OSError`` when the certificate or the fence can't be read."""
        cluster, files = config.cluster, node_files(paths.secrets)
        self.receiver = Receiver(paths.replicas)
        self.services: dict[str, Service] = {}
        blobs = BlobReceiver(paths.blobs, lambda: self.receiver.epoch)
        models = FileReceiver({MODELS: paths.models}, lambda: self.receiver.epoch)
        handlers = {**self.receiver.handlers(), **blobs.handlers(), **models.handlers(), Call: self._on_call}
        self.server = PeerServer(cluster.listen_host, cluster.peer_port, server_side(files), handlers)
        self.link, self.bulk = (
            PeerLink(
                cluster.peer_host,
                cluster.peer_peer_port,
                client_side(files),
                name=cluster.peer,
                other_way=cluster.peer_lan_host,
            )
            for _ in range(2)
        )

    async def start(self) -> None:
        """Listen and call. Raises ``OSError`` when the address is taken."""
        await self.server.start()
        self.link.start()
        self.bulk.start()

    async def close(self) -> None:
        """Hang up."""
        await asyncio.gather(self.link.close(), self.bulk.close())
        await self.server.close()

    async def call(self, service: str, verb: str, body: bytes) -> bytes:
        """Ask the other node's ``service``.

        Raises:
            ProntuarioError: ``cluster.peer_away``, or what it refused with.
        """
        return (await self.bulk.ask(Call(service, verb, body), Answer, deadline_s=CALL_LIMIT_S)).body

    async def _on_call(self, call: Call) -> Answer:
        service = self.services.get(call.service)
        if service is None:
            raise PEER_MISUNDERSTOOD(question=f"service {call.service}")
        return Answer(await service(call.verb, call.body))
