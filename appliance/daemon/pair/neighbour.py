"""The other node, as long as this process lives: a door for its questions and links for ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
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
StreamService = Callable[[Call], AsyncIterator[Answer]]
"""Given the call, the answers one after the other."""
CALL_LIMIT_S: Final = 30.0
MODELS: Final = "models"


class Neighbour:
    """Owns the receiving half of replication.

    ``services`` answer the peer's own calls, by name, and ``streams`` those with many answers; add them before ``start``.
    """

    def __init__(self, paths: Paths, config: Config) -> None:
        """Reads the fence: blocks a little. Raises ``OSError`` when the certificate or the fence can't be read."""
        cluster, files = config.cluster, node_files(paths.secrets)
        self._cluster, self._files = cluster, files
        self.receiver = Receiver(paths.replicas)
        self.services: dict[str, Service] = {}
        self.streams: dict[str, StreamService] = {}
        blobs = BlobReceiver(paths.blobs, lambda: self.receiver.epoch)
        models = FileReceiver({MODELS: paths.models}, lambda: self.receiver.epoch)
        handlers = {**self.receiver.handlers(), **blobs.handlers(), **models.handlers(), Call: self._on_call}
        self.server = PeerServer(cluster.listen_host, cluster.peer_port, server_side(files), handlers)
        self.link, self.bulk = self.another_link(), self.another_link()

    def another_link(self) -> PeerLink:
        """One more connection to the other node, by cable or LAN; whoever takes it starts and closes it."""
        cluster = self._cluster
        return PeerLink(
            cluster.peer_host,
            cluster.peer_peer_port,
            client_side(self._files),
            name=cluster.peer,
            other_way=cluster.peer_lan_host,
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

    def _on_call(self, call: Call) -> AsyncIterator[Answer] | Awaitable[Answer]:
        stream = self.streams.get(call.service)
        return stream(call) if stream is not None else self._one_answer(call)

    async def _one_answer(self, call: Call) -> Answer:
        service = self.services.get(call.service)
        if service is None:
            raise PEER_MISUNDERSTOOD(question=f"service {call.service}")
        return Answer(await service(call.verb, call.body))
