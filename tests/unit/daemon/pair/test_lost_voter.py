"""A voter whose disk is gone gets a new place in the set; a stand-in for etcd's gateway keeps that set."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from appliance.cluster.etcd_member import EtcdMember
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.pair.etcd_child import Voter
from appliance.daemon.pair.last_voter import VOTERS, readmit
from appliance.daemon.ports import free_ports

PEER = "http://127.0.0.1"


class Gateway:
    """Three voters. One is added at the second attempt only: etcd waits until the others have known each other."""

    def __init__(self) -> None:
        self.members: list[dict[str, Any]] = []
        self.done: list[str] = []
        self._refusals = 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, OSError):  # somebody only looked whether anybody listens
                await self._reply(reader, writer)
        finally:
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        found = re.search(r"Content-Length: (\d+)", head)
        assert found is not None
        status, told = self._answer(head.split()[1], json.loads(await reader.readexactly(int(found[1]))))
        content = json.dumps(told).encode()
        lines = f"HTTP/1.1 {status} x\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        writer.write(lines.encode() + content)
        await writer.drain()

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        verb = path.rpartition("/")[2]
        if verb == "add" and self._refusals:
            self._refusals -= 1
            return 503, {"error": "etcdserver: unhealthy cluster", "code": 14}
        if verb == "remove":
            self.members = [one for one in self.members if one["ID"] != body["ID"]]
        elif verb == "add":
            self.members.append({"ID": "9", "peerURLs": body["peerURLs"]})
        if verb != "list":
            self.done.append(verb)
        return 200, {"members": self.members}


@asynccontextmanager
async def three(folder: Path) -> AsyncIterator[tuple[Gateway, Voter]]:
    """The voter ``a`` of a set in which ``w`` listens and ``b`` does not."""
    gateway = Gateway()
    async with await asyncio.start_server(gateway.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        own, dead = free_ports(2)
        urls = {"a": f"{PEER}:{own}", "b": f"{PEER}:{dead}", "w": f"{PEER}:{port}"}
        gateway.members = [
            {"ID": str(at), "name": name, "peerURLs": [url], "clientURLs": ["http://x"]}
            for at, (name, url) in enumerate(urls.items())
        ]
        folder.mkdir()
        yield gateway, Voter(folder, EtcdMember("a", folder / "data", "127.0.0.1", port, own, urls))


async def test_a_voter_whose_disk_is_gone_gets_a_new_place(tmp_path: Path) -> None:
    heard: list[str] = []
    async with three(tmp_path / "etcd") as (gateway, a):
        voters = await readmit(a, "b", say=heard.append)
        with pytest.raises(CommandFailedError, match="already"):
            await readmit(a, "b", say=heard.append)
    assert gateway.done == ["remove", "add"], "etcd refuses its old place to who comes back with nothing"
    assert voters == ",".join(f"{name}={url}" for name, url in a.member.initial_cluster.items())
    assert (a.folder / VOTERS).read_text() == voters
    text = "\n".join(heard)
    assert text.count(f"prontuario cluster rejoin --voters {voters}") == 2, "in both languages"
    assert f"./etcd.sh --initial-cluster-state=existing --initial-cluster={voters}" in text


async def test_a_voter_that_listens_keeps_its_place(tmp_path: Path) -> None:
    async with three(tmp_path / "etcd") as (gateway, a):
        with pytest.raises(CommandFailedError, match="w is already a voter"):
            await readmit(a, "w", say=str)
        with pytest.raises(CommandFailedError, match="no voter of this pair"):
            await readmit(a, "stranger", say=str)
    assert gateway.done == []
    assert not (a.folder / VOTERS).exists()
