"""A connection's end, whatever the client did before it: a failover must not fill the log with other people's silence."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.typing import AppWrapper

from appliance.api.connection import Connection


class VanishedClient:
    """The writing half of a connection whose client answers nothing any more; ``end`` is what waiting for it brings."""

    def __init__(self, end: BaseException | None) -> None:
        self._end = end
        self.closed = False

    def write_eof(self) -> None:
        raise NotImplementedError  # as TLS does

    def close(self) -> None:
        self.closed = True

    async def wait_closed(self) -> None:
        if self._end is not None:
            raise self._end


def connection(client: VanishedClient) -> Connection:
    reader, writer = asyncio.StreamReader(), cast("asyncio.StreamWriter", client)
    return Connection(cast("AppWrapper", None), Config(), WorkerContext(None), reader, writer)


@pytest.mark.parametrize("end", [None, TimeoutError("SSL shutdown timed out"), ConnectionResetError()])
async def test_a_client_that_vanished_is_no_error(end: BaseException | None) -> None:
    client = VanishedClient(end)
    await connection(client)._close()
    assert client.closed


async def test_any_other_error_is_told() -> None:
    client = VanishedClient(ValueError("ours"))
    with pytest.raises(ValueError, match="ours"):
        await connection(client)._close()
    assert client.closed
