"""uvloop raises RuntimeError on a write to a connection that broke, where asyncio says nothing: the client must not mind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
import uvloop

from appliance.cluster.vip_client import VipClient
from appliance.cluster.vip_messages import VipAnswer


def test_a_connection_that_broke_between_two_questions_is_made_anew(tmp_path: Path) -> None:
    connections: list[asyncio.StreamWriter] = []

    async def vipd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while await reader.readline():
            writer.write(msgspec.json.encode(VipAnswer(epoch=0)) + b"\n")
        writer.close()

    async def story() -> None:
        server = await asyncio.start_unix_server(vipd, tmp_path / "vipd.sock")
        client = VipClient(tmp_path / "vipd.sock", ("10.0.0.9/24",), "lan0")
        await client.status()
        streams = client._streams
        assert streams is not None
        streams[1].transport.abort()  # as after ECONNRESET: vipd was killed before it read the last question
        await asyncio.sleep(0.1)
        with pytest.raises(RuntimeError):
            streams[1].write(b"x")
        assert (await client.status()).epoch == 0
        assert len(connections) == 2
        await client.close()
        server.close()
        await server.wait_closed()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
