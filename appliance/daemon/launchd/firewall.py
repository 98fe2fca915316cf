"""The packet filter of a node: what its configuration listens on may come in, what its phase needs may go out.

An anchor of our own, loaded by a main file of our own that keeps Apple's anchors; ``/etc/pf.conf`` stays as the system's
updates left it. What goes out is limited for the role account only: the record's processes, not the Mac's own services.
ARP is no IP and never filtered here, so the virtual IP can move; macOS speaks no VRRP.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from appliance.config import Config
from appliance.daemon.launchd.errors import ADDRESS_NEEDED
from appliance.daemon.launchd.layout import ACCOUNT, DOMAIN, PF_ANCHOR_FILE, PF_FILE, RenderedFile
from appliance.operations.power import apcupsd, nut
from appliance.operations.watching.targets import places_of
from appliance.telemetry import inside

EVERYWHERE: Final = ("", "0.0.0.0", "::")  # noqa: S104  compared with, not bound to
HTTPS: Final = 443
MULTICAST_DNS: Final = 5353
_MULTICAST_DNS_GROUPS: Final = ("224.0.0.251", "ff02::fb")
_VRRP_GROUPS: Final = ("224.0.0.18", "ff02::12")
_MAIN: Final = f"""# Prontuário. Written by prontuario launchd render; loaded with pfctl -E -f. Apple's anchors as in /etc/pf.conf.
scrub-anchor "com.apple/*"
nat-anchor "com.apple/*"
rdr-anchor "com.apple/*"
dummynet-anchor "com.apple/*"
anchor "{DOMAIN}"
load anchor "{DOMAIN}" from "{PF_ANCHOR_FILE}"
anchor "com.apple/*"
load anchor "com.apple" from "/etc/pf.anchors/com.apple"
"""


@dataclass(frozen=True, slots=True)
class Opening:
    """Something that may pass. Empty ``sources`` or ``targets`` mean any address; only ``port`` of the target counts."""

    why: str
    direction: Literal["in", "out"]
    port: int | None
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    protocol: Literal["tcp", "udp", "vrrp"] = "tcp"
    user: str = ""

    def line(self) -> str:
        """As pf.conf(5) wants it."""
        port = f" port {self.port}" if self.port else ""
        state = " flags S/SA keep state" if self.protocol == "tcp" else " keep state"
        user = f" user {self.user}" if self.user else ""
        source, target = _hosts(self.sources), _hosts(self.targets)
        protocol = "112" if self.protocol == "vrrp" else self.protocol
        return (
            f"pass {self.direction} quick proto {protocol} from {source} to {target}{port}{user}{state}  # {self.why}"
        )


def openings_of(config: Config) -> list[Opening]:
    """What the configuration needs, in; then out for the role account.

    Raises:
        ProntuarioError: ``launchd.address``: a name stands where the packet filter needs an address.
    """
    return [*_incoming(config), *_outgoing(config)]


def firewall(config: Config) -> tuple[RenderedFile, RenderedFile]:
    """The main file and the anchor. Raises what ``openings_of`` raises."""
    openings = openings_of(config)
    incoming = [opening.line() for opening in openings if opening.direction == "in"]
    outgoing = [opening.line() for opening in openings if opening.direction == "out"]
    lines = [
        "# Prontuário. Written by prontuario launchd render.",
        "pass quick on lo0 all no state",
        "pass in quick inet proto icmp all icmp-type echoreq keep state  # is it there?",
        "pass in quick inet6 proto ipv6-icmp all keep state  # IPv6 needs its neighbours",
        "pass in quick inet proto udp from any port 67 to any port 68 keep state  # DHCP",
        *incoming,
        "block drop in quick all",
        *outgoing,
        f"block return out quick proto {{ tcp udp }} all user {ACCOUNT}",
        "pass out quick all keep state",
    ]
    anchor = "\n".join(lines) + "\n"
    return RenderedFile(PF_FILE, _MAIN.encode()), RenderedFile(PF_ANCHOR_FILE, anchor.encode())


def _incoming(config: Config) -> Iterator[Opening]:
    api, admin, cluster = config.api, config.admin, config.cluster
    if not _local(api.host):
        vips = cluster.vip_addresses if cluster.mode == "paired" else ()
        yield Opening("API", "in", api.port, targets=_targets("api.host", api.host, vips))
        if any(name.endswith(".local") for name in api.names):
            yield Opening(
                "its .local name", "in", MULTICAST_DNS, targets=_MULTICAST_DNS_GROUPS, protocol="udp"
            )  # fmt: skip
    if not _local(admin.host):
        yield Opening("dashboard", "in", admin.port, targets=_targets("admin.host", admin.host))
    if cluster.mode == "single":
        return
    peer = _peer(config)
    if not _local(cluster.listen_host) and peer:
        target = _targets("cluster.listen_host", cluster.listen_host)
        yield Opening("peer link", "in", cluster.peer_port, sources=peer, targets=target)
    voters = _addresses("cluster.etcd_initial_cluster", (host for host, _ in _other_voters(config)))
    if cluster.node in dict(_urls(config)) and peer:
        yield Opening("etcd, clients", "in", cluster.etcd_client_port, sources=peer)
        yield Opening("etcd, members", "in", cluster.etcd_peer_port, sources=tuple(sorted({*voters, *peer})))
    if cluster.vip_backend == "keepalived" and cluster.vip_addresses and peer:
        yield Opening("VRRP", "in", None, sources=peer, targets=_VRRP_GROUPS, protocol="vrrp")


def _outgoing(config: Config) -> Iterator[Opening]:
    cluster = config.cluster
    by_port: dict[int, set[str]] = {}
    if cluster.mode == "paired":
        by_port.setdefault(cluster.peer_peer_port, set()).update(_peer(config))
        ends = [_split(endpoint) for endpoint in cluster.etcd_endpoints]
        mine = {_split(url)[0] for name, url in _urls(config) if name == cluster.node}
        for host, port in [*ends, *_other_voters(config)]:
            if host in mine:
                continue
            by_port.setdefault(port, set()).update(_addresses("cluster.etcd_endpoints", [host]))
        if cluster.peer_api:  # is it there, and what has it read: asked at its own door
            host, port = _split(cluster.peer_api)
            by_port.setdefault(port, set()).update(_addresses("cluster.peer_api", [host]))
    for port, hosts in sorted(by_port.items()):
        if hosts:
            yield Opening("the pair", "out", port, targets=tuple(sorted(hosts)), user=ACCOUNT)
    if config.node.phase == "hybrid":
        yield Opening("cloud", "out", HTTPS, user=ACCOUNT)
    yield from _of_the_hospital(config)


def _of_the_hospital(config: Config) -> Iterator[Opening]:
    """What the configuration names in the building: the UPS; mail, webhooks and traces within ``[alerts] networks`` only."""
    power, alerts, tracing = config.power, config.alerts, config.tracing
    if power.kind != "none" and (ups := _addresses("power.host", [power.host])):
        usual = nut.PORT if power.kind == "nut" else apcupsd.PORT
        yield Opening("UPS", "out", power.port or usual, targets=ups, user=ACCOUNT)
    places = [(host, port) for _, host, port in places_of(alerts)]
    if tracing.enabled:
        places.append(inside.place_of(tracing.endpoint))
    ports = sorted({port for host, port in places if not _local(host)})
    networks = _networks(alerts.networks) if ports else ()
    for port in ports if networks else ():  # no target at all would mean any
        yield Opening("alerts and traces", "out", port, targets=networks, user=ACCOUNT)


def _networks(written: Iterable[str]) -> tuple[str, ...]:
    """Those beyond this machine itself, each one checked to be a network."""
    found = []
    for one in written:
        try:
            network = ipaddress.ip_network(one, strict=False)
        except ValueError as error:
            raise ADDRESS_NEEDED(field="alerts.networks", key="alerts.networks", value=one) from error
        if not network.is_loopback:
            found.append(str(network))
    return tuple(found)


def _peer(config: Config) -> tuple[str, ...]:
    """The other node's addresses that are not this machine's own."""
    cluster = config.cluster
    wired = _addresses("cluster.peer_host", [cluster.peer_host])
    lan = _addresses("cluster.peer_lan_host", [cluster.peer_lan_host] if cluster.peer_lan_host else [])
    return tuple(sorted({*wired, *lan}))


def _urls(config: Config) -> Iterator[tuple[str, str]]:
    for entry in filter(None, config.cluster.etcd_initial_cluster.split(",")):
        name, _, url = entry.partition("=")
        yield name, url.removeprefix("https://").rstrip("/")


def _other_voters(config: Config) -> list[tuple[str, int]]:
    others = [url for name, url in _urls(config) if name != config.cluster.node]
    return [_split(url) for url in others]


def _split(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    return host.strip("[]"), int(port)


def _local(host: str) -> bool:
    """Whether only this machine itself reaches it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _addresses(key: str, hosts: Iterable[str]) -> tuple[str, ...]:
    """The hosts without this machine itself, sorted, each one checked to be an address."""
    found = set()
    for host in hosts:
        if _local(host):
            continue
        try:
            found.add(str(ipaddress.ip_address(host)))
        except ValueError as error:
            raise ADDRESS_NEEDED(field=key, key=key, value=host) from error
    return tuple(sorted(found))


def _targets(key: str, host: str, vips: Iterable[str] = ()) -> tuple[str, ...]:
    if host in EVERYWHERE:
        return ()
    return (*_addresses(key, [host]), *_addresses("cluster.vip_addresses", vips))


def _hosts(addresses: tuple[str, ...]) -> str:
    if not addresses:
        return "any"
    return addresses[0] if len(addresses) == 1 else "{ " + " ".join(addresses) + " }"
