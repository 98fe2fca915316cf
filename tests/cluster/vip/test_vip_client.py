"""Core's client against the real vipd: through a restart, a silent vipd, and refusals."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from appliance.cluster.lease_clock import steady_s
from appliance.cluster.vip_client import VipClient
from appliance.plugin_api.errors import ProntuarioError
from tests.cluster.netlab import INTERFACE, VIP, NetLab
from tests.cluster.vip.running_vipd import PATIENCE_S, StartVipd, eventually


def client_of(socket: Path, address: str = VIP, limit_s: float = PATIENCE_S) -> VipClient:
    return VipClient(socket, (address,), INTERFACE["lan"], answer_limit_s=limit_s)


async def code_of(call: object) -> str:
    with pytest.raises(ProntuarioError) as error:
        await call  # type: ignore[misc]
    return error.value.kind.code


async def test_a_tenancy_from_acquire_to_release(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    client = client_of(vipd.socket)
    assert client.up is None
    granted = await client.acquire(4, steady_s() + 9)
    assert (granted.epoch, granted.held, granted.up, granted.backend) == (4, (VIP,), (VIP,), "ip")
    assert client.up is True
    assert (await client.renew(4, steady_s() + 20)).deadline_s > granted.deadline_s
    assert (await client.status()).held == (VIP,)
    assert (await client.release()).up == ()
    assert client.up is False
    assert not lab.has("a", VIP)
    assert (await client.release()).held == (), "again is fine"
    await client.close()


async def test_releasing_what_was_never_acquired_is_fine(start_vipd: StartVipd) -> None:
    client = client_of(start_vipd().socket)
    assert (await client.release()).held == ()
    await client.close()


async def test_refusals_arrive_as_errors_with_their_details(start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    client = client_of(vipd.socket)
    assert await code_of(client.renew(1, steady_s() + 9)) == "cluster.vip_not_held"
    assert await code_of(client.acquire(1, steady_s() - 1)) == "cluster.vip_bad_deadline"
    await client.acquire(5, steady_s() + 9)
    with pytest.raises(ProntuarioError, match="already given in epoch 5; 3 is old"):
        await client.renew(3, steady_s() + 9)
    stranger = client_of(vipd.socket, "10.77.0.9")
    assert await code_of(stranger.acquire(6, steady_s() + 9)) == "cluster.vip_not_allowed"
    await client.close()
    await stranger.close()


async def test_a_vipd_that_came_back_is_found_by_the_same_client(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    client = client_of(vipd.socket)
    await client.acquire(2, steady_s() + 50)
    vipd.process.kill()
    vipd.process.wait()
    assert eventually(lambda: not lab.has("a", VIP))
    assert await code_of(client.renew(2, steady_s() + 50)) == "cluster.vip_unreachable"
    assert client.up is None
    start_vipd()
    assert await code_of(client.renew(2, steady_s() + 50)) == "cluster.vip_not_held"
    assert (await client.acquire(2, steady_s() + 50)).up == (VIP,)
    await client.close()


async def test_a_late_answer_is_never_taken_for_the_next_ones(start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    client = client_of(vipd.socket, limit_s=0.3)
    await client.acquire(2, steady_s() + 50)
    os.kill(vipd.pid, signal.SIGSTOP)
    assert await code_of(client.renew(2, steady_s() + 51)) == "cluster.vip_unreachable"
    assert client.up is None
    os.kill(vipd.pid, signal.SIGCONT)
    patient = client_of(vipd.socket)
    state = await patient.status()
    assert state.epoch == 2
    await patient.close()
    await client.close()


async def test_no_socket_is_said_plainly(tmp_path: Path) -> None:
    client = client_of(tmp_path / "absent.sock")
    assert await code_of(client.status()) == "cluster.vip_unreachable"
    await client.close()


async def test_many_questions_at_once_get_their_own_answers(start_vipd: StartVipd) -> None:
    client = client_of(start_vipd().socket)
    await client.acquire(1, steady_s() + 40)
    deadlines = [steady_s() + 41 + number / 10 for number in range(40)]
    answers = await asyncio.gather(*(client.renew(1, deadline) for deadline in deadlines))
    assert [answer.deadline_s for answer in answers] == pytest.approx(deadlines)
    await client.close()
