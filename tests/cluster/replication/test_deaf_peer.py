"""A peer whose machine takes connections while its process does not: the link gives up, tries again, and breaks nothing."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvloop

from appliance.cluster.peer_link import PeerLink
from appliance.security.node_authority import NodeFiles, client_side

LINKS = 4
ATTEMPTS = 3


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_handshake_that_is_never_answered_is_given_up_quietly(
    loop_factory: Any, r_certificates: dict[str, NodeFiles]
) -> None:
    reported: list[dict[str, Any]] = []
    deaf = socket.create_server(("127.0.0.1", 0), backlog=64)
    tried: list[int] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: reported.append(context))
        tls = client_side(r_certificates["a"])
        links = [PeerLink("127.0.0.1", deaf.getsockname()[1], tls, name="b", connect_s=0.1) for _ in range(LINKS)]
        for link in links:
            link.start()
        deaf.setblocking(False)
        async with asyncio.timeout(60):
            kept = []
            while len(kept) < LINKS * ATTEMPTS:
                kept.append((await loop.sock_accept(deaf))[0])
                tried.append(len(kept))
        assert not any(link.is_up for link in links)
        for link in links:
            await link.close()
        for connection in kept:
            connection.close()
        await asyncio.sleep(0.2)  # what is told late is told by now

    with deaf, asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(story())
    assert len(tried) == LINKS * ATTEMPTS, "it tries again and again"
    assert reported == []
