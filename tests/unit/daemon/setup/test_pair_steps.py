"""Two Macs, one code: founding, inviting and joining, also when either side was interrupted."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.config import load_config
from appliance.daemon.ports import free_ports
from appliance.daemon.setup.context import Context
from appliance.daemon.setup.home_steps import SEALED, make_home, print_key
from appliance.daemon.setup.machine import Network
from appliance.daemon.setup.pair_steps import VOTER_FOLDER, found_pair, invite_second, is_joined, join_first
from appliance.daemon.setup.service_steps import facts_of
from appliance.daemon.setup.steps import unneeded
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.recovery import unseal
from tests.fakes.mac_ground import ScratchMac
from tests.unit.daemon.setup.grounds import Listener, context, linux, mac_of

LOOPBACK = Network("lo", ipaddress.ip_interface("127.0.0.1/8"))
ADDRESSES = {
    "phase": "pair", "interface": "lo", "address": "127.0.0.1", "peer_address": "127.0.0.2", "witness_address": "127.0.0.3",
    "vip": "127.0.0.9",
}  # fmt: skip
PATIENCE_S = 90.0


async def code_shown(heard: Listener) -> str:
    async with asyncio.timeout(PATIENCE_S):
        while not (found := re.search(r"--code (\S+)", heard.text)):  # noqa: ASYNC110  whoever speaks knows no listener
            await asyncio.sleep(0.02)
    return found[1]


@contextmanager
def suppress_silence() -> Iterator[None]:
    try:
        yield
    except ProntuarioError as error:
        if error.kind.code != "setup.first_silent":
            raise


async def joined(first: Context, second: Context, heard: Listener) -> None:
    inviting = asyncio.create_task(invite_second(first))
    try:
        code = await code_shown(heard)
        async with asyncio.timeout(PATIENCE_S):
            # It listens a moment after it has shown the code.
            while not is_joined(second):
                with suppress_silence():
                    await join_first(dataclasses.replace(second, code=code))
                await asyncio.sleep(0.02)
            await inviting
    finally:
        inviting.cancel()
        await asyncio.wait({inviting})


async def test_two_macs_become_one_service(tmp_path: Path) -> None:
    heard = Listener()
    port = free_ports(1)[0]
    first = dataclasses.replace(context(tmp_path / "a", linux(LOOPBACK), heard, **ADDRESSES), join_port=port)
    await make_home(first)
    await found_pair(first)
    voter = first.papers / VOTER_FOLDER
    assert {path.name for path in voter.rglob("*") if path.is_file()} >= {"etcd.sh", "voter.json", "node.key"}
    assert "127.0.0.3" in heard.text
    await print_key(first)
    made = {path: path.read_bytes() for path in first.paths.secrets.iterdir() if path.suffix == ".key"}
    await found_pair(first)  # taken up again
    assert {path: path.read_bytes() for path in made} == made
    second = context(tmp_path / "b", linux(), Listener(), part="second", first=f"127.0.0.1:{port}")
    with pytest.raises(ProntuarioError, match=r"setup\.pairing"):
        await join_first(second)
    assert not is_joined(second)
    await joined(first, second, heard)
    assert is_joined(second)
    await join_first(second)  # taken up again: nobody is called, no code is needed
    config = load_config(second.paths.config)
    assert (config.cluster.mode, config.cluster.node, config.cluster.vip_addresses) == ("paired", "b", ("127.0.0.9",))
    assert config.node.hospital == "Santa Casa"
    assert second.paths.ca.read_bytes() == first.paths.ca.read_bytes()
    facts = facts_of(second, "hoje")
    assert facts.nodes == (("a", "127.0.0.1"), ("b", "127.0.0.2"))
    assert (facts.witness, facts.phones, facts.vip) == ("127.0.0.3", "127.0.0.9:8443", "127.0.0.9")
    with pytest.raises(ProntuarioError, match=r"recovery\.seal"):
        unseal(bytes(32), (first.papers / SEALED).read_bytes())
    assert unneeded(second, ["pair"]) == ["pair"], "nobody invites before the order"
    if sys.platform == "linux":  # elsewhere loopback has one address only
        await the_first_mac_is_replaced(tmp_path / "c", second)


async def the_first_mac_is_replaced(folder: Path, left: Context) -> None:
    """The first one burnt: the second one invites a Mac that takes its name and its place."""
    heard, port = Listener(), free_ports(1)[0]
    inviting = dataclasses.replace(left, say=heard.say, join_port=port, again=("pair",))
    assert unneeded(inviting, ["pair"]) == []
    new = context(folder, linux(), Listener(), part="second", first=f"127.0.0.2:{port}")
    await joined(inviting, new, heard)
    config = load_config(new.paths.config)
    assert (config.cluster.node, config.cluster.peer, config.cluster.peer_host) == ("a", "b", "127.0.0.2")
    assert config.cluster.vip_addresses == ("127.0.0.9",)
    assert new.paths.ca.read_bytes() == left.paths.ca.read_bytes()


async def test_a_first_mac_that_does_not_answer_is_told_with_what_to_do(tmp_path: Path) -> None:
    second = context(tmp_path, linux(), Listener(), part="second", first=f"127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(ProntuarioError, match=r"setup\.first_silent") as told:
        await join_first(dataclasses.replace(second, code="AAAAAA-" * 6 + "AAAAAA"))
    assert "prontuario setup" in told.value.next_step("pt")
    assert not second.paths.config.exists()


async def test_somebody_who_saw_it_join_can_say_so(tmp_path: Path) -> None:
    person = Listener(["s"])
    ctx = context(tmp_path, linux(LOOPBACK), person, **ADDRESSES)
    await invite_second(dataclasses.replace(ctx, ask=person.ask, resumed=True))
    assert "--code" not in person.text


async def test_on_a_node_that_runs_macos_s_rules_hold_while_the_second_joins(tmp_path: Path) -> None:
    """Our packet rules keep the joining port closed; however the waiting ends, they come back."""
    ground, heard = ScratchMac.make(tmp_path / "mac"), Listener()
    machine = dataclasses.replace(mac_of(ground), networks=(LOOPBACK,))
    first = context(tmp_path, machine, heard, home=ground.home, **ADDRESSES)
    first = dataclasses.replace(first, join_port=free_ports(1)[0])
    await make_home(first)
    await found_pair(first)
    rules = ground.root / "etc/prontuario/pf.conf"
    rules.parent.mkdir(parents=True)
    rules.touch()
    inviting = asyncio.create_task(invite_second(first))
    try:
        await code_shown(heard)
        async with asyncio.timeout(PATIENCE_S):
            while "pfctl -f /etc/pf.conf" not in ground.calls:  # noqa: ASYNC110  another process writes it
                await asyncio.sleep(0.02)
    finally:
        inviting.cancel()
        await asyncio.wait({inviting})
    assert [call for call in ground.calls if call.startswith("pfctl")] == ["pfctl -f /etc/pf.conf", f"pfctl -f {rules}"]
