"""Against the real Litestream."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.control import ControlClient
from appliance.store.database import Database
from appliance.store.litestream import Litestream, Patience
from appliance.store.litestream_barrier import LitestreamBarrier
from appliance.store.litestream_config import MAX_SOCKET_PATH_BYTES, choose_socket, program, render
from appliance.telemetry.metrics import Metrics
from tests.unit.store.conftest import Opener, add, fill, gone, things, until


class Node:
    def __init__(
        self,
        home: Path,
        metrics: Metrics | None = None,
        spool: Path | None = None,
        patience: Patience = Patience(),  # noqa: B008  frozen
    ) -> None:
        self.home = home
        self.litestream = Litestream(
            home / "data" / "record.sqlite",
            spool or home / "data" / "spool",
            home / "run",
            metrics=metrics,
            patience=patience,
        )

    @property
    def pid(self) -> int:
        assert self.litestream.pid is not None
        return self.litestream.pid


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = Node(tmp_path)
    yield made
    await made.litestream.stop()


async def opened(node: Node, open_database: Opener, **settings: float) -> Database:
    database = await open_database(
        node.home / "data" / "record.sqlite", barrier=node.litestream.barrier, **{"barrier_timeout_s": 60.0, **settings}
    )
    await node.litestream.start()
    return database


async def test_an_acknowledged_write_lies_in_the_spool(node: Node, open_database: Opener) -> None:
    database = await opened(node, open_database)
    await database.write(add("a"))
    files = list((node.home / "data" / "spool" / "ltx" / "0").glob("*.ltx"))
    assert files
    assert database.mode == "single"
    assert (await node.litestream.health()).status == "ok"


async def test_one_sync_is_in_flight_and_late_comers_share_the_next(node: Node, open_database: Opener) -> None:
    await opened(node, open_database)
    calls: list[str] = []

    class Counting(ControlClient):
        async def call(self, method: str, path: str, body: object = None) -> dict[str, object]:
            calls.append(path)
            return await super().call(method, path, body)

    barrier = LitestreamBarrier(node.home / "data" / "record.sqlite", Counting(node.home / "run" / "litestream.sock"))
    await asyncio.gather(*(barrier.confirm() for _ in range(50)))
    assert calls == ["/sync"]
    first = asyncio.create_task(barrier.confirm())
    await until(lambda: len(calls) == 2)
    await asyncio.gather(*(barrier.confirm() for _ in range(50)), first)
    assert calls == ["/sync"] * 3  # one that began too early for the fifty, and one for all of them
    await barrier.close()


async def test_a_killed_litestream_is_restarted_and_writes_go_on(tmp_path: Path, open_database: Opener) -> None:
    metrics = Metrics()
    node = Node(tmp_path, metrics)
    try:
        database = await opened(node, open_database)
        await database.write(add("a"))
        old = node.pid
        os.kill(old, signal.SIGKILL)
        assert await database.write(add("b")) == "b"
        assert node.pid != old
        health = await node.litestream.health()
        assert (health.status, bool(health.advice)) == ("degraded", True)
        assert metrics.registry.get_sample_value("prontuario_litestream_restarts_total") == 1
        assert metrics.registry.get_sample_value("prontuario_litestream_up") == 1
    finally:
        await node.litestream.stop()
    assert metrics.registry.get_sample_value("prontuario_litestream_up") == 0


async def test_a_killed_leash_leaves_no_second_litestream(node: Node, open_database: Opener) -> None:
    database = await opened(node, open_database)
    old, process = node.pid, node.litestream._process
    assert process is not None
    process.kill()
    await until(lambda: node.litestream.pid not in (None, old))
    await database.write(add("a"))
    assert gone(old)


async def test_a_litestream_that_hangs_is_noticed_and_replaced(tmp_path: Path, open_database: Opener) -> None:
    node = Node(tmp_path, patience=Patience(between_pings_s=0.05, ping_s=1.0))
    try:
        database = await opened(node, open_database)
        old = node.pid
        os.kill(old, signal.SIGSTOP)
        assert await database.write(add("a")) == "a"
        assert node.pid != old
    finally:
        await node.litestream.stop()


async def test_without_litestream_nothing_is_acknowledged(node: Node, open_database: Opener) -> None:
    database = await opened(node, open_database, barrier_timeout_s=0.5)
    await database.write(add("a"))
    os.kill(node.pid, signal.SIGSTOP)
    with pytest.raises(ProntuarioError) as caught:
        await database.write(add("b"))
    assert caught.value.kind.code == "store.unconfirmed"
    assert node.litestream.barrier.waits_s > 0
    os.kill(node.pid, signal.SIGCONT)
    await until(lambda: node.litestream.barrier.waits_s == 0)
    assert await database.write(add("c")) == "c"


async def test_a_full_spool_disk_stops_acknowledgements_and_frees_them_again(
    tmp_path: Path, small_disk: Path, open_database: Opener
) -> None:
    node = Node(tmp_path, spool=small_disk / "spool")
    try:
        database = await opened(node, open_database, barrier_timeout_s=2.0)
        await database.write(add("a"))
        await asyncio.to_thread(fill, small_disk / "filler")
        with pytest.raises(ProntuarioError) as caught:
            await database.write(add("b", "y" * 100_000))
        assert caught.value.kind.code == "store.unconfirmed"
        (small_disk / "filler").unlink()
        await until(lambda: node.litestream.barrier.waits_s == 0)
        assert await database.write(add("c")) == "c"
        assert await database.read(things) == ["a", "b", "c"]
    finally:
        await node.litestream.stop()


async def test_health_says_failed_before_the_start_and_after_the_stop(node: Node, open_database: Opener) -> None:
    assert (await node.litestream.health()).status == "failed"
    await opened(node, open_database)
    await node.litestream.stop()
    assert (await node.litestream.health()).status == "failed"
    await node.litestream.stop()


async def test_stopping_ends_the_child_and_a_new_start_takes_over(tmp_path: Path, open_database: Opener) -> None:
    first = Node(tmp_path)
    database = await opened(first, open_database)
    await database.write(add("a"))
    await database.close()
    pid = first.pid
    await first.litestream.stop()
    assert gone(pid)
    second = Node(tmp_path)
    try:
        again = await opened(second, open_database)
        await again.write(add("b"))
        assert await again.read(things) == ["a", "b"]
    finally:
        await second.litestream.stop()


async def test_a_litestream_that_can_not_start_is_told(tmp_path: Path) -> None:
    node = Node(tmp_path, patience=Patience(start_s=0.5))
    (tmp_path / "run" / "litestream.sock").write_text("no socket: Litestream refuses to take its place")
    async with await Database.open(tmp_path / "data" / "record.sqlite", StoreConfig()):
        with pytest.raises(ProntuarioError) as caught:
            await node.litestream.start()
    assert caught.value.kind.code == "store.failed"
    assert "not a socket" in (tmp_path / "data" / "litestream.log").read_text()


async def test_a_long_home_gets_a_short_private_socket(tmp_path: Path, open_database: Opener) -> None:
    node = Node(tmp_path / ("a-long-folder-name" * 6))
    socket = node.litestream._socket
    assert len(os.fsencode(socket)) <= MAX_SOCKET_PATH_BYTES
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    try:
        database = await opened(node, open_database)
        assert await database.write(add("a")) == "a"
    finally:
        await node.litestream.stop()
    assert not socket.parent.exists()


def test_a_short_home_keeps_its_socket(tmp_path: Path) -> None:
    assert choose_socket(Path("/r")) == Path("/r/litestream.sock")


async def test_a_path_with_signs_that_yaml_and_shells_love(tmp_path: Path, open_database: Opener) -> None:
    node = Node(tmp_path / "casa: #1 ${HOME} 'ção'")
    try:
        database = await opened(node, open_database)
        assert await database.write(add("a")) == "a"
        assert list((node.home / "data" / "spool" / "ltx" / "0").glob("*.ltx"))
    finally:
        await node.litestream.stop()


def test_the_configuration_holds_the_measured_settings() -> None:
    settings = json.loads(render(Path("/d/record.sqlite"), Path("/d/spool"), Path("/r/s")))
    assert [level["interval"] for level in settings["levels"]] == ["1s", "10s", "1m", "1h"]
    assert settings["l0-retention"] == "2s"
    assert settings["verify-compaction"] is True
    assert settings["dbs"][0]["replica"]["path"] == "/d/spool"


async def test_the_configuration_is_private(node: Node, open_database: Opener) -> None:
    await opened(node, open_database)
    assert stat.S_IMODE((node.home / "run" / "litestream.yml").stat().st_mode) == 0o600


async def test_closing_a_barrier_that_waits_frees_its_caller(tmp_path: Path) -> None:
    node = Node(tmp_path)
    barrier = node.litestream.barrier
    waiting = asyncio.create_task(barrier.confirm())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await barrier.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_the_program_is_found_or_its_absence_told(tmp_path: Path) -> None:
    assert os.access(program(), os.X_OK)
    assert program(prefix=str(tmp_path), search=str(program().parent)) == program()
    with pytest.raises(ProntuarioError) as caught:
        program(prefix=str(tmp_path), search=str(tmp_path))
    assert caught.value.kind.code == "store.litestream_missing"
