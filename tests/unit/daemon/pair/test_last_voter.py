"""Two of three voters lost for good: the last goes on alone by order, keeps every key, and takes others in again."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from appliance.cluster.etcd_client import EtcdClient
from appliance.cluster.etcd_keys import EtcdKeys
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.pair import last_voter
from appliance.daemon.pair.etcd_child import Voter
from appliance.daemon.pair.last_voter import ALONE, VOTERS, go_on_alone, readmit, rejoin, start_command
from appliance.daemon.pair.voter import _run
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.etcd_set import EtcdSet, make_set

pytestmark = [
    pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd-server is not installed"),
    pytest.mark.timeout(300),
]
PATIENCE_S = 120.0


def said(_sentence: str) -> None:
    pass


def voter(etcd: EtcdSet, name: str) -> Voter:
    return Voter(etcd.folder / f"{name}-home", etcd.members[name])


@asynccontextmanager
async def running(one: Voter) -> AsyncIterator[None]:
    """What ``prontuario cluster voter`` runs."""
    task = asyncio.create_task(_run(one, None, None))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def answers(client: EtcdClient) -> bool:
    try:
        await client.read("/", 3.0)
    except ProntuarioError:
        return False
    return True


async def until_answered(client: EtcdClient) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await answers(client):  # noqa: ASYNC110  another process has to act
            await asyncio.sleep(0.1)  # asks another process


@pytest.fixture
async def founded(tmp_path: Path) -> AsyncIterator[EtcdSet]:
    """Three voters that have agreed on something, all stopped."""
    etcd = make_set(tmp_path)
    etcd.start()
    try:
        await etcd.wait_ready()
        client = etcd.client()
        await until_answered(client)
        await EtcdKeys(client).initialise("a")
        await client.close()
        last = alone(etcd, "a")
        for _ in range(5):  # a voter knows for sure what was agreed on only from what follows it
            await EtcdKeys(last).forget("promote")
            await until_answered(last)
        await last.close()
        etcd.stop()
        yield etcd
    finally:
        etcd.stop()


def alone(etcd: EtcdSet, name: str) -> EtcdClient:
    member = etcd.members[name]
    assert member.tls is not None
    return EtcdClient([member.client_url], member.tls.client_context(), attempt_s=3.0)


async def test_the_last_voter_goes_on_alone_and_takes_another_in(founded: EtcdSet) -> None:
    a, b = voter(founded, "a"), voter(founded, "b")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(a))
        client = alone(founded, "a")
        stack.push_async_callback(client.close)
        assert not await answers(client), "one of three is no majority"
        with pytest.raises(CommandFailedError, match="Not confirmed"):
            await go_on_alone(a, typed="yes", say=said, prompt=lambda _: "")
        assert not (a.folder / ALONE).exists()
        await go_on_alone(a, typed=None, say=said, prompt=lambda question: "a" if "a" in question else "")
        sync = (await EtcdKeys(client).view()).sync
        assert sync is not None
        assert sync.holders == ("a",), "the pair's keys are what they were"
        async with asyncio.timeout(PATIENCE_S):
            while (a.folder / ALONE).exists():  # noqa: ASYNC110  the voter's own loop removes it
                await asyncio.sleep(0.05)

        with pytest.raises(CommandFailedError, match="no voter of this pair"):
            await readmit(a, "stranger", say=said)
        voters = await readmit(a, "b", say=said)
        with pytest.raises(CommandFailedError, match="already"):
            await readmit(a, "b", say=said)
        rejoin(b, voters)
        assert not b.member.data.exists(), "old votes must never be counted again"
        assert list(b.member.data.parent.glob("data.*"))
        await stack.enter_async_context(running(b))
        other = alone(founded, "b")
        stack.push_async_callback(other.close)
        await until_answered(other)
        seen = (await EtcdKeys(other).view()).sync
        assert seen is not None
        assert seen.holders == ("a",)


async def test_a_voter_that_answers_is_not_lost(founded: EtcdSet) -> None:
    async with running(voter(founded, "a")), running(voter(founded, "w")):
        client = alone(founded, "a")
        await until_answered(client)
        await client.close()
        with pytest.raises(CommandFailedError, match="voter w answers"):
            await go_on_alone(voter(founded, "a"), typed="a", say=said, prompt=lambda _: "a")
        assert not (voter(founded, "a").folder / ALONE).exists()


async def test_an_order_waits_for_a_voter_that_does_not_run(founded: EtcdSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_voter, "_ALONE_LIMIT_S", 1.0)
    a = voter(founded, "a")
    a.folder.mkdir()
    with pytest.raises(CommandFailedError, match="as soon as its process starts"):
        await go_on_alone(a, typed="a", say=said, prompt=lambda _: "a")
    assert (a.folder / ALONE).exists()
    assert "--force-new-cluster" in start_command(a, alone=True)
    assert "--force-new-cluster" not in start_command(a, alone=False)
    async with running(a):
        client = alone(founded, "a")
        await until_answered(client)
        await client.close()
        assert not (a.folder / ALONE).exists(), "only once: later voters must not be forgotten"


def test_a_set_that_does_not_name_this_voter_is_not_joined(tmp_path: Path) -> None:
    b = voter(make_set(tmp_path), "b")
    b.member.prepare()
    with pytest.raises(CommandFailedError, match="does not name"):
        rejoin(b, "a=https://127.0.0.1:1")
    assert b.member.data.exists()
    assert not (b.folder / VOTERS).exists()
