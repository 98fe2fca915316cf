"""The plan of a development pair with a virtual IP, and the network that it asks for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from appliance.config import Paths
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.lock import HomeLock
from appliance.daemon.pair.namespaces import list_namespaces, why_no_namespaces
from appliance.daemon.pair.own_network import lay, plan_in_namespaces, take_up
from appliance.daemon.pair.up_pair import UpPair, plan_on_loopback, prepare_pair

NAMES = ("a", "b", "w")
pytestmark = pytest.mark.skipif(why_no_namespaces() is not None, reason=str(why_no_namespaces()))


def test_every_home_gets_its_own_network_and_each_node_its_own_socket(tmp_path: Path) -> None:
    one, two = (plan_in_namespaces(tmp_path / name, NAMES) for name in ("one", "two"))
    assert one == plan_in_namespaces(tmp_path / "one", NAMES)
    assert one.namespaces != two.namespaces
    a, b = one.cluster_of("a"), one.cluster_of("b")
    assert a.vipd_socket != b.vipd_socket
    assert Path(a.vipd_socket).parent != Path(b.vipd_socket).parent, "keepalived's files lie beside the socket"
    assert len(a.vipd_socket) < 100, "a Unix socket's path is short"
    assert (a.peer_host, a.peer_lan_host) == (one.second.link, one.second.host)
    assert one.client_address.startswith(f"{one.vip_addresses[0]}:")
    assert one.api_host_of("a") == "0.0.0.0", "the address comes and goes"


def test_this_machine_is_a_client_of_the_network_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    plan = plan_in_namespaces(tmp_path, NAMES)
    lay(plan)
    network = lay(plan)  # in the place of one that a killed predecessor left
    shown = subprocess.run(["ip", "route", "get", plan.vip_addresses[0]], capture_output=True, text=True, check=True)
    assert f"dev pt-{plan.namespaces.rpartition('-')[2]}" in shown.stdout
    take_up(plan, network)
    assert not [name for name in list_namespaces() if name.startswith(plan.namespaces)]
    shown = subprocess.run(["ip", "route", "get", plan.vip_addresses[0]], capture_output=True, text=True, check=False)
    assert "dev pt-" not in shown.stdout


async def test_a_pair_that_runs_keeps_its_network_when_it_is_started_again(tmp_path: Path) -> None:
    plan = plan_in_namespaces(tmp_path, NAMES)
    network = lay(plan)
    run = Paths(tmp_path / "b").run
    run.mkdir(parents=True)
    with HomeLock(run), pytest.raises(CommandFailedError) as refused:
        await UpPair(tmp_path, plan).start()
    assert refused.value.code is Exit.ALREADY_RUNNING
    assert network.name("a") in list_namespaces()
    take_up(plan, network)


async def test_a_pair_that_does_not_come_up_takes_its_network_along(tmp_path: Path) -> None:
    plan = plan_in_namespaces(tmp_path, NAMES)
    with pytest.raises(CommandFailedError, match="did not come up"):
        await UpPair(tmp_path, plan).start()  # nothing was founded there
    assert not [name for name in list_namespaces() if name.startswith(plan.namespaces)]


async def test_a_pair_that_was_made_without_an_address_does_not_get_one_in_passing(tmp_path: Path) -> None:
    founded = await prepare_pair(tmp_path, 0, None)
    assert not founded.vip_addresses
    assert await prepare_pair(tmp_path, 0, None) == founded
    with pytest.raises(CommandFailedError) as refused:
        await prepare_pair(tmp_path, 0, "ip")
    assert refused.value.code is Exit.USAGE


def test_on_loopback_each_part_has_ports_of_its_own() -> None:
    plan = plan_on_loopback(20_000)
    assert plan.namespaces == ""
    ports = [place.api_port for place in plan.voters] + [place.etcd_peer_port for place in plan.voters]
    assert len(set(ports)) == len(ports)
    assert plan.api_host_of("a") == "127.0.0.1"
