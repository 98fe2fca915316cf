"""One voter: the command line of an etcd 3.4 member, the three-file TLS it speaks, and the client context for it.

The daemon starts it as a child of its own (never of core: a killed core must not take a voter along). A first start forms
the set from ``initial_cluster``; every later one reads its data folder and ignores that list.
"""

from __future__ import annotations

import shutil
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.cluster.errors import ETCD_MISSING

HEARTBEAT_MS: Final = 50
ELECTION_MS: Final = 500
"""With these a lease of one second is allowed (etcd's least: 1.5 × the election timeout) and gone 1.0–1.3 s after a crash."""
QUOTA_BYTES: Final = 256 << 20
_SET_NAME: Final = "prontuario-pair"


@dataclass(frozen=True, slots=True)
class NodeTls:
    """PEM files of the nodes' own CA: its certificate, and this machine's certificate and key (server and client)."""

    ca: Path
    certificate: Path
    key: Path

    def client_context(self) -> ssl.SSLContext:
        """For ``EtcdClient``: TLS 1.3 or 1.2, our certificate shown, theirs checked with its name."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """A voter's place in the set. ``initial_cluster`` maps every voter's name to its peer URL (``https://host:port``)."""

    name: str
    data: Path
    host: str
    client_port: int
    peer_port: int
    initial_cluster: dict[str, str] = field(default_factory=dict)
    tls: NodeTls | None = None
    heartbeat_ms: int = HEARTBEAT_MS
    election_ms: int = ELECTION_MS

    @property
    def client_url(self) -> str:
        """Where ``EtcdClient`` reaches it."""
        return f"{self._scheme}://{_host(self.host)}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """Where the other voters reach it."""
        return f"{self._scheme}://{_host(self.host)}:{self.peer_port}"

    def prepare(self) -> None:
        """Make the data folder, 0700 as etcd wants it."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.data.chmod(0o700)

    def command(self, *, joining: bool = False, force_new_cluster: bool = False) -> list[str]:
        """The argv. ``joining``: into a set that already runs. ``force_new_cluster``: the operator's last resort.

        A forced member forms a set of itself alone from what it holds. Only when the other node is known to be off:
        otherwise two sets exist and each may elect a primary.

        Raises:
            ProntuarioError: ``cluster.etcd_missing``.
        """
        program = shutil.which("etcd")
        if program is None:
            raise ETCD_MISSING()
        voters = self.initial_cluster or {self.name: self.peer_url}
        options = {
            "name": self.name,
            "data-dir": str(self.data),
            "listen-client-urls": self.client_url,
            "advertise-client-urls": self.client_url,
            "listen-peer-urls": self.peer_url,
            "initial-advertise-peer-urls": self.peer_url,
            "initial-cluster": ",".join(f"{name}={url}" for name, url in sorted(voters.items())),
            "initial-cluster-token": _SET_NAME,
            "initial-cluster-state": "existing" if joining else "new",
            "heartbeat-interval": str(self.heartbeat_ms),
            "election-timeout": str(self.election_ms),
            "quota-backend-bytes": str(QUOTA_BYTES),
            "auto-compaction-mode": "revision",
            "auto-compaction-retention": "1000",
            "snapshot-count": "10000",
            "max-wals": "3",  # of 64 MiB each
            "max-snapshots": "3",
            "pre-vote": "true",  # a member that was cut off must not disturb the others when it returns
            "enable-v2": "false",
            "logger": "zap",
            "log-level": "warn",
            **self._tls_options(),
        }
        argv = [program, *(f"--{name}={value}" for name, value in options.items())]
        return [*argv, "--force-new-cluster"] if force_new_cluster else argv

    @property
    def _scheme(self) -> str:
        return "https" if self.tls is not None else "http"

    def _tls_options(self) -> dict[str, str]:
        if self.tls is None:
            return {}
        ca, certificate, key = str(self.tls.ca), str(self.tls.certificate), str(self.tls.key)
        return {
            "trusted-ca-file": ca, "cert-file": certificate, "key-file": key, "client-cert-auth": "true",
            "peer-trusted-ca-file": ca, "peer-cert-file": certificate, "peer-key-file": key, "peer-client-cert-auth": "true",
        }  # fmt: skip


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
