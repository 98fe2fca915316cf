"""Three real etcd members on loopback with TLS from a throw-away CA; members can be killed and started again."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.cluster.etcd_client import EtcdClient
from appliance.cluster.etcd_member import EtcdMember, NodeTls

START_S = 60.0


@dataclass
class EtcdSet:
    """``members`` by name; ``start`` all, ``kill`` one."""

    members: dict[str, EtcdMember]
    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        for name in names or tuple(self.members):
            self.members[name].prepare()
            with (self.folder / f"{name}.log").open("ab") as log:
                self.running[name] = subprocess.Popen(self.members[name].command(), stdout=log, stderr=log)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.running[name]
        os.kill(process.pid, number)
        if number == signal.SIGKILL:
            process.wait()
            del self.running[name]

    def stop(self) -> None:
        for name in list(self.running):
            self.kill(name)

    def client(self, first: str = "a", attempt_s: float = 1.0) -> EtcdClient:
        """Endpoints with ``first`` in front."""
        names = [first, *(name for name in self.members if name != first)]
        tls = self.members[first].tls
        assert tls is not None
        urls = [self.members[name].client_url for name in names]
        return EtcdClient(urls, tls.client_context(), attempt_s=attempt_s)

    async def wait_ready(self) -> None:
        client = self.client()
        try:
            async with asyncio.timeout(START_S):
                while sum(member.leader is not None for member in await client.members()) < len(self.running):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            await client.close()


def make_set(folder: Path, names: tuple[str, ...] = ("a", "b", "w")) -> EtcdSet:
    """Not started yet. Ports are free ones of loopback."""
    tls = make_tls(folder)
    ports = free_ports(2 * len(names))
    peers = {name: f"https://127.0.0.1:{ports[2 * at + 1]}" for at, name in enumerate(names)}
    members = {
        name: EtcdMember(
            name, folder / name, "127.0.0.1", ports[2 * at], ports[2 * at + 1], peers, tls,
            heartbeat_ms=100, election_ms=1000,  # a loaded test machine must not lose its leader all the time
        )
        for at, name in enumerate(names)
    }  # fmt: skip
    return EtcdSet(members, folder)


def make_tls(folder: Path, name: str = "node") -> NodeTls:
    """A CA and one certificate for 127.0.0.1 as server and client."""
    authority = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test CA {name}")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)

    def builder(who: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(who).issuer_name(issuer).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        return made.not_valid_after(now + timedelta(days=1))

    root = builder(issuer, authority.public_key())
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = builder(subject, key.public_key()).add_extension(uses, critical=False)
    leaf = leaf.add_extension(loopback, critical=False)
    made = NodeTls(folder / f"{name}-ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
    pem = serialization.Encoding.PEM
    made.ca.write_bytes(root.sign(authority, hashes.SHA256()).public_bytes(pem))
    made.certificate.write_bytes(leaf.sign(authority, hashes.SHA256()).public_bytes(pem))
    made.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return made


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses right now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
