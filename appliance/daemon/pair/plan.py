"""Where the parts of a pair are: two nodes and a third voter. Each node's ``[cluster]`` section follows from it."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from appliance.config import Config
from appliance.config.model import Admin, Api, Cluster
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.security.files import write_file
from appliance.security.node_authority import LOCAL_NAMES

CONFIG_MODE: Final = 0o640
VipBackend = Literal["auto", "ip", "ifconfig", "keepalived"]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One voter, and unless it is only the third voter, one node. ``host`` is how everybody reaches it on the LAN.

    Clients, the virtual IP and the voters among each other use the LAN. Replication uses the cable between the two nodes,
    if both have an address there, and falls back to the LAN.
    """

    name: str
    host: str
    link: str = ""
    """Its address on the cable between the two nodes; empty: there is none."""
    listen: str = ""
    """The address to listen on; empty: ``host``."""
    api_port: int = Api().port
    peer_port: int = Cluster().peer_port
    admin_host: str = Admin().host
    """Where its dashboard listens."""
    admin_port: int = Admin().port
    etcd_client_port: int = Cluster().etcd_client_port
    etcd_peer_port: int = Cluster().etcd_peer_port

    @property
    def bound(self) -> str:
        """Where it listens."""
        return self.listen or self.host


class PairPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole pair. Without a witness there is no automatic takeover: two alone can't tell a crash from a cut."""

    first: Place
    second: Place
    witness: Place | None = None
    client_address: str = ""
    """``host:port`` at which clients reach the pair: the virtual IP, or a balancer; empty: they know both nodes."""
    vip_addresses: tuple[str, ...] = ()
    vip_interface: str = ""
    vip_backend: VipBackend = "auto"
    vipd_socket: str = ""
    """``{node}`` in it is replaced by the node's name: two nodes on one machine need two sockets."""
    namespaces: str = ""
    """Only for both nodes on one development machine: the prefix of the network namespaces that they run in."""

    @property
    def voters(self) -> tuple[Place, ...]:
        """Every etcd member."""
        return tuple(place for place in (self.first, self.second, self.witness) if place is not None)

    def place(self, name: str) -> Place:
        """The voter called ``name``. Raises ``KeyError``."""
        return {place.name: place for place in self.voters}[name]

    def api_host_of(self, name: str) -> str:
        """Where a node's API listens: everywhere when there is a virtual IP, which comes and goes."""
        place = self.place(name)
        if place.listen or not self.vip_addresses:
            return place.bound
        return "::" if any(":" in address for address in (place.host, *self.vip_addresses)) else "0.0.0.0"  # noqa: S104

    def names_of(self, name: str) -> tuple[str, ...]:
        """What the node certificate of ``name`` carries, its name first."""
        place = self.place(name)
        return tuple(filter(None, (place.name, place.host, place.link)))

    def cluster_of(self, name: str) -> Cluster:
        """The ``[cluster]`` section of one of the two nodes."""
        own = self.place(name)
        other = self.second if name == self.first.name else self.first
        voters = sorted(self.voters, key=lambda place: place.name != name)
        wired = bool(own.link and other.link)
        return Cluster(
            mode="paired",
            node=own.name,
            peer=other.name,
            # The cable's address may be absent while the cable is: binding to it would keep the node from starting.
            listen_host=own.listen if wired else own.bound,
            peer_port=own.peer_port,
            peer_host=other.link if wired else other.host,
            peer_lan_host=other.host if wired else "",
            peer_peer_port=other.peer_port,
            peer_api=f"{_bracketed(other.host)}:{other.api_port}",
            client_address=self.client_address,
            etcd_endpoints=tuple(f"{_bracketed(voter.host)}:{voter.etcd_client_port}" for voter in voters),
            etcd_client_port=own.etcd_client_port,
            etcd_peer_port=own.etcd_peer_port,
            etcd_initial_cluster=",".join(f"{voter}={url}" for voter, url in self.voter_urls.items()),
            vip_addresses=self.vip_addresses,
            vip_interface=self.vip_interface,
            vip_backend=self.vip_backend,
            vipd_socket=self.vipd_socket.replace("{node}", own.name),
        )

    @property
    def voter_urls(self) -> dict[str, str]:
        """Name → peer URL."""
        return {voter.name: f"https://{_bracketed(voter.host)}:{voter.etcd_peer_port}" for voter in self.voters}


def seen_from(config: Config, names: Collection[str]) -> PairPlan:
    """The pair as the founded node of ``config`` knows it, itself first: what a Mac is told that takes the other's place.

    ``names`` are those in its node certificate: its own address on the cable stands nowhere else.

    Raises:
        CommandFailedError: the configuration does not name the voters.
    """
    cluster, (own, other, *third) = config.cluster, _voters_seen_from(config.cluster)
    wired = bool(cluster.peer_lan_host)
    known = {own.name, own.host, *LOCAL_NAMES}
    cable = next((name for name in sorted(names) if name not in known), "") if wired else ""
    return PairPlan(
        first=msgspec.structs.replace(
            own, link=cable, api_port=config.api.port, peer_port=cluster.peer_port, admin_host=config.admin.host,
            admin_port=config.admin.port,
        ),
        second=msgspec.structs.replace(
            other, link=cluster.peer_host if wired else "", peer_port=cluster.peer_peer_port,
            api_port=int(cluster.peer_api.rpartition(":")[2] or Api().port),
        ),
        witness=third[0] if third else None,
        client_address=cluster.client_address,
        vip_addresses=cluster.vip_addresses,
        vip_interface=cluster.vip_interface,
        vip_backend=cluster.vip_backend,
        vipd_socket=cluster.vipd_socket,
    )  # fmt: skip


def _voters_seen_from(cluster: Cluster) -> list[Place]:
    """This node, the other one, and the third voter if there is one: the order of ``etcd_endpoints``."""
    urls = dict(entry.split("=", 1) for entry in cluster.etcd_initial_cluster.split(",") if "=" in entry)
    third = [name for name in urls if name not in {cluster.node, cluster.peer}]
    if not {cluster.node, cluster.peer} <= set(urls) or len(cluster.etcd_endpoints) != len(urls):
        raise CommandFailedError("[cluster] etcd_initial_cluster does not name both nodes.", Exit.CONFIG)
    places = []
    for name, endpoint in zip((cluster.node, cluster.peer, *third), cluster.etcd_endpoints, strict=True):
        host, _, port = urls[name].partition("://")[2].rpartition(":")
        client_port = int(endpoint.rpartition(":")[2])
        places.append(Place(name=name, host=host.strip("[]"), etcd_peer_port=int(port), etcd_client_port=client_port))
    return places


def render(section: str, table: msgspec.Struct) -> str:
    """A table of ``prontuario.toml`` with what differs from the defaults."""
    lines = [f"[{section}]"]
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        if value != field.default:
            lines.append(f"{field.encode_name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def append_sections(config: Path, **sections: msgspec.Struct) -> None:
    """Add whole tables at the end of an existing file; what a person wrote is left as it is.

    Raises:
        CommandFailedError: one of them is there already.
    """
    text = config.read_text(encoding="utf-8")
    known = tomllib.loads(text)
    for section in sections:
        if section in known:
            sentence = f"{config} has a [{section}] section already; remove it, or edit it by hand."
            raise CommandFailedError(sentence, Exit.CONFIG)
    added = [render(section, table) for section, table in sections.items()]
    write_file(config, "\n".join([text.rstrip("\n") + "\n", *added]).encode(), CONFIG_MODE)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(one) for one in value)}]"
    # A JSON string is a TOML basic string; numbers are written alike.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
