"""What two nodes of a pair compare, and what a running node tells of itself: numbers, names and hashes, never contents."""

from __future__ import annotations

import hashlib
import shutil
from importlib.metadata import version
from typing import Final

import msgspec

from appliance.cluster.peer_messages import OLDEST_PROTOCOL, PROTOCOL
from appliance.config.model import Config, Paths
from appliance.operations.packs.shelf import Shelf
from appliance.store.migrate import known_migrations

SERVICE: Final = "doctor"
"""The name under which a node answers the other one, and the operator's verb."""
AUTHORITIES: Final = ("root.pem", "device-ca.pem", "node-ca.pem")
COMMON_NODE: Final = ("phase", "hospital", "profile")
COMMON_CLUSTER: Final = (
    "mode", "client_address", "lease_ttl_s", "etcd_heartbeat_ms", "etcd_election_ms", "etcd_initial_cluster", "ship_deadline_s",
    "share_inference", "vip_addresses",
)  # fmt: skip
OWN_SECTIONS: Final = frozenset({"api", "admin", "memory", "power", "logging"})
"""Addresses, ports, memory, the UPS and logs are each node's own; every other section has to be the same on both."""


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One node. ``migration``: the newest that its program knows; ``free_bytes``: of the disk with its home.

    ``configuration``: by section, the start of a SHA-256 over what both nodes must have alike; ``authorities``: of each
    authority's certificate; ``models``: the pack that serves each capability.
    """

    version: str
    protocol: int
    migration: int
    configuration: dict[str, str]
    authorities: dict[str, str]
    models: dict[str, str]
    free_bytes: int
    oldest_protocol: int = 1
    """A program of before this field speaks just one."""


class Told(msgspec.Struct, frozen=True):
    """A node's answer to the other one; ``at`` is its clock, in seconds since 1970."""

    facts: NodeFacts
    at: float


class Part(msgspec.Struct, frozen=True):
    """One part's own judgement, as its health check says it."""

    status: str
    cause_pt: str
    cause_en: str
    step_pt: str
    step_en: str


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """A running node. ``peer_code``: why the other one did not answer (an error's code), empty if it did.

    ``clock_offset_s``: the other node's clock less this one's, less what the question's own way can account for.
    """

    own: NodeFacts
    api_host: str
    api_port: int
    parts: dict[str, Part]
    quarantined: dict[str, str]
    """Plugins that were set aside, with the reason."""
    peer: NodeFacts | None = None
    peer_code: str = ""
    clock_offset_s: float | None = None


def facts_of(paths: Paths, config: Config) -> NodeFacts:
    """This node's facts now. Blocks a little. Raises ``OSError``."""
    return NodeFacts(
        version=version("prontuario"),
        protocol=PROTOCOL,
        oldest_protocol=OLDEST_PROTOCOL,
        migration=max(migration.number for migration in known_migrations()),
        configuration=common_configuration(config),
        authorities={
            name: _digest((paths.secrets / name).read_bytes())
            for name in AUTHORITIES
            if (paths.secrets / name).exists()
        },
        models=_models(paths),
        free_bytes=shutil.disk_usage(paths.home).free,
    )


def common_configuration(config: Config) -> dict[str, str]:
    """The start of a SHA-256 for each section that both nodes must have alike."""
    sections: dict[str, object] = {
        field.name: getattr(config, field.name)
        for field in msgspec.structs.fields(config)
        if field.name not in OWN_SECTIONS
    }
    sections["node"] = {name: getattr(config.node, name) for name in COMMON_NODE}
    sections["cluster"] = {name: getattr(config.cluster, name) for name in COMMON_CLUSTER}
    return {name: _digest(msgspec.json.encode(section, order="sorted")) for name, section in sections.items()}


def clock_offset_s(told_s: float, asked_s: float, answered_s: float) -> float:
    """How far the other clock is off: what it told, less the middle of the question's way, less half of that way."""
    offset = told_s - (asked_s + answered_s) / 2
    doubt = abs(answered_s - asked_s) / 2
    return max(0.0, abs(offset) - doubt) * (1.0 if offset > 0 else -1.0)


def _models(paths: Paths) -> dict[str, str]:
    shelf = Shelf(paths.models, paths.pack_keys)
    known = sorted(folder.name for folder in paths.models.iterdir() if folder.is_dir()) if paths.models.exists() else []
    return {capability: active for capability in known if (active := shelf.active(capability))}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
