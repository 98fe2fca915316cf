"""The shape of ``prontuario.toml``. Defaults are what a single Mac in the pilot phase needs."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

GIB = 1 << 30
MIB = 1 << 20
SOCKET_PATH_LIMIT = 100


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Node(_Section, frozen=True):
    """This machine. ``name`` goes into certificates and logs."""

    name: str = "prontuario"
    phase: Literal["pilot", "ha", "hybrid"] = "pilot"
    hospital: str = "Hospital"
    profile: Literal["production", "development"] = "development"


class Api(_Section, frozen=True):
    """The HTTPS door. Times in seconds, sizes in bytes."""

    host: str = "127.0.0.1"
    port: int = 8443
    names: tuple[str, ...] = ("localhost", "prontuario.local")
    """DNS names and addresses that the server certificate carries, besides ``host``."""
    handshake_timeout_s: float = 5.0
    keep_alive_timeout_s: float = 60.0
    """A phone in use asks every few seconds, and a new connection costs both sides a handshake."""
    body_timeout_s: float = 60.0
    max_body_bytes: int = 16 * MIB
    max_websocket_message_bytes: int = 4 * MIB
    max_connections: int = 2000
    drain_s: float = 5.0


class Admin(_Section, frozen=True):
    """The dashboard's own door."""

    host: str = "127.0.0.1"
    port: int = 8445


class Cluster(_Section, frozen=True):
    """``single``: one Mac by configuration; ``paired`` needs etcd, a peer and vipd. Times in seconds.

    Names and addresses are those of this node and of the other one; ports are this node's own unless they say ``peer_``.
    """

    mode: Literal["single", "paired"] = "single"
    node: str = "a"
    """This node's name within the pair; it is in the node's certificate."""
    peer: str = "b"
    listen_host: str = "127.0.0.1"
    """Where this node listens for its peer; empty: on every interface."""
    peer_port: int = 8444
    """Where this node listens for its peer."""
    peer_host: str = "127.0.0.1"
    """The other node's address on the link between the two."""
    peer_lan_host: str = ""
    """The other node's address on the LAN, where ``peer_host`` is on a cable of their own: called when that is silent."""
    peer_peer_port: int = 8444
    """Where the other node listens for this one."""
    peer_api: str = ""
    """The other node's own API, ``host:port``."""
    client_address: str = ""
    """Where clients reach the pair, ``host:port``: the virtual IP, or a balancer."""
    etcd_endpoints: tuple[str, ...] = ()
    """``host:port`` of every etcd member, this node's own first."""
    etcd_client_port: int = 2379
    etcd_peer_port: int = 2380
    etcd_initial_cluster: str = ""
    """``name=https://host:port`` of every member, separated by commas, as etcd wants it."""
    lease_ttl_s: float = 1.0
    """The smallest that etcd grants is ceil(1.5 × its election timeout)."""
    etcd_heartbeat_ms: int = 50
    etcd_election_ms: int = 500
    ship_deadline_s: float = 1.0
    """How long a commit waits for the peer before the peer is marked as out of sync."""
    share_inference: bool = True
    """Let the other node's engines answer when this node's are full, and lend it ours; both nodes have to say so."""
    vip_addresses: tuple[str, ...] = ()
    """Plain addresses, IPv4 or IPv6, without a prefix; they come and go together."""
    vip_interface: str = ""
    vip_backend: Literal["auto", "ip", "ifconfig", "keepalived"] = "auto"
    vipd_socket: str = ""
    """vipd's socket; empty: vipd's default, in a folder that only root may write."""


class Store(_Section, frozen=True):
    """The record's database and its replication. Times in seconds."""

    readers: int = 2
    group_limit: int = 512
    """Writes that share one commit, at most."""
    barrier_timeout_s: float = 5.0
    litestream: bool = True
    """False only in unit tests: then acknowledged means fsynced by SQLite alone."""
    mirror: str = ""
    """Folder outside this Mac to which the hospital carries the copy (a NAS, a mounted bucket); read by the monthly drill only."""


class Security(_Section, frozen=True):
    """Identity. Times in seconds."""

    access_token_s: float = 900.0
    refresh_token_s: float = 12 * 3600.0
    enrolment_code_s: float = 600.0
    device_certificate_days: int = 90
    concurrent_logins: int = 2
    """argon2id takes 64 MiB and 0.2 s of a core each; the rest wait their turn."""
    master_key: Literal["auto", "keychain", "passphrase", "file"] = "auto"


