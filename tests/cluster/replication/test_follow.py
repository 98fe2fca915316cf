"""The warm copy and its proof, against real Litestream."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.cluster.follow import Follower, check_quickly
from appliance.cluster.ltx import listing
from appliance.cluster.model import Position
from appliance.cluster.prove_restore import RestoreProof, prove_restore
from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.security.node_authority import NodeFiles
from appliance.store.database import Database
from appliance.store.sqlite import inspect
from tests.cluster.replication.conftest import MAC_FOLDER, until
from tests.cluster.replication.nodes import THING, Primary, Standby, things


@pytest.fixture
async def pair(tmp_path: Path, r_certificates: dict[str, NodeFiles]) -> AsyncIterator[tuple[Primary, Standby]]:
    async with AsyncExitStack() as stack:
        standby = Standby(tmp_path / MAC_FOLDER / "b", r_certificates)
        await standby.receiver.fence(1)
        await standby.start()
        stack.push_async_callback(standby.stop)
        primary = Primary(tmp_path / MAC_FOLDER / "a", r_certificates, standby.port)
        await primary.start(stack)
        await until(lambda: primary.barrier.mode == "paired" and "in" in primary.log)
        yield primary, standby


@pytest.fixture
async def follower(pair: tuple[Primary, Standby]) -> AsyncIterator[Follower]:
    standby = pair[1]
    made = Follower(
        standby.receiver.folder, standby.paths.warm_copies / "1", lambda: standby.receiver.position.txid, stall_s=2.0
    )
    await made.start()
    yield made
    await made.close()


def child_of(follower: Follower) -> int:
    assert follower._lock is not None
    pid = follower._lock.child_pid
    assert pid is not None
    return pid


async def test_the_copy_keeps_up_and_becomes_the_record(pair: tuple[Primary, Standby], follower: Follower) -> None:
    primary, standby = pair
    for n in range(30):
        await primary.write(n)
    await until(lambda: follower.lag_txids == 0 and follower.at > 0)
    await asyncio.gather(*(primary.write(n) for n in range(30, 60)))
    position = await standby.receiver.look()
    path = await follower.finish(position.txid, deadline_s=60)
    assert inspect(path, things) == set(range(60))
    database = await Database.open(path, StoreConfig(litestream=False), migrations=[THING])
    async with database:
        await database.write(lambda tx: tx.execute("INSERT INTO thing VALUES (60, 'the new primary')"))
        assert await database.read(things) == set(range(61))
    assert not list(path.parent.glob("*-txid"))


async def test_a_follower_that_was_killed_or_hangs_goes_on(pair: tuple[Primary, Standby], follower: Follower) -> None:
    primary, standby = pair
    await primary.write(1)
    await until(lambda: follower.at > 0 and follower.lag_txids == 0)
    await until(lambda: not (follower._view_level(9)).is_symlink())
    for number, blow in enumerate((signal.SIGKILL, signal.SIGSTOP), start=1):
        os.kill(child_of(follower), blow)
        for n in range(10):
            await primary.write(number * 100 + n)
        await until(lambda: follower.lag_txids == 0 and follower.restarts >= number)  # noqa: B023  awaited here
    path = await follower.finish((await standby.receiver.look()).txid, deadline_s=60)
    assert len(inspect(path, things)) == 21


async def test_a_stall_is_alarmed(pair: tuple[Primary, Standby], follower: Follower) -> None:
    primary, _ = pair
    await primary.write(1)
    await until(lambda: follower.at > 0 and follower.lag_txids == 0)
    assert (await follower.health()).status == "ok"
    follower._stall_s = 0.3
    os.kill(child_of(follower), signal.SIGSTOP)
    await primary.write(2)
    seen = set()
    async with asyncio.timeout(60):
        while "degraded" not in seen:
            seen.add((await follower.health()).status)
            await asyncio.sleep(0.05)
    await until(lambda: follower.lag_txids == 0)


async def test_a_copy_behind_a_newer_image_and_pruned_steps_is_made_anew(
    pair: tuple[Primary, Standby], follower: Follower
) -> None:
    primary, standby = pair
    await primary.write(1)
    await until(lambda: follower.at > 0 and follower.lag_txids == 0)
    await follower.close()
    (follower.database.with_name("record.sqlite-txid")).write_text("not a number")
    for n in range(2, 6):
        await primary.write(n)
    again = Follower(standby.receiver.folder, follower.database.parent, lambda: standby.receiver.position.txid)
    await again.start()
    path = await again.finish((await standby.receiver.look()).txid, deadline_s=60)
    assert inspect(path, things) == {1, 2, 3, 4, 5}


async def test_without_room_for_another_a_copy_that_can_not_go_on_is_kept(
    pair: tuple[Primary, Standby], follower: Follower
) -> None:
    primary, standby = pair
    await primary.write(1)
    await until(lambda: follower.at > 0 and follower.lag_txids == 0)
    await primary.mirror.close()  # a level that the primary compacts later would mend what is broken here
    await follower.close()
    at = follower.at
    await primary.write(2)
    for file in listing(standby.receiver.folder):
        if file.last > at:
            file.path(standby.receiver.folder).write_bytes(b"no LTX file")
    folder, receiver = follower.database.parent, standby.receiver
    cramped = Follower(receiver.folder, folder, lambda: receiver.position.txid, room_bytes=1 << 62, pause_s=0.05)
    await cramped.start()
    await until(lambda: cramped.restarts >= 4)
    await cramped.close()
    assert cramped.at == at
    assert inspect(cramped.database, things) == {1}
    roomy = Follower(receiver.folder, folder, lambda: receiver.position.txid, room_bytes=0, pause_s=0.05)
    await roomy.start()
    await until(lambda: roomy.at == 0)
    await roomy.close()


async def test_what_can_not_be_drained_is_told(pair: tuple[Primary, Standby], follower: Follower) -> None:
    primary, _ = pair
    await primary.write(1)
    await until(lambda: follower.at > 0)
    with pytest.raises(ProntuarioError) as caught:
        await follower.finish(follower.at + 1000, deadline_s=0.2)
    assert caught.value.kind.code == "cluster.not_drained"
    await primary.write(2)
    await until(lambda: follower.lag_txids == 0)  # it goes on following


async def test_a_damaged_copy_is_not_opened(tmp_path: Path) -> None:
    async with await Database.open(
        tmp_path / "x.sqlite", StoreConfig(litestream=False), migrations=[THING]
    ) as database:
        await database.write(
            lambda tx: tx.execute_many("INSERT INTO thing VALUES (?, ?)", [(n, "y" * 500) for n in range(99)])
        )
    check_quickly(tmp_path / "x.sqlite")
    content = bytearray((tmp_path / "x.sqlite").read_bytes())
    content[3 * 4096 + 8 : 4 * 4096] = b"\xff" * (4096 - 8)
    (tmp_path / "x.sqlite").write_bytes(content)
    with pytest.raises(ProntuarioError) as caught:
        check_quickly(tmp_path / "x.sqlite")
    assert caught.value.kind.code == "cluster.copy_damaged"


# -- proof ----------------------------------------------------------------------------------------------------------------
def read_one(query: Query) -> str:
    row = query.one("SELECT id FROM thing WHERE body = 'x' LIMIT 1")
    assert row is not None
    return f"Thing/{row['id']}"


async def prove(standby: Standby, scratch: Path, at_least: int) -> RestoreProof:
    return await prove_restore(
        standby.receiver.folder, await standby.receiver.look(), scratch,
        now=datetime.now(UTC), read=read_one, at_least={"thing": at_least},
    )  # fmt: skip


async def test_a_good_copy_proves_itself(pair: tuple[Primary, Standby], tmp_path: Path) -> None:
    primary, standby = pair
    for n in range(25):
        await primary.write(n)
    proof = await prove(standby, tmp_path, 25)
    assert (proof.rows["thing"], proof.position) == (25, standby.receiver.position)
    assert proof.read.startswith("Thing/")
    assert list(tmp_path.glob("proof-*")) == []


async def test_a_missing_file_is_caught(pair: tuple[Primary, Standby], tmp_path: Path) -> None:
    primary, standby = pair
    for n in range(25):
        await primary.write(n)
    position = await standby.receiver.look()
    await standby.stop()  # nobody mends it
    folder = standby.receiver.folder
    middle = position.txid // 2
    for file in listing(folder):
        if file.first <= middle <= file.last:
            file.path(folder).unlink()
    assert listing(folder) != []
    with pytest.raises(ProntuarioError) as caught:
        await prove_restore(folder, Position(1, position.txid), tmp_path, now=datetime.now(UTC), read=read_one)
    assert caught.value.kind.code == "cluster.copy_damaged"


async def test_too_few_rows_are_caught(pair: tuple[Primary, Standby], tmp_path: Path) -> None:
    primary, standby = pair
    await primary.write(1)
    with pytest.raises(ProntuarioError) as caught:
        await prove(standby, tmp_path, 2)
    assert caught.value.details == {"reason": "rows of thing"}
