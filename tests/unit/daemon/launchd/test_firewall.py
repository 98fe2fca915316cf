"""The rendered anchor, asked by a reader of its own about packets: nothing passes but what the configuration needs."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import Config
from appliance.config.model import Admin, Alerts, Api, Cluster, Node, Power, Tracing
from appliance.daemon.launchd.firewall import firewall
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.packet_filter import Packet, PacketFilter
from tests.unit.daemon.launchd.parts import ALONE, PAIR

DHCP_CLIENT, MULTICAST_DNS, OURS = 68, 5353, "_prontuario"
PEER_WIRE, PEER_LAN, THIRD, STRANGER = "192.168.77.12", "10.0.0.12", "10.0.0.13", "10.9.9.9"


def anchor(config: Config) -> PacketFilter:
    return PacketFilter(firewall(config)[1].content.decode())


OF_A_PAIR, OF_ONE_MAC = anchor(PAIR), anchor(ALONE)


def with_cluster(**changes: object) -> Config:
    return msgspec.structs.replace(PAIR, cluster=msgspec.structs.replace(PAIR.cluster, **changes))


def test_every_port_of_a_lone_node_stands_there_once_and_no_other() -> None:
    assert anchor(ALONE).ports("in") == [DHCP_CLIENT, MULTICAST_DNS, 8443]
    assert anchor(ALONE).ports("out") == []


def test_every_port_of_a_pair_stands_there_once_and_no_other() -> None:
    cluster = PAIR.cluster
    mine = [PAIR.api.port, PAIR.admin.port, cluster.peer_port, cluster.etcd_client_port, cluster.etcd_peer_port]
    assert anchor(PAIR).ports("in") == sorted([DHCP_CLIENT, MULTICAST_DNS, *mine])
    assert anchor(PAIR).ports("out") == [2379, 2380, 2479, 2480, 9444]


def test_what_listens_only_on_this_machine_is_not_opened() -> None:
    closed = anchor(Config(api=Api(host="127.0.0.1"), admin=Admin(host="::1")))
    assert closed.ports("in") == [DHCP_CLIENT]
    assert closed.lets(Packet("in", "127.0.0.1", "127.0.0.1", 8443, interface="lo0"))


def test_clinicians_reach_the_api_and_the_virtual_ip() -> None:
    for target in ("10.0.0.11", "10.0.0.10"):
        assert anchor(PAIR).lets(Packet("in", STRANGER, target, 8443))
    bound = msgspec.structs.replace(PAIR, api=msgspec.structs.replace(PAIR.api, host="10.0.0.11"))
    assert anchor(bound).lets(Packet("in", STRANGER, "10.0.0.10", 8443))
    assert not anchor(bound).lets(Packet("in", STRANGER, "192.168.77.11", 8443))


def test_the_dashboard_is_reached_where_it_listens() -> None:
    assert anchor(PAIR).lets(Packet("in", STRANGER, "10.0.0.11", 8445))
    assert not anchor(PAIR).lets(Packet("in", STRANGER, "10.0.0.10", 8445))


@pytest.mark.parametrize(
    ("port", "allowed"),
    [(8444, {PEER_WIRE, PEER_LAN}), (2379, {PEER_WIRE, PEER_LAN}), (2380, {PEER_WIRE, PEER_LAN, THIRD})],
)
def test_the_links_of_the_pair_are_open_to_the_pair_only(port: int, allowed: set[str]) -> None:
    asked = {PEER_WIRE, PEER_LAN, THIRD, STRANGER}
    assert {source for source in asked if anchor(PAIR).lets(Packet("in", source, port=port))} == allowed


@given(port=st.integers(1, 65535), protocol=st.sampled_from(["tcp", "udp"]))
def test_no_stranger_gets_in_anywhere_else(port: int, protocol: str) -> None:
    let = OF_A_PAIR.lets(Packet("in", STRANGER, "10.0.0.11", port, protocol))
    assert let == ((protocol, port) in {("tcp", 8443), ("tcp", 8445)})


@given(port=st.integers(1, 65535), target=st.ip_addresses().map(str), protocol=st.sampled_from(["tcp", "udp"]))
def test_the_record_s_processes_reach_nobody_from_a_lone_node(port: int, target: str, protocol: str) -> None:
    assert not OF_ONE_MAC.lets(Packet("out", "10.0.0.11", target, port, protocol, user=OURS))


@pytest.mark.parametrize(
    ("target", "port", "let"),
    [
        (PEER_WIRE, 9444, True),
        (PEER_LAN, 9444, True),
        (PEER_LAN, 2479, True),
        (PEER_LAN, 2480, True),
        (THIRD, 2379, True),
        (THIRD, 2380, True),
        (THIRD, 9444, False),
        (PEER_LAN, 22, False),
        ("142.250.0.1", 443, False),
    ],
)
def test_the_record_s_processes_reach_only_the_pair(target: str, port: int, let: bool) -> None:
    assert anchor(PAIR).lets(Packet("out", "10.0.0.11", target, port, user=OURS)) == let


def test_only_the_hybrid_phase_may_leave_the_building() -> None:
    cloud = Packet("out", "10.0.0.11", "142.250.0.1", 443, user=OURS)
    assert [anchor(Config(node=Node(phase=phase))).lets(cloud) for phase in ("pilot", "ha", "hybrid")] == [
        False, False, True,
    ]  # fmt: skip


def test_the_other_node_is_asked_at_its_own_door() -> None:
    """Else NodeDown would be told of a Mac that is well."""
    rules = anchor(with_cluster(peer_api="10.0.0.12:8443"))
    assert rules.lets(Packet("out", "10.0.0.11", PEER_LAN, 8443, user=OURS))
    assert not rules.lets(Packet("out", "10.0.0.11", THIRD, 8443, user=OURS))


def test_what_the_configuration_names_is_reached_within_the_hospital_only() -> None:
    rules = anchor(
        Config(
            power=Power(kind="nut", host="10.0.0.50"),
            alerts=Alerts(email_to=("ti@h",), smtp_host="correio.hospital", webhooks=("https://10.1.1.1:8443/x",)),
            tracing=Tracing(enabled=True, endpoint="http://coletor.hospital:4318/v1/traces"),
        )
    )
    assert rules.ports("out") == [25, 3493, 4318, 8443]
    for target, port in (("10.0.0.50", 3493), ("10.200.0.9", 25), ("10.1.1.1", 8443), ("fd00::9", 4318)):
        assert rules.lets(Packet("out", "10.0.0.11", target, port, user=OURS)), target
    for target, port in (("142.250.0.1", 25), ("10.0.0.51", 3493), ("10.200.0.9", 22)):
        assert not rules.lets(Packet("out", "10.0.0.11", target, port, user=OURS)), target
    here = Config(power=Power(kind="apcupsd"), alerts=Alerts(email_to=("ti@h",), smtp_host="localhost"))
    assert anchor(here).ports("out") == []
    nowhere = Config(alerts=Alerts(networks=("127.0.0.0/8",), webhooks=("http://10.0.0.9/x",)))
    assert anchor(nowhere).ports("out") == []


def test_the_mac_s_own_services_are_left_alone() -> None:
    assert anchor(PAIR).lets(Packet("out", "10.0.0.11", "10.0.0.1", 123, "udp", user="_timed"))
    assert anchor(PAIR).lets(Packet("in", "10.0.0.1", "255.255.255.255", 68, "udp", source_port=67))
    assert anchor(PAIR).lets(Packet("in", "fe80::1", "ff02::1", protocol="ipv6-icmp"))
    assert anchor(PAIR).lets(Packet("in", protocol="icmp", icmp="echoreq"))
    assert not anchor(PAIR).lets(Packet("in", protocol="icmp", icmp="redir"))


def test_the_local_name_is_answered_only_where_there_is_one() -> None:
    question = Packet("in", STRANGER, "224.0.0.251", MULTICAST_DNS, "udp")
    assert anchor(PAIR).lets(question)
    named = msgspec.structs.replace(PAIR, api=msgspec.structs.replace(PAIR.api, names=("prontuario.hospital",)))
    assert not anchor(named).lets(question)


def test_vrrp_passes_only_with_keepalived_and_only_from_the_peer() -> None:
    spoken = Packet("in", PEER_LAN, "224.0.0.18", protocol="112")
    assert not anchor(PAIR).lets(spoken)
    with_keepalived = anchor(with_cluster(vip_backend="keepalived"))
    assert with_keepalived.lets(spoken)
    assert not with_keepalived.lets(Packet("in", STRANGER, "224.0.0.18", protocol="112"))


def test_ipv6_peers_stand_in_the_rules_as_addresses() -> None:
    six = with_cluster(
        peer_host="fd00::12", peer_lan_host="", etcd_endpoints=("[fd00::11]:2379", "[fd00::12]:2379"),
        etcd_initial_cluster="a=https://[fd00::11]:2380,b=https://[fd00::12]:2380",
    )  # fmt: skip
    assert anchor(six).lets(Packet("in", "fd00::12", "fd00::11", 8444))
    assert anchor(six).lets(Packet("out", "fd00::11", "fd00::12", 2380, user=OURS))
    assert not anchor(six).lets(Packet("in", "fd00::13", "fd00::11", 8444))


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (with_cluster(peer_host="mac-b.local"), "cluster.peer_host"),
        (with_cluster(peer_lan_host="mac-b"), "cluster.peer_lan_host"),
        (with_cluster(etcd_endpoints=("witness:2379",)), "cluster.etcd_endpoints"),
        (Config(api=Api(host="prontuario.hospital")), "api.host"),
        (Config(power=Power(kind="nut", host="nobreak")), "power.host"),
        (Config(alerts=Alerts(networks=("hospital",), webhooks=("http://10.0.0.9/x",))), "alerts.networks"),
    ],
)
def test_a_name_is_refused_because_the_boot_may_not_know_it(config: Config, key: str) -> None:
    with pytest.raises(ProntuarioError, match=r"launchd\.address") as caught:
        firewall(config)
    assert caught.value.field == key
    assert "boot" in caught.value.sentence("en")


def test_a_pair_on_one_machine_opens_nothing() -> None:
    local = Config(
        cluster=Cluster(mode="paired", etcd_initial_cluster="a=https://127.0.0.1:2380", peer_host="127.0.0.1")
    )
    assert anchor(local).ports("in") == [DHCP_CLIENT]
    assert anchor(local).ports("out") == []


def test_the_main_file_keeps_apple_s_anchors_and_loads_ours_first() -> None:
    main, ours = firewall(PAIR)
    assert str(main.path) == "/etc/prontuario/pf.conf"
    lines = main.content.decode().splitlines()
    assert lines.index('anchor "br.prontuario"') < lines.index('anchor "com.apple/*"')
    assert f'load anchor "br.prontuario" from "{ours.path}"' in lines
    assert 'load anchor "com.apple" from "/etc/pf.anchors/com.apple"' in lines
    order = [line.split()[0].removesuffix("-anchor") for line in lines if not line.startswith(("#", "load"))]
    assert order == ["scrub", "nat", "rdr", "dummynet", "anchor", "anchor"]  # pf.conf(5) wants them in this order