class Faces(_Section, frozen=True):
    """A face as an optional second signal, 1:1, after password and device; and what asks for a person confirmed anew. In seconds."""

    enabled: bool = False
    """Let people enrol and use their face; needs a face model and its calibrated threshold besides."""
    required_for: tuple[Literal["sign", "export"], ...] = ()
    """What needs a person who was confirmed anew, by face or, always, by password: signing a note, exporting one."""
    confirmed_s: float = 120.0
    """How long a confirmation holds."""
    challenge_s: float = 60.0
    """How long the frames for a challenge may take."""
    steps: Annotated[int, msgspec.Meta(ge=2, le=5)] = 3
    """Gestures that a challenge asks for."""
    remember_frames_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 90
    """How long frames that were sent are recognised when they are sent again (only their SHA-256 is kept)."""


class Memory(_Section, frozen=True):
    """The node's budgets of memory, in bytes. 0: a share of the machine, as 300, 100 and 100 are of 512 GB."""

    ai_bytes: int = 0
    """For models; 0 means 60 % of the machine. A model that does not fit is refused."""
    api_bytes: int = 0
    """For core and the dashboard; 0 means 20 %. Counted and forecast, not enforced."""
    data_bytes: int = 0
    """For Litestream and etcd; 0 means 20 %. Counted and forecast, not enforced."""


class Models(_Section, frozen=True):
    """Model packs."""

    import_from: tuple[str, ...] = ("/Volumes", "/media", "/run/media")
    """Folders on the node from which the dashboard may import packs, besides ``inbox`` in the home: by default where disks appear."""


class Dictation(_Section, frozen=True):
    """Limits of one dictation."""

    max_hours: float = 2.0
    max_audio_bytes: int = 2 * GIB
    max_chunk_bytes: int = 8 * MIB


class Notes(_Section, frozen=True):
    """Drafts of notes."""

    template: str = "soap"
    """The template of a dictation whose client names none: ``soap``, ``evolucao``, ``anamnese`` or ``alta``."""


class Power(_Section, frozen=True):
    """The UPS that feeds this machine, asked over the network. Times in seconds."""

    kind: Literal["none", "nut", "apcupsd"] = "none"
    """``nut``: a NUT server (upsd); ``apcupsd``: apcupsd's network information server."""
    host: str = "127.0.0.1"
    port: int = 0
    """0: the protocol's own, 3493 for NUT and 3551 for apcupsd."""
    ups: str = "ups"
    """NUT's name of the UPS."""
    poll_s: float = 2.0
    confirm_s: float = 5.0
    """On battery, or low, for so long before anything is done."""
    calm_s: float = 60.0
    """Mains back for so long before it counts as back."""
    low_charge_percent: float = 20.0
    """On battery and at most this full counts as low, whatever the UPS says itself."""
    low_runtime_s: float = 180.0
    handover_s: float = 30.0
    """How long a shutdown waits for a handover that it asked for."""
    shutdown_command: tuple[str, ...] = ()
    """Run when the record is closed; empty: on macOS ``sudo -n /sbin/shutdown -h now``, elsewhere none."""


class Alerts(_Section, frozen=True):
    """Whom alerts are sent to, besides the dashboard; never outside ``networks``."""

    networks: tuple[str, ...] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128")
    """The hospital's own networks: a target that lies elsewhere is never called."""
    least: Literal["warning", "critical"] = "warning"
    """What is sent: everything, or only what is critical."""
    email_to: tuple[str, ...] = ()
    email_from: str = "prontuario@localhost"
    smtp_host: str = ""
    smtp_port: int = 25
    smtp_starttls: bool = False
    smtp_ca: str = ""
    """A PEM file of the authority that signed the mail server's certificate; empty: the system's."""
    webhooks: tuple[str, ...] = ()
    """``http://`` or ``https://`` addresses that get each alert as JSON."""


