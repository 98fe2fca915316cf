"""The two nodes' sections mirror each other, and are read back as they were meant."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import Config, load_config
from appliance.config.model import Api, Cluster
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.pair.plan import PairPlan, Place, append_sections, render, seen_from

PLAN = PairPlan(
    first=Place(name="a", host="10.0.0.1", listen="0.0.0.0", api_port=9443),
    second=Place(name="b", host="10.0.0.2", peer_port=9444),
    witness=Place(name="w", host="10.0.0.3", etcd_peer_port=3380),
    client_address="10.0.0.9:8443",
    vip_addresses=("10.0.0.9", "fd00::9"),
    vip_interface="en0",
)


def test_each_node_knows_the_other_and_asks_its_own_voter_first() -> None:
    a, b = PLAN.cluster_of("a"), PLAN.cluster_of("b")
    assert (a.node, a.peer, b.node, b.peer) == ("a", "b", "b", "a")
    assert (a.peer_host, a.peer_peer_port) == ("10.0.0.2", 9444)
    assert (b.peer_host, b.peer_peer_port, b.peer_port) == ("10.0.0.1", 8444, 9444)
    assert b.peer_api == "10.0.0.1:9443"
    assert a.listen_host == "0.0.0.0"
    assert a.etcd_endpoints == ("10.0.0.1:2379", "10.0.0.2:2379", "10.0.0.3:2379")
    assert b.etcd_endpoints == ("10.0.0.2:2379", "10.0.0.1:2379", "10.0.0.3:2379")
    assert a.etcd_initial_cluster == b.etcd_initial_cluster
    assert a.etcd_initial_cluster.endswith(",w=https://10.0.0.3:3380")
    assert PLAN.names_of("a") == ("a", "10.0.0.1")
    without = msgspec.structs.replace(PLAN, witness=None)
    assert len(without.cluster_of("a").etcd_endpoints) == 2


def test_replication_uses_the_cable_that_both_have_and_knows_the_lan_beside_it() -> None:
    wired = msgspec.structs.replace(
        PLAN,
        first=msgspec.structs.replace(PLAN.first, link="10.1.0.1", listen=""),
        second=msgspec.structs.replace(PLAN.second, link="10.1.0.2"),
    )
    a, b = wired.cluster_of("a"), wired.cluster_of("b")
    assert (a.peer_host, a.peer_lan_host) == ("10.1.0.2", "10.0.0.2")
    assert (b.peer_host, b.peer_lan_host) == ("10.1.0.1", "10.0.0.1")
    assert (a.listen_host, b.listen_host) == ("", ""), "on both, and not on an address that goes away with its cable"
    assert a.etcd_endpoints == PLAN.cluster_of("a").etcd_endpoints, "voters and clients stay on the LAN"
    assert b.peer_api == "10.0.0.1:9443"
    assert wired.names_of("a") == ("a", "10.0.0.1", "10.1.0.1")
    half = msgspec.structs.replace(wired, second=PLAN.second).cluster_of("a")
    assert (half.peer_host, half.peer_lan_host, half.listen_host) == ("10.0.0.2", "", "10.0.0.1")


def ordered(cluster: Cluster) -> Cluster:
    """etcd takes its voters in any order."""
    voters = ",".join(sorted(cluster.etcd_initial_cluster.split(",")))
    return msgspec.structs.replace(cluster, etcd_initial_cluster=voters)


@pytest.mark.parametrize("wired", [True, False])
@pytest.mark.parametrize(("left", "gone"), [("a", "b"), ("b", "a")])
def test_whichever_node_is_left_tells_a_new_mac_all_that_the_other_one_knew(left: str, gone: str, wired: bool) -> None:
    plan = msgspec.structs.replace(
        PLAN,
        first=msgspec.structs.replace(PLAN.first, listen="", link="10.1.0.1" if wired else ""),
        second=msgspec.structs.replace(PLAN.second, link="10.1.0.2" if wired else ""),
    )
    config = Config(api=Api(port=plan.place(left).api_port), cluster=plan.cluster_of(left))
    seen = seen_from(config, {*plan.names_of(left), "localhost", "127.0.0.1"})
    assert (seen.first.name, seen.second.name) == (left, gone)
    assert seen.names_of(gone) == plan.names_of(gone)
    assert ordered(seen.cluster_of(gone)) == ordered(plan.cluster_of(gone))
    assert seen.place(gone).api_port == plan.place(gone).api_port
    assert seen.witness == plan.witness


def test_a_node_that_knows_no_voters_tells_nothing() -> None:
    with pytest.raises(CommandFailedError, match="does not name both nodes"):
        seen_from(Config(cluster=Cluster(mode="paired")), ())


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_written_section_is_read_back_as_it_was(tmp_path: Path, name: str) -> None:
    config = tmp_path / "prontuario.toml"
    config.write_text('# mine\n[node]\nname = "x"\n')
    append_sections(config, cluster=PLAN.cluster_of(name), api=Api(host="0.0.0.0", port=9443))
    loaded = load_config(config)
    assert loaded.cluster == PLAN.cluster_of(name)
    assert (loaded.api.host, loaded.api.port, loaded.node.name) == ("0.0.0.0", 9443, "x")
    assert config.read_text().startswith("# mine\n")


def test_a_section_that_a_person_wrote_is_never_replaced(tmp_path: Path) -> None:
    config = tmp_path / "prontuario.toml"
    config.write_text("[cluster]\npeer_port = 1\n")
    with pytest.raises(CommandFailedError) as refused:
        append_sections(config, cluster=PLAN.cluster_of("a"))
    assert refused.value.code is Exit.CONFIG
    assert config.read_text() == "[cluster]\npeer_port = 1\n"


@given(
    st.builds(
        Cluster,
        node=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20),
        peer_port=st.integers(1, 65535),
        lease_ttl_s=st.floats(0.1, 1e6),
        vip_addresses=st.lists(st.text(st.characters(codec="utf-8"), max_size=10), max_size=3).map(tuple),
    )
)
def test_any_value_survives_toml(tmp_path_factory: pytest.TempPathFactory, table: Cluster) -> None:
    config = tmp_path_factory.mktemp("c") / "prontuario.toml"
    config.write_text(render("cluster", table), encoding="utf-8")
    assert load_config(config).cluster == table
