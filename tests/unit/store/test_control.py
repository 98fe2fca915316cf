from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from appliance.store.control import ControlClient, ControlError

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A real server on a Unix socket whose connections a test answers by hand."""

    def __init__(self, socket: Path) -> None:
        self.client = ControlClient(socket)
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.requests: list[bytes] = []
        self.answers: list[bytes | None] = []
        self._socket = socket

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.requests.append(head.split(b"\r\n")[0] + b" " + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
        writer.close()

    async def close(self) -> None:
        await self.client.close()
        for writer in self.writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status.encode(),
        len(body),
        body,
    )


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path / "s")
    async with await asyncio.start_unix_server(made.serve, path=str(tmp_path / "s")):
        yield made
        await made.close()


async def test_questions_share_one_connection(server: Server) -> None:
    server.answers = [http(b'{"txid": 1}'), http(b'{"txid": 2}')]
    assert await server.client.call("POST", "/sync", {"path": "/a b", "wait": True}) == {"txid": 1}
    assert await server.client.call("GET", "/info") == {"txid": 2}
    assert server.connections == 1
    assert server.requests == [b'POST /sync HTTP/1.1 {"path":"/a b","wait":true}', b"GET /info HTTP/1.1 "]


async def test_questions_at_the_same_time_take_turns(server: Server) -> None:
    server.answers = [http(b'{"n": %d}' % n) for n in range(10)]
    answers = await asyncio.gather(*(server.client.call("GET", f"/{n}") for n in range(10)))
    assert [answer["n"] for answer in answers] == list(range(10))
    assert server.connections == 1


@pytest.mark.parametrize("status", ["500 Internal Server Error", "404 Not Found", "409 Conflict"])
async def test_a_refusal_is_an_error_and_the_connection_goes_on(server: Server, status: str) -> None:
    server.answers = [http(b'{"error": "no"}', status), http(b"{}")]
    with pytest.raises(ControlError, match=status[:3]):
        await server.client.call("GET", "/info")
    assert await server.client.call("GET", "/info") == {}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        http(b'{"cut": 1}')[:-4],
        http(b"not JSON"),
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_a_broken_answer_is_an_error_and_the_next_question_gets_a_new_connection(
    server: Server, answer: bytes | None
) -> None:
    server.answers = [answer]
    with pytest.raises((OSError, TimeoutError)):
        async with asyncio.timeout(0.2):  # the answer that is cut short stays short
            await server.client.call("GET", "/info")
    server.answers = [http(b"{}")]
    assert await server.client.call("GET", "/info") == {}
    assert server.connections == 2


async def test_a_late_answer_never_meets_the_next_question(server: Server) -> None:
    server.answers = [b"", http(b'{"for": "second"}')]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await server.client.call("GET", "/first")
    assert await server.client.call("GET", "/second") == {"for": "second"}
    assert server.connections == 2


async def test_nobody_listening_is_an_error(tmp_path: Path) -> None:
    client = ControlClient(tmp_path / "nobody")
    with pytest.raises(FileNotFoundError):
        await client.call("GET", "/info")
    await client.close()