class Tracing(_Section, frozen=True):
    """Traces for a collector that speaks OTLP over HTTP, never outside ``[alerts] networks``; off by default. Times in seconds."""

    enabled: bool = False
    endpoint: str = ""
    """The collector's ``http://`` or ``https://`` address, as a rule ending in ``:4318/v1/traces``."""
    ca: str = ""
    """A PEM file of the authority that signed the collector's certificate; empty: the system's."""
    sample_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    """The share of requests and jobs that is traced; changes of the cluster's roles always are."""
    every_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 2.0
    """How long spans are gathered before they are sent; longer after a failure."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    """For one delivery, the name's look-up included."""
    queue_spans: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 4096
    """Spans that wait at most, about a kilobyte each; more are dropped and counted."""
    batch_spans: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 256
    """Spans of one delivery at most."""
    flush_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 2.0
    """How long the end of the process waits for the last delivery."""

    def __post_init__(self) -> None:
        if self.enabled and not _is_http(self.endpoint):
            raise ValueError("tracing.enabled needs tracing.endpoint, such as http://10.0.0.5:4318/v1/traces")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port or an address that is none
        return False


class Logging(_Section, frozen=True):
    """Structured logs: JSON lines to the file, people's lines to the terminal."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    max_file_bytes: int = 64 * MIB
    keep_files: int = 5


class Config(_Section, frozen=True):
    """The whole file. ``plugins`` tables are decoded by each plugin's own schema; ``capabilities`` orders providers."""

    node: Node = Node()
    api: Api = Api()
    admin: Admin = Admin()
    cluster: Cluster = Cluster()
    store: Store = Store()
    security: Security = Security()
    faces: Faces = Faces()
    memory: Memory = Memory()
    models: Models = Models()
    dictation: Dictation = Dictation()
    notes: Notes = Notes()
    power: Power = Power()
    alerts: Alerts = Alerts()
    tracing: Tracing = Tracing()
    logging: Logging = Logging()
    capabilities: dict[str, tuple[str, ...]] = {}
    disabled_plugins: tuple[str, ...] = ()
    plugins: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Paths:
    """Where everything lies below a node's home."""

    home: Path

    @property
    def config(self) -> Path:
        return self.home / "prontuario.toml"

    @property
    def database(self) -> Path:
        return self.home / "data" / "record.sqlite"

    @property
    def audit_head(self) -> Path:
        """The newest signed head of the audit log that this machine has seen: beside the record, not in it."""
        return self.home / "data" / "audit-head.json"

    @property
    def spool(self) -> Path:
        """Litestream's LTX files of a lone node: epoch 0."""
        return self.home / "data" / "spool"

    @property
    def replicas(self) -> Path:
        """What was spooled or received in each epoch, and the epoch below which nothing is received any more."""
        return self.home / "data" / "replica"

    def replica(self, epoch: int) -> Path:
        """One epoch's LTX files: the primary's Litestream writes them, the standby's receiver holds the same; 0: the spool."""
        return self.replicas / f"{epoch:08d}" if epoch else self.spool

    @property
    def warm_copies(self) -> Path:
        """The standby's databases, one folder for each epoch that it follows."""
        return self.home / "data" / "warm"

    @property
    def blobs(self) -> Path:
        return self.home / "data" / "blobs"

    @property
    def secrets(self) -> Path:
        """Private keys, mode 0700."""
        return self.home / "secrets"

    @property
    def ca(self) -> Path:
        """The root certificate that clients pin."""
        return self.home / "ca.pem"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Sockets and pid files; emptied at start."""
        return self.home / "run"

    def socket(self, name: str) -> Path:
        """A Unix socket's path: below ``run``, or in a short private folder when that would not fit (104 bytes on macOS)."""
        direct = self.run / f"{name}.sock"
        if len(os.fsencode(direct)) <= SOCKET_PATH_LIMIT:
            return direct
        digest = hashlib.sha256(os.fsencode(self.home.absolute())).hexdigest()[:16]
        return Path(f"/tmp/prontuario-{os.getuid()}-{digest}") / f"{name}.sock"  # noqa: S108  made 0700 and checked by its maker

    @property
    def plugins(self) -> Path:
        """Third-party plugins: ``<name>-<version>/``."""
        return self.home / "plugins"

    @property
    def plugin_data(self) -> Path:
        return self.home / "data" / "plugins"

    @property
    def models(self) -> Path:
        """Model packs: ``<capability>/active``."""
        return self.home / "models"

    @property
    def inbox(self) -> Path:
        """Where IT puts packs that the dashboard shall import."""
        return self.home / "inbox"

    @property
    def face_evaluation(self) -> Path:
        """The figures that the face threshold rests on, kept by ``prontuario faces evaluate``."""
        return self.home / "data" / "face-evaluation.json"

    @property
    def pack_keys(self) -> Path:
        """Public keys (``*.pem``) of those whose model packs this hospital trusts; outside ``models``, which travels to the peer."""
        return self.home / "trust" / "packs"
