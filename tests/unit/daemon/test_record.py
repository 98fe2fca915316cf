"""The record opens and closes with the role while everything above it stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from appliance.config.model import Api, Config, Paths
from appliance.config.model import Store as StoreConfig
from appliance.daemon.assembly import Core, assemble, open_alone
from appliance.daemon.record import RecordSlot
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.security import users
from appliance.store import jobs

CONFIG = Config(api=Api(port=0), store=StoreConfig(litestream=False))
PATIENCE_S = 60.0


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    async with AsyncExitStack() as stack:
        core = await assemble(stack, Paths(tmp_path / "home"), CONFIG)
        stack.push_async_callback(core.record.close)
        yield core


async def open_record(core: Core) -> None:
    await core.record.open(await open_alone(core.paths, CONFIG, core.metrics))


def count_users(q: Query) -> int:
    return len(users.list_users(q, limit=100))


async def test_a_closed_slot_refuses_with_the_primary_s_address() -> None:
    slot = RecordSlot(lambda: "10.0.0.2:8443")
    with pytest.raises(ProntuarioError) as refused:
        await slot.read(count_users)
    assert refused.value.kind.code == "cluster.standby"
    assert "10.0.0.2:8443" in refused.value.sentence("pt")
    assert refused.value.retry_after == 1.0
    with pytest.raises(ProntuarioError, match=r"cluster\.standby"):
        await slot.write(lambda tx: tx.execute("SELECT 1"))
    assert slot.mode == "read-only"
    assert not slot.is_open


async def test_what_was_written_is_there_when_the_record_opens_again(core: Core) -> None:
    await open_record(core)
    assert core.store.mode == "single"
    assert core.store.refusal() is None
    await core.identity.create_user("ana", "nurse", None, "Ana")
    await core.record.close()
    with pytest.raises(ProntuarioError, match=r"cluster\.standby"):
        await core.identity.create_user("rui", "nurse", None, "Rui")
    await open_record(core)
    assert await core.store.read(count_users) == 1


async def test_jobs_rest_with_the_role_and_go_on_with_the_next(core: Core) -> None:
    began, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    attempts: list[int] = []

    async def work(job: jobs.Job) -> None:
        attempts.append(job.attempt)
        began.set()
        await may_end.wait()
        ended.set()

    core.jobs.register("test.work", work)
    async with asyncio.timeout(PATIENCE_S):
        await open_record(core)
        await core.record.begin()
        await core.store.write(lambda tx: jobs.enqueue(tx, "test.work", {}))
        core.jobs.wake()
        await began.wait()
        await core.record.rest()
        await core.record.close()
        assert not ended.is_set()
        began.clear()
        may_end.set()
        await open_record(core)
        await core.record.begin()
        await ended.wait()
    assert attempts == [1, 1], "an attempt that the role cut short does not count"
    await core.record.rest()


async def test_whoever_loses_patience_with_the_rest_leaves_it_going_on(core: Core) -> None:
    working, may_end = asyncio.Event(), asyncio.Event()

    async def work(job: jobs.Job) -> None:
        del job
        working.set()
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()

    core.jobs.register("test.stubborn", work)
    async with asyncio.timeout(PATIENCE_S):
        await open_record(core)
        await core.record.begin()
        await core.store.write(lambda tx: jobs.enqueue(tx, "test.stubborn", {}))
        core.jobs.wake()
        await working.wait()
        impatient = asyncio.create_task(core.record.rest())
        while core.record.works:  # noqa: ASYNC110  it has no event
            await asyncio.sleep(0)
        impatient.cancel()
        again = asyncio.create_task(core.record.rest())
        await asyncio.wait({impatient, again}, timeout=0.1)
        assert impatient.cancelled()
        assert not again.done(), "the first one's rest is not over"
        may_end.set()
        await again
        await core.record.close()


async def test_closing_twice_and_resting_without_work_are_harmless(core: Core) -> None:
    await core.record.rest()
    await open_record(core)
    await core.record.close()
    await core.record.close()
    assert core.record.record is None


async def test_a_record_of_another_master_key_is_closed_again(core: Core, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        other = await assemble(stack, Paths(tmp_path / "other"), CONFIG)
        await other.record.open(await open_alone(other.paths, CONFIG, other.metrics))
        await other.record.close()
    core.paths.database.unlink(missing_ok=True)
    other.paths.database.rename(core.paths.database)
    with pytest.raises(ProntuarioError, match=r"vault\.locked"):
        await open_record(core)
    assert not core.store.is_open


async def test_health_says_that_no_record_is_open(core: Core) -> None:
    assert (await core.record.health()).status == "not_configured"
